//! What has been, for whoever comes later: the fleet's own news.

use super::*;

/// The `seq` and the slot of each line.
fn told(text: &str) -> Vec<(u64, String, u64)> {
    let event = |line: &str| -> (u64, String, u64) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["history"], true, "{line}");
        let topic = line["topic"].as_str().unwrap().to_owned();
        let slot = line["payload"]["worker"]["slot"].as_u64().unwrap();
        (line["seq"].as_u64().unwrap(), topic, slot)
    };
    text.lines().map(event).collect()
}

#[tokio::test]
async fn tail_since_a_number_begins_with_the_lives_of_workers_before_it_came() {
    let fleet = Fleet::ready(PROGRAMS.habit(2, &["notify", "0"]).ready("notify"), 2).await;
    let tail = |since: u64, count: &str| {
        let since = since.to_string();
        let args = ["worker.*", "--since-seq", &since, "--count", count];
        fleet.ostler(["tail"]).args(args)
    };
    let all = told(&tail(0, "6").success().await.stdout);
    let story: Vec<(&str, u64)> = all.iter().map(|(_, t, s)| (t.as_str(), *s)).collect();
    for slot in [0, 1] {
        let of: Vec<&str> = story.iter().filter(|e| e.1 == slot).map(|e| e.0).collect();
        assert_eq!(of.len(), 3, "{story:?}");
        assert_eq!(of[0], "worker.spawned", "{story:?}");
        assert!(of.contains(&"worker.online") && of.contains(&"worker.ready"));
    }
    assert!(all.is_sorted_by_key(|(seq, ..)| *seq), "{all:?}");
    let later = told(&tail(all[3].0, "2").success().await.stdout);
    assert_eq!(later, all[4..]);
}
