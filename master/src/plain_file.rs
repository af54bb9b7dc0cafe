//! Files that can be read again at any time, and never make the reader wait: a pipe in the place of a file would hold up the
//! master until somebody writes into it.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

/// Opens a file for reading, links followed.
///
/// # Errors
/// If it can't be opened, is a directory, or is none that has its content in itself: a pipe, a socket, a device.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let kind = file.metadata()?.file_type();
    match (kind.is_file(), kind.is_dir()) {
        (true, _) => Ok(file),
        (false, true) => Err(io::Error::from_raw_os_error(libc::EISDIR)),
        (false, false) => Err(io::Error::other("it is a pipe or a device")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_without_waiting_for_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo");
        for (path, told) in [
            (pipe.as_path(), "a pipe"),
            (Path::new("/dev/zero"), "a device"),
            (dir.path(), "Is a directory"),
        ] {
            let error = open(path).expect_err("no file");
            assert!(error.to_string().contains(told), "{path:?}: {error}");
        }
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("written");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        assert!(open(&link).is_ok());
    }
}
