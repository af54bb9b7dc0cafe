//! What is said on standard error while a command follows a master that is away: once that it is, once that it is back.

use ostler_bus::client::{Bus, ConnectionState, Disconnected};

use super::bus_errors::gone;

/// Says that the connection was lost, once each time, until the command ends.
pub(super) async fn tell(bus: &Bus) {
    let mut state = bus.state();
    let mut told = false;
    loop {
        let lost = match &*state.borrow_and_update() {
            ConnectionState::Reconnecting { why, .. } => Some(why.clone()),
            ConnectionState::Connected | ConnectionState::Draining | ConnectionState::Closed(_) => {
                None
            }
        };
        if let Some(why) = lost.as_ref().filter(|_| !told) {
            eprintln!("{}", lost_line(why));
        }
        told = lost.is_some();
        if state.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Waits until there is a connection; `Err`: there will be none.
pub(super) async fn back(bus: &Bus) -> Result<(), Disconnected> {
    let mut state = bus.state();
    loop {
        match &*state.borrow_and_update() {
            ConnectionState::Connected => return Ok(()),
            ConnectionState::Closed(why) => return Err(why.clone()),
            ConnectionState::Reconnecting { .. } | ConnectionState::Draining => {}
        }
        if state.changed().await.is_err() {
            return Err(Disconnected::HungUp);
        }
    }
}

/// Whether there is a connection just now.
pub(super) fn is_away(bus: &Bus) -> bool {
    matches!(*bus.state().borrow(), ConnectionState::Reconnecting { .. })
}

/// Says that there is a connection again, and what was missed meanwhile: `None` if the hub doesn't know.
pub(super) fn tell_back(missed: Option<u64>) {
    eprintln!("{}", back_line(missed));
}

fn lost_line(why: &Disconnected) -> String {
    let error = gone(why);
    let because = error.causes.first();
    let because = because.map_or_else(String::new, |cause| format!(" ({cause})"));
    format!(
        "note: {}{because}; waiting for it to come back, until Ctrl-C",
        error.message
    )
}

fn back_line(missed: Option<u64>) -> String {
    let what = match missed {
        Some(0) => "nothing was missed".to_owned(),
        Some(1) => "1 event was missed".to_owned(),
        Some(missed) => format!("{missed} events were missed"),
        None => "it began anew, so how many events were missed is not known".to_owned(),
    };
    format!("note: the master is back: {what}")
}

#[cfg(test)]
mod tests {
    use ostler_bus::wire::control::CloseKind;

    use super::*;

    #[test]
    fn each_loss_and_each_return_is_one_line() {
        let stopped = Disconnected::Closed {
            kind: CloseKind::Stopping,
            reason: "bye".into(),
        };
        assert_eq!(
            lost_line(&stopped),
            "note: the master has stopped; waiting for it to come back, until Ctrl-C"
        );
        let lost = Disconnected::Lost {
            target: "/x".into(),
            error: "end of stream".into(),
        };
        assert_eq!(
            lost_line(&lost),
            "note: the master is gone: the connection to it was lost (end of stream); waiting for it to come back, until Ctrl-C"
        );
        let told = [Some(0), Some(1), Some(7), None].map(back_line);
        assert_eq!(told[0], "note: the master is back: nothing was missed");
        assert_eq!(told[1], "note: the master is back: 1 event was missed");
        assert_eq!(told[2], "note: the master is back: 7 events were missed");
        assert!(told[3].ends_with("is not known"), "{}", told[3]);
    }
}
