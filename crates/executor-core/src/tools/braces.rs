//! Brace expansion as in Bash: `{a,b}`, nested, with empty alternatives, and `{1..3}`, `{01..12}`, `{a..e..2}`.
//!
//! Escapes stay in the text. A group without comma and range is no group: `{a}` stays as it is.

use std::iter::once;

/// Most patterns that one may expand to.
const MOST: usize = 1000;

/// Most bytes of all of them together, so that a hostile pattern is refused and not built.
const MOST_BYTES: usize = 1 << 20;

/// Deepest nesting of groups; each level is a level of recursion.
const DEEPEST: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    TooMany,
    TooLarge,
}

/// All texts that a pattern stands for, in order, duplicates included.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, Refused> {
    if pattern.len() > MOST_BYTES {
        return Err(Refused::TooLarge);
    }
    if !pattern.contains('{') {
        return Ok(vec![pattern.to_owned()]);
    }
    let text: Vec<char> = pattern.chars().collect();
    let groups = groups(&text)?;
    Expansion { text: &text, groups: &groups }.part(0, text.len())
}

/// An opening brace that has its closing one.
#[derive(Debug, Clone, Default)]
struct Group {
    close: usize,
    commas: Vec<usize>,
}

/// The group that begins at each position, found in one pass.
fn groups(text: &[char]) -> Result<Vec<Option<Group>>, Refused> {
    let mut closed: Vec<Option<Group>> = vec![None; text.len()];
    // Position and commas of the open groups; `${` opens one that does not count.
    let mut open: Vec<(Option<usize>, Vec<usize>)> = Vec::new();
    let mut at = 0;
    while let Some(character) = text.get(at) {
        match character {
            '\\' => at += 1,
            '$' if text.get(at + 1) == Some(&'{') => {
                open.push((None, Vec::new()));
                at += 1;
            }
            '{' => open.push((Some(at), Vec::new())),
            ',' => {
                if let Some((_, commas)) = open.last_mut() {
                    commas.push(at);
                }
            }
            '}' => {
                if let Some((Some(start), commas)) = open.pop()
                    && let Some(slot) = closed.get_mut(start)
                {
                    *slot = Some(Group { close: at, commas });
                }
            }
            _ => {}
        }
        at += 1;
    }
    if nesting(&closed) > DEEPEST { Err(Refused::TooLarge) } else { Ok(closed) }
}

fn nesting(groups: &[Option<Group>]) -> usize {
    let mut ends: Vec<usize> = Vec::new();
    let mut deepest = 0;
    for (start, group) in groups.iter().enumerate() {
        while ends.last().is_some_and(|end| *end < start) {
            ends.pop();
        }
        if let Some(group) = group {
            ends.push(group.close);
            deepest = deepest.max(ends.len());
        }
    }
    deepest
}

struct Expansion<'a> {
    text: &'a [char],
    groups: &'a [Option<Group>],
}

impl Expansion<'_> {
    fn part(&self, start: usize, end: usize) -> Result<Vec<String>, Refused> {
        let mut texts = vec![String::new()];
        let mut literal = String::new();
        let mut at = start;
        while at < end {
            let Some(character) = self.text.get(at) else { break };
            if let Some(group) = self.groups.get(at).and_then(Option::as_ref)
                && let Some(alternatives) = self.alternatives(at, group)?
            {
                append(&mut texts, &[std::mem::take(&mut literal)])?;
                append(&mut texts, &alternatives)?;
                at = group.close + 1;
                continue;
            }
            literal.push(*character);
            if *character == '\\' {
                at += 1;
                literal.extend(self.text.get(at));
            }
            at += 1;
        }
        append(&mut texts, &[literal])?;
        Ok(texts)
    }

    fn alternatives(&self, open: usize, group: &Group) -> Result<Option<Vec<String>>, Refused> {
        if group.commas.is_empty() {
            let inner: String = self.text.get(open + 1..group.close).unwrap_or_default().iter().collect();
            return range(&inner);
        }
        let mut all = Vec::new();
        let mut start = open + 1;
        for end in group.commas.iter().copied().chain(once(group.close)) {
            all.extend(self.part(start, end)?);
            if all.len() > MOST {
                return Err(Refused::TooMany);
            }
            start = end + 1;
        }
        Ok(Some(all))
    }
}

/// Each text followed by each ending.
fn append(texts: &mut Vec<String>, endings: &[String]) -> Result<(), Refused> {
    let count = texts.len().saturating_mul(endings.len());
    if count > MOST {
        return Err(Refused::TooMany);
    }
    let bytes = |all: &[String]| all.iter().map(String::len).sum::<usize>();
    if bytes(texts) * endings.len() + bytes(endings) * texts.len() > MOST_BYTES {
        return Err(Refused::TooLarge);
    }
    match endings {
        [only] => texts.iter_mut().for_each(|text| text.push_str(only)),
        _ => {
            *texts =
                texts.iter().flat_map(|text| endings.iter().map(move |end| format!("{text}{end}"))).collect()
        }
    }
    Ok(())
}

