//! How much of a result a model gets to see. Counted in Unicode code points, 4 of them to a token.

use crate::pyrepr;

/// Longest result: 20,000 tokens.
pub(super) const LONGEST: usize = 80_000;

/// Stands for everything that was left out.
const GUIDANCE: &str = "... [results truncated, try being more specific with your parameters]";

/// Room for the listed items, each counted as its Python representation and the `, ` after it.
const LIST_ROOM: usize = 79_927;

/// Length at which a text is cut so that line feed and guidance still fit.
const TEXT_ROOM: usize = LONGEST - GUIDANCE.len() - 1;

/// A list as Python prints it, cut where it gets too long.
pub(super) fn list(items: &[&str]) -> String {
    let mut out = String::from("[");
    let mut used = 0;
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        let start = out.len();
        pyrepr::push_text(&mut out, item);
        used += out.get(start..).map_or(0, |repr| repr.chars().count()) + 2;
        if used > LIST_ROOM {
            out.truncate(start);
            pyrepr::push_text(&mut out, GUIDANCE);
            break;
        }
    }
    out.push(']');
    out
}

/// A text, cut where it gets too long.
pub(super) fn text(mut text: String) -> String {
    if is_longer(&text, LONGEST) {
        truncate_chars(&mut text, TEXT_ROOM);
        text.push('\n');
        text.push_str(GUIDANCE);
    }
    text
}

/// Whether a text has more than so many code points; counts only where the bytes leave it open.
pub(super) fn is_longer(text: &str, limit: usize) -> bool {
    text.len() > limit && text.chars().count() > limit
}

/// The first code points of a text.
pub(crate) fn first_chars(text: &str, count: usize) -> &str {
    text.char_indices().nth(count).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

fn truncate_chars(text: &mut String, count: usize) {
    let end = first_chars(text, count).len();
    text.truncate(end);
}
