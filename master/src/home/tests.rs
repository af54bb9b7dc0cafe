//! Homes that work, homes that must be refused, and masters that fight for one.
//!
//! Root may write anywhere and own nothing of its own here, so what depends on rights is run as another user: the test
//! starts itself again, as `nobody`.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
        net::UnixListener,
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::*;
use crate::{config::app::AppName, lock::MasterLock};

/// The user whom tests become where root would hide a fault.
const NOBODY: u32 = 65534;

/// Set in a process that was started by [`unprivileged`]: the directory to work in.
const INNER: &str = "OSTLER_TEST_DIRECTORY";

fn home_at(dir: impl Into<PathBuf>) -> Home {
    Home { dir: dir.into() }
}

fn name(name: &str) -> MasterName {
    MasterName::new(name).unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs `body` in a directory of its own, as a user who is not root: here, or in another process that runs `test` again.
fn unprivileged(test: &str, body: impl FnOnce(&Path)) {
    if let Some(directory) = std::env::var_os(INNER) {
        assert_ne!(rustix::process::geteuid().as_raw(), 0);
        return body(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    if rustix::process::geteuid().as_raw() != 0 {
        return body(directory.path());
    }
    std::os::unix::fs::chown(directory.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    let name = format!("home::tests::{test}");
    // By this link the binary is found even below directories that are closed to others.
    let output = Command::new("/proc/self/exe")
        .args([&name, "--exact", "--nocapture"])
        .env(INNER, directory.path())
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{told}"
    );
}

fn refused(home: &Home) -> (String, String) {
    let error = MasterLock::acquire(home, &name("shop")).expect_err("must be refused");
    let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
    (
        format!("{error}{}", source.unwrap_or_default()),
        error.hint(),
    )
}

#[test]
fn where_home_is() {
    let runtime = tempfile::tempdir().unwrap();
    let me = rustix::process::geteuid().as_raw();
    let around = |ostler: Option<&str>, uid| Surroundings {
        ostler_home: ostler.map(Into::into),
        xdg_runtime_dir: Some(runtime.path().into()),
        xdg_state_home: None,
        home: Some("/home/u".into()),
        uid,
    };
    let at = |around: &Surroundings| Home::locate(around).map(|home| home.path().to_owned());
    assert_eq!(
        at(&around(Some("/srv/o"), me)).unwrap(),
        Path::new("/srv/o")
    );
    assert_eq!(at(&around(None, 0)).unwrap(), Path::new("/run/ostler"));
    // Another user's runtime directory is none of ours.
    assert_eq!(
        at(&around(None, me + 1)).unwrap(),
        Path::new("/home/u/.ostler")
    );
    if me != 0 {
        assert_eq!(
            at(&around(None, me)).unwrap(),
            runtime.path().join("ostler")
        );
    }
    let nowhere = Surroundings {
        uid: 1000,
        ..Surroundings::default()
    };
    let error = at(&nowhere).unwrap_err();
    assert!(matches!(error, HomeError::Nowhere) && error.hint().contains("OSTLER_HOME"));
    let error = at(&around(Some("o"), me)).unwrap_err();
    assert_eq!(error.to_string(), "OSTLER_HOME is the relative path \"o\"");
}

#[test]
fn a_runtime_directory_of_ours_is_home() {
    unprivileged("a_runtime_directory_of_ours_is_home", |directory| {
        let around = Surroundings {
            xdg_runtime_dir: Some(directory.into()),
            uid: rustix::process::geteuid().as_raw(),
            ..Surroundings::default()
        };
        assert_eq!(
            Home::locate(&around).unwrap().path(),
            directory.join("ostler")
        );
    });
}

#[test]
fn a_master_makes_its_home_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let home = home_at(directory.path().join("home"));
    let lock = MasterLock::acquire(&home, &name("shop")).unwrap();
    assert_eq!((mode(home.path()), mode(lock.home().dir())), (0o711, 0o700));
    assert_eq!(mode(&lock.home().lock_file()), 0o600);

    let app = AppName::new("web").unwrap();
    let app_dir = lock.home().create_app_dir(&app, Reach::Owner).unwrap();
    assert_eq!(
        lock.home().create_app_dir(&app, Reach::Owner).unwrap(),
        app_dir
    );
    assert_eq!(mode(&app_dir), 0o700);
    UnixListener::bind(lock.home().bus_socket()).unwrap();
    UnixListener::bind(lock.home().notify_socket(&app, ostler_bus::WorkerId(7))).unwrap();
    let pid = std::process::id();
    let shop = LiveMaster {
        name: name("shop"),
        pid,
    };
    assert_eq!(home.live_masters().unwrap(), [shop]);

    drop(lock);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    assert_eq!(home.live_masters().unwrap(), []);
}

#[test]
fn a_home_that_was_there_stays() {
    let directory = tempfile::tempdir().unwrap();
    let home = home_at(directory.path());
    drop(MasterLock::acquire(&home, &name("shop")).unwrap());
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_second_master_of_the_same_name_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let home = home_at(directory.path());
    let first = MasterLock::acquire(&home, &name("shop")).unwrap();
    let socket = UnixListener::bind(first.home().bus_socket()).unwrap();
    let (error, hint) = refused(&home);
    let pid = std::process::id();
    assert_eq!(
        error,
        format!("a master named shop is already running, as pid {pid}")
    );
    assert_eq!(
        hint,
        "see it with `ostler ls -M shop`, end it with `ostler kill -M shop`, or name yours with -M"
    );
    // The first one is untouched, and other names are free.
    assert!(first.home().bus_socket().exists() && first.home().lock_file().exists());
    let other = MasterLock::acquire(&home, &name("other")).unwrap();
    let names: Vec<String> = home
        .live_masters()
        .unwrap()
        .iter()
        .map(|m| m.name.to_string())
        .collect();
    assert_eq!(names, ["other", "shop"]);
    drop((first, socket, other));
    MasterLock::acquire(&home, &name("shop")).unwrap();
}

#[test]
fn what_a_dead_master_left_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let home = home_at(directory.path());
    let master = home.master(&name("shop"));
    let app = AppName::new("web").unwrap();
    // As a killed master leaves it: files, but no lock on them.
    let lock = MasterLock::acquire(&home, &name("shop")).unwrap();
    lock.home().create_app_dir(&app, Reach::Owner).unwrap();
    let dead = UnixListener::bind(master.bus_socket()).unwrap();
    fs::rename(master.dir(), directory.path().join("kept")).unwrap();
    drop((lock, dead));
    fs::rename(directory.path().join("kept"), master.dir()).unwrap();
    fs::write(master.lock_file(), "4000000\n").unwrap();
    assert!(master.bus_socket().exists());
    assert_eq!(home.live_masters().unwrap(), []);

    let lock = MasterLock::acquire(&home, &name("shop")).unwrap();
    assert!(!master.bus_socket().exists() && !master.app_dir(&app).exists());
    assert_eq!(home.live_masters().unwrap()[0].pid, std::process::id());
    drop(lock);
}

/// The lock of a killed process is free at once, and its directory is taken over.
#[test]
fn a_lock_dies_with_its_process() {
    if let Some(directory) = std::env::var_os(INNER) {
        let lock = MasterLock::acquire(&home_at(directory), &name("shop")).unwrap();
        println!("\nlocked");
        // Until it is killed: standard input has no end before.
        std::io::Read::read(&mut std::io::stdin(), &mut [0]).unwrap();
        drop(lock);
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let home = home_at(directory.path());
    let mut child = Command::new("/proc/self/exe")
        .args([
            "home::tests::a_lock_dies_with_its_process",
            "--exact",
            "--nocapture",
        ])
        .env(INNER, directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(child.stdout.take().unwrap());
    let locked = std::io::BufRead::lines(output).any(|line| line.unwrap() == "locked");
    let live = home.live_masters().unwrap();
    let second = refused(&home).0;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(locked);
    let (pid, shop) = (child.id(), name("shop"));
    assert_eq!(
        live,
        [LiveMaster {
            name: shop.clone(),
            pid
        }]
    );
    assert_eq!(
        second,
        format!("a master named shop is already running, as pid {pid}")
    );
    assert_eq!(home.live_masters().unwrap(), []);
    drop(MasterLock::acquire(&home, &shop).unwrap());
}

/// However starts and ends interleave, there is one master at a time, and no start fails but for another's sake.
#[test]
fn many_fight_for_one_name() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let directory = tempfile::tempdir().unwrap();
    let home = home_at(directory.path().join("home"));
    let (masters, wins) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..200 {
                    match MasterLock::acquire(&home, &name("shop")) {
                        Ok(lock) => {
                            assert_eq!(masters.fetch_add(1, Ordering::SeqCst), 0);
                            assert!(lock.home().lock_file().exists());
                            wins.fetch_add(1, Ordering::SeqCst);
                            masters.fetch_sub(1, Ordering::SeqCst);
                        }
                        Err(HomeError::Running { .. }) => {}
                        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
                    }
                }
            });
        }
    });
    assert!(wins.into_inner() >= 8);
}

