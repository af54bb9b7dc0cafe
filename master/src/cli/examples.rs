//! What `--help` teaches: examples first, for the whole and for each verb.
//!
//! A paragraph is one line: clap wraps it to the terminal. Examples are short enough for 80 columns as they stand.

pub(super) const TOP: &str = "\
Examples:
  ostler run -l :8080 -- node server.js   keep one worker per core running
  ostler init                             write an ostler.toml for this project
  ostler run                              run the apps of ./ostler.toml
  ostler ls                               what is running, and how it is
  ostler reload                           replace the workers one by one
  ostler tail 'worker.*'                  watch workers come and go

Commands find the only running master; with several, choose one with -M NAME. Masters live in \
$OSTLER_HOME, or else in /run/ostler (root), $XDG_RUNTIME_DIR/ostler or ~/.ostler.

Exit codes: 0 done, 1 failed, 2 usage, 3 not running, 4 unknown name, 75 busy, 78 bad configuration.";

pub(super) const RUN: &str = "\
Examples:
  ostler run -- ./server                       one worker per core
  ostler run -n api -i 4 -l 8080 -- node a.js  4 workers share a socket (fd 3)
  ostler run -l http=:80 -l admin=127.0.0.1:9000 -- ./server
  ostler run --auto-reload=src -- node a.js    roll when a file in src changes
  ostler run shop.toml                         all apps of a process file

It ends when nothing is left to run (--stay keeps it). Ctrl-C stops the workers gracefully, a second one at once. SIGHUP reads the file again and rolls every app.

A worker finds its sockets from descriptor 3 on (LISTEN_FDS, LISTEN_FDNAMES), and says that it is \
ready on NOTIFY_SOCKET, or over the bus. One that does neither is taken to be ready after a second.";

pub(super) const VALIDATE: &str = "\
Examples:
  ostler validate
  ostler validate shop.yaml --env staging
  ostler validate --json | jq '.errors[]'

Exits with 78 if the file, or one that it includes, has errors. No master is needed, and none is asked.
What the apps count on and this machine lacks (programs, working directories, watched paths) is told as missing
here, which is no error: a file may be checked where it isn't run. `ostler run` refuses it then.";

pub(super) const INIT: &str = "\
Examples:
  ostler init             write ./ostler.toml; one that is there is left alone

It looks for a Cargo.toml, a package.json, a pyproject.toml, in this order.";

pub(super) const IMPORT: &str = "\
Examples:
  ostler import ecosystem.config.js > ostler.toml
  ostler import Procfile > ostler.toml

JavaScript is evaluated by `node`. What has no equivalent stands in comments.";

pub(super) const LS: &str = "\
Examples:
  ostler ls
  ostler ls --json | jq '.workers[] | select(.state != \"ready\")'";

pub(super) const DESCRIBE: &str = "\
Examples:
  ostler describe web         definition, sockets, workers, log files
  ostler describe web:1       one slot
  ostler describe 17 --json   a worker by its id, for programs

Beside each setting stands where it was said. Of variables (env) only the names are told.";

pub(super) const MONIT: &str = "\
Examples:
  ostler monit
  ostler -M shop monit

Keys: arrows choose a worker, l shows its lines alone, r reloads its app, q ends. It needs a terminal; programs read \
`ostler ls --json`, or listen with `ostler tail`.";

pub(super) const SAVE: &str = "\
Examples:
  ostler save               for `ostler resurrect` and `ostler startup`
  ostler save shop.toml     a process file as any other

Apps that were added by hand are in it, sizes as `scale` left them, and what is stopped with autostart = false. What was \
there before is kept as NAME.1.toml. Nobody but its owner can read it: variables may be secrets.";

pub(super) const RESURRECT: &str = "\
Examples:
  ostler resurrect
  ostler -M shop resurrect    if several masters were saved

If the master runs, it gets the apps that it doesn't have; those that it has are left as they are.";

pub(super) const STARTUP: &str = "\
Examples:
  ostler startup                       print a unit for what was saved
  ostler startup --install             write it, and enable it
  ostler startup /srv/ostler.toml      run a process file instead
  ostler startup --remove              disable it, and remove it

