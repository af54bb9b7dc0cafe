//! New rules for a hub that runs: they hold for the next frame, and for subscriptions that stand.

use std::time::Instant;

use super::Core;
use crate::{
    Pattern,
    hub::{Action, Rules, Subject, authorize},
    wire::control::RefusalKind,
};

impl Core {
    /// Takes new rules. A subscription that they deny stays, hears nothing more, and is told so.
    pub(crate) fn set_rules(&mut self, now: Instant, rules: Rules) {
        self.now = now;
        self.rules = rules;
        self.rules_changed = true;
        self.routes.outdate_all();
        for (id, pattern, reason) in self.denied_subscriptions() {
            self.refuse_unasked(id, pattern.as_str(), RefusalKind::Denied, reason);
        }
    }

    fn denied_subscriptions(&self) -> Vec<(u64, Pattern, String)> {
        let mut denied = Vec::new();
        for (id, conn) in &self.conns {
            let Some(peer) = conn.peer() else { continue };
            for sub in conn.subs.values() {
                let action = match sub.serve {
                    true => Action::Serve,
                    false => Action::Subscribe,
                };
                let subject = match sub.pattern.exact() {
                    Some(topic) => Subject::Topic(topic),
                    None => Subject::Pattern(&sub.pattern),
                };
                if let Err(reason) = authorize(&self.rules, &peer.principal, action, subject) {
                    denied.push((*id, sub.pattern.clone(), reason));
                }
            }
        }
        denied
    }
}
