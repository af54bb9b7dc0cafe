//! The keys that say how workers are replaced by an update.

use super::{faults, good};
use crate::config::app::update::{Canary, OnFailure, Share, Strategy, UpdateRules};

fn rules(keys: &str) -> UpdateRules {
    let mut file = good(&format!(
        "[defaults]\non_failure = \"rollback\"\n[app.a]\ncommand = \"a\"\n{keys}\n"
    ));
    file.apps.remove(0).update
}

#[test]
fn rules_as_they_are_written() {
    let expected = UpdateRules {
        strategy: Strategy::Replace,
        max_surge: Share::Count(1),
        max_unavailable: Some(Share::Percent(25)),
        canary: Canary {
            instances: Share::Percent(10),
            max_errors: Some(0.5),
            min_requests: 100,
        },
        on_failure: OnFailure::Rollback,
    };
    let keys = "strategy = \"replace\"\nmax_unavailable = \"25%\"\n\
                canary = { instances = \"10%\", max_errors = \"0.5%\", min_requests = 100 }";
    assert_eq!(rules(keys), expected);
    let canaries = |keys| rules(keys).canary.instances;
    assert_eq!(canaries("canary = 3"), Share::Count(3));
    assert_eq!(canaries(""), Share::Count(1));
}

#[test]
fn what_is_wrong_about_them_is_told_with_what_to_do() {
    for (keys, told) in [
        (
            "strategy = \"recreate\"",
            "use one of \"surge\", \"replace\", \"all_at_once\"",
        ),
        ("max_surge = \"101%\"", "from \"0%\" to \"100%\""),
        ("max_surge = \"two\"", "is no number of workers"),
        ("max_unavailable = -1", "out of range"),
        ("max_surge = 0", "both 0"),
        ("strategy = \"replace\"\nmax_unavailable = 0", "can't be 0"),
        ("canary = { max_errors = 5 }", "\"0.5%\""),
        ("canary = { max_errors = \"nan%\" }", "is no percentage"),
        ("canary = { count = 5 }", "did you mean `instances`?"),
        ("maxSurge = 1", "did you mean `max_surge`?"),
        ("on_failure = \"back\"", "\"keep_old\", \"rollback\""),
    ] {
        let errors = faults(&format!("[app.a]\ncommand = \"a\"\n{keys}\n")).join("\n");
        assert!(errors.contains(told), "{keys}: {errors}");
    }
}