#[test]
fn homes_that_cannot_be_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("real")).unwrap();
    symlink(at("real"), at("link")).unwrap();
    fs::write(at("file"), "").unwrap();
    fs::create_dir(at("open")).unwrap();
    set_mode(&at("open"), 0o775);
    let shown = |name: &str| at(name).display().to_string();
    let cases = [
        (
            "link",
            format!("{} is a symlink", shown("link")),
            "set OSTLER_HOME to the real directory",
        ),
        (
            "file",
            format!("{} is not a directory", shown("file")),
            "set OSTLER_HOME to a directory",
        ),
        (
            "file/below",
            format!(
                "can't create {}: Not a directory (os error 20)",
                shown("file/below")
            ),
            "a part of the path is a file",
        ),
        (
            "open",
            format!("{} is writable by others (mode 0775)", shown("open")),
            "chmod go-w",
        ),
        (
            "no/such",
            format!(
                "can't create {}: No such file or directory (os error 2)",
                shown("no/such")
            ),
            "create",
        ),
    ];
    for (name, problem, fix) in cases {
        let (error, hint) = refused(&home_at(at(name)));
        assert_eq!(error, problem);
        assert!(hint.contains(fix) && hint.contains("OSTLER_HOME"), "{hint}");
    }
    // Nothing was left, and nothing was repaired.
    assert_eq!(
        fs::read_dir(at("real")).unwrap().count() + fs::read_dir(at("open")).unwrap().count(),
        0
    );
    assert_eq!(mode(&at("open")), 0o775);
}

