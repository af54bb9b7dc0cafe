//! Users and groups by name or number. Looked up when a process file is read, so that a name nobody has is a fault with
//! its place, and starting a worker asks no directory service.

use std::ffi::CString;

use nix::unistd::{self, Gid, Uid};

use super::{
    app::process::{Group, User},
    errors::Wrong,
};

/// A user of this name or number.
///
/// # Errors
/// If nobody has the name, or the user database can't be asked.
pub fn user(text: &str) -> Result<User, Wrong> {
    let found = match text.parse() {
        Ok(uid) => unistd::User::from_uid(Uid::from_raw(uid)).map(|entry| (entry, Some(uid))),
        Err(_) => unistd::User::from_name(text).map(|entry| (entry, None)),
    };
    match found.map_err(|error| unreadable("user", &error))? {
        (Some(entry), _) => {
            let groups = groups_of(&entry).map_err(|error| unreadable("group", &error))?;
            Ok(User {
                uid: entry.uid.as_raw(),
                gid: entry.gid.as_raw(),
                groups,
                home: Some(entry.dir),
                name: entry.name,
            })
        }
        (None, Some(uid)) => Ok(User {
            name: uid.to_string(),
            uid,
            gid: uid,
            groups: vec![uid],
            home: None,
        }),
        (None, None) => Err(Wrong::new(
            format!("there is no user {text:?} on this machine"),
            "check the spelling (getent passwd), create the user, or write a number",
        )),
    }
}

/// A group of this name or number.
///
/// # Errors
/// If none has the name, or the group database can't be asked.
pub fn group(text: &str) -> Result<Group, Wrong> {
    if let Ok(gid) = text.parse() {
        return Ok(Group { gid });
    }
    let found = unistd::Group::from_name(text).map_err(|error| unreadable("group", &error))?;
    found
        .map(|entry| Group {
            gid: entry.gid.as_raw(),
        })
        .ok_or_else(|| {
            Wrong::new(
                format!("there is no group {text:?} on this machine"),
                "check the spelling (getent group), create the group, or write a number",
            )
        })
}

fn groups_of(user: &unistd::User) -> nix::Result<Vec<u32>> {
    let name = CString::new(user.name.as_str()).map_err(|_| nix::errno::Errno::EINVAL)?;
    let groups = unistd::getgrouplist(&name, user.gid)?;
    Ok(groups.into_iter().map(Gid::as_raw).collect())
}

fn unreadable(what: &str, error: &nix::errno::Errno) -> Wrong {
    Wrong::new(
        format!("the {what} database can't be read: {}", error.desc()),
        "write a number instead of a name",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_found() {
        let root = user("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0) && root.home.is_some());
        assert_eq!(user("0"), Ok(root));
        assert_eq!(group("root"), Ok(Group { gid: 0 }));
        assert_eq!(group("4711"), Ok(Group { gid: 4711 }));
    }

    #[test]
    fn a_number_needs_no_entry_and_a_name_does() {
        let stranger = user("3987654321").unwrap();
        assert_eq!(
            (stranger.gid, stranger.home),
            (3_987_654_321, None),
            "its group is that of the same number"
        );
        let wrong = user("no-such-user").unwrap_err();
        assert_eq!(
            wrong.problem,
            "there is no user \"no-such-user\" on this machine"
        );
        assert!(group("no-such-group").is_err());
    }
}
