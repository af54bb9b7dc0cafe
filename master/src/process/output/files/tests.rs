//! Files that fill, grow old, are renamed, emptied, or can't be written.

use std::{
    fs,
    io::Read,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use flate2::read::GzDecoder;
use ostler_bus::{Generation, Slot, WorkerId};
use tempfile::TempDir;

use super::*;
use crate::{
    config::app::log::{LogField, LogFormat, LogSettings, Rotate, Rotation},
    fleet::testing::definition,
    process::{OutputLine, line_queue},
};

const PATIENCE: Duration = Duration::from_secs(20);

struct Setting {
    dir: TempDir,
    files: LogFiles,
    app: AppDefinition,
}

impl Setting {
    fn new(log: impl FnOnce(&Path) -> LogSettings) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut app = definition("web", 1);
        app.log = log(dir.path());
        Self {
            files: LogFiles::default(),
            dir,
            app,
        }
    }

    fn sink(&self, slot: u32) -> Arc<FileSink> {
        let who = who(slot);
        let (queue, _unread) = line_queue(1, 1);
        let mut outlets = self.files.outlets(&self.app, &who, &queue, &[]).into_iter();
        match outlets.next() {
            Some((Outlet::File(sink), _)) => sink,
            other => panic!("a file, not {other:?}"),
        }
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).expect("a directory");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> = entries
            .map(|e| name(e).to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    async fn end(&self) {
        assert!(self.files.finish(PATIENCE).await, "all is written");
    }
}

fn who(slot: u32) -> Identity {
    Identity {
        app: crate::config::app::AppName::new("web").expect("a name"),
        slot: Slot(slot),
        id: WorkerId(7),
        generation: Generation(3),
    }
}

fn line(slot: u32, text: &str) -> OutputLine {
    OutputLine {
        worker: Arc::new(who(slot)),
        pid: 99,
        number: 1,
        stream: Stream::Stderr,
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(1234),
        text: text.into(),
        cut: false,
    }
}

fn to(dir: &Path, name: &str) -> LogSettings {
    LogSettings {
        out: Some(LogTarget::File(dir.join(name))),
        ..LogSettings::default()
    }
}

/// Waits for what the files' threads do.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        thread::yield_now();
    }
}

#[tokio::test]
async fn slots_have_files_of_their_own_or_share_one_in_directories_made_for_them() {
    let setting = Setting::new(|dir| to(dir, "a/{app}-{slot}.log"));
    for slot in [0, 1] {
        assert!(setting.sink(slot).push(&line(slot, &format!("of {slot}"))));
    }
    setting.end().await;
    assert_eq!(setting.read("a/web-0.log"), "of 0\n");
    assert_eq!(setting.read("a/web-1.log"), "of 1\n");
    let setting = Setting::new(|dir| LogSettings {
        prefix: Some(vec![
            LogField::Time,
            LogField::Slot,
            LogField::Pid,
            LogField::Stream,
        ]),
        ..to(dir, "{app}.log")
    });
    for slot in [0, 1] {
        setting.sink(slot).push(&line(slot, "x"));
    }
    setting.end().await;
    assert_eq!(
        setting.read("web.log"),
        "1970-01-01T00:00:01.234Z web.0 99 err x\n1970-01-01T00:00:01.234Z web.1 99 err x\n"
    );
}

#[tokio::test]
async fn json_lines_name_everything() {
    let setting = Setting::new(|dir| LogSettings {
        format: Some(LogFormat::Json),
        ..to(dir, "web.json")
    });
    setting.sink(2).push(&line(2, "say \"hi\"\u{1b}"));
    setting.end().await;
    let text = setting.read("web.json");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        value,
        serde_json::json!({"time_ms": 1234, "app": "web", "slot": 2, "worker": 7, "generation": 3, "pid": 99, "stream": "stderr", "line": "say \"hi\"\u{1b}"})
    );
}

fn rotating(size: u64, keep_total: u64, compress: bool) -> Setting {
    Setting::new(|dir| LogSettings {
        rotate: Some(Rotation::On(Rotate {
            size,
            keep_total,
            age: None,
        })),
        compress: Some(compress),
        ..to(dir, "web-{slot}.log")
    })
}

#[tokio::test]
async fn files_are_put_aside_between_lines_and_nothing_is_lost() {
    let setting = rotating(4096, 1 << 20, false);
    let sink = setting.sink(0);
    for n in 0..1000 {
        assert!(sink.push(&line(0, &format!("line {n:04}"))));
    }
    setting.end().await;
    let names = setting.names();
    assert!(names.len() > 2, "{names:?}");
    // The one being written sorts first.
    let mut text = String::new();
    for name in names.iter().skip(1).chain([&names[0]]) {
        let part = setting.read(name);
        assert!(
            part.len() <= 4096 && part.ends_with('\n'),
            "{name}: {}",
            part.len()
        );
        text += &part;
    }
    let expected: String = (0..1000).map(|n| format!("line {n:04}\n")).collect();
    assert_eq!(text, expected);
}