#[test]
fn masters_directories_that_cannot_be_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let home = home_at(directory.path());
    let dir = directory.path().join("shop");
    let shown = dir.display();
    symlink("/nonexistent", &dir).unwrap();
    assert_eq!(refused(&home).0, format!("{shown} is a symlink"));
    fs::remove_file(&dir).unwrap();
    fs::create_dir(&dir).unwrap();
    set_mode(&dir, 0o720);
    assert_eq!(
        refused(&home).0,
        format!("{shown} is writable by others (mode 0720)")
    );
    // It stays as it is. A lock that points elsewhere is not followed.
    set_mode(&dir, 0o700);
    let target = directory.path().join("target");
    symlink(&target, dir.join("lock")).unwrap();
    assert_eq!(refused(&home).0, format!("{shown}/lock is a symlink"));
    assert!(!target.exists());
}

/// Another user could swap the sockets under root's feet; to look on is another matter.
#[test]
fn root_keeps_nothing_in_another_users_home() {
    let directory = tempfile::tempdir().unwrap();
    if rustix::process::geteuid().as_raw() != 0 {
        return; // Nobody else can give a directory away.
    }
    let home = home_at(directory.path());
    std::os::unix::fs::chown(directory.path(), Some(NOBODY), None).unwrap();
    let shown = directory.path().display();
    assert_eq!(
        refused(&home).0,
        format!("{shown} belongs to user {NOBODY}, and you are user 0")
    );
    assert_eq!(home.live_masters().unwrap(), []);
}

