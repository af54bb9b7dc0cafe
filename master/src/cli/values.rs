//! Arguments with a grammar of their own, as clap reads them.

use std::time::Duration;

use ostler_bus::vocab::control::ScaleTo;

use crate::{
    config::{app::AppName, errors::Wrong, settings::MOST_INSTANCES, units},
    home::MasterName,
};

pub(super) fn duration(text: &str) -> Result<Duration, Wrong> {
    units::duration(text)
}

/// Time between two looks; whoever looks too often measures the looking.
pub(super) fn interval(text: &str) -> Result<Duration, Wrong> {
    let interval = units::duration(text)?;
    match interval < Duration::from_millis(100) {
        true => Err(Wrong::new(
            format!("{text:?} is too short an interval"),
            "use \"100ms\" or longer",
        )),
        false => Ok(interval),
    }
}

pub(super) fn app_name(text: &str) -> Result<AppName, String> {
    AppName::new(text)
}

/// Which apps or workers; what the words mean is for the master to say.
pub(super) fn selector(text: &str) -> Result<String, String> {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"_-:/*?[]!,".contains(&b);
    match !text.is_empty() && text.bytes().all(known) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "{text:?} names no app: write APP, APP:SLOT, a worker's ID, NAMESPACE, a pattern with * and ?, or all"
        )),
    }
}

/// Several selectors as one; `None` if there is none.
pub(super) fn joined(selectors: &[String]) -> Option<String> {
    (!selectors.is_empty()).then(|| selectors.join(","))
}

/// An app, or one of its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The app.
    pub app: AppName,
    /// The slot; `None` is all.
    pub slot: Option<u32>,
}

/// `web`, `web:0`.
pub(super) fn target(text: &str) -> Result<Target, String> {
    let (app, slot) = match text.split_once(':') {
        Some((app, slot)) => (app, Some(slot)),
        None => (text, None),
    };
    let slot = slot.map(|slot| {
        let number = slot.parse();
        number.map_err(|_| format!("{slot:?} is not a slot: write a number, as in {app}:0"))
    });
    Ok(Target {
        app: AppName::new(app)?,
        slot: slot.transpose()?,
    })
}

pub(super) fn master_name(text: &str) -> Result<MasterName, Wrong> {
    MasterName::new(text)
}

/// A payload. The shell eats unquoted quotes: the commonest mistake gets its own words.
pub(super) fn json(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| {
        format!("not JSON: {error}; quote it for the shell, as in '{{\"id\": 1}}', and a string as '\"text\"'")
    })
}

/// `4`, `+2`, `-1`.
pub(super) fn scale(text: &str) -> Result<ScaleTo, Wrong> {
    let (make, digits): (fn(u32) -> ScaleTo, &str) = match text.split_at_checked(1) {
        Some(("+", digits)) => (ScaleTo::More, digits),
        Some(("-", digits)) => (ScaleTo::Fewer, digits),
        _ => (ScaleTo::Exactly, text),
    };
    // `u32` would take a second sign.
    let plain = digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse() {
        Ok(count) if plain && count <= MOST_INSTANCES => Ok(make(count)),
        _ => Err(Wrong::new(
            format!("{text:?} is not a number of workers"),
            format!("use N, +N or -N, up to {MOST_INSTANCES}"),
        )),
    }
}
