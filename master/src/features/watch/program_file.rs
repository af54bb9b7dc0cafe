//! What kind of file a command is, and whether it is whole: a program is replaced while its builder still writes it.

use std::path::Path;

/// Programs that run others' sources: the system's own, and well-known ones wherever they are installed.
pub(super) fn is_interpreter(program: &Path) -> bool {
    let known = [
        "python", "node", "ruby", "php", "perl", "deno", "bun", "java", "lua", "sh", "bash",
        "dotnet", "beam",
    ];
    let name = program
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    known.iter().any(|known| name.starts_with(known))
        || ["/usr", "/bin", "/sbin", "/lib"]
            .iter()
            .any(|dir| program.starts_with(dir))
}

fn head(path: &Path) -> Option<([u8; 64], u64)> {
    use std::io::Read;
    let mut file = crate::plain_file::open(path).ok()?;
    let mut head = [0; 64];
    file.read_exact(&mut head).ok()?;
    Some((head, file.metadata().ok()?.len()))
}

pub(super) fn is_elf(path: &Path) -> bool {
    head(path).is_some_and(|(head, _)| head.starts_with(b"\x7fELF"))
}

/// There, not empty, and, if it is a 64-bit ELF program, as long as its section table says: linkers write that last.
pub(super) fn is_complete(path: &Path) -> bool {
    let Ok(meta) = path.metadata() else {
        return false;
    };
    match head(path) {
        Some((head, length)) if head.starts_with(b"\x7fELF\x02\x01") => {
            let number = |at: usize, bytes: usize| {
                head[at..at + bytes]
                    .iter()
                    .rev()
                    .fold(0_u64, |n, b| n << 8 | u64::from(*b))
            };
            let (table, entry, entries) = (number(40, 8), number(58, 2), number(60, 2));
            length >= table.saturating_add(entry * entries)
        }
        _ => meta.len() > 0,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_program_cut_short_is_unfinished() {
        let dir = tempfile::tempdir().unwrap();
        let whole = fs::read(std::env::current_exe().unwrap()).unwrap();
        let path = dir.path().join("app");
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        assert!(!is_complete(&path) && is_elf(&path));
        fs::write(&path, &whole).unwrap();
        assert!(is_complete(&path));
        assert!(!is_complete(&dir.path().join("gone")));
    }
}
