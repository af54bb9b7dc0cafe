//! A worker that was started by itself: a hub of its own process stands in for the master's, with the same rules, so that
//! the app's own events still work.

use ostler_bus::{
    Generation, Limits, Slot, WorkerId,
    client::Bus,
    hub::{Hub, HubOptions, Principal},
    vocab::rules::{builtins, fleet_history, fleet_rules},
};

use crate::{Identity, StartError, inherited};

/// A hub, and this process as its only worker.
pub(crate) async fn stand_in() -> Result<(Bus, Identity, Hub), StartError> {
    let identity = Identity {
        app: app_name(),
        id: WorkerId(0),
        slot: Slot(0),
        generation: Generation(0),
    };
    let options = HubOptions {
        name: identity.app.clone(),
        limits: Limits::default(),
        rules: fleet_rules(),
        builtins: builtins(),
        history: fleet_history(),
    };
    let (hub, _nobody_reads) = Hub::start(options).map_err(StartError::System)?;
    let principal = Principal::Worker {
        app: identity.app.clone(),
        id: identity.id,
        slot: identity.slot,
        generation: identity.generation,
        pid: std::process::id(),
    };
    let transport = hub.attach_memory(principal).map_err(StartError::System)?;
    let bus = Bus::connect(transport, inherited::options(&identity))
        .await
        .map_err(StartError::Connect)?;
    tracing::info!("not started by Ostler: events stay within this process");
    Ok((bus, identity, hub))
}

/// The program's own name, as one topic token of at most 64 bytes.
fn app_name() -> String {
    let program = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .unwrap_or_else(|| "alone".into());
    token(&program)
}

fn token(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    name.chars()
        .map(|c| if fits(c) { c } else { '_' })
        .take(64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_program_has_a_name_that_is_a_token() {
        assert_eq!(token("my app.v2-é"), "my_app_v2-_");
        assert_eq!(token(&"x".repeat(100)).len(), 64);
    }
}