Supported is systemd: a unit of the machine's for root, of their own for other users. Elsewhere let the service \
manager run `ostler run --stay FILE` in the foreground, and end it with TERM.";

pub(super) const UNSTARTUP: &str = "\
Examples:
  ostler unstartup        the same as: ostler startup --remove";

pub(super) const SOCKETS: &str = "\
Examples:
  ostler sockets
  ostler sockets shop api
  ostler sockets web --json | jq '.[] | select(.queue.dropped > 0)'

WAITING is what no worker has taken yet: connections, or of UDP bytes of datagrams; ROOM is how much may wait. A listener \
that is full drops what comes, which its clients see as a slow connection.

Where the master accepts (balanced) it counts: what it accepted, and what it gave again because a worker died, drained or \
refused before it had TAKEN it; what each worker has OPEN, and may at MOST; and what is HANDED to it and not taken yet.";

pub(super) const RELOAD: &str = "\
Examples:
  ostler reload                      every app
  ostler reload web --reason 'v2.1'
  ostler reload web --now            give up a running update and begin anew
  ostler reload web --env DEBUG=1    with a variable for the new workers
  ostler reload --config             take up a changed process file

Each new worker must be ready and stay up for a while before an old one goes. If the new ones fail, \
the old ones stay, and the command exits with 1.";

pub(super) const PLAN: &str = "\
Examples:
  ostler plan
  ostler plan --json | jq '.apps[] | select(.action != \"keep\")'

The master reads its process file again and says what that would change: apps that are kept, rolled, resized, started, \
stopped. `ostler reload --config` does it. A file with errors changes nothing, nor does one
by which an app would start what is not there: exit code 78.";

pub(super) const SCALE: &str = "\
Examples:
  ostler scale 4          the only app: 4 workers
  ostler scale web +2     two more
  ostler scale web -1     one fewer
  ostler scale web 0      park it
  ostler scale web api 2  two of each";

pub(super) const STOP: &str = "\
Examples:
  ostler stop web         its workers finish what they have, then go
  ostler stop web:2       one of them alone
  ostler stop 'job-*'     every app whose name matches
  ostler start web        and back

Without a name all apps are stopped, and the master stays: `ostler kill` ends it.";

pub(super) const RESTART: &str = "\
Examples:
  ostler restart web      stop all of its workers, then start them
  ostler restart 17       the worker with this id alone

Nobody serves between the last that goes and the first that comes, and the newest definition is taken. \
`ostler reload` replaces workers without that gap.";

pub(super) const DELETE: &str = "\
Examples:
  ostler delete web                  stop it, and forget it
  ostler delete web --keep-running   its workers run on, and nobody minds them

An app of the process file comes again with `ostler reload --config`.";

pub(super) const SIGNAL: &str = "\
Examples:
  ostler signal web HUP
  ostler signal web:0 USR1 --children
  ostler signal 17 TERM --tree

A worker that ends of it has crashed, and is started again.";

pub(super) const START: &str = "\
Examples:
  ostler start web        a stopped app, or one that failed too often
  ostler start            all of them; with no master, those of ./ostler.toml
  ostler start shop.toml  those of a file; behind it may stand which ones
  ostler start -n api -i 4 -l 8080 -- node a.js

If no master runs, one is started in the background; else new apps are added to it. If the one that runs has another file \
than ./ostler.toml, `ostler start` asks which is meant. It returns when they \
are ready, or says why they are not, with the last lines of the log ($OSTLER_HOME/NAME.log). `ostler kill` ends \
the master.";

pub(super) const KILL: &str = "\
Examples:
  ostler kill             stop every worker gracefully, then the master
  ostler kill --force     at once

It waits for as long as the kill ladders allow, and returns when the master has ended.";

pub(super) const PING: &str = "\
Examples:
  ostler ping && echo up";

