//! Names that are almost ours.

use crate::env;

/// Names of others that are close to ours.
const FOREIGN: &[&str] = &["HTTP_PROXY"];

/// The name that was probably meant by `name`, if it is a near miss of one of ours.
pub(crate) fn meant(name: &str) -> Option<String> {
    // Short names are near to everything; and a slip seldom hits the first letters.
    if name.len() < 6 || FOREIGN.contains(&name) || env::knows(name) {
        return None;
    }
    let allowed = if name.len() < 9 { 1 } else { 2 };
    env::names()
        .filter(|known| known.len().abs_diff(name.len()) <= allowed && known.get(..3) == name.get(..3))
        .map(|known| (distance(name, &known), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, known)| known)
}

/// How many letters must be changed, added, removed or swapped with their neighbour (optimal string alignment).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut last = None;
    for (row, letter) in left.chars().enumerate() {
        let mut line = vec![row + 1];
        for (column, other) in right.iter().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX - 1);
            let same = usize::from(letter != *other);
            let mut best =
                (at(&above, column) + same).min(at(&above, column + 1) + 1).min(at(&line, column) + 1);
            let swapped = column
                .checked_sub(1)
                .is_some_and(|previous| last == Some(*other) && right.get(previous) == Some(&letter));
            if swapped {
                best = best.min(at(&before, column - 1) + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
        last = Some(letter);
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        for (name, wanted) in [
            ("POSTGRES_PASWORD", "POSTGRES_PASSWORD"),
            ("WORKER_CONCURENCY", "WORKER_CONCURRENCY"),
            ("NATS_STREAM_NAEM", "NATS_STREAM_NAME"),
            ("DRAGONFLY_HOTS", "DRAGONFLY_HOST"),
            ("POSTGRES_PASSWORD_FIEL", "POSTGRES_PASSWORD_FILE"),
        ] {
            assert_eq!(meant(name).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn foreign_and_right_names_are_no_slips() {
        for name in [
            "PATH",
            "HOSTNAME",
            "KUBERNETES_SERVICE_HOST",
            "POSTGRES_PORT_5432_TCP",
            "REDIS_SERVICE_PORT",
            "PGDATA",
            "POSTGRES_HOST",
            "HTTP_PROXY",
            "OPENAI_API_KEY_FILE",
            "AGENT_EXECUTOR_PORT_8080_TCP_ADDR",
        ] {
            assert_eq!(meant(name), None, "{name}");
        }
    }

    #[test]
    fn swapped_letters_are_one_slip() {
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
