//! Lines of a text, in the two ways that are needed.

/// Lines as they are counted and shown by `read_file`: LF, CR and CRLF end a line, nothing else does.
///
/// Python's `splitlines` also ends lines at VT, FF, FS, GS, RS, NEL and U+2028/9, but puts only the three
/// back as line ends: its header and body then disagree.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    split(text, |character| matches!(character, '\n' | '\r'))
}

/// Lines as Python's `str.splitlines` makes them.
pub(super) fn python_lines(text: &str) -> Vec<&str> {
    let ends = |c| matches!(c, '\n'..='\r' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    split(text, ends).collect()
}

/// Python's notion of white space: Unicode's and the four separators FS to US.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}'))
}

fn split(text: &str, ends: fn(char) -> bool) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (line, after) = rest.find(ends).and_then(|end| rest.split_at_checked(end)).unwrap_or((rest, ""));
        rest = after.strip_prefix("\r\n").or_else(|| after.strip_prefix(ends)).unwrap_or("");
        Some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_line_ends_and_no_empty_line_after_the_last() {
        let all = |text| lines(text).collect::<Vec<_>>();
        assert_eq!(all("a\nb\r\nc\rd"), ["a", "b", "c", "d"]);
        assert_eq!(all("a\n\n\n"), ["a", "", ""]);
        assert_eq!(all("a\u{c}b\u{2028}c\n"), ["a\u{c}b\u{2028}c"]);
        assert!(all("").is_empty());
    }

    #[test]
    fn python_ends_lines_in_more_places() {
        assert_eq!(python_lines("a\u{c}b\u{b}c\u{85}d\u{2028}e\nf\n"), ["a", "b", "c", "d", "e", "f"]);
        assert_eq!(python_lines("a\u{c}\n"), ["a", ""]);
        assert_eq!(python_lines("a\u{c}"), ["a"]);
        assert_eq!(python_lines("\u{c}"), [""]);
        assert_eq!(python_lines("a\u{c}\u{c}"), ["a", ""]);
    }
}
