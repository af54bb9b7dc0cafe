//! The hub's network door: tokens, roles, and what a stranger costs.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
};

use super::*;
use crate::{
    client::{Bus, ConnectError, ConnectOptions},
    hub::Tokens,
    transport::TcpTransport,
    wire::hello::Kind,
};

const OPERATOR: &str = "0123456789abcdef0123456789abcdef";
const OBSERVER: &str = "fedcba9876543210fedcba9876543210";

fn tokens() -> Tokens {
    Tokens::parse(&format!(
        "operator deploy {OPERATOR}\nobserver screen {OBSERVER}"
    ))
    .unwrap()
}

fn open(limits: Limits) -> (Hub, Notices, SocketAddr) {
    let (hub, notices) = start_with(limits);
    hub.set_tokens(tokens()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    hub.listen_tcp(listener).unwrap();
    (hub, notices, address)
}

fn quick() -> Limits {
    Limits {
        denial_delay: Duration::from_millis(20),
        ..Limits::default()
    }
}

async fn connect(
    address: SocketAddr,
    kind: Kind,
    token: Option<&str>,
) -> Result<Bus, ConnectError> {
    let options = ConnectOptions {
        token: token.map(str::to_owned),
        ..ConnectOptions::new(kind, "cli")
    };
    Bus::connect(TcpTransport::new(address.to_string()), options).await
}

fn denied(outcome: Result<Bus, ConnectError>) -> String {
    match outcome {
        Err(ConnectError::Denied { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_token_lets_in_as_its_role_and_stamps_its_name() {
    let (_hub, mut notices, address) = open(quick());
    wait(async {
        let bus = connect(address, Kind::Operator, Some(OPERATOR))
            .await
            .unwrap();
        let screen = connect(address, Kind::Observer, Some(OBSERVER))
            .await
            .unwrap();
        let mut heard = screen.subscribe_raw("x").await.unwrap();
        assert_eq!(bus.emit_json("x", &serde_json::json!(1)).await, Ok(()));
        let delivery = futures::StreamExt::next(&mut heard).await;
        assert!(delivery.is_some(), "it came through");
        for (kind, token, word) in [
            (Kind::Client, Some(OBSERVER), "more than observer"),
            (Kind::Worker, Some(OPERATOR), "connect as a client"),
            (
                Kind::Client,
                Some(&OPERATOR[1..]),
                "doesn't know this token (1 wrong",
            ),
            (Kind::Client, Some(""), "doesn't know this token (2 wrong"),
            (Kind::Client, None, "shows a token"),
        ] {
            let reason = denied(connect(address, kind, token).await);
            assert!(reason.contains(word), "{word:?} in {reason:?}");
        }
    });
    let seen = notice(&mut notices, |n| matches!(n, HubNotice::Connected { .. }));
    let deploy = Principal::Operator {
        name: "deploy/cli".into(),
    };
    assert!(matches!(seen, HubNotice::Connected { principal, .. } if principal == deploy));
}

#[test]
fn a_wrong_token_is_answered_late() {
    let (_hub, _notices, address) = open(Limits {
        denial_delay: Duration::from_millis(300),
        ..Limits::default()
    });
    let begun = Instant::now();
    let wrong = wait(connect(address, Kind::Client, Some("wrong")));
    assert!(denied(wrong).contains("doesn't know"));
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn who_came_by_a_token_that_is_taken_back_goes() {
    let (hub, mut notices, address) = open(quick());
    wait(async {
        let deploy = connect(address, Kind::Operator, Some(OPERATOR))
            .await
            .unwrap();
        let screen = connect(address, Kind::Observer, Some(OBSERVER))
            .await
            .unwrap();
        let fewer = Tokens::parse(&format!(
            "client deploy {OPERATOR}\nobserver screen {OBSERVER}"
        ))
        .unwrap();
        hub.set_tokens(fewer).unwrap();
        let why = deploy.closed().await.to_string();
        assert!(why.contains("good no longer"), "{why}");
        assert!(connect(address, Kind::Client, Some(OPERATOR)).await.is_ok());
        assert_eq!(
            *screen.state().borrow(),
            crate::client::ConnectionState::Connected
        );
    });
    // They hold after a panic as well.
    hub.panic();
    notice(&mut notices, |n| matches!(n, HubNotice::Restarted { .. }));
    wait(async {
        denied(connect(address, Kind::Operator, Some(OPERATOR)).await);
        assert!(connect(address, Kind::Client, Some(OPERATOR)).await.is_ok());
    });
}

#[test]
fn without_tls_the_door_is_on_this_machine_only() {
    let (hub, _notices) = start();
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let error = hub.listen_tcp(listener).unwrap_err();
    assert!(error.to_string().contains("needs TLS"), "{error}");
}

#[test]
fn without_tokens_nobody_comes_in() {
    let (hub, _notices, address) = open(quick());
    hub.set_tokens(Tokens::default()).unwrap();
    denied(wait(connect(address, Kind::Observer, Some(OBSERVER))));
}

#[test]
fn strangers_beyond_their_number_wait_outside() {
    let (_hub, _notices, address) = open(Limits {
        greetings: 1,
        ..quick()
    });
    let stranger = TcpStream::connect(address).unwrap();
    let mut second = TcpStream::connect(address).unwrap();
    let hello = hello_with(&serde_json::json!({
        "magic": "ostler", "proto": [1, 1], "codecs": ["json"], "kind": "observer", "token": OBSERVER
    }));
    second.write_all(&hello).unwrap();
    second
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let mut byte = [0];
    assert!(second.read(&mut byte).is_err(), "it is not looked at yet");
    drop(stranger);
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    second.read_exact(&mut byte).unwrap();
    // Who is in takes no stranger's place.
    assert!(wait(connect(address, Kind::Observer, Some(OBSERVER))).is_ok());
}

#[test]
fn a_silent_stranger_is_sent_away() {
    let (_hub, mut notices, address) = open(Limits {
        hello_timeout: Duration::from_millis(50),
        ..quick()
    });
    let mut silent = TcpStream::connect(address).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut all = Vec::new();
    silent.read_to_end(&mut all).unwrap();
    assert!(String::from_utf8_lossy(&all).contains("no HELLO within"));
    notice(&mut notices, |n| matches!(n, HubNotice::TurnedAway { .. }));
}

#[test]
fn nothing_a_stranger_says_beside_its_hello_is_heard() {
    let (_hub, _notices, address) = open(quick());
    let mut stranger = TcpStream::connect(address).unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    let wrong = hello_with(&serde_json::json!({
        "magic": "ostler", "proto": [1, 1], "codecs": ["postcard"], "kind": "operator", "token": "wrong"
    }));
    let right = hello_with(&serde_json::json!({
        "magic": "ostler", "proto": [1, 1], "codecs": ["postcard"], "kind": "operator", "token": OPERATOR
    }));
    stranger
        .write_all(&[wrong, right, emit("x", b"1")].concat())
        .unwrap();
    let mut all = Vec::new();
    stranger.read_to_end(&mut all).unwrap();
    let told = String::from_utf8_lossy(&all);
    assert!(
        told.contains("Closing") && !told.contains("\"hub\""),
        "{told}"
    );
}

#[cfg(feature = "tls")]
mod tls {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;
    use crate::{hub::TlsServer, transport::TlsClient};

    /// An authority with a certificate for 127.0.0.1 and one for a client, as files.
    struct Papers {
        dir: tempfile::TempDir,
    }

    impl Papers {
        fn new() -> Self {
            let papers = Self {
                dir: tempfile::tempdir().unwrap(),
            };
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            papers.write("ca.pem", &ca.pem());
            for (name, host) in [("hub", "127.0.0.1"), ("client", "someone")] {
                let key = KeyPair::generate().unwrap();
                let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
                let certificate = params.signed_by(&key, &ca).unwrap();
                papers.write(&format!("{name}.pem"), &certificate.pem());
                papers.write(&format!("{name}.key"), &key.serialize_pem());
            }
            papers
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.at(name), text).unwrap();
        }

        fn at(&self, name: &str) -> std::path::PathBuf {
            self.dir.path().join(name)
        }

        fn open(&self, client_ca: Option<&str>) -> (Hub, Notices, SocketAddr) {
            let (hub, notices) = start_with(quick());
            hub.set_tokens(tokens()).unwrap();
            // Every address of the machine: with TLS it may.
            let listener = TcpListener::bind("0.0.0.0:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            let ca = client_ca.map(|name| self.at(name));
            let tls =
                TlsServer::from_files(&self.at("hub.pem"), &self.at("hub.key"), ca.as_deref());
            hub.listen_tls(listener, tls.unwrap()).unwrap();
            (hub, notices, SocketAddr::from(([127, 0, 0, 1], port)))
        }

        fn client(&self, identity: Option<&str>) -> TlsClient {
            let files = identity.map(|name| {
                (
                    self.at(&format!("{name}.pem")),
                    self.at(&format!("{name}.key")),
                )
            });
            let files = files
                .as_ref()
                .map(|(cert, key)| (cert.as_path(), key.as_path()));
            TlsClient::from_files(&self.at("ca.pem"), files).unwrap()
        }
    }

    async fn connect(address: SocketAddr, tls: TlsClient) -> Result<Bus, ConnectError> {
        let options = ConnectOptions::operator("cli").token(OPERATOR);
        Bus::connect(TcpTransport::new(address.to_string()).tls(tls), options).await
    }

    #[test]
    fn events_large_and_small_pass_through_tls() {
        let papers = Papers::new();
        let (_hub, _notices, address) = papers.open(None);
        wait(async {
            let bus = connect(address, papers.client(None)).await.unwrap();
            let mut heard = bus.subscribe_raw("x").await.unwrap();
            let large = "x".repeat(900_000);
            for _ in 0..5 {
                bus.emit_json("x", &serde_json::json!(1)).await.unwrap();
                bus.emit_json("x", &serde_json::json!(large)).await.unwrap();
            }
            for _ in 0..10 {
                let delivery = futures::StreamExt::next(&mut heard).await;
                assert!(
                    matches!(delivery, Some(crate::client::Delivery::Event(_))),
                    "{delivery:?}"
                );
            }
        });
    }

    #[test]
    fn neither_end_trusts_a_stranger() {
        let (papers, others) = (Papers::new(), Papers::new());
        let (_hub, mut notices, address) = papers.open(None);
        wait(async {
            let error = connect(address, others.client(None)).await.unwrap_err();
            assert!(
                format!("{error:?}").contains("InvalidCertificate"),
                "{error:?}"
            );
            // Whoever speaks no TLS gets no word of the protocol.
            super::connect(address, Kind::Operator, Some(OPERATOR))
                .await
                .unwrap_err();
        });
        notice(
            &mut notices,
            |n| matches!(n, HubNotice::TurnedAway { reason } if reason.contains("no TLS")),
        );
        let (_hub, _notices, address) = papers.open(Some("ca.pem"));
        wait(async {
            assert!(
                connect(address, papers.client(None)).await.is_err(),
                "it must show a certificate"
            );
            assert!(
                connect(address, papers.client(Some("client")))
                    .await
                    .is_ok()
            );
        });
    }

    #[test]
    fn files_that_are_none_are_named() {
        let papers = Papers::new();
        papers.write("empty.pem", "");
        let none = TlsServer::from_files(&papers.at("empty.pem"), &papers.at("hub.key"), None);
        assert!(
            none.unwrap_err()
                .to_string()
                .contains("empty.pem: there is no certificate")
        );
        let other = TlsServer::from_files(&papers.at("hub.pem"), &papers.at("client.key"), None);
        assert!(other.unwrap_err().to_string().contains("hub.pem"));
        let missing = TlsClient::from_files(&papers.at("none.pem"), None).unwrap_err();
        assert!(missing.to_string().contains("none.pem"), "{missing}");
    }
}