pub(super) const EMIT: &str = "\
Examples:
  ostler emit orders.created '{\"id\": 7, \"total\": 9.5}'
  ostler emit workerRestartNeeded '{\"app\": \"web\"}' --wait update.finished
  ostler emit systemRestartNeeded '{\"reason\": \"kernel update\"}'

With --wait the pattern is subscribed to before the event is emitted, so that its answer can't be missed.";

pub(super) const REQUEST: &str = "\
Examples:
  ostler request masterStatus
  ostler request orders.price '{\"id\": 7}' --timeout 2s";

pub(super) const BUS: &str = "\
Examples:
  ostler bus                 who is connected, and what waits for them
  ostler bus -w              the same once a second, until Ctrl-C
  ostler bus --watch=5s --json | jq .totals.events
  ostler bus --json | jq '.peers[].subscriptions[] | select(.counts.lagged > 0)'

OUT/S and IN/S are events published and delivered a second: over the interval, or half a second. QUEUED \
and BYTES wait to be read; LAGGED were dropped because a reader was too slow, and it was told. With --watch a \
master that restarts is waited for.";

pub(super) const TAIL: &str = "\
Examples:
  ostler tail                        everything
  ostler tail 'worker.*'             workers coming and going
  ostler tail --format pretty        for reading along
  ostler tail 'orders.>' --filter payload.id=7 --count 1
  ostler tail 'worker.*' --filter origin.Worker.app=web --format payload
  ostler tail 'worker.*' --since-seq 0       with what is remembered of before

'*' stands for one token, '>' at the end for one or more; '*' alone is everything. A filter's field is \
named as in the JSON line, with dots, and numbers for the places of a list; its value is text, or JSON.

A master that ends or restarts is waited for, until Ctrl-C: that it is away, and that it is back with what was \
missed, is said on standard error. With --once its end is the end.";

pub(super) const LOGS: &str = "\
Examples:
  ostler logs                    the last lines of all workers
  ostler logs web -f --err       standard error of web, and what comes
  ostler logs web:0 'job-*' 17 -n 100 --since 10m

The master remembers 16 KiB of each slot, wherever its lines go; log files have the rest.";

pub(super) const FLUSH: &str = "\
Examples:
  ostler flush        all apps
  ostler flush web 'job-*'

Files that were put aside stay.";

pub(super) const WHY: &str = "\
Examples:
  ostler why web            why its last workers began and ended
  ostler why web:0 --since 1h
  ostler why 17 --json      worker 17

Read from the master's chronicle on disk: it also answers when no master runs.";

pub(super) const SEND: &str = "\
Examples:
  ostler send console 'reload cache'   to each worker of console
  ostler send console:0 quit           to that of slot 0";

pub(super) const WAIT: &str = "\
Examples:
  ostler wait orders.closed --timeout 10s
  ostler wait 'app.failed' --timeout 5m && call-somebody

Prints the event and exits with 0; exits with 1 when the time is up. A master that isn't there yet, or restarts \
meanwhile, is waited for, within that time (3 if none came). What was published before it listens it doesn't hear.";

pub(super) const BENCH: &str = "\
Examples:
  ostler bench                   ten seconds
  ostler bench --seconds 60 --json > bench.json

Hub, subscribers and answerers are processes of their own, as in real life; nothing is lost, and no running \
master is touched. Other programs that are busy meanwhile make the figures smaller.";

pub(super) const DEMO: &str = "\
Examples:
  ostler demo             4 workers on a free port, and what to try
  ostler demo -i 2 --port 8080";

#[cfg(test)]
pub(super) const ALL: [&str; 35] = [
    DESCRIBE, MONIT, SAVE, RESURRECT, STARTUP, UNSTARTUP, TOP, RUN, VALIDATE, INIT, IMPORT, LS,
    SOCKETS, RELOAD, PLAN, SCALE, STOP, START, RESET, KILL, PING, EMIT, REQUEST, BUS, TAIL, WAIT,
    BENCH, DEMO, SEND, LOGS, FLUSH, WHY, RESTART, DELETE, SIGNAL,
];

pub(super) const RESET: &str = "\
Examples:
  ostler reset web        count its restarts and failures from zero again";