/// `1..3`, `01..12`, `a..e`, each perhaps with `..step`; `None` where it is something else.
fn range(inner: &str) -> Result<Option<Vec<String>>, Refused> {
    let mut parts = inner.splitn(3, "..");
    let (Some(from), Some(to), step) = (parts.next(), parts.next(), parts.next()) else { return Ok(None) };
    let step = match step.map(|step| (is_integer(step), step.trim_start_matches(['+', '-']).parse::<i64>())) {
        None => 1,
        Some((true, Ok(step))) => step.max(1),
        Some(_) => return Ok(None),
    };
    if is_integer(from) && is_integer(to) {
        let (Ok(first), Ok(last)) = (from.parse::<i64>(), to.parse::<i64>()) else { return Ok(None) };
        let width = if is_padded(from) || is_padded(to) { from.len().max(to.len()) } else { 0 };
        let values = count(first, last, step)?;
        return Ok(Some(values.into_iter().map(|value| format!("{value:0width$}")).collect()));
    }
    let (Some(first), Some(last)) = (letter(from), letter(to)) else { return Ok(None) };
    let values = count(i64::from(first), i64::from(last), step)?;
    let letters = values.into_iter().map(|value| match u8::try_from(value).map(char::from) {
        // Between Z and a; a lone backslash would escape what follows.
        Ok('\\') | Err(_) => String::new(),
        Ok(letter) => letter.to_string(),
    });
    Ok(Some(letters.collect()))
}

/// From the first to the last, up or down.
fn count(first: i64, last: i64, step: i64) -> Result<Vec<i64>, Refused> {
    let steps = first.abs_diff(last) / step.unsigned_abs();
    match usize::try_from(steps) {
        Ok(steps) if steps < MOST => {}
        Ok(_) | Err(_) => return Err(Refused::TooMany),
    }
    let step = if last < first { step.saturating_neg() } else { step };
    let mut values = vec![first];
    let mut value = first;
    for _ in 0..steps {
        value = value.saturating_add(step);
        values.push(value);
    }
    Ok(values)
}

fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// A zero in front asks for equal width; behind a plus it does not.
fn is_padded(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.len() > 1 && digits.starts_with('0')
}

fn letter(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(*letter),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_expand_as_in_bash() {
        for (pattern, expected) in [
            ("a{b,c}d", &["abd", "acd"][..]),
            ("{a,b}{1,2}", &["a1", "a2", "b1", "b2"]),
            ("{a,{b,c}}.md", &["a.md", "b.md", "c.md"]),
            ("a{,x}", &["a", "ax"]),
            ("{a}", &["{a}"]),
            ("{a{b,c}}", &["{ab}", "{ac}"]),
            ("{}", &["{}"]),
            ("{a,b", &["{a,b"]),
            ("{a,{b,c}", &["{a,b", "{a,c"]),
            ("{a,b}}", &["a}", "b}"]),
            ("\\{a,b}", &["\\{a,b}"]),
            ("{a\\,b,c}", &["a\\,b", "c"]),
            ("${a,b}", &["${a,b}"]),
        ] {
            assert_eq!(expand(pattern).unwrap(), expected, "{pattern}");
        }
    }

    #[test]
    fn ranges_count_up_down_in_steps_and_with_leading_zeros() {
        for (pattern, expected) in [
            ("{1..3}", &["1", "2", "3"][..]),
            ("{3..1}", &["3", "2", "1"]),
            ("{08..10}", &["08", "09", "10"]),
            ("{-01..1}", &["-01", "000", "001"]),
            ("{1..6..2}", &["1", "3", "5"]),
            ("{a..e..-2}", &["a", "c", "e"]),
            ("{c..a}", &["c", "b", "a"]),
            ("{1..a}", &["{1..a}"]),
            ("{1..}", &["{1..}"]),
        ] {
            assert_eq!(expand(pattern).unwrap(), expected, "{pattern}");
        }
    }

    #[test]
    fn hostile_patterns_are_refused_before_they_are_built() {
        assert_eq!(expand("{1..1000}").unwrap().len(), 1000);
        assert_eq!(expand("{1..1001}"), Err(Refused::TooMany));
        assert_eq!(expand("{-9223372036854775808..9223372036854775807}"), Err(Refused::TooMany));
        assert_eq!(expand(&"{a,b}".repeat(50)), Err(Refused::TooMany));
        assert_eq!(expand(&format!("{{1..1000}}{}", "x".repeat(5000))), Err(Refused::TooLarge));
        assert_eq!(expand(&format!("{}{}", "{a,".repeat(1000), "}".repeat(1000))), Err(Refused::TooLarge));
        assert_eq!(expand(&"{".repeat(100_000)).unwrap(), ["{".repeat(100_000)]);
    }
}
