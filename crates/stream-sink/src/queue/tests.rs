use bytes::Bytes;

use super::*;
use crate::EventKind;

fn event(thread: &str, seq: u64, size: usize) -> SinkEvent {
    SinkEvent {
        thread_id: Arc::from(thread),
        seq,
        payload: Bytes::from(vec![b'x'; size]),
        kind: if seq.is_multiple_of(2) { EventKind::LlmStream } else { EventKind::StateUpdate },
    }
}

fn queue(events: usize, bytes: usize) -> Queue {
    Queue::new(QueueLimits { events, bytes })
}

/// `a:1 a:[2-4] b:7`
fn shown(batch: &[Burst]) -> String {
    let mut words = Vec::new();
    for burst in batch {
        for entry in &burst.entries {
            words.push(match entry {
                Entry::Event(event) => format!("{}:{}", burst.thread, event.seq),
                Entry::Gap { from, to } => format!("{}:[{from}-{to}]", burst.thread),
            });
        }
    }
    words.join(" ")
}

fn all(queue: &mut Queue) -> String {
    let taken = shown(&queue.take(usize::MAX, usize::MAX));
    assert!(queue.is_empty());
    assert_eq!((queue.entries, queue.bytes), (0, 0), "an empty queue weighs nothing");
    taken
}

#[test]
fn a_batch_has_the_events_of_a_thread_together_and_in_order() {
    let mut queue = queue(100, 1 << 20);
    for (thread, seq) in [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("a", 3)] {
        assert_eq!(queue.push(event(thread, seq, 10)), 0);
    }
    assert_eq!(all(&mut queue), "a:1 a:2 a:3 b:1 b:2");
}

#[test]
fn the_oldest_of_the_thread_is_dropped_and_a_gap_stands_there() {
    let mut queue = queue(4, 1 << 20);
    let mut dropped = 0;
    for seq in 1..=9 {
        dropped += queue.push(event("a", seq, 10));
    }
    assert_eq!(dropped, 6);
    assert_eq!(all(&mut queue), "a:[1-6] a:7 a:8 a:9");
}

#[test]
fn bytes_are_bounded_like_events() {
    let mut queue = queue(1000, 10 * (1000 + OVERHEAD));
    for seq in 1..=50 {
        queue.push(event("a", seq, 1000));
        assert!(queue.bytes <= queue.limits.bytes, "{} bytes at {seq}", queue.bytes);
    }
    assert_eq!(all(&mut queue).split(' ').next(), Some("a:[1-41]"));
}

#[test]
fn an_event_larger_than_all_room_becomes_a_gap() {
    let mut queue = queue(10, 500);
    assert_eq!(queue.push(event("a", 1, 5000)), 1);
    assert_eq!(all(&mut queue), "a:[1-1]");
}

#[test]
fn a_new_thread_takes_the_room_of_the_one_that_waited_longest() {
    let mut queue = queue(3, 1 << 20);
    for seq in 1..=3 {
        queue.push(event("old", seq, 10));
    }
    queue.push(event("new", 1, 10));
    assert_eq!(all(&mut queue), "old:[1-2] old:3 new:1");
}

#[test]
fn hours_without_a_backend_leave_no_more_than_the_limit() {
    let mut queue = queue(50, 1 << 20);
    for job in 0..10_000 {
        for seq in 1..=7 {
            queue.push(event(&format!("job-{job}"), seq, 300));
            assert!(queue.entries <= 50 && queue.lines.len() <= 50 && queue.order.len() <= 50);
        }
    }
    let end = all(&mut queue);
    assert!(end.ends_with("job-9999:7"), "{end}");
}

#[test]
fn a_batch_is_bounded_and_the_rest_waits_its_turn() {
    let mut queue = queue(100, 1 << 20);
    for seq in 1..=5 {
        queue.push(event("a", seq, 10));
    }
    queue.push(event("b", 1, 10));
    assert_eq!(shown(&queue.take(3, usize::MAX)), "a:1 a:2 a:3");
    assert_eq!(shown(&queue.take(3, 1)), "b:1", "one entry whatever it weighs; then other threads first");
    assert_eq!(all(&mut queue), "a:4 a:5");
}

#[test]
fn what_was_put_back_leaves_before_what_came_since() {
    let mut queue = queue(100, 1 << 20);
    for seq in 1..=5 {
        queue.push(event("a", seq, 10));
    }
    let batch = queue.take(4, usize::MAX);
    queue.push(event("a", 6, 10));
    queue.push(event("b", 1, 10));

    assert_eq!(queue.put_back(batch, |event| event.kind.may_repeat()), 2);

    assert_eq!(all(&mut queue), "a:1 a:[2-2] a:3 a:[4-4] a:5 a:6 b:1");
}

#[test]
fn gaps_side_by_side_become_one() {
    let mut queue = queue(100, 1 << 20);
    for seq in 1..=6 {
        queue.push(event("a", seq, 10));
    }
    let batch = queue.take(3, usize::MAX);
    queue.put_back(batch, |_| false);
    let batch = queue.take(2, usize::MAX);
    assert_eq!(shown(&batch), "a:[1-3] a:4");
    queue.put_back(batch, |_| false);
    assert_eq!(all(&mut queue), "a:[1-4] a:5 a:6");
}

#[test]
fn a_put_back_over_the_limit_drops_the_oldest_first() {
    let mut queue = queue(4, 1 << 20);
    for seq in 1..=4 {
        queue.push(event("a", seq, 10));
    }
    let batch = queue.take(4, usize::MAX);
    for seq in 5..=8 {
        queue.push(event("a", seq, 10));
    }
    queue.put_back(batch, |_| true);
    assert_eq!(all(&mut queue), "a:[1-5] a:6 a:7 a:8");
}

#[test]
fn a_gap_between_events_joins_the_one_that_grows_towards_it() {
    let mut queue = queue(4, 1 << 20);
    for seq in 1..=4 {
        queue.push(event("a", seq, 10));
    }
    let batch = queue.take(3, usize::MAX);
    queue.put_back(batch, |event| event.seq != 2);
    queue.push(event("a", 5, 10));
    assert_eq!(all(&mut queue), "a:[1-2] a:3 a:4 a:5");
}
