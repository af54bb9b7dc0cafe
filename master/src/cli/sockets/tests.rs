use ostler_bus::{
    Generation, Slot, WorkerId,
    vocab::status::{
        AcceptStatus, AcceptingWorker, BalanceStatus, BalancedWorker, ProxiedStatus, SlotShare,
        SocketQueue,
    },
};

use super::{super::render::tests::worker, *};

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
        accepts: None,
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
            times_long: u64::from(slot) * 2,
        }),
        ..socket("chat", "127.0.0.1:81")
    };
    let accepts = |accepted, workers: &[(u64, u64)]| {
        let workers = workers.iter().map(|(id, accepted)| AcceptingWorker {
            id: WorkerId(*id),
            accepted: *accepted,
        });
        Some(AcceptStatus {
            accepted,
            workers: workers.collect(),
        })
    };
    let web = vec![
        SocketStatus {
            queue: queue(3, 0),
            passed_as: Some(3),
            accepts: accepts(50, &[(4, 30), (5, 0)]),
            ..socket("http", "127.0.0.1:80")
        },
        SocketStatus {
            queue: queue(0, 7),
            slot: Some(Slot(1)),
            ..socket("own", "127.0.0.1:8101")
        },
        chat(0, 0, None),
        SocketStatus {
            accepts: accepts(6, &[(5, 6)]),
            ..chat(1, 2, None)
        },
        SocketStatus {
            accepts: accepts(7, &[]),
            ..chat(2, 2, Some("it is gone".into()))
        },
    ];
    let takes = |id, max_connections: Option<u32>| BalancedWorker {
        id: WorkerId(id),
        open: 2,
        handed: 1,
        taken: 41,
        refused: max_connections.map(u64::from),
        max_connections,
    };
    let handed = SocketStatus {
        mode: "balanced".into(),
        accepts: accepts(2, &[(9, 2)]),
        why: Some("auto: its\nworkers".into()),
        balance: Some(BalanceStatus {
            accepted: 84,
            given_again: 3,
            refused: Some(2),
            waiting: 1,
            workers: vec![takes(4, None), takes(9, Some(2))],
            proxied: None,
        }),
        ..socket("in", "127.0.0.1:82")
    };
    let far = SocketStatus {
        mode: "sticky".into(),
        balance: Some(BalanceStatus {
            accepted: 9,
            given_again: 0,
            refused: Some(0),
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
        ..socket("far", "127.0.0.1:83")
    };
    let asked = SocketStatus {
        asked_by: Some(vec![WorkerId(4), WorkerId(7)]),
        ..socket("[::]:0", "[::]:9")
    };
    let apps = [
        app("web", web),
        app(
            "jobs",
            vec![socket("log", "unix:/l\u{1b}"), asked, handed, far],
        ),
    ];
    let workers = [worker("jobs", 2, Some(4), "ready")];
    let shown = in_words(&apps, &workers, Style::plain());
    assert_eq!(
        shown,
        "APP   SOCKET  ADDRESS              MODE      SLOTS             WAITING  ROOM  DROPPED  SHARE\n\
         web   http    127.0.0.1:80 (fd:3)  shared    all                     3  1024        0  50 accepted\n\
         web   own     127.0.0.1:8101       shared    1                       0  1024        7  -\n\
         web   chat    127.0.0.1:81         sticky    0                       0  1024        0  128 buckets\n\
         web   chat    127.0.0.1:81         sticky    1                       2  1024        0  128 buckets, 6 accepted, left out 2 times for its queue, 5 at most\n\
         web   chat    127.0.0.1:81         sticky    2                       2  1024        0  none: it is gone, 7 accepted\n\
         jobs  log     unix:/l\\x1b          shared    all                     -     -        -  -\n\
         jobs  [::]:0  [::]:9               shared    asked for by 4 7        -     -        -  -\n\
         jobs  in      127.0.0.1:82         balanced  all                     -     -        -  84 accepted, 3 given again (2 refused), 1 wait for a worker, 2 by workers themselves\n\
         \x20 auto: its\\nworkers\n\
         jobs  far     127.0.0.1:83         sticky    all                     -     -        -  9 accepted by PROXY header, 3 refused\n\
         \n\
         APP   SOCKET  WORKER  SLOT  TAKEN  REFUSED  OPEN  MOST  HANDED\n\
         web   http         4     2     30        -     -     -       -\n\
         web   http         5     -      0        -     -     -       -\n\
         web   chat         5     -      6        -     -     -       -\n\
         jobs  in           4     2     41        -     2     -       1\n\
         jobs  in           9     -     43        2     2     2       1\n"
    );
    assert_eq!(
        in_words(&apps[..0], &[], Style::plain()),
        "no app has a socket\n"
    );
}
