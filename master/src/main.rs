//! `ostler`.

fn main() {
    // First of all, so that starting a worker costs no more than it must.
    if std::env::args_os().nth(1).as_deref() == Some(ostler::process::SHIM_COMMAND.as_ref()) {
        ostler::process::exec_shim_main();
    }
}
