//! How readiness is written: "auto", "notify", "sdk", "delay(2s)".

use std::{fmt, str::FromStr};

use super::{app::Readiness, errors::Wrong, units};

impl FromStr for Readiness {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text.trim() {
            "auto" => return Ok(Self::Auto),
            "notify" => return Ok(Self::Notify),
            "sdk" => return Ok(Self::Sdk),
            _ => {}
        }
        let inside = text
            .trim()
            .strip_prefix("delay(")
            .and_then(|rest| rest.strip_suffix(')'));
        match inside {
            Some(delay) => units::duration(delay).map(Self::Delay),
            None => Err(Wrong::new(
                format!("{text:?} is not a way to be ready"),
                "use \"auto\", \"notify\", \"sdk\" or \"delay(2s)\"",
            )),
        }
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Notify => f.write_str("notify"),
            Self::Sdk => f.write_str("sdk"),
            Self::Delay(delay) => write!(f, "delay({})", units::exact(*delay)),
        }
    }
}