#[tokio::test]
async fn all_of_an_app_together_keep_no_more_than_they_may() {
    let setting = rotating(4096, 20_000, false);
    fs::write(
        setting.dir.path().join("web-9.log.20200101T000000.000Z"),
        "x".repeat(9000),
    )
    .expect("written");
    fs::write(
        setting.dir.path().join("stranger.log.20200101T000000.000Z"),
        "y",
    )
    .expect("written");
    for slot in [0, 1] {
        let sink = setting.sink(slot);
        for _ in 0..40 {
            sink.push(&line(slot, &"z".repeat(1000)));
        }
    }
    setting.end().await;
    let sizes = setting
        .names()
        .into_iter()
        .map(|name| (setting.read(&name).len(), name));
    let sizes: Vec<_> = sizes.collect();
    let total: usize = sizes.iter().map(|(size, _)| size).sum();
    // Pruned whenever a file is put aside: one may have grown since.
    assert!((4096..=20_000 + 4096).contains(&total), "{sizes:?}");
    let has = |name: &str| sizes.iter().any(|(_, found)| found.starts_with(name));
    assert!(
        !has("web-9") && has("stranger") && has("web-0.log") && has("web-1.log"),
        "{sizes:?}"
    );
}

#[tokio::test]
async fn what_was_put_aside_is_compressed_whole() {
    let setting = rotating(4096, 1 << 20, true);
    let sink = setting.sink(0);
    for n in 0..500 {
        sink.push(&line(0, &format!("line {n:04}")));
    }
    setting.end().await;
    let names = until("all compressed", || {
        let names = setting.names();
        let done = names.iter().skip(1).all(|name| name.ends_with(".gz"));
        (done && names.len() > 1).then_some(names)
    });
    let mut text = String::new();
    for name in &names[1..] {
        let file = fs::File::open(setting.dir.path().join(name)).expect("a file");
        GzDecoder::new(file)
            .read_to_string(&mut text)
            .expect("whole");
    }
    text += &setting.read(&names[0]);
    assert_eq!(text.lines().count(), 500);
    assert!(text.starts_with("line 0000\n") && text.ends_with("line 0499\n"));
}

#[tokio::test]
async fn an_old_file_is_put_aside_when_the_next_line_comes() {
    let setting = Setting::new(|dir| LogSettings {
        rotate: Some(Rotation::On(Rotate {
            age: Some(Duration::from_nanos(1)),
            ..Rotate::default()
        })),
        ..to(dir, "web.log")
    });
    let sink = setting.sink(0);
    sink.push(&line(0, "one"));
    until("the first", || {
        (setting.read("web.log") == "one\n").then_some(())
    });
    sink.push(&line(0, "two"));
    setting.end().await;
    let names = setting.names();
    assert_eq!(
        (names.len(), setting.read("web.log")),
        (2, "two\n".to_owned())
    );
    assert_eq!(setting.read(&names[1]), "one\n");
}

#[tokio::test]
async fn a_file_renamed_away_or_cut_short_is_made_anew_and_one_can_be_emptied() {
    let setting = Setting::new(|dir| to(dir, "web.log"));
    let sink = setting.sink(0);
    let wrote =
        |text: &'static str| until(text, || (setting.read("web.log") == text).then_some(()));
    sink.push(&line(0, "one"));
    wrote("one\n");
    let log = setting.dir.path().join("web.log");
    fs::rename(&log, setting.dir.path().join("away")).expect("renamed");
    sink.push(&line(0, "two"));
    wrote("two\n");
    assert_eq!(setting.read("away"), "one\n");
    fs::write(&log, "").expect("cut short");
    sink.push(&line(0, "three"));
    wrote("three\n");
    assert_eq!(setting.files.flush(Some("other")), 0);
    assert_eq!(setting.files.flush(Some("web")), 1);
    wrote("");
    setting.files.reopen();
    sink.push(&line(0, "four"));
    wrote("four\n");
    setting.end().await;
}

