//! Each promise, kept and broken.

use super::*;

const NONE: [u8; 0] = [];

fn id(text: &str) -> Arc<str> {
    Arc::from(text)
}

fn numbers(facts: Vec<Fact>) -> Vec<u8> {
    let mut audit = Audit::new();
    for fact in facts {
        audit.saw(fact);
    }
    audit.finish().iter().map(|violation| violation.invariant.number()).collect()
}

fn admitted() -> Fact {
    Fact::Admitted { job: id("j") }
}

fn ended(status: &str, result: u64) -> Fact {
    Fact::Ended { job: id("j"), status: id(status), result }
}

fn delivered(event: &str, body: u64) -> Fact {
    Fact::Delivered { job: id("j"), id: id(event), body }
}

fn effect(key: &str, class: Class) -> Fact {
    Fact::Effect { call: id("c"), key: id(key), class }
}

fn told(epoch: i64, seq: u64, covers: Option<u64>) -> Fact {
    Fact::Told { thread: id("t"), epoch, seq, covers }
}

fn journalled(epoch: i64, first: u64, last: u64, covers: Option<u64>) -> Fact {
    Fact::Journalled { thread: id("t"), epoch, first, last, covers }
}

fn checkpoint(name: &str, parent: Option<&str>, step: i64) -> Fact {
    let (thread, ns, job) = (id("t"), id(""), id("j"));
    Fact::Checkpoint { thread, ns, job, id: id(name), parent: parent.map(id), step }
}

fn committed(epoch: i64) -> Fact {
    Fact::Committed { thread: id("t"), epoch }
}

#[test]
fn a_job_that_ends_once_and_tells_it_often_is_well() {
    let told_twice = vec![admitted(), ended("completed", 1), delivered("e", 7), delivered("e", 7)];
    assert_eq!(numbers(told_twice), NONE);
}

#[test]
fn lost_changed_and_contradictory_ends_are_found() {
    assert_eq!(numbers(vec![admitted()]), [1]);
    let changed = vec![ended("failed", 1), ended("completed", 2), delivered("e", 7)];
    assert_eq!(numbers(changed), [2]);
    let two = vec![ended("completed", 1), delivered("e", 7), delivered("e", 8)];
    assert_eq!(numbers(two), [7]);
    assert_eq!(numbers(vec![ended("completed", 1)]), [7], "no result");
    assert_eq!(numbers(vec![delivered("e", 7)]), [7], "a result before the end");
}

#[test]
fn stale_writes_repeated_steps_and_forks_are_found() {
    assert_eq!(numbers(vec![committed(1), committed(2), committed(2)]), NONE);
    assert_eq!(numbers(vec![committed(2), committed(1)]), [3]);
    let asked = |durable| Fact::Begun { thread: id("t"), step: id("main/1"), durable };
    assert_eq!(numbers(vec![asked(false), asked(false)]), NONE);
    assert_eq!(numbers(vec![asked(true)]), [3]);
    let chain = vec![checkpoint("a", None, 0), checkpoint("b", Some("a"), 1), checkpoint("b", Some("a"), 1)];
    assert_eq!(numbers(chain), NONE);
    let fork = vec![checkpoint("a", None, 0), checkpoint("b", Some("a"), 1), checkpoint("c", Some("a"), 2)];
    assert_eq!(numbers(fork), [4]);
    let twice = vec![checkpoint("a", None, 0), checkpoint("b", Some("a"), 1), checkpoint("c", Some("b"), 1)];
    assert_eq!(numbers(twice), [3]);
    assert_eq!(numbers(vec![checkpoint("b", Some("a"), 1)]), [4], "its parent is not there");
}

#[test]
fn effects_are_counted_by_their_class() {
    let fine = vec![
        effect("k", Class::AtMostOnce),
        effect("k", Class::Pure),
        effect("k", Class::Pure),
        effect("k", Class::Idempotent),
        effect("k", Class::Idempotent),
    ];
    assert_eq!(numbers(fine), NONE);
    assert_eq!(numbers(vec![effect("k", Class::AtMostOnce), effect("k", Class::AtMostOnce)]), [5]);
    assert_eq!(numbers(vec![effect("k", Class::Idempotent), effect("l", Class::Idempotent)]), [6]);
}

#[test]
fn an_early_ack_is_found() {
    let acked = |settled| Fact::Acked { job: id("j"), settled };
    assert_eq!(numbers(vec![acked(true)]), NONE);
    assert_eq!(numbers(vec![acked(false)]), [9]);
}

#[test]
fn holes_are_found_unless_something_accounts_for_them() {
    assert_eq!(numbers(vec![told(1, 1, None), told(1, 2, None), told(1, 1, None)]), [10]);
    assert_eq!(numbers(vec![told(1, 1, None), told(1, 3, None)]), [10]);
    assert_eq!(numbers(vec![told(1, 1, None), told(1, 9, Some(2)), told(1, 10, None)]), NONE);
    assert_eq!(
        numbers(vec![told(2, 9, None), told(1, 3, None), told(2, 10, None)]),
        NONE,
        "a zombie's event"
    );
    assert_eq!(numbers(vec![journalled(1, 1, 4, None), journalled(1, 5, 6, None)]), NONE);
    assert_eq!(numbers(vec![journalled(1, 1, 4, None), journalled(2, 1025, 1026, Some(3))]), NONE);
    assert_eq!(numbers(vec![journalled(1, 1, 4, None), journalled(2, 6, 7, None)]), [10]);
    assert_eq!(numbers(vec![journalled(2, 1, 4, None), journalled(1, 5, 6, None)]), [8]);
}

#[test]
fn what_is_left_over_is_found_and_a_secret_is_not_repeated() {
    assert_eq!(numbers(vec![Fact::Left { what: id("slots"), count: 0 }]), NONE);
    assert_eq!(numbers(vec![Fact::Left { what: id("slots"), count: 2 }]), [11]);
    let mut audit = Audit::new();
    audit.secret("sk-canary");
    audit.text("log", "nothing here");
    audit.text("log", "key=sk-canary");
    let found = audit.finish();
    assert_eq!(found.len(), 1);
    assert!(!found[0].to_string().contains("canary"), "{}", found[0]);
}

#[test]
fn what_never_happened_is_named() {
    let mut counts: std::collections::BTreeMap<_, _> = Sometimes::ALL.iter().map(|each| (*each, 1)).collect();
    assert!(Sometimes::missing(&counts).is_empty());
    counts.insert(Sometimes::Poison, 0);
    assert_eq!(Sometimes::missing(&counts), [Sometimes::Poison]);
}
