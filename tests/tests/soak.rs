//! The soak program, for a few seconds: it is sound, and finds nothing.

use ostler_tests::harness::{Cli, PATIENCE};

#[tokio::test]
async fn a_short_soak_accounts_for_every_event() {
    let soak = Cli::new(env!("CARGO_BIN_EXE_soak")).args(["--seconds", "3"]);
    let output = soak.within(PATIENCE * 5).success().await;
    assert!(output.stdout.contains("each handled"), "{}", output.stdout);
}