#[tokio::test]
async fn a_full_disk_costs_lines_and_nothing_else_and_passes() {
    let setting = Setting::new(|dir| {
        std::os::unix::fs::symlink("/dev/full", dir.join("web.log")).expect("linked");
        to(dir, "web.log")
    });
    let sink = setting.sink(0);
    let idle = || {
        until("all taken", || {
            lock(&setting.files.0.desk.work)
                .ready
                .is_empty()
                .then_some(())
        });
    };
    for n in 0..10_000 {
        sink.push(&line(0, &format!("lost {n}")));
    }
    idle();
    // Whoever writes holds it.
    drop(lock(&sink.file));
    fs::remove_file(setting.dir.path().join("web.log")).expect("removed");
    until("a line that is written", || {
        sink.push(&line(0, "found"));
        (!setting.read("web.log").is_empty()).then_some(())
    });
    sink.push(&line(0, "the last"));
    setting.end().await;
    assert!(setting.read("web.log").ends_with("the last\n"));
}

#[tokio::test]
async fn a_flood_is_bounded_and_told_in_its_place() {
    let setting = Setting::new(|dir| to(dir, "web.log"));
    let sink = setting.sink(0);
    // Nobody writes while this is held.
    let held = lock(&sink.file);
    let text = "x".repeat(1000);
    let taken = (0..10_000).filter(|_| sink.push(&line(0, &text))).count();
    assert!(taken < 2 * sink::WAITING_BYTES / 1000 + 1, "{taken}");
    drop(held);
    until("room", || sink.push(&line(0, "at last")).then_some(()));
    setting.end().await;
    let text = setting.read("web.log");
    let note = text.lines().find(|line| line.contains("lines lost here"));
    let note = note.unwrap_or_else(|| panic!("a note among {} lines", text.lines().count()));
    let lost: usize = note[1..]
        .split(' ')
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a number");
    assert!(lost >= 10_000 - taken, "{note}");
    assert!(text.ends_with("at last\n"));
}

#[tokio::test]
async fn the_last_loss_is_told_without_another_line() {
    for format in [LogFormat::Plain, LogFormat::Json] {
        let setting = Setting::new(|dir| LogSettings {
            format: Some(format),
            ..to(dir, "web.log")
        });
        let sink = setting.sink(0);
        // Nobody writes while this is held.
        let held = lock(&sink.file);
        let text = "x".repeat(1000);
        let taken = (0..2_000).filter(|_| sink.push(&line(0, &text))).count();
        drop(held);
        setting.end().await;
        let text = setting.read("web.log");
        let last = text.lines().last().expect("a line");
        let lost = 2_000 - taken;
        let told = match format {
            LogFormat::Plain => last.starts_with(&format!("({lost} lines lost here")),
            LogFormat::Json => last.contains(&format!("\"lost\":{lost}")),
        };
        assert!(lost > 0 && told, "{lost}: {last}");
        assert_eq!(text.lines().count(), taken + 1);
    }
}

#[tokio::test]
async fn what_an_earlier_master_left_half_done_is_finished_and_the_rest_let_alone() {
    let setting = rotating(1 << 20, 1 << 30, true);
    let at = |name: &str| setting.dir.path().join(name);
    let put_aside = "web-0.log.20260131T120000.123Z";
    fs::write(at(put_aside), "old words\n").expect("written");
    fs::write(at(&format!("{put_aside}.gz.part")), "half").expect("written");
    fs::write(at("web-0.log.20260131T110000.123Z.gz"), "whole").expect("written");
    // Of another slot, which is not there now, and of somebody else.
    for other in [
        "web-1.log.20260131T120000.123Z.gz.part",
        "web-0.log.mine.gz.part",
    ] {
        fs::write(at(other), "other").expect("written");
    }
    let sink = setting.sink(0);
    let gz = at(&format!("{put_aside}.gz"));
    until("the old file is compressed", || {
        (gz.exists() && !at(put_aside).exists()).then_some(())
    });
    sink.push(&line(0, "new"));
    setting.end().await;
    assert_eq!(unzipped(&gz), "old words\n");
    assert_eq!(
        setting.names(),
        [
            "web-0.log",
            "web-0.log.20260131T110000.123Z.gz",
            "web-0.log.20260131T120000.123Z.gz",
            "web-0.log.mine.gz.part",
            "web-1.log.20260131T120000.123Z.gz.part",
        ]
    );
}

#[tokio::test]
async fn the_end_waits_for_what_is_being_compressed() {
    let setting = rotating(4 << 10, 1 << 30, true);
    let sink = setting.sink(0);
    for n in 0..200 {
        sink.push(&line(0, &format!("{n} {}", "x".repeat(100))));
    }
    setting.end().await;
    let names = setting.names();
    assert!(names.len() > 3, "{names:?}");
    let done = |name: &String| name == "web-0.log" || name.ends_with("Z.gz");
    assert!(names.iter().all(done), "{names:?}");
}

fn unzipped(path: &Path) -> String {
    let mut text = String::new();
    let file = fs::File::open(path).expect("a file");
    GzDecoder::new(file)
        .read_to_string(&mut text)
        .expect("whole");
    text
}
