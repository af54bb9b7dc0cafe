//! `bus`: who is on the bus, once or again and again.

use std::{
    io::{self, IsTerminal as _},
    process::ExitCode,
    time::Duration,
};

use ostler_bus::{client::Bus, hub::HubStats, vocab::bus::BusStats};
use tokio::time::{MissedTickBehavior, sleep};

use super::{
    args::BusArgs,
    away,
    bus_errors::{gone, of_master},
    connect::{self, Wanted},
    error::CliError,
    interrupt,
    output::{self, Reader},
    render::{self, bus::Whose},
    style::Style,
    table,
    traffic::Traffic,
};

/// Between the two looks that a rate needs, where only one is asked for.
const GLANCE: Duration = Duration::from_millis(500);

/// To the first line, first column.
const HOME: &str = "\x1b[H";

/// Nothing more on this line; nothing more below.
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_BELOW: &str = "\x1b[J";

/// `ostler bus`
pub(super) fn bus(args: BusArgs, wanted: Wanted<'_>) -> Result<ExitCode, CliError> {
    let Some(every) = args.watch else {
        return connect::talk(wanted, async |session| glance(&session.bus, args).await);
    };
    connect::follow(wanted, async |session| {
        let bus = session.bus;
        let mut interrupt = interrupt::listen()?;
        tokio::select! {
            biased;
            () = interrupt.heard() => Ok(ExitCode::SUCCESS),
            () = output::reader_gone() => Ok(ExitCode::SUCCESS),
            ended = watch(&bus, args, every) => ended,
            () = away::tell(&bus) => unreachable!("it goes on for ever"),
        }
    })
}

async fn glance(bus: &Bus, args: BusArgs) -> Result<ExitCode, CliError> {
    if args.json {
        return print_json(&look(bus).await?);
    }
    let before = look(bus).await?;
    sleep(GLANCE).await;
    let traffic = Traffic::between(Some(&before), look(bus).await?);
    output::print(&render::bus::bus(&traffic, whose(args), Style::of_stdout()))?;
    Ok(ExitCode::SUCCESS)
}

fn whose(args: BusArgs) -> Whose {
    match args.all {
        true => Whose::All,
        false => Whose::Others,
    }
}

/// The whole state, page by page.
pub(super) async fn look(bus: &Bus) -> Result<HubStats, CliError> {
    let mut all: Option<HubStats> = None;
    loop {
        let after = all
            .as_ref()
            .and_then(|all| all.peers.last())
            .map(|p| p.conn);
        let question = BusStats { after, most: None };
        let page = bus.request(&question).await.map_err(of_master)?;
        let goes_on = page.more && !page.peers.is_empty();
        let all = match &mut all {
            None => all.insert(page),
            Some(all) => {
                all.peers.extend(page.peers);
                all.more = page.more;
                all
            }
        };
        if !goes_on {
            return Ok(all.clone());
        }
    }
}

fn print_json(stats: &HubStats) -> Result<ExitCode, CliError> {
    output::print(&render::json(stats)?)?;
    Ok(ExitCode::SUCCESS)
}

async fn watch(bus: &Bus, args: BusArgs, every: Duration) -> Result<ExitCode, CliError> {
    let mut screen = Screen::of_stdout();
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: Option<HubStats> = None;
    loop {
        tick.tick().await;
        let now = match look(bus).await {
            Ok(now) => now,
            // Lost in the middle of a look: looked again when it is back.
            Err(_) if away::is_away(bus) => {
                away::back(bus).await.map_err(|why| gone(&why))?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let text = match args.json {
            true => render::json_line(&now)?,
            false => {
                let traffic = Traffic::between(before.as_ref(), now.clone());
                screen.frame(&|style| render::bus::bus(&traffic, whose(args), style))
            }
        };
        before = Some(now);
        if output::print_later(text).await? == Reader::Gone {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

/// Where the state is shown again and again.
#[derive(Debug)]
enum Screen {
    /// Drawn anew in its place.
    Terminal,
    /// One after the other; this many so far.
    Lines(u64),
}

impl Screen {
    fn of_stdout() -> Self {
        let moves = io::stdout().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        match moves {
            true => Self::Terminal,
            false => Self::Lines(0),
        }
    }

    /// What to print to show `text` instead of what was there. The terminal's size is asked each time.
    fn frame(&mut self, text: &dyn Fn(Style) -> String) -> String {
        let style = Style::of_stdout();
        match self {
            Self::Terminal => {
                let rows = rustix::termios::tcgetwinsize(io::stdout())
                    .map_or(24, |size| usize::from(size.ws_row));
                redrawn(&text(style), rows.max(2), style)
            }
            Self::Lines(shown) => {
                *shown += 1;
                let gap = if *shown > 1 { "\n" } else { "" };
                format!("{gap}{}", text(style))
            }
        }
    }
}

/// The text over what was there, cut where the terminal ends: a line that scrolls away would leave the rest askew.
fn redrawn(text: &str, rows: usize, style: Style) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::from(HOME);
    let fits = if lines.len() < rows {
        lines.len()
    } else {
        rows - 2
    };
    for line in &lines[..fits] {
        out.push_str(&format!("{line}{CLEAR_LINE}\n"));
    }
    if fits < lines.len() {
        let more = format!("… and {} lines more", lines.len() - fits);
        let more = style.dim(&table::truncate(&more, style.width));
        out.push_str(&format!("{more}{CLEAR_LINE}\n"));
    }
    out.push_str(CLEAR_BELOW);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_covers_the_one_before_and_never_scrolls() {
        let style = Style::plain();
        assert_eq!(
            redrawn("a\nb\n", 24, style),
            "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J"
        );
        let long: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let drawn = redrawn(&long, 10, style);
        assert_eq!(
            drawn.lines().count(),
            10,
            "the cursor stays on the last row"
        );
        assert!(
            drawn.contains("line 7\x1b[K\n… and 92 lines more"),
            "{drawn}"
        );
        assert!(!drawn.contains("line 8"), "{drawn}");
        assert_eq!(redrawn(&long, 2, style).matches('\n').count(), 1);
    }

    #[test]
    fn without_a_terminal_one_state_follows_the_other() {
        let mut screen = Screen::Lines(0);
        assert_eq!(screen.frame(&|_| "a\n".into()), "a\n");
        assert_eq!(screen.frame(&|_| "b\n".into()), "\nb\n");
    }
}
