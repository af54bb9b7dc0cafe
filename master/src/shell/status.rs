//! What a status says besides what the fleet knows: sockets, who takes their connections, and when a schedule comes next.
//! Threads that see to sockets are asked, and not waited for longer than a moment.

use std::time::{Duration, SystemTime};

use ostler_bus::vocab::status::{BalanceStatus, SocketStatus};
use tokio::sync::oneshot;

use super::workshop::Workshop;
use crate::{config::app::AppName, fleet::Snapshot, sockets::NOBODY_TAKES};

/// How long a status waits for a thread that sees to sockets, which is never long about anything.
const REPORT: Duration = Duration::from_millis(500);

impl Workshop {
    /// Adds to a snapshot what only the shell and its threads know, and sends it.
    pub(super) fn fill_in(&self, mut snapshot: Snapshot, to: oneshot::Sender<Snapshot>) {
        for app in &mut snapshot.apps {
            let sockets = self.sockets.status(&app.name).into_iter();
            app.sockets = sockets
                .map(|(id, socket)| SocketStatus {
                    accepts: self.accepts.status(id),
                    ..socket
                })
                .collect();
            let schedules = self.schedules.borrow();
            let schedule = schedules.iter().find(|(name, _)| name.as_str() == app.name);
            app.next_cron = schedule.and_then(|(_, it)| it.next_in_words(SystemTime::now()));
        }
        let (balances, shares) = (self.balancer.report(), self.groups.report());
        if balances.is_none() && shares.is_none() {
            // Whoever asked has gone.
            let _gone = to.send(snapshot);
            return;
        }
        tokio::spawn(async move {
            let (balances, shares) = tokio::join!(in_time(balances), in_time(shares));
            if balances.is_none() {
                let apps = snapshot.apps.iter_mut();
                apps.flat_map(|app| &mut app.sockets).for_each(not_asked);
            }
            for (served, balance) in balances.unwrap_or_default() {
                for socket in sockets(&mut snapshot, &served.app, &served.name) {
                    if !balance.workers.is_empty() {
                        take_over(socket, &balance);
                    }
                    socket.balance = Some(balance.clone());
                }
            }
            for report in shares.unwrap_or_default() {
                let its = sockets(&mut snapshot, &report.app, &report.name);
                for socket in its.filter(|socket| socket.slot == Some(report.slot)) {
                    socket.share = Some(report.share.clone());
                }
            }
            // Whoever asked has gone.
            let _gone = to.send(snapshot);
        });
    }
}

/// What a thread reports: nothing, if there is none; `None` if it doesn't in time.
async fn in_time<T>(report: Option<oneshot::Receiver<Vec<T>>>) -> Option<Vec<T>> {
    match report {
        Some(report) => {
            let report = tokio::time::timeout(REPORT, report).await;
            report.ok().map(Result::unwrap_or_default)
        }
        None => Some(Vec::new()),
    }
}

/// Whether workers take a socket's connections could not be found out: it is not said that none does.
fn not_asked(socket: &mut SocketStatus) {
    let meant = |why: &str| why.strip_suffix(NOBODY_TAKES).map(str::to_owned);
    if let Some(meant) = socket.why.as_deref().and_then(meant) {
        socket.mode = "unknown".into();
        socket.why = Some(format!(
            "{meant}the master's thread that hands connections over could not be asked in time"
        ));
    }
}

/// An app's sockets of this name.
fn sockets<'s>(
    snapshot: &'s mut Snapshot,
    app: &AppName,
    name: &str,
) -> impl Iterator<Item = &'s mut SocketStatus> {
    let apps = snapshot.apps.iter_mut();
    let its = apps.filter(move |its| its.name == app.as_str());
    let sockets = its.flat_map(|app| &mut app.sockets);
    sockets.filter(move |socket| socket.name == name)
}

/// The master accepts: that says more than what was declared.
fn take_over(socket: &mut SocketStatus, balance: &BalanceStatus) {
    let keeps_clients = balance.proxied.is_some();
    socket.mode = if keeps_clients { "sticky" } else { "balanced" }.into();
    socket.why = socket.why.take().and_then(|why| {
        why.starts_with("auto")
            .then(|| "auto: its workers take connections from the master".into())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(mode: &str, why: Option<String>) -> SocketStatus {
        SocketStatus {
            name: "http".into(),
            address: "127.0.0.1:80".into(),
            mode: mode.into(),
            why,
            slot: None,
            passed_as: None,
            queue: None,
            balance: None,
            asked_by: None,
            share: None,
            accepts: None,
        }
    }

    #[tokio::test]
    async fn a_thread_that_does_not_answer_is_told_from_none() {
        let (_stuck, report) = oneshot::channel::<Vec<u8>>();
        assert_eq!(in_time(Some(report)).await, None);
        let (answers, report) = oneshot::channel();
        answers.send(vec![1]).expect("heard");
        assert_eq!(in_time(Some(report)).await, Some(vec![1]));
        assert_eq!(in_time::<u8>(None).await, Some(Vec::new()));
    }

    #[test]
    fn what_could_not_be_asked_is_not_said_to_be_shared() {
        let mut auto = socket("shared", Some(format!("auto: {NOBODY_TAKES}")));
        not_asked(&mut auto);
        assert_eq!(auto.mode, "unknown");
        let why =
            "auto: the master's thread that hands connections over could not be asked in time";
        assert_eq!(auto.why.as_deref(), Some(why));
        for mode in ["shared", "slot"] {
            let mut known = socket(mode, None);
            not_asked(&mut known);
            assert_eq!(known, socket(mode, None));
        }
    }
}
