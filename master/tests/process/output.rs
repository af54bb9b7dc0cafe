//! What workers print: all of it, unless it is more than anybody takes, and never at the cost of waiting.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use ostler::process::{
    LINE_BYTES, LogItem, TAIL_LINES, capture, line_queue, render_human, write_log,
};
use ostler_bus::vocab::worker::ExitStatus;

use super::support::{alive, identity, run, sh, spawner, start, start_into, within};

const TEN_THOUSAND: &str =
    "n=0; while [ $n -lt 10000 ]; do echo out $n; echo err $n >&2; n=$((n+1)); done";

#[tokio::test]
async fn ten_thousand_lines_on_both_streams_are_all_there() {
    let ended = run(sh(TEN_THOUSAND), vec![]).await;
    for (text, name) in [(&ended.stdout, "out"), (&ended.stderr, "err")] {
        let expected: String = (0..10_000).map(|n| format!("{name} {n}\n")).collect();
        assert!(*text == expected, "{name}: {} bytes", text.len());
    }
    assert_eq!(ended.end.lost, 0);
    assert_eq!(ended.end.stderr_tail.len(), TAIL_LINES);
    assert_eq!(ended.end.stderr_tail[0], "err 9980");
    assert_eq!(ended.end.stderr_tail[19], "err 9999");
}

#[tokio::test]
async fn last_words_without_a_line_ending_and_lines_too_long() {
    let script = "head -c 40000 /dev/zero | tr '\\0' x; printf '\\nend'; printf 'Killed: 9' >&2";
    let ended = run(sh(script), vec![]).await;
    let parts: Vec<usize> = ended.stdout.lines().map(str::len).collect();
    assert_eq!(parts, [LINE_BYTES, LINE_BYTES, 40_000 - 2 * LINE_BYTES, 3]);
    assert_eq!(ended.end.stderr_tail, ["Killed: 9"]);
}

#[tokio::test]
async fn all_that_a_pipe_holds_at_the_end_is_read_even_if_the_master_was_late() {
    use std::io::Write as _;
    let (stdout, mut print) = std::io::pipe().expect("a pipe");
    let (stderr, _held) = std::io::pipe().expect("a pipe");
    for n in 0..5000 {
        writeln!(print, "line {n}").expect("a pipe holds 64 KiB");
    }
    let (queue, mut lines) = line_queue(100_000, 1 << 24);
    let output = capture(
        stdout.into(),
        stderr.into(),
        (Arc::new(identity()), 1),
        vec![queue],
    );
    // Nothing was read yet, the runtime has not even looked, and somebody holds the pipes: no time is left at all.
    let end = output.expect("two pipes").finish(Duration::ZERO).await;
    assert_eq!(end.lost, 0);
    let read = std::iter::from_fn(|| lines.try_recv());
    let read = read.filter(|item| matches!(item, LogItem::Line(_)));
    assert_eq!(read.count(), 5000);
}

#[tokio::test]
async fn a_grandchild_that_holds_the_pipes_is_not_waited_for() {
    // The substitution returns when the grandchild, in its own session by then, lets go of it.
    let script = "echo $(setsid sh -c 'echo $$; exec sleep 60 >&2' &); echo done";
    let worker = start(&spawner(), sh(script), vec![]).await;
    let begun = Instant::now();
    let ended = worker.ended().await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let [grandchild, "done"] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert!(alive(grandchild), "it is in no group of ours");
    let pid = rustix::process::Pid::from_raw(grandchild.parse().expect("a pid"));
    let kill = rustix::process::Signal::KILL;
    rustix::process::kill_process(pid.expect("a pid"), kill).expect("killed");
}

#[tokio::test]
async fn a_flood_is_bounded_counted_and_said_and_stops_nobody() {
    let (queue, lines) = line_queue(100, 1 << 20);
    let order = sh("seq -f 'line %g' 50000; echo the end >&2");
    let mut worker = start_into(&spawner(), order, vec![], queue.clone(), lines).await;
    // Nobody takes a line, yet the worker ends: it was read all the time.
    assert_eq!(within(worker.child.exited()).await, ExitStatus::Code(0));
    let end = worker.output_end().await;
    assert_eq!(end.lost, 50_001 - 100);
    assert_eq!(queue.lost(), end.lost);
    assert_eq!(end.stderr_tail, ["the end"]);
    let kept = worker.items();
    assert_eq!(kept.len(), 100);
    assert!(kept.iter().all(|item| matches!(item, LogItem::Line(_))));
    // Now that there is room, the loss is said.
    let said = within(async {
        loop {
            if let Some(item) = worker.items().pop() {
                return item;
            }
            tokio::task::yield_now().await;
        }
    });
    let LogItem::Lost { count, .. } = said.await else {
        panic!("a note of the loss");
    };
    assert_eq!(count, end.lost);
}

#[tokio::test]
async fn bytes_are_bounded_too_and_a_queue_nobody_wants_counts_nothing() {
    let script = "line=$(head -c 1000 /dev/zero | tr '\\0' x); \
                  n=0; while [ $n -lt 100 ]; do echo $line; n=$((n+1)); done";
    let order = || sh(script);
    let (queue, lines) = line_queue(1000, 20_000);
    let mut worker = start_into(&spawner(), order(), vec![], queue, lines).await;
    within(worker.child.exited()).await;
    let lost = worker.output_end().await.lost;
    let is_line = |item: &LogItem| matches!(item, LogItem::Line(_));
    let kept = worker.items().into_iter().filter(is_line).count() as u64;
    assert!((10..20).contains(&kept), "{kept}");
    assert_eq!(lost, 100 - kept);

    let (queue, lines) = line_queue(1, 1);
    queue.set_wanted(false);
    let mut worker = start_into(&spawner(), order(), vec![], queue, lines).await;
    within(worker.child.exited()).await;
    assert_eq!(worker.output_end().await.lost, 0);
    assert!(worker.items().is_empty());
}

#[tokio::test]
async fn the_log_has_every_line_with_its_worker() {
    let (queue, lines) = line_queue(1 << 16, 16 << 20);
    let (mut read_out, out) = std::io::pipe().expect("a pipe");
    let (mut read_err, err) = std::io::pipe().expect("a pipe");
    let log = write_log(lines, Some(out), err, render_human).expect("a thread");
    let (_, unused) = line_queue(1, 1);
    let order = sh(TEN_THOUSAND);
    let mut worker = start_into(&spawner(), order, vec![], queue, unused).await;
    // Nobody has read the log so far: its pipes are full and its thread is stuck, and the worker ends all the same.
    within(worker.child.exited()).await;
    assert_eq!(worker.output_end().await.lost, 0);
    drop(worker);
    let reads = [
        std::thread::spawn(move || std::io::read_to_string(&mut read_out)),
        std::thread::spawn(move || std::io::read_to_string(&mut read_err)),
    ];
    assert!(log.finish(Duration::from_secs(30)).await);
    for (read, mark) in reads.into_iter().zip(["| out", "! err"]) {
        let text = read.join().expect("read").expect("text");
        let expected: String = (0..10_000).map(|n| format!("web.1 {mark} {n}\n")).collect();
        assert!(text == expected, "{mark}: {} bytes", text.len());
    }
}
