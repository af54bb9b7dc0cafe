//! Tokens of programs that come over a network: what each may be, and under which name.
//!
//! A file has a line for each, `role name token`; empty lines and those that begin with `#` are passed over. Only its owner
//! may read it.

use std::{
    collections::HashSet,
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::principal::{Principal, Role};
use crate::wire::hello::Kind;

/// The shortest token taken, in bytes: 128 bits as hexadecimal digits have 32, as base64 22.
const SHORTEST: usize = 22;

/// The largest file read, in bytes: some thousand tokens.
const LARGEST: u64 = 128 << 10;

/// Who may come in over a network. By default nobody.
#[derive(Clone, Default)]
pub struct Tokens(Vec<Token>);

#[derive(Clone)]
struct Token {
    role: Role,
    name: String,
    hash: blake3::Hash,
}

impl fmt::Debug for Tokens {
    /// Names alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|token| (token.role, &token.name));
        f.debug_list().entries(names).finish()
    }
}

impl Tokens {
    /// Reads a file of tokens.
    ///
    /// # Errors
    /// If it can't be read, others than its owner may, it is neither ours nor root's, or a line of it is no token.
    pub fn read(path: &Path) -> io::Result<Self> {
        let refused = |reason: String| io::Error::new(io::ErrorKind::PermissionDenied, reason);
        let file = File::open(path)?;
        let about = file.metadata()?;
        let own = rustix::process::geteuid().as_raw();
        if about.uid() != own && about.uid() != 0 {
            let uid = about.uid();
            return Err(refused(format!(
                "it belongs to uid {uid}: it must be ours (uid {own}) or root's"
            )));
        }
        if about.mode() & 0o077 != 0 {
            let mode = about.mode() & 0o7777;
            return Err(refused(format!(
                "others may use it (mode {mode:04o}): chmod 600 it"
            )));
        }
        let mut text = String::new();
        file.take(LARGEST + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LARGEST {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it is larger than 128 KiB",
            ));
        }
        Self::parse(&text)
            .map_err(|faults| io::Error::new(io::ErrorKind::InvalidData, faults.join("; ")))
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// With every fault of it. No token is shown.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let (mut tokens, mut faults) = (Self::default(), Vec::new());
        let (mut names, mut hashes) = (HashSet::new(), HashSet::new());
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match token(line) {
                Ok(token) if !names.insert(token.name.clone()) => {
                    faults.push(format!(
                        "line {}: the name {:?} is there already",
                        number + 1,
                        token.name
                    ));
                }
                Ok(token) if !hashes.insert(token.hash) => {
                    faults.push(format!(
                        "line {}: the token of {:?} is another's too",
                        number + 1,
                        token.name
                    ));
                }
                Ok(token) => tokens.0.push(token),
                Err(fault) => faults.push(format!("line {}: {fault}", number + 1)),
            }
        }
        match faults.is_empty() {
            true => Ok(tokens),
            false => Err(faults),
        }
    }

    /// Who comes with this token and wants to be `kind`, by the name it gives itself; and the token's own mark.
    pub(super) fn check(
        &self,
        shown: &str,
        kind: Kind,
        name: &str,
    ) -> Result<(Principal, blake3::Hash), Wrong> {
        let hash = blake3::hash(shown.as_bytes());
        // Compared as hashes, in constant time, and with all of them.
        let found = self
            .0
            .iter()
            .fold(None, |found, token| match token.hash == hash {
                true => Some(token),
                false => found,
            });
        let token = found.ok_or(Wrong::Unknown)?;
        let name = match name {
            "" => token.name.clone(),
            own => format!("{}/{own}", token.name),
        };
        let (role, principal) = match kind {
            Kind::Observer => (Role::Observer, Principal::Observer { name }),
            Kind::Client => (Role::Client, Principal::Client { name }),
            Kind::Operator => (Role::Operator, Principal::Operator { name }),
            Kind::Worker => return Err(Wrong::Worker),
        };
        match role <= token.role {
            true => Ok((principal, hash)),
            false => Err(Wrong::TooMuch { most: token.role }),
        }
    }

    /// The name of the token with this mark.
    pub(super) fn name_of(&self, mark: &blake3::Hash) -> Option<&str> {
        let found = self.0.iter().find(|token| token.hash == *mark);
        found.map(|token| token.name.as_str())
    }

    /// Whether the token with this mark is still good for `role`.
    pub(super) fn holds(&self, mark: &blake3::Hash, role: Role) -> bool {
        self.0
            .iter()
            .any(|token| token.hash == *mark && role <= token.role)
    }
}

