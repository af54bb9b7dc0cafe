//! The binary `ostler`: the library's [`ostler::main`] and nothing more.

use std::process::ExitCode;

fn main() -> ExitCode {
    ostler::main()
}
