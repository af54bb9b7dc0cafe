//! Finding a program as a shell does, and becoming it.

use std::{
    ffi::{CString, OsStr, OsString},
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

use nix::errno::Errno;

/// Where programs are looked up if the worker's environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Where a program may be: one path, or one for each directory of `PATH`.
pub(super) struct Candidates(Vec<CString>);

impl Candidates {
    pub(super) fn find(program: &OsStr, env: &[(OsString, OsString)]) -> io::Result<Self> {
        if program.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if program.as_bytes().contains(&b'/') {
            return Ok(Self(vec![c_string(program.as_bytes().to_vec())?]));
        }
        let path = env
            .iter()
            .rfind(|(name, _)| name == "PATH")
            .map_or(OsStr::new(DEFAULT_PATH), |(_, value)| value);
        std::env::split_paths(path)
            .map(|dir| c_string(dir.join(program).into_os_string().into_vec()))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// Tries each in turn, as a shell does: what isn't there is passed over, a file that may not be executed is
    /// remembered. Returns the error that tells most, and the path it is about.
    pub(super) fn exec(self, args: &[CString], env: &[CString]) -> (CString, Errno) {
        let mut telling = (CString::default(), Errno::ENOENT);
        for path in self.0 {
            let Err(errno) = nix::unistd::execve(&path, args, env);
            match errno {
                Errno::ENOENT | Errno::ENOTDIR if telling.1 == Errno::ENOENT => {
                    if telling.0.is_empty() || exists(&path) {
                        telling = (path, Errno::ENOENT);
                    }
                }
                Errno::ENOENT | Errno::ENOTDIR => {}
                Errno::EACCES => telling = (path, errno),
                other => return (path, other),
            }
        }
        telling
    }
}

fn exists(path: &CString) -> bool {
    Path::new(OsStr::from_bytes(path.as_bytes())).exists()
}

/// What to do about it.
pub(super) fn hint(path: &CString, errno: Errno) -> Option<String> {
    let name = path.to_string_lossy();
    match errno {
        Errno::ENOENT if exists(path) => Some(format!(
            "{name} is there, but what should run it is not: check its #! line (a Windows line ending spoils it), or \
             its dynamic loader"
        )),
        Errno::ENOENT => Some("check the name, and the PATH that the app gets".into()),
        Errno::EACCES => Some(format!(
            "{name} may not be executed: is it a program, is it executable (chmod +x), may this user reach it?"
        )),
        Errno::ETXTBSY => Some(format!("{name} is still being written")),
        Errno::ENOEXEC => Some(format!("{name} is no program: a script needs a #! line")),
        _ => None,
    }
}

pub(super) fn c_string(bytes: Vec<u8>) -> io::Result<CString> {
    CString::new(bytes).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
