//! The real `ostler`, built as a program of this package: cargo doesn't build another package's binaries for tests.

use std::process::ExitCode;

fn main() -> ExitCode {
    ostler::main()
}
