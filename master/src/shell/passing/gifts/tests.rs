use super::*;

const A: WorkerId = WorkerId(1);
const B: WorkerId = WorkerId(2);

type Simple = Gifts<&'static str, &'static str>;

fn given() -> (Simple, String) {
    let mut gifts = Simple::default();
    let token = gifts.give(A, 7, "c", 42).expect("held");
    (gifts, token)
}

fn is_empty(gifts: &Simple) -> bool {
    gifts.gifts.is_empty() && gifts.lent.is_empty()
}

#[test]
fn what_is_taken_is_taken_once_and_its_giver_is_told() {
    let (mut gifts, token) = given();
    assert_eq!(gifts.take(B, 1, &token), Some(&"c"));
    assert_eq!(gifts.take(B, 2, &token), None, "lent");
    assert_eq!(gifts.took(B, 1), None);
    assert_eq!(gifts.take(B, 3, &token), None, "taken");
    let told = gifts.take_back(A, 7, "a");
    assert_eq!(told, Some(("a", 7, Fate::Taken)));
    assert!(is_empty(&gifts));
}

#[test]
fn what_nobody_took_is_its_givers_and_nobody_can_take_it_any_more() {
    let (mut gifts, token) = given();
    assert_eq!(gifts.take_back(A, 7, "a"), Some(("a", 7, Fate::Back)));
    assert_eq!(gifts.take(B, 1, &token), None);
    let told = gifts.take_back(A, 7, "again");
    assert_eq!(told, Some(("again", 7, Fate::Back)));
    assert!(is_empty(&gifts));
}

#[test]
fn while_it_is_lent_its_giver_waits_for_how_that_ends() {
    for (end, fate) in [
        (Simple::took as fn(&mut Simple, _, _) -> _, Fate::Taken),
        (Simple::refused, Fate::Back),
        (|gifts, taker, _| gifts.gone(taker).pop(), Fate::Back),
    ] {
        let (mut gifts, token) = given();
        assert!(gifts.take(B, 1, &token).is_some());
        assert_eq!(gifts.take_back(A, 7, "a"), None);
        assert_eq!(end(&mut gifts, B, 1), Some(("a", 7, fate)));
        assert!(is_empty(&gifts));
    }
}

#[test]
fn one_that_nobody_says_to_have_taken_is_its_takers_when_its_giver_has_waited_enough() {
    let (mut gifts, token) = given();
    assert_eq!(gifts.overdue(A, 7), None, "held");
    assert!(gifts.take(B, 1, &token).is_some());
    assert_eq!(gifts.overdue(A, 7), None, "nobody waits");
    assert_eq!(gifts.take_back(A, 7, "a"), None);
    assert_eq!(gifts.overdue(A, 7), Some(("a", 7, Fate::Taken)));
    assert_eq!(gifts.overdue(A, 7), None);
    assert!(is_empty(&gifts));
    // What is said of it now is too late.
    assert_eq!(gifts.took(B, 1), None);
    assert_eq!(gifts.refused(B, 1), None);
}

#[test]
fn what_was_refused_can_be_taken_by_another() {
    let (mut gifts, token) = given();
    assert!(gifts.take(B, 1, &token).is_some());
    assert_eq!(gifts.refused(B, 1), None);
    assert!(gifts.take(A, 1, &token).is_some(), "its giver may, too");
}

#[test]
fn whoever_ends_leaves_nothing_behind() {
    let (mut gifts, token) = given();
    assert!(gifts.take(B, 1, &token).is_some());
    assert!(gifts.gone(A).is_empty());
    assert_eq!(gifts.took(B, 1), None);
    assert!(is_empty(&gifts));
}

#[test]
fn tokens_can_t_be_guessed_and_gifts_are_bounded() {
    let (mut gifts, _) = given();
    for token in ["", "1-7", "1-7-0", "2-7-x", "1-7-2a", "x"] {
        assert_eq!(gifts.take(B, 1, token), None, "{token:?}");
    }
    assert_ne!(secret().expect("random"), secret().expect("random"));
    assert!(gifts.give(A, 7, "again", 1).is_err(), "the number is used");
    for number in 100..100 + MOST as u64 - 1 {
        gifts.give(A, number, "c", 1).expect("room");
    }
    assert!(gifts.give(A, 1, "one too many", 1).is_err());
    assert!(gifts.give(B, 1, "another's", 1).is_ok());
}
