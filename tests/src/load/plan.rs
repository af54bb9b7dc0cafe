//! What a run shall do.

use std::{fmt, net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

use super::Answer;

/// Where requests go. Loopback only, by construction: a load generator pointed elsewhere is a weapon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    address: SocketAddr,
    path: String,
}

impl Target {
    /// A target.
    ///
    /// # Errors
    /// If the address is not loopback, or the path doesn't begin with `/` or has blanks or control characters.
    pub fn new(address: SocketAddr, path: &str) -> Result<Self, String> {
        if !address.ip().is_loopback() {
            return Err(format!("{address} is not a loopback address"));
        }
        let bad = |c: char| c.is_ascii_control() || c == ' ';
        if !path.starts_with('/') || path.contains(bad) {
            return Err(format!("{path:?} is not a path"));
        }
        let path = path.to_owned();
        Ok(Self { address, path })
    }

    /// Where to connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What to ask for.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }
}

impl FromStr for Target {
    type Err = String;

    /// `[http://]127.0.0.1:8080[/path]`, `[::1]:8080`, or `localhost:8080` (which is taken for 127.0.0.1).
    fn from_str(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix("http://").unwrap_or(text);
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        let host = match host.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => host.to_owned(),
        };
        let address = host
            .parse()
            .map_err(|_| format!("{text:?} is not http://ADDRESS:PORT[/PATH]"))?;
        Self::new(address, path)
    }
}

/// How connections are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connections {
    /// A new one for each request, which says `Connection: close`.
    New,
    /// Kept for the next request for as long as the server keeps it.
    KeepAlive,
}

/// When requests begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Each driver sends its next request when the last one has come to an end.
    Closed,
    /// So many a second, whatever the server does, as long as a driver is free ([`Plan::connections`] bounds what is in
    /// flight). A request that has to wait for a free driver is measured from when it was due.
    PerSecond(f64),
}

/// Looks at a complete answer with the expected status; an error says what is wrong with it.
pub type Check = Arc<dyn Fn(&Answer) -> Result<(), String> + Send + Sync>;

/// Finds in an answer what answers shall be counted by.
pub type By = Arc<dyn Fn(&Answer) -> Option<String> + Send + Sync>;

/// What a run shall do. Begin with [`Plan::new`] and change what matters.
#[derive(Clone)]
pub struct Plan {
    /// Where requests go.
    pub target: Target,
    /// Requests in flight at most, each with its own connection. Default 4.
    pub connections: usize,
    /// How connections are used. Default [`Connections::New`].
    pub mode: Connections,
    /// When requests begin. Default [`Pace::Closed`].
    pub pace: Pace,
    /// How many requests; `None` (the default) is as many as the time allows.
    pub requests: Option<u64>,
    /// No request begins later than this after the start. Default 60 s; at most [`Plan::MAX_DURATION`].
    pub duration: Duration,
    /// How long a request may take, connecting included. Default 5 s.
    pub timeout: Duration,
    /// The status that is right. Default 200.
    pub status: u16,
    /// Looks at the rest of the answer. Default: any is right.
    pub check: Option<Check>,
    /// What answers are counted by in [`super::Tally::by`]. Default: nothing.
    pub by: Option<By>,
}

impl Plan {
    /// No run is longer.
    pub const MAX_DURATION: Duration = Duration::from_secs(600);

    /// A plan with the defaults named at each field.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            connections: 4,
            mode: Connections::New,
            pace: Pace::Closed,
            requests: None,
            duration: Duration::from_secs(60),
            timeout: Duration::from_secs(5),
            status: 200,
            check: None,
            by: None,
        }
    }

    /// A plan for `address` and `/`.
    ///
    /// # Panics
    /// If the address is not loopback.
    #[must_use]
    pub fn to(address: SocketAddr) -> Self {
        Self::new(Target::new(address, "/").expect("a loopback address"))
    }

    /// Sets how many requests are in flight at most.
    #[must_use]
    pub fn connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Keeps connections for the next request.
    #[must_use]
    pub fn keep_alive(mut self) -> Self {
        self.mode = Connections::KeepAlive;
        self
    }

    /// Begins so many requests a second.
    #[must_use]
    pub fn per_second(mut self, rate: f64) -> Self {
        self.pace = Pace::PerSecond(rate);
        self
    }

    /// Ends after so many requests.
    #[must_use]
    pub fn requests(mut self, requests: u64) -> Self {
        self.requests = Some(requests);
        self
    }

    /// Begins no request later than this.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    /// Sets how long a request may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Requires `text` in each body.
    #[must_use]
    pub fn contains(self, text: &str) -> Self {
        let text = text.to_owned();
        self.check(move |answer| {
            let body = answer.text();
            if body.contains(&text) {
                return Ok(());
            }
            let shown: String = body.chars().take(200).collect();
            Err(format!("{shown:?} does not contain {text:?}"))
        })
    }

    /// Requires what a function requires.
    #[must_use]
    pub fn check(
        mut self,
        check: impl Fn(&Answer) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.check = Some(Arc::new(check));
        self
    }

    /// Counts answers by a field of their JSON body.
    #[must_use]
    pub fn by_field(mut self, field: &str) -> Self {
        let field = field.to_owned();
        self.by = Some(Arc::new(move |answer| {
            let body: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
            match body.get(&field)? {
                serde_json::Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            }
        }));
        self
    }

    /// What can't be run, in words.
    pub(super) fn refuse(&self) -> Result<(), String> {
        if self.connections == 0 || self.connections > 4096 {
            return Err(format!("{} connections: take 1 to 4096", self.connections));
        }
        if let Pace::PerSecond(rate) = self.pace
            && !(rate.is_finite() && rate > 0.0)
        {
            return Err(format!("{rate} requests a second: take a positive number"));
        }
        if self.duration > Self::MAX_DURATION {
            return Err(format!(
                "a run of {:?}: the longest is {:?}",
                self.duration,
                Self::MAX_DURATION
            ));
        }
        if self.timeout.is_zero() || self.timeout > Self::MAX_DURATION {
            return Err(format!("a timeout of {:?}", self.timeout));
        }
        Ok(())
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("target", &self.target)
            .field("connections", &self.connections)
            .field("mode", &self.mode)
            .field("pace", &self.pace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_loopback_only() {
        let target: Target = "http://localhost:80/a?b=c".parse().unwrap();
        assert_eq!(target.address().to_string(), "127.0.0.1:80");
        assert_eq!(target.path(), "/a?b=c");
        assert_eq!("[::1]:1".parse::<Target>().unwrap().path(), "/");
        for bad in [
            "192.0.2.1:80",
            "0.0.0.0:80",
            "[2001:db8::1]:80",
            "example.org:80",
            "127.0.0.1:80/a b",
        ] {
            assert!(bad.parse::<Target>().is_err(), "{bad}");
        }
    }

    #[test]
    fn plans_that_cannot_be_run_are_refused() {
        let plan = || Plan::to("127.0.0.1:1".parse().unwrap());
        assert_eq!(plan().refuse(), Ok(()));
        assert!(plan().connections(0).refuse().is_err());
        assert!(plan().per_second(0.0).refuse().is_err());
        assert!(plan().duration(Plan::MAX_DURATION * 2).refuse().is_err());
        assert!(plan().timeout(Duration::ZERO).refuse().is_err());
    }
}
