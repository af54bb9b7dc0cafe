//! `ostler sockets`: where workers can be reached, and what waits there.

use std::process::ExitCode;

use ostler_bus::vocab::status::{AppStatus, ProxiedStatus, SocketStatus};

use super::{
    args::SocketsArgs,
    connect::{self, Wanted},
    error::{CliError, Exit},
    output, render, state_verbs,
    style::Style,
    table::{self, Align, Cell, Row, Tone},
};
use crate::escape;

const COLUMNS: [(&str, Align); 9] = [
    ("APP", Align::Left),
    ("SOCKET", Align::Left),
    ("ADDRESS", Align::Left),
    ("MODE", Align::Left),
    ("SLOTS", Align::Left),
    ("WAITING", Align::Right),
    ("ROOM", Align::Right),
    ("DROPPED", Align::Right),
    ("SHARE", Align::Left),
];

/// `ostler sockets`
pub(super) fn sockets(args: &SocketsArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    connect::talk(wanted, async |session| {
        let mut apps = state_verbs::ask(&session.bus).await?.apps;
        if let Some(name) = &args.app {
            let known: Vec<String> = apps.iter().map(|app| app.name.clone()).collect();
            apps.retain(|app| app.name == name.as_str());
            if apps.is_empty() {
                let known = escape::line(&known.join(", ")).into_owned();
                let text = format!("there is no app {:?}, only {known}", name.as_str());
                return Err(CliError::new(Exit::UnknownName, text));
            }
        }
        let text = match args.json {
            true => as_json(&apps)?,
            false => in_words(&apps, Style::of_stdout()),
        };
        output::print(&text)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// One of an app's, with the app's name.
#[derive(serde::Serialize)]
struct Entry<'a> {
    app: &'a str,
    #[serde(flatten)]
    socket: &'a SocketStatus,
}

fn as_json(apps: &[AppStatus]) -> Result<String, CliError> {
    let all: Vec<Entry<'_>> = all(apps)
        .map(|(app, socket)| Entry { app, socket })
        .collect();
    let json = render::json(&all).map_err(|error| {
        CliError::new(Exit::Failed, "the sockets have no JSON form").because(&error)
    })?;
    Ok(format!("{json}\n"))
}

fn all(apps: &[AppStatus]) -> impl Iterator<Item = (&str, &SocketStatus)> {
    apps.iter().flat_map(|app| {
        let name = app.name.as_str();
        app.sockets.iter().map(move |socket| (name, socket))
    })
}

fn in_words(apps: &[AppStatus], style: Style) -> String {
    let rows: Vec<Row<9>> = all(apps)
        .map(|(app, socket)| Row::Cells(cells(app, socket)))
        .collect();
    match rows.is_empty() {
        true => "no app has a socket\n".into(),
        false => table::render(COLUMNS, &rows, style),
    }
}

fn cells(app: &str, socket: &SocketStatus) -> [Cell; 9] {
    let text = |text: &str| Cell::plain(escape::line(text));
    let address = match socket.passed_as {
        Some(number) => format!("{} (fd:{number})", socket.address),
        None => socket.address.clone(),
    };
    let number = |number: Option<u32>| match number {
        Some(number) => Cell::plain(number.to_string()),
        None => Cell::new("-", Tone::Dim),
    };
    let dropped = match socket.queue.map(|queue| queue.dropped) {
        Some(0) => Cell::new("0", Tone::Dim),
        Some(some) => Cell::new(some.to_string(), Tone::Bad),
        None => Cell::new("-", Tone::Dim),
    };
    let slots = slots(socket);
    [
        text(app),
        text(&socket.name),
        text(&address),
        text(&socket.mode),
        Cell::plain(slots),
        number(socket.queue.map(|queue| queue.waiting)),
        number(socket.queue.map(|queue| queue.room)),
        dropped,
        share(socket),
    ]
}

/// Whose it is.
fn slots(socket: &SocketStatus) -> String {
    match (&socket.asked_by, socket.slot) {
        (Some(workers), _) if workers.len() <= 4 => {
            let workers: Vec<String> = workers.iter().map(ToString::to_string).collect();
            format!("asked for by {}", workers.join(" "))
        }
        (Some(workers), _) => format!("asked for by {} workers", workers.len()),
        (None, Some(slot)) => slot.to_string(),
        (None, None) => "all".into(),
    }
}

/// What its slot gets of the connections, or why nothing.
fn share(socket: &SocketStatus) -> Cell {
    let proxied = socket.balance.as_ref().and_then(|it| it.proxied.as_ref());
    match &socket.share {
        None => proxied.map_or_else(|| Cell::new("-", Tone::Dim), by_header),
        Some(share) => match (&share.left_out, share.buckets) {
            (Some(why), _) => Cell::new(format!("none: {}", escape::line(why)), Tone::Bad),
            (None, Some(buckets)) => Cell::plain(format!("{buckets} buckets")),
            (None, None) => Cell::plain("even"),
        },
    }
}

/// How clients are told apart, and who could not be.
fn by_header(proxied: &ProxiedStatus) -> Cell {
    match proxied.malformed + proxied.late {
        0 => Cell::plain("by PROXY header"),
        refused => Cell::new(format!("by PROXY header, {refused} refused"), Tone::Bad),
    }
}

#[cfg(test)]
mod tests {
    use ostler_bus::{
        Generation, Slot, WorkerId,
        vocab::status::{BalanceStatus, SlotShare, SocketQueue},
    };

    use super::*;

    #[test]
    fn each_socket_is_a_row() {
        let socket = |name: &str, address: &str| SocketStatus {
            name: name.into(),
            address: address.into(),
            mode: "shared".into(),
            why: None,
            slot: None,
            passed_as: None,
            queue: None,
            balance: None,
            asked_by: None,
            share: None,
        };
        let app = |name: &str, sockets: Vec<SocketStatus>| AppStatus {
            name: name.into(),
            namespace: None,
            next_cron: None,
            state: "running".into(),
            instances: 1,
            ready: 1,
            generation: Generation(1),
            readiness: "auto".into(),
            sockets,
            last_update: None,
        };
        let queue = |waiting, dropped| {
            Some(SocketQueue {
                waiting,
                room: 1024,
                dropped,
            })
        };
        let chat = |slot, waiting, left_out| SocketStatus {
            mode: "sticky".into(),
            queue: queue(waiting, 0),
            slot: Some(Slot(slot)),
            share: Some(SlotShare {
                left_out,
                buckets: Some(128),
                longest: 5,
                times_long: 0,
            }),
            ..socket("chat", "127.0.0.1:81")
        };
        let web = vec![
            SocketStatus {
                queue: queue(3, 0),
                passed_as: Some(3),
                ..socket("http", "127.0.0.1:80")
            },
            SocketStatus {
                queue: queue(0, 7),
                slot: Some(Slot(1)),
                ..socket("own", "127.0.0.1:8101")
            },
            chat(0, 0, None),
            chat(1, 2, Some("it is gone".into())),
        ];
        let asked = SocketStatus {
            asked_by: Some(vec![WorkerId(4), WorkerId(7)]),
            ..socket("[::]:0", "[::]:9")
        };
        let far = SocketStatus {
            mode: "sticky".into(),
            balance: Some(BalanceStatus {
                accepted: 9,
                given_again: 0,
                waiting: 0,
                workers: Vec::new(),
                proxied: Some(ProxiedStatus {
                    header: "keep".into(),
                    awaited: 0,
                    malformed: 1,
                    late: 2,
                    buckets: vec![256],
                }),
            }),
            ..socket("far", "127.0.0.1:82")
        };
        let web = web.into_iter().chain([far]).collect();
        let apps = [
            app("web", web),
            app("jobs", vec![socket("log", "unix:/l\u{1b}"), asked]),
        ];
        let shown = in_words(&apps, Style::plain());
        assert_eq!(
            shown,
            "APP   SOCKET  ADDRESS              MODE    SLOTS             WAITING  ROOM  DROPPED  SHARE\n\
             web   http    127.0.0.1:80 (fd:3)  shared  all                     3  1024        0  -\n\
             web   own     127.0.0.1:8101       shared  1                       0  1024        7  -\n\
             web   chat    127.0.0.1:81         sticky  0                       0  1024        0  128 buckets\n\
             web   chat    127.0.0.1:81         sticky  1                       2  1024        0  none: it is gone\n\
             web   far     127.0.0.1:82         sticky  all                     -     -        -  by PROXY header, 3 refused\n\
             jobs  log     unix:/l\\x1b          shared  all                     -     -        -  -\n\
             jobs  [::]:0  [::]:9               shared  asked for by 4 7        -     -        -  -\n"
        );
        assert_eq!(
            in_words(&apps[..0], Style::plain()),
            "no app has a socket\n"
        );
    }
}