/// Why a token doesn't open the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It is nobody's.
    Unknown,
    /// It is good for less.
    TooMuch { most: Role },
    /// Workers run on the master's own machine.
    Worker,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("the hub doesn't know this token"),
            Self::TooMuch { most } => write!(f, "with this token nobody may be more than {most}"),
            Self::Worker => f.write_str(
                "a worker runs on the hub's own machine: over a network, connect as a client",
            ),
        }
    }
}

fn token(line: &str) -> Result<Token, String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [role, name, token] = words[..] else {
        return Err(format!(
            "{} words, where there must be three: role name token",
            words.len()
        ));
    };
    let role = match role {
        "observer" => Role::Observer,
        "client" => Role::Client,
        "operator" => Role::Operator,
        other => {
            return Err(format!(
                "{other:?} is no role: use observer, client or operator"
            ));
        }
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    if name.len() > 32 || !name.bytes().all(plain) {
        return Err("a name has 1 to 32 of A-Z a-z 0-9 _ - .".into());
    }
    if token.len() < SHORTEST {
        return Err(format!(
            "the token of {name:?} has {} characters, too few to be hard to guess: use `openssl rand -hex 16`",
            token.len()
        ));
    }
    Ok(Token {
        role,
        name: name.to_owned(),
        hash: blake3::hash(token.as_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const ONE: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "fedcba9876543210fedcba9876543210";

    #[test]
    fn a_token_gives_its_role_or_less_and_its_name() {
        let text = format!("# who may\n\noperator deploy {ONE}\n observer  screen\t{OTHER} \n");
        let tokens = Tokens::parse(&text).unwrap();
        let check = |token, kind, name| tokens.check(token, kind, name).map(|(who, _)| who);
        let deploy = |name: &str| Ok(Principal::Operator { name: name.into() });
        assert_eq!(check(ONE, Kind::Operator, ""), deploy("deploy"));
        assert_eq!(check(ONE, Kind::Operator, "cli"), deploy("deploy/cli"));
        assert!(matches!(
            check(ONE, Kind::Client, ""),
            Ok(Principal::Client { .. })
        ));
        assert!(matches!(
            check(OTHER, Kind::Observer, ""),
            Ok(Principal::Observer { .. })
        ));
        let most = Role::Observer;
        assert_eq!(check(OTHER, Kind::Client, ""), Err(Wrong::TooMuch { most }));
        assert_eq!(check(ONE, Kind::Worker, ""), Err(Wrong::Worker));
        for unknown in ["", "x", &ONE[1..], &ONE.to_uppercase()] {
            assert_eq!(check(unknown, Kind::Observer, ""), Err(Wrong::Unknown));
        }
        let shown = format!("{tokens:?}");
        assert!(
            shown.contains("deploy") && !shown.contains("0123"),
            "{shown}"
        );
        let (_, mark) = tokens.check(OTHER, Kind::Observer, "").unwrap();
        assert!(tokens.holds(&mark, Role::Observer) && !tokens.holds(&mark, Role::Client));
        assert!(!Tokens::default().holds(&mark, Role::Observer));
    }

    #[test]
    fn every_fault_of_a_file_is_told_and_no_token_with_it() {
        let text = format!(
            "king a {ONE}\nclient b short\nclient c\nclient d {ONE}\nclient d {OTHER}\nclient e {ONE}\nclient f/g {ONE}"
        );
        let faults = Tokens::parse(&text).unwrap_err();
        let words = [
            "line 1: \"king\"",
            "line 2: the token of \"b\" has 5",
            "line 3: 2 words",
            "line 5: the name \"d\"",
            "line 6: the token of \"e\"",
            "line 7: a name",
        ];
        assert_eq!(faults.len(), words.len(), "{faults:?}");
        for (fault, word) in faults.iter().zip(words) {
            assert!(fault.starts_with(word), "{word:?}: {fault:?}");
            assert!(
                !fault.contains("0123") && !fault.contains("short"),
                "{fault}"
            );
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        std::fs::write(&path, format!("client a {ONE}\n")).unwrap();
        for (mode, good) in [
            (0o600, true),
            (0o400, true),
            (0o640, false),
            (0o604, false),
            (0o620, false),
        ] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match Tokens::read(&path) {
                Ok(tokens) => assert!(good && tokens.0.len() == 1, "{mode:o}"),
                Err(error) => assert!(!good && error.to_string().contains("chmod 600"), "{error}"),
            }
        }
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "client a b\n").unwrap();
        assert!(
            Tokens::read(&path)
                .unwrap_err()
                .to_string()
                .contains("line 1")
        );
    }
}
