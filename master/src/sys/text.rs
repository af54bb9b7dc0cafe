//! The pages of the program's own code. What a process has run once stays mapped into it, and counts as its memory, as
//! long as nobody else wants the room; a master is mostly code that it needs when something happens.

#![expect(unsafe_code, reason = "no safe wrapper offers the call")]

use std::{fs, io};

use rustix::mm::{Advice, madvise};

/// Unmaps the pages of this program's code from this process. Each comes back from the page cache when it is run again, with
/// its neighbours, in about a microsecond; the file is kept as it is by the system while it runs.
///
/// # Errors
/// If the kernel doesn't tell where the code is, or refuses.
pub fn release_text() -> io::Result<()> {
    let here = release_text as fn() -> io::Result<()> as usize;
    let maps = fs::read_to_string("/proc/self/maps")?;
    let (start, end) = maps
        .lines()
        .filter_map(code)
        .find(|(start, end)| (*start..*end).contains(&here))
        .ok_or(io::ErrorKind::NotFound)?;
    // SAFETY: the range is one whole mapping of the program's file, executable and not writable, so none of its pages
    // differs from the file: what is dropped is read from there again, the code that runs at this moment included.
    unsafe {
        madvise(
            std::ptr::with_exposed_provenance_mut(start),
            end - start,
            Advice::LinuxDontNeed,
        )?;
    }
    Ok(())
}

/// The range of a line of `/proc/self/maps` if that is code, and can't be written.
fn code(line: &str) -> Option<(usize, usize)> {
    let (range, rest) = line.split_once(' ')?;
    rest.starts_with("r-xp").then_some(())?;
    let (start, end) = range.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    Some((address(start)?, address(end)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_run_and_never_written_is_code() {
        let line = |rights| format!("55d0c0e00000-55d0c1500000 {rights} 00200000 fe:00 42 /bin/x");
        assert_eq!(
            code(&line("r-xp")),
            Some((0x55d0_c0e0_0000, 0x55d0_c150_0000))
        );
        for rights in ["r--p", "rw-p", "rwxp", "r-xs"] {
            assert_eq!(code(&line(rights)), None, "{rights}");
        }
        assert_eq!(code(""), None);
    }

    #[test]
    fn released_code_still_runs() {
        let resident = || {
            let status = fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find(|line| line.starts_with("RssFile:"));
            let figure = line.and_then(|line| line.split_whitespace().nth(1));
            figure.unwrap().parse::<u64>().unwrap()
        };
        let before = resident();
        release_text().unwrap();
        let after = resident();
        assert!(after < before, "{after} kB of {before} kB of files mapped");
    }
}
