//! `misbehave`: workers that don't know Ostler, each with one habit that a supervisor has to live with.
//!
//! Plain `std` (and thin wrappers over system calls), so that it starts in a millisecond and nothing it does is a
//! framework's doing. Whatever happens to its supervisor, it ends by itself: after ten minutes at most.

mod answer;
mod born;
mod http;
mod life;
mod notify;
mod packets;
mod print_env;
mod sockets;
mod spoil;

use std::{process::ExitCode, time::Duration};

const HELP: &str = "\
usage: misbehave HABIT
  trivial                    print `ready`, sleep until TERM or INT, exit 0
  http VERSION_FILE          serve HTTP on the first inherited socket until TERM; finish what is under way
  answer ADDRESS FROM [TO]   serve HTTP on an address of its own until TERM: 200 from FROM to TO ms of its life, else 503
  exit CODE [MS]             exit with CODE, after MS milliseconds
  crash-after MS             panic after MS milliseconds
  abort [MS]                 abort (SIGABRT), after MS milliseconds
  readers                    print two lines on stderr, exit 3
  never-ready                send STATUS= to NOTIFY_SOCKET, never READY=1
  notify MS [HABIT]          send READY=1 to NOTIFY_SOCKET after MS milliseconds, then do HABIT (default: trivial)
  grow MIB                   send READY=1, then have MIB of memory a second later; then as trivial
  beat EVERY FOR             send READY=1, then WATCHDOG=1 each EVERY ms for FOR ms, then hang, heeding TERM no more
  born SOCKET                say its pid to a Unix socket, READY=1 if it can, stay until that socket is gone
  say TEXT…                  send one datagram of TEXT lines to NOTIFY_SOCKET and exit
  hang-in-start              print `starting`, then nothing
  ignore-term                print `ready`, never act on TERM, INT, HUP, QUIT
  spam lines COUNT [BYTES]   print COUNT numbered lines of BYTES (default 80), `done` on stderr, then as trivial
  spam bytes COUNT           print COUNT bytes without a line end, `done` on stderr, then as trivial
  fork-and-leave [own-group] leave a grandchild that holds stdout and stderr for 30 s, print its pid, exit 0
  shut-listener [unix]       shut the first inherited socket down, for all; then as trivial
  answer-datagrams           answer each datagram on the first inherited socket with its pid, until TERM
  answer-packets VERSION_FILE  answer each packet on the first inherited socket with pid, version and its length, until TERM
  activate NAME=ADDRESS… -- PROGRAM…  bind sockets and become PROGRAM, which inherits them as from systemd
  flood-notify MS            leave a grandchild that floods NOTIFY_SOCKET for 10 s, exit 3 after MS milliseconds
  close-pipes                close stdout and stderr, then as trivial
  hear SOCKET                connect to a Unix socket and print what comes, until it ends
  print-env [FILE]           write environment, descriptors, ids and signal state as JSON, then as trivial";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match habit(&args) {
        Ok(code) => code,
        Err(why) => {
            eprintln!("misbehave: {why}");
            ExitCode::from(2)
        }
    }
}

