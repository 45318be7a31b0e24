//! Which known name was probably meant by one that is not known.

/// The known name that differs from this one by its case, its separators, or a slip or two.
pub(super) fn meant<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = plain(name);
    if plain.len() < 3 || plain.len() > 64 {
        return None;
    }
    let allowed = if plain.len() < 6 { 1 } else { 2 };
    known
        .iter()
        .map(|known| (distance(&plain, &self::plain(known)), *known))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

fn plain(name: &str) -> Vec<char> {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// How many letters must be changed, added or removed.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut above: Vec<usize> = (0..=right.len()).collect();
    for (row, letter) in left.iter().enumerate() {
        let mut line = Vec::with_capacity(above.len());
        let mut before = row + 1;
        line.push(before);
        for ((other, diagonal), up) in right.iter().zip(&above).zip(above.iter().skip(1)) {
            before = (diagonal + usize::from(letter != other)).min(up + 1).min(before + 1);
            line.push(before);
        }
        above = line;
    }
    above.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        let known = ["system_prompt", "tools", "model", "description"];
        for (name, expected) in [
            ("systemPrompt", Some("system_prompt")),
            ("system-promt", Some("system_prompt")),
            ("tool", Some("tools")),
            ("Model", Some("model")),
            ("desciption", Some("description")),
            ("temperature", None),
            ("id", None),
        ] {
            assert_eq!(meant(name, &known), expected, "{name}");
        }
    }
}
