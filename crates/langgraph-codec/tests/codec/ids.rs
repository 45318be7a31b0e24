//! Ids: the recorded ones again, and the order that LangGraph relies on.

use std::collections::BTreeSet;

use agent_langgraph_codec::{
    Metadata, checkpoint_id, child_namespace, interrupt_id, iso_timestamp, next_version, task_id_pull,
    task_id_push, task_path_pull, task_path_push, version_counter,
};
use proptest::prelude::*;
use serde_json::Value;

use crate::examples::all;

#[test]
fn every_recorded_task_id_follows_from_its_checkpoint() {
    let mut ids = BTreeSet::new();
    for example in all() {
        for write in &example.rows.writes {
            let own = write.task_id != "00000000-0000-0000-0000-000000000000";
            // Exit mode stores its history under made-up ids.
            if !own || example.name.starts_with("14") {
                continue;
            }
            let row =
                example.rows.checkpoints.iter().find(|row| row.checkpoint_id == write.checkpoint_id).unwrap();
            let step = Metadata::from_json(&row.metadata).unwrap().step + 1;
            let path = write.task_path.as_str();
            let (id, again) = if let Some(node) = path.strip_prefix("~__pregel_pull, ") {
                let trigger = if node == "__start__" { node.to_owned() } else { format!("branch:to:{node}") };
                (task_id_pull(&row.checkpoint_id, &row.ns, step, node, &[&trigger]), task_path_pull(node))
            } else {
                let at: usize = path.split(", ").nth(1).unwrap().parse().unwrap();
                (task_id_push(&row.checkpoint_id, &row.ns, step, "tools", at), task_path_push(at))
            };
            assert_eq!(id, write.task_id, "{path} of {}", example.name);
            assert_eq!(again, path);
            ids.insert(id);
        }
    }
    println!("{} task ids derived", ids.len());
    assert!(ids.is_empty() || ids.len() >= 200, "{}", ids.len());
}

#[test]
fn sub_agents_are_named_after_the_task_that_runs_them() {
    for example in all() {
        for row in example.rows.checkpoints.iter().filter(|row| !row.ns.is_empty()) {
            let task = row.ns.rsplit(':').next().unwrap();
            assert_eq!(*row.ns, child_namespace("", "tools", task));
            assert!(example.rows.writes.iter().any(|write| write.ns.is_empty() && write.task_id == task));
        }
    }
    assert_eq!(child_namespace("tools:a", "tools", "b"), "tools:a|tools:b");
}

#[test]
fn an_interrupt_is_named_after_its_task_and_the_answers_used() {
    let task = "7b1a8f6c-6447-9a02-4225-6ec2a623b321";
    let node = "HumanInTheLoopMiddleware.after_model";
    assert_eq!(interrupt_id("", node, task, 0), "9cbbb997c7f2b40565364a653b631f08");
    let second = interrupt_id("", "tools", "c1b67da6-aa39-4327-9922-a877b2a94128", 1);
    assert_eq!(second, "b5adb86f30ebe75239e0706c092388fa", "the tool that asked again");
}

#[test]
fn a_checkpoint_id_shows_its_step_and_node() {
    let id = checkpoint_id(1_700_000_000_000_000_000, -1, 0xdb4f_cd17_3915, None);
    assert_eq!(&id[14..15], "6");
    assert_eq!(&id[19..], "bfff-db4fcd173915");
    assert_eq!(&checkpoint_id(0, -2, 0, None)[19..23], "bffe");
    assert_eq!(&checkpoint_id(0, 2, u64::MAX, None)[19..], "8002-ffffffffffff");
}

#[test]
fn recorded_ids_and_timestamps_tell_the_same_time() {
    for example in all() {
        for row in &example.rows.checkpoints {
            let checkpoint: Value = serde_json::from_str(&row.checkpoint).unwrap();
            let ts = checkpoint["ts"].as_str().unwrap();
            let digits = row.checkpoint_id.replace('-', "");
            let ticks = u64::from_str_radix(&format!("{}{}", &digits[..12], &digits[13..16]), 16).unwrap();
            // Both were taken within the same millisecond or so: compare down to the second's tenths.
            let from_id = iso_timestamp((ticks - 0x01B2_1DD2_1381_4000) * 100);
            assert_eq!(ts[..18], from_id[..18], "{}", example.name);
        }
    }
}

#[test]
fn a_foreign_id_before_does_not_stop_the_order() {
    for after in ["ffffffff-0000-7000-8000-000000000000", "not an id", "1f1e746b-0b49-942a-8001-a5e310f8b39c"]
    {
        let id = checkpoint_id(0, 0, 0, Some(after));
        assert!(id.as_str() > after || after == "not an id", "{id} after {after}");
    }
}

#[test]
fn versions_count_on_from_the_greatest() {
    let first = next_version(None, 0.649_386_919_318_055_8);
    assert_eq!(first, "00000000000000000000000000000001.0.6493869193180558");
    assert_eq!(next_version(Some(&first), 0.5), "00000000000000000000000000000002.00000000000000.5");
    assert_eq!(next_version(None, 0.000_012_5), "00000000000000000000000000000001.000000001.25e-05");
    assert_eq!(next_version(None, 0.0), "00000000000000000000000000000001.00000000000000.0");
    assert_eq!((version_counter(&first), version_counter("7"), version_counter("x")), (1, 7, 0));
}

#[test]
fn timestamps_look_like_pythons() {
    assert_eq!(iso_timestamp(0), "1970-01-01T00:00:00+00:00");
    assert_eq!(iso_timestamp(951_782_400_000_000_000), "2000-02-29T00:00:00+00:00");
    assert_eq!(iso_timestamp(1_795_442_622_352_029_999), "2026-11-23T14:03:42.352029+00:00");
    assert_eq!(iso_timestamp(4_107_542_399_000_001_000), "2100-02-28T23:59:59.000001+00:00");
}

proptest! {
    #[test]
    fn ids_grow_whatever_the_clock_says(clocks in prop::collection::vec(any::<u64>(), 1..40), step in -2_i64..20_000) {
        let mut last = checkpoint_id(0, step, 0, None);
        for clock in clocks {
            let next = checkpoint_id(clock, step, clock, Some(&last));
            prop_assert!(next > last, "{} after {}", next, last);
            prop_assert_eq!(next.len(), 36);
            last = next;
        }
    }

    #[test]
    fn versions_grow_and_keep_their_shape(fractions in prop::collection::vec(0.0_f64..1.0, 1..40)) {
        let mut last: Option<String> = None;
        for fraction in fractions {
            let next = next_version(last.as_deref(), fraction);
            prop_assert!(last.as_deref() < Some(&next));
            prop_assert!(next.find('.') == Some(32) && next.len() >= 49);
            last = Some(next);
        }
    }
}
