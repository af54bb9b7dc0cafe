//! Lets peers in by path: the hub's own uid, and root.

use std::{
    io::{self, IoSlice},
    rc::Rc,
    time::Duration,
};

use tokio::net::{UnixListener, UnixStream};

use super::{core::Core, notice::HubNotice, principal::Admission, thread::Life};

/// How long to wait when the process has no descriptor left: one may be given back meanwhile.
const BREATH: Duration = Duration::from_millis(100);

/// Accepts peers for as long as the hub lives.
pub(super) async fn accept(life: Rc<Life>, listener: Rc<UnixListener>, admission: Admission) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match vet(&stream) {
                Ok(uid) => life.admit(stream, uid, admission),
                Err(reason) => turn_away(&life, &stream, reason),
            },
            // Out of descriptors or memory, or the peer gave up: the next one may do better.
            Err(error) => {
                tracing::warn!(%error, "a peer could not be let in");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

fn vet(stream: &UnixStream) -> Result<u32, String> {
    let own = rustix::process::geteuid().as_raw();
    let peer = stream
        .peer_cred()
        .map_err(|e| format!("the system doesn't say whose this connection is: {e}"))?
        .uid();
    judge(own, peer).map(|()| peer)
}

/// Whether a peer of uid `peer` may connect to a hub of uid `own`.
fn judge(own: u32, peer: u32) -> Result<(), String> {
    if peer == own || peer == 0 {
        return Ok(());
    }
    Err(format!(
        "this hub belongs to uid {own}, and uid {peer} may not connect: run the command as uid {own} or as root"
    ))
}

fn turn_away(life: &Life, stream: &UnixStream, reason: String) {
    let frame = Core::denial(reason.clone());
    let told: io::Result<usize> = stream.try_write_vectored(&[IoSlice::new(&frame)]);
    if let Err(error) = told {
        tracing::debug!(%error, "a peer that was turned away could not be told");
    }
    life.notices.send(HubNotice::TurnedAway { reason });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_uid_and_root_come_in() {
        assert_eq!(judge(1000, 1000), Ok(()));
        assert_eq!(judge(1000, 0), Ok(()));
        assert_eq!(judge(0, 0), Ok(()));
        let reason = judge(1000, 1001).unwrap_err();
        assert!(
            reason.contains("uid 1001") && reason.contains("run the command as uid 1000"),
            "{reason}"
        );
        assert!(judge(0, 1000).is_err());
    }
}
