//! A worker that can't be started: told what and why, and nothing is left behind.

use std::{path::Path, time::Duration};

use ostler::process::{SpawnError, SpawnSpec, Spawner};
use ostler_bus::vocab::worker::ExitStatus;

use super::support::{gone, only, script, sh, spawner, spec, within};

async fn refused(order: SpawnSpec) -> (String, String) {
    let error = within(spawner().spawn(&order, vec![]))
        .await
        .expect_err("refused");
    assert!(matches!(error, SpawnError::Refused(_)), "{error:?}");
    (error.to_string(), error.hint().unwrap_or_default())
}

#[tokio::test]
async fn a_program_that_is_not_there() {
    let (error, hint) = refused(spec(&["no-such-program"])).await;
    assert_eq!(error, "exec \"no-such-program\": No such file or directory");
    assert!(hint.contains("PATH"), "{hint}");
    let (error, _) = refused(spec(&["/no/such/program"])).await;
    assert_eq!(
        error,
        "exec \"/no/such/program\": No such file or directory"
    );
    let (error, _) = refused(spec(&[""])).await;
    assert!(error.starts_with("exec \"\": "), "{error}");
}

#[tokio::test]
async fn files_that_are_no_programs() {
    let dir = tempfile::tempdir().expect("a directory");
    let plain = dir.path().join("plain");
    std::fs::write(&plain, "#!/bin/sh\n").expect("written");
    let no_interpreter = script(dir.path(), "windows", "#!/bin/nosuch\r\n");
    let no_line = script(dir.path(), "no-line", "echo hello\n");
    for (path, error, hint) in [
        (plain.as_path(), "Permission denied", "chmod +x"),
        (dir.path(), "Permission denied", "is it a program"),
        (&no_interpreter, "No such file or directory", "#! line"),
        (&no_line, "Exec format error", "needs a #! line"),
    ] {
        let (told, hinted) = refused(spec(&[path.to_str().expect("text")])).await;
        assert_eq!(told, format!("exec {path:?}: {error}"));
        assert!(hinted.contains(hint), "{hinted}");
    }
}

#[tokio::test]
async fn more_descriptors_than_the_shim_may_have() {
    let dir = tempfile::tempdir().expect("a directory");
    let program = only(dir.path(), "__exec", "ulimit -n 10");
    let file = std::fs::File::open("/dev/null").expect("/dev/null");
    let fds = (0..20).map(|_| file.try_clone().expect("a descriptor").into());
    let spawner = Spawner::new(&program);
    let started = spawner.spawn(&sh("true"), fds.collect());
    let error = within(started).await.expect_err("refused");
    assert!(matches!(error, SpawnError::Refused(_)), "{error:?}");
    assert!(
        error.to_string().starts_with("receive the order: "),
        "{error}"
    );
    let hint = error.hint().unwrap_or_default();
    assert!(hint.contains("open files is too low"), "{hint}");
}

#[tokio::test]
async fn a_directory_that_is_not_there() {
    let mut order = sh("true");
    order.attributes.cwd = Some("/no/such/dir".into());
    let (error, _) = refused(order).await;
    assert_eq!(
        error,
        "change directory to \"/no/such/dir\": No such file or directory"
    );
}

#[tokio::test]
async fn what_the_kernel_finds_too_long_or_misshapen() {
    let (error, _) = refused(spec(&["echo", &"x".repeat(3 << 20)])).await;
    assert_eq!(error, "exec \"echo\": Argument list too long");
    let (error, _) = refused(spec(&["echo", "a\0b"])).await;
    assert_eq!(error, "exec \"echo\": Invalid argument");
}

#[tokio::test]
async fn a_shim_that_is_not_there_or_is_no_shim() {
    let order = || sh("true");
    let spawner = Spawner::new(Path::new("/no/such/shim"));
    let error = within(spawner.spawn(&order(), vec![])).await;
    assert!(matches!(error, Err(SpawnError::Shim(_))), "{error:?}");
    // It ends without a word: how it ended is all there is to say.
    let spawner = Spawner::new(Path::new("/bin/false"));
    let error = within(spawner.spawn(&order(), vec![])).await;
    assert!(
        matches!(error, Err(SpawnError::Ended(ExitStatus::Code(1)))),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a directory");
    let pid_file = dir.path().join("pid");
    // A shim that hangs before it has done anything.
    let hanging = script(
        dir.path(),
        "hanging",
        &format!(
            "#!/bin/sh\n[ \"$1\" = __exec ] || exit 1\necho $$ > {0}.new && mv {0}.new {0}\nexec sleep 60\n",
            pid_file.display()
        ),
    );
    let spawner = Spawner::new(&hanging);
    let start = spawner.begin(&sh("true"), vec![]);
    let appeared = async {
        while !pid_file.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(async {
        tokio::select! {
            started = start => panic!("it hangs, yet {started:?}"),
            () = appeared => {} // and the start is dropped
        }
    })
    .await;
    let pid = std::fs::read_to_string(&pid_file).expect("read");
    gone(pid.trim()).await;
    // Reaped, too.
    within(async {
        while Path::new(&format!("/proc/{}", pid.trim())).exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[test]
fn the_shim_by_hand_does_nothing() {
    let output = std::process::Command::new(super::support::shim())
        .arg("__exec")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("run");
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("for the master alone"), "{said}");
}
