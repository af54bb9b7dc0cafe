//! How a connection ends without a loss that nobody tells of.

use super::*;

#[tokio::test]
async fn loss_of_the_master_is_told_in_band() {
    let fleet = answering("silent", 1).await;
    let mut heard = fleet.hear_raw(">").await;
    let asked = fleet.bus.request_within(&Double { number: 1 }, PATIENCE);
    let (asked, ()) = tokio::join!(asked, async {
        fleet.said("asked by").await;
        fleet.process.signal(Signal::KILL);
    });
    assert!(
        matches!(asked, Err(RequestError::Disconnected(_))),
        "{asked:?}"
    );
    loop {
        match heard.delivery().await {
            Delivery::Disconnected(why) => {
                break assert!(why.to_string().contains("lost"), "{why}");
            }
            Delivery::Event(_)
            | Delivery::Lagged { .. }
            | Delivery::Misfit { .. }
            | Delivery::Reconnected { .. } => {}
        }
    }
    let emitted = fleet.bus.emit(&rich()).await;
    assert!(
        matches!(emitted, Err(EmitError::Disconnected(_))),
        "{emitted:?}"
    );
    assert!(fleet.bus.subscribe_raw("x").await.is_err());
}

#[tokio::test]
async fn drain_before_exit_loses_no_event() {
    const COUNT: u64 = 10_000;
    let fleet = quiet().await;
    let mut heard = fleet.hear_raw(">").await;
    let socket = fleet.socket();
    // A runtime of its own that ends at once afterwards, as a short program's does.
    let program = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let transport = ostler_bus::transport::UnixTransport::new(socket);
            let bus = Bus::connect(transport, ConnectOptions::client("brief"))
                .await
                .unwrap();
            for number in 0..COUNT {
                bus.emit_json("brief", &number).await.unwrap();
            }
            bus.drain(PATIENCE).await.unwrap();
        });
    });
    for number in 0..COUNT {
        assert_eq!(
            heard.next().await.event.to_json().unwrap(),
            number.to_string()
        );
    }
    program.join().unwrap();
}