/// Does what the arguments say, to its end.
fn habit(args: &[&str]) -> Result<ExitCode, String> {
    match *args {
        ["trivial"] => trivial(),
        ["http", file] => http::serve(file),
        ["answer", address, from] => answer::serve(address, millis(from)?, life::LONGEST),
        ["answer", address, from, to] => answer::serve(address, millis(from)?, millis(to)?),
        ["exit", code] => Ok(ExitCode::from(number::<u8>(code)?)),
        ["exit", code, ms] => {
            life::pause(millis(ms)?);
            Ok(ExitCode::from(number::<u8>(code)?))
        }
        ["crash-after", ms] => {
            life::pause(millis(ms)?);
            panic!("crashing after {ms} ms, as asked");
        }
        ["abort"] => std::process::abort(),
        ["abort", ms] => {
            life::pause(millis(ms)?);
            std::process::abort()
        }
        ["readers"] => {
            eprintln!("can't open the book");
            eprintln!("giving up");
            Ok(ExitCode::from(3))
        }
        ["never-ready"] => {
            notify::send("STATUS=loading for ever")?;
            trivial()
        }
        ["notify", ms, ref rest @ ..] => {
            life::pause(millis(ms)?);
            notify::send("READY=1")?;
            habit(if rest.is_empty() { &["trivial"] } else { rest })
        }
        ["grow", mebibytes] => {
            notify::send("READY=1")?;
            life::pause(Duration::from_secs(1));
            let much = vec![1_u8; number::<usize>(mebibytes)? << 20];
            let ended = trivial();
            // Kept, and every page of it touched, until then.
            std::hint::black_box(&much);
            ended
        }
        ["beat", every, time] => {
            life::ignore_signals();
            notify::send("READY=1")?;
            let (every, time) = (millis(every)?, millis(time)?);
            let born = std::time::Instant::now();
            while born.elapsed() < time {
                notify::send("WATCHDOG=1")?;
                life::pause(every);
            }
            life::pause(life::LONGEST);
            Ok(ExitCode::FAILURE)
        }
        ["born", socket] => born::live(socket),
        ["say", ref lines @ ..] => notify::send(&lines.join("\n")).map(|()| ExitCode::SUCCESS),
        ["hang-in-start"] => {
            println!("starting");
            life::pause(life::LONGEST);
            Ok(ExitCode::FAILURE)
        }
        ["ignore-term"] => {
            life::ignore_signals();
            println!("ready");
            life::pause(life::LONGEST);
            Ok(ExitCode::FAILURE)
        }
        ["spam", "lines", count] => spoil::spam_lines(number(count)?, 80).and_then(|()| trivial()),
        ["spam", "lines", count, bytes] => {
            spoil::spam_lines(number(count)?, number(bytes)?)?;
            trivial()
        }
        ["spam", "bytes", count] => spoil::spam_bytes(number(count)?).and_then(|()| trivial()),
        ["fork-and-leave"] => spoil::leave_grandchild(spoil::Group::Same),
        ["fork-and-leave", "own-group"] => spoil::leave_grandchild(spoil::Group::Own),
        [spoil::GRANDCHILD] => {
            life::pause(Duration::from_secs(30));
            Ok(ExitCode::SUCCESS)
        }
        ["shut-listener"] => spoil::shut_listener().and_then(|()| trivial()),
        ["shut-listener", "unix"] => spoil::shut_unix_listener().and_then(|()| trivial()),
        ["answer-datagrams"] => sockets::answer_datagrams(),
        ["answer-packets", file] => packets::serve(file),
        ["activate", ref words @ ..] => sockets::activate(words),
        ["flood-notify", ms] => {
            notify::send("READY=1")?;
            spoil::leave_flood()?;
            life::pause(millis(ms)?);
            Ok(ExitCode::from(3))
        }
        [spoil::FLOOD] => notify::flood(Duration::from_secs(10)).map(|()| ExitCode::SUCCESS),
        ["close-pipes"] => spoil::close_pipes().and_then(|()| trivial()),
        ["hear", socket] => {
            let heard = std::os::unix::net::UnixStream::connect(socket)
                .and_then(|mut stream| std::io::copy(&mut stream, &mut std::io::stdout()));
            heard.map(|_| ExitCode::SUCCESS).map_err(|e| e.to_string())
        }
        ["print-env"] => print_env::print(None).and_then(|()| trivial()),
        ["print-env", file] => print_env::print(Some(file)).and_then(|()| trivial()),
        ["help" | "--help" | "-h"] => {
            println!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(format!("no such habit: {args:?}\n{HELP}")),
    }
}

fn trivial() -> Result<ExitCode, String> {
    let asked = life::signals();
    println!("ready");
    life::until_asked(&asked);
    Ok(ExitCode::SUCCESS)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a number that fits"))
}

fn millis(text: &str) -> Result<Duration, String> {
    number(text).map(Duration::from_millis)
}
