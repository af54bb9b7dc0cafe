//! The one registry of the descriptors that outlive a request: listeners, the bus socket, pipes. The master's state
//! names them; an upgrade carries the table over and finds each by its name.

use std::{
    collections::BTreeMap,
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

/// Descriptors by name, such as `listen.web.http`. Each is owned by the table until it is taken out.
#[derive(Debug, Default)]
pub struct FdTable(BTreeMap<String, OwnedFd>);

/// A name that is in the table already; the descriptor that was offered is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameTaken(pub String);

impl FdTable {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a descriptor in.
    ///
    /// # Errors
    /// If the name is taken.
    pub fn insert(&mut self, name: &str, fd: OwnedFd) -> Result<(), NameTaken> {
        if self.0.contains_key(name) {
            return Err(NameTaken(name.to_owned()));
        }
        self.0.insert(name.to_owned(), fd);
        Ok(())
    }

    /// Puts a descriptor in the place of one of the same name, which it returns.
    pub fn replace(&mut self, name: &str, fd: OwnedFd) -> Option<OwnedFd> {
        self.0.insert(name.to_owned(), fd)
    }

    /// The descriptor of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<BorrowedFd<'_>> {
        self.0.get(name).map(AsFd::as_fd)
    }

    /// A duplicate of the descriptor of this name, closed on exec, to hand to a worker being spawned.
    ///
    /// # Errors
    /// `NotFound` for an unknown name; else if no descriptor is left.
    pub fn duplicate(&self, name: &str) -> io::Result<OwnedFd> {
        self.get(name)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, name.to_owned()))?
            .try_clone_to_owned()
    }

    /// Takes a descriptor out.
    pub fn take(&mut self, name: &str) -> Option<OwnedFd> {
        self.0.remove(name)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl fmt::Display for NameTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the descriptor table has a {:?} already", self.0)
    }
}

impl std::error::Error for NameTaken {}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn null() -> OwnedFd {
        std::fs::File::open("/dev/null").expect("/dev/null").into()
    }

    #[test]
    fn a_name_is_taken_until_its_descriptor_is_taken_out() {
        let mut table = FdTable::new();
        let first = null();
        let number = first.as_raw_fd();
        table.insert("listen.web.http", first).expect("free");
        assert_eq!(
            table.insert("listen.web.http", null()),
            Err(NameTaken("listen.web.http".into()))
        );
        assert_eq!(
            table.get("listen.web.http").map(|fd| fd.as_raw_fd()),
            Some(number)
        );
        assert!(table.take("listen.web.http").is_some());
        assert_eq!(table.names().count(), 0);
        assert!(table.duplicate("listen.web.http").is_err());
    }
}
