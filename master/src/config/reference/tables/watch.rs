//! What is watched for changes.

use super::{TEXTS, key};
use crate::config::reference::{Key, Shape::Duration};

pub(super) const AUTO_RELOAD: &[Key] = &[
    key(
        "paths",
        TEXTS,
        "[]",
        "[\"src\"]",
        "Files and directories; none: the working directory.",
    ),
    key(
        "include",
        TEXTS,
        "(everything)",
        "[\"*.py\"]",
        "Patterns as in `.gitignore`: only what matches one of them counts.",
    ),
    key(
        "ignore",
        TEXTS,
        "[]",
        "[\"*.log\"]",
        "Patterns as in `.gitignore`, beside those of `.gitignore` files.",
    ),
    key(
        "poll",
        Duration,
        "(the kernel tells)",
        "\"2s\"",
        "Look so often instead: for NFS, and overlays that others write to.",
    ),
];
