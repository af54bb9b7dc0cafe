//! The simulation is itself tested: each of these faults of the core is noticed.

use super::history::live;
use crate::fleet::mutation::Mutation;

/// The simulation must notice this fault within so many histories.
fn noticed(mutation: Mutation, within: u64, how: &[&str]) {
    let broken = (0..within).find_map(|seed| live(seed, Some(mutation), false).err());
    let broken =
        broken.unwrap_or_else(|| panic!("{mutation:?} went unnoticed for {within} histories"));
    assert!(
        how.iter().any(|how| broken.contains(how)),
        "{mutation:?} was noticed by something else: {broken}"
    );
}

#[test]
fn a_forgotten_reply_is_noticed() {
    noticed(Mutation::ForgetReply, 100, &["was not answered"]);
}

#[test]
fn a_worker_too_many_is_noticed() {
    noticed(Mutation::OneTooMany, 20, &["beyond the size"]);
}

#[test]
fn a_request_merged_into_the_running_update_is_noticed() {
    noticed(Mutation::MergeIntoRunning, 200, &["the last version is"]);
}

#[test]
fn a_stale_exit_taken_for_the_holders_is_noticed() {
    noticed(
        Mutation::TrustStaleExit,
        200,
        &["two current workers", "instances", "have not ended"],
    );
}

#[test]
fn a_hang_overlooked_is_noticed() {
    noticed(
        Mutation::OverlookHang,
        200,
        &["has hung", "wants to be woken"],
    );
}

#[test]
fn a_pause_overlooked_is_noticed() {
    let how = &["that lives was taken", "that had time was taken"];
    noticed(Mutation::OverlookPause, 400, how);
}

#[test]
fn a_rollback_that_is_left_out_is_noticed() {
    noticed(Mutation::NeverGoBack, 200, &["rolling back", "out of turn"]);
}

#[test]
fn workers_that_are_there_together_and_must_not_be_are_noticed() {
    noticed(Mutation::CrowdSlots, 200, &["still"]);
}

#[test]
fn too_many_missing_are_noticed() {
    noticed(Mutation::SpendTooMuch, 200, &["may be", "drain at once"]);
}

#[test]
fn an_app_that_does_not_wait_for_its_turn_is_noticed() {
    let how = &["begins", "before the last has gone"];
    noticed(Mutation::IgnoreOrder, 100, how);
}

#[test]
fn a_restart_that_does_not_wait_for_the_last_is_noticed() {
    let how = &["before the last has gone", "was not told to go"];
    noticed(Mutation::RestartAtOnce, 100, how);
}

#[test]
fn a_stop_that_does_not_wait_for_its_command_is_noticed() {
    noticed(
        Mutation::StopBeforeHook,
        100,
        &["before its before_stop has ended"],
    );
}

#[test]
fn a_start_that_goes_on_although_nobody_wants_it_is_noticed() {
    noticed(Mutation::StartOnRegardless, 100, &["was not called off"]);
}

#[test]
fn a_budget_ignored_is_noticed() {
    noticed(
        Mutation::IgnoreBudget,
        100,
        &["are missing", "drain at once"],
    );
}

#[test]
fn a_back_off_never_left_is_noticed() {
    noticed(Mutation::NeverLeaveBackoff, 100, &["wants to be woken"]);
}
