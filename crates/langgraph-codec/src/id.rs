//! Ids and names that LangGraph derives or orders by. Time and randomness come in as arguments.

use xxhash_rust::xxh3::xxh3_128;

/// Ticks of 100 ns between 1582-10-15 and 1970-01-01.
const GREGORIAN_OFFSET: u64 = 0x01B2_1DD2_1381_4000;
/// A UUID's time has 60 bits.
const TIME_MASK: u64 = (1 << 60) - 1;

/// A new checkpoint id: UUID version 6, whose text order is time order. It is greater than `after`
/// whatever the clock says, since the greatest id of a namespace is its head. `node` gives 48 random bits.
pub fn checkpoint_id(unix_nanos: u64, step: i64, node: u64, after: Option<&str>) -> String {
    let now = (unix_nanos / 100).saturating_add(GREGORIAN_OFFSET);
    let floor = after.and_then(uuid_bits).map(|bits| time_of(bits).saturating_add(1));
    let time = now.max(floor.unwrap_or(0)).min(TIME_MASK);
    let id = uuid6(time, step, node);
    match after {
        // Only an id that is no version 6 can still be greater: then its first twelve digits decide.
        Some(after) if id.as_str() <= after => {
            uuid6(((time >> 12) + 1).min(TIME_MASK >> 12) << 12, step, node)
        }
        Some(_) | None => id,
    }
}

fn uuid6(time: u64, step: i64, node: u64) -> String {
    let high = u128::from(time >> 12) << 80;
    let version_and_low = u128::from(0x6000 | (time & 0x0fff)) << 64;
    let label = u128::from(0x8000 | (step.cast_unsigned() & 0x3fff)) << 48;
    dashed(high | version_and_low | label | u128::from(node & 0xffff_ffff_ffff))
}

fn time_of(bits: u128) -> u64 {
    let high = u64::try_from(bits >> 80).unwrap_or(0);
    let low = u64::try_from((bits >> 64) & 0x0fff).unwrap_or(0);
    (high << 12) | low
}

/// The 128 bits of a UUID in its usual text form, or `None` for any other text.
fn uuid_bits(text: &str) -> Option<u128> {
    let mut bits = 0_u128;
    let mut digits = 0;
    for byte in text.bytes().filter(|byte| *byte != b'-') {
        bits = (bits << 4) | u128::from(char::from(byte).to_digit(16)?);
        digits += 1;
        if digits > 32 {
            return None;
        }
    }
    (digits == 32).then_some(bits)
}

fn dashed(bits: u128) -> String {
    let hex = format!("{bits:032x}");
    let mut text = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

/// The version after `max`, the greatest of all a checkpoint's versions (string order). `fraction` is a
/// fresh random number in [0, 1): it keeps apart the blobs of two branches that reach the same counter.
pub fn next_version(max: Option<&str>, fraction: f64) -> String {
    let counter = max.map_or(0, version_counter).saturating_add(1);
    format!("{counter:032}.{:0>16}", python_float(fraction))
}

/// The counter of a version: the integer before its first dot, 0 if there is none.
pub fn version_counter(version: &str) -> u64 {
    version.split('.').next().and_then(|counter| counter.parse().ok()).unwrap_or(0)
}

/// Python's shortest form of a float in [0, 1): as Rust's, but with two digits in the exponent.
fn python_float(fraction: f64) -> String {
    let fraction = if (0.0..1.0).contains(&fraction) { fraction } else { 0.5 };
    let text = format!("{fraction:?}");
    match text.split_once("e-") {
        Some((digits, exponent)) => format!("{digits}e-{exponent:0>2}"),
        None => text,
    }
}

/// Id of the task that runs `node` because its `triggers` were written. `checkpoint_id` is the checkpoint
/// that the super-step starts from, `step` that checkpoint's step + 1, `ns` empty for the root graph.
pub fn task_id_pull(checkpoint_id: &str, ns: &str, step: i64, node: &str, triggers: &[&str]) -> String {
    let mut sorted = triggers.to_vec();
    sorted.sort_unstable();
    task_id(checkpoint_id, ns, step, node, "__pregel_pull", &sorted)
}

/// Id of the task that handles the Send at position `index` of the channel `__pregel_tasks`.
pub fn task_id_push(checkpoint_id: &str, ns: &str, step: i64, node: &str, index: usize) -> String {
    task_id(checkpoint_id, ns, step, node, "__pregel_push", &[&index.to_string()])
}

fn task_id(checkpoint_id: &str, ns: &str, step: i64, node: &str, kind: &str, tail: &[&str]) -> String {
    let mut text = match uuid_bits(checkpoint_id) {
        Some(bits) => bits.to_be_bytes().to_vec(),
        // Python refuses such an id; any stable answer will do.
        None => checkpoint_id.as_bytes().to_vec(),
    };
    if !ns.is_empty() {
        text.extend_from_slice(ns.as_bytes());
        text.push(b'|');
    }
    text.extend_from_slice(node.as_bytes());
    text.extend_from_slice(step.to_string().as_bytes());
    text.extend_from_slice(node.as_bytes());
    text.extend_from_slice(kind.as_bytes());
    tail.iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
    dashed(xxh3_128(&text))
}

/// `task_path` of a task that a channel triggered.
pub fn task_path_pull(node: &str) -> String {
    format!("~__pregel_pull, {node}")
}

/// `task_path` of a task that a Send started.
pub fn task_path_push(index: usize) -> String {
    format!("~__pregel_push, {index:010}, 0000000000")
}

/// Namespace of the sub-graph that the task runs.
pub fn child_namespace(ns: &str, node: &str, task_id: &str) -> String {
    if ns.is_empty() { format!("{node}:{task_id}") } else { format!("{ns}|{node}:{task_id}") }
}

/// Id of an interrupt that the task raises when it has used `answers` answers already.
pub fn interrupt_id(ns: &str, node: &str, task_id: &str, answers: usize) -> String {
    let mut text = child_namespace(ns, node, task_id);
    if answers > 0 {
        text.push('|');
        text.push_str(&answers.to_string());
    }
    format!("{:032x}", xxh3_128(text.as_bytes()))
}
