//! What to do about a worker's end, where its last words tell.

use crate::config::app::SocketAddress;
use crate::sockets::BoundSocket;

/// How "address in use" reads in the languages that workers are written in.
const IN_USE: [&str; 3] = ["address already in use", "eaddrinuse", "address in use"];

/// A hint for a worker that died because it bound a socket that it was given: many programs bind by themselves until
/// they are told otherwise.
#[must_use]
pub fn exit_hint(stderr_tail: &[String], sockets: &[&BoundSocket]) -> Option<String> {
    let clash = stderr_tail.iter().any(|line| {
        let line = line.to_lowercase();
        IN_USE.iter().any(|words| line.contains(words))
    });
    let socket = sockets.first().filter(|_| clash)?;
    let at = match socket.address() {
        SocketAddress::Unix(path) => path.display().to_string(),
        address => address.to_string(),
    };
    Some(format!(
        "the master already listens on {at}: have the worker use the socket it inherits (descriptor 3, LISTEN_FDS, or \
         {{fd:{}}} in its arguments) instead of binding one",
        socket.name()
    ))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        config::{app::AppName, flags::listen},
        sockets::bind,
        sys::FdTable,
    };

    #[test]
    fn whoever_binds_what_it_was_given_is_told() {
        let app = AppName::new("web").expect("a name");
        let [declaration] = &listen(&["127.0.0.1:0"], Path::new("/")).expect("fine")[..] else {
            panic!("one socket");
        };
        let socket = bind(&app, declaration, &mut FdTable::new()).expect("bound");
        let sockets = [&socket];
        for words in [
            "Error: listen EADDRINUSE: address already in use :::3000",
            "OSError: [Errno 98] Address already in use",
        ] {
            let tail = ["Traceback".to_owned(), words.to_owned()];
            let hint = exit_hint(&tail, &sockets).expect("a hint");
            assert!(
                hint.contains("{fd:http}") && hint.contains("127.0.0.1:"),
                "{hint}"
            );
            assert_eq!(exit_hint(&tail, &[]), None);
        }
        assert_eq!(exit_hint(&["out of memory".into()], &sockets), None);
    }
}