#[test]
fn rights_that_root_would_not_miss() {
    unprivileged("rights_that_root_would_not_miss", |directory| {
        let closed = directory.join("closed");
        fs::create_dir(&closed).unwrap();
        set_mode(&closed, 0o555);
        let below = closed.join("home");
        let (error, hint) = refused(&home_at(&below));
        assert_eq!(
            error,
            format!(
                "can't create {}: Permission denied (os error 13)",
                below.display()
            )
        );
        assert_eq!(hint, "set OSTLER_HOME to a directory that you can write to");

        // A home that is ours, but read-only.
        let (error, _) = refused(&home_at(&closed));
        assert_eq!(
            error,
            format!(
                "can't create {}: Permission denied (os error 13)",
                closed.join("shop").display()
            )
        );

        // Root's directories are not ours, whether they can be read or not.
        let (error, hint) = refused(&home_at("/usr"));
        let uid = rustix::process::geteuid().as_raw();
        assert_eq!(
            error,
            format!("/usr belongs to user 0, and you are user {uid}")
        );
        assert!(hint.contains("OSTLER_HOME"));
        assert!(matches!(
            home_at("/usr").live_masters(),
            Err(HomeError::WrongOwner { .. })
        ));
    });
}

#[test]
fn paths_too_long_for_a_socket_are_refused_before_anything_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().join("x".repeat(100));
    let (error, hint) = refused(&home_at(&dir));
    let socket = dir.join("shop/bus.sock");
    assert_eq!(
        error,
        format!(
            "the socket path {} has {} bytes; Linux takes 107",
            socket.display(),
            socket.as_os_str().len()
        )
    );
    assert_eq!(
        hint,
        "set OSTLER_HOME to a shorter directory, or give shorter names with -M and -n"
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);

    // The longest app's name decides, with the longest id.
    let master = home_at("/run/user/1000/ostler").master(&name("shop"));
    let app = |length: usize| AppName::new(&"a".repeat(length)).unwrap();
    assert!(master.check_lengths([&app(3), &app(53)]).is_ok());
    let error = master.check_lengths([&app(54), &app(3)]).unwrap_err();
    assert!(
        matches!(error, HomeError::TooLong { length: 108, .. }),
        "{error}"
    );
}

#[test]
fn where_state_is_kept() {
    let around = |ostler: Option<&str>, xdg: Option<&str>, uid| Surroundings {
        ostler_home: ostler.map(Into::into),
        xdg_state_home: xdg.map(Into::into),
        home: Some("/home/u".into()),
        uid,
        ..Surroundings::default()
    };
    let at = |around: &Surroundings| {
        let state = StateDir::locate(around);
        state.map(|state| state.path().to_str().map(str::to_owned))
    };
    let told = |ostler, xdg, uid| at(&around(ostler, xdg, uid)).ok().flatten();
    assert_eq!(
        told(Some("/srv/o"), Some("/s"), 0).as_deref(),
        Some("/srv/o")
    );
    assert_eq!(
        told(None, Some("/s"), 0).as_deref(),
        Some("/var/lib/ostler")
    );
    assert_eq!(told(None, Some("/s"), 9).as_deref(), Some("/s/ostler"));
    let default = Some("/home/u/.local/state/ostler");
    assert_eq!(told(None, None, 9).as_deref(), default);
    assert_eq!(told(None, Some("relative"), 9).as_deref(), default);
    assert_eq!(told(Some("o"), None, 9), None);
}

#[test]
fn a_worker_s_home_is_its_masters() {
    let around = Surroundings {
        uid: 0,
        ..Surroundings::default()
    };
    let home = |bus: &str| around.home_of(Path::new(bus));
    assert_eq!(home("/srv/o/shop/bus.sock"), Some("/srv/o".into()));
    assert_eq!(home("/run/ostler/shop/bus.sock"), None, "the usual one");
    for none in [
        "tcp://localhost:1",
        "shop/bus.sock",
        "/srv/o/shop/x",
        "/bus.sock",
    ] {
        assert_eq!(home(none), None, "{none}");
    }
    let (_, name) = place_of(Path::new("/srv/o/shop/bus.sock")).expect("a place");
    assert_eq!(name.to_string(), "shop");
}
