//! Values as Python's `repr` writes them: the model reads tool arguments and path lists in this form.

mod unprintable;

use std::fmt::Write as _;

use serde_json::{Map, Number, Value};

use unprintable::UNPRINTABLE;

/// `repr` of what Python's `json.loads` makes of this value.
pub fn value(value: &Value) -> String {
    let mut out = String::new();
    push_value(&mut out, value);
    out
}

/// `repr` of a dict.
pub(crate) fn object(map: &Map<String, Value>) -> String {
    let mut out = String::new();
    push_object(&mut out, map);
    out
}

/// `repr` of a string.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    push_text(&mut out, text);
    out
}

/// Appends `repr` of a string.
pub(crate) fn push_text(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            ' '..='~' if character != quote => out.push(character),
            _ if character == quote => {
                out.push('\\');
                out.push(quote);
            }
            _ if is_printable(character) => out.push(character),
            _ => push_escape(out, u32::from(character)),
        }
    }
    out.push(quote);
}

fn push_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => push_number(out, number),
        Value::String(text) => push_text(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                separate(out, index);
                push_value(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => push_object(out, map),
    }
}

fn push_object(out: &mut String, map: &Map<String, Value>) {
    out.push('{');
    for (index, (key, item)) in map.iter().enumerate() {
        separate(out, index);
        push_text(out, key);
        out.push_str(": ");
        push_value(out, item);
    }
    out.push('}');
}

fn separate(out: &mut String, index: usize) {
    if index > 0 {
        out.push_str(", ");
    }
}

/// Appends a number; JSON and `repr` agree on them.
pub(crate) fn push_number(out: &mut String, number: &Number) {
    let text = number.to_string();
    if number.is_f64() { push_float(out, &text) } else { out.push_str(&text) }
}

/// The shortest digits that read back as the same number; an exponent below 1e-4 and from 1e16 on.
///
/// The digits are those of `serde_json`: where two are equally short and near it takes the even one, as Python
/// does and the standard library does not.
fn push_float(out: &mut String, text: &str) {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let leading_zeros = all.len() - digits.len();
    let digits = digits.trim_end_matches('0');
    out.push_str(sign);
    if digits.is_empty() {
        out.push_str("0.0");
        return;
    }
    // Where the point stands, counted from the first digit.
    let signed = |length: usize| i64::try_from(length).unwrap_or_default();
    let point = signed(whole.len()) - signed(leading_zeros) + exponent.parse::<i64>().unwrap_or_default();
    let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
    match usize::try_from(point) {
        Ok(point @ 1..=16) if digits.len() <= point => {
            push_formatted(out, format_args!("{digits:0<point$}.0"));
        }
        Ok(point @ 1..=16) => {
            let (whole, fraction) = digits.split_at_checked(point).unwrap_or((digits, ""));
            push_formatted(out, format_args!("{whole}.{fraction}"));
        }
        _ if (-3..=0).contains(&point) => {
            let width = digits.len() + usize::try_from(-point).unwrap_or_default();
            push_formatted(out, format_args!("0.{digits:0>width$}"));
        }
        _ => {
            let dot = if rest.is_empty() { "" } else { "." };
            let exponent = point - 1;
            let minus = if exponent < 0 { '-' } else { '+' };
            push_formatted(out, format_args!("{first}{dot}{rest}e{minus}{:02}", exponent.unsigned_abs()));
        }
    }
}

fn push_escape(out: &mut String, code: u32) {
    match code {
        0..=0xff => push_formatted(out, format_args!("\\x{code:02x}")),
        0x100..=0xffff => push_formatted(out, format_args!("\\u{code:04x}")),
        _ => push_formatted(out, format_args!("\\U{code:08x}")),
    }
}

fn push_formatted(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    out.write_fmt(text).unwrap_or_default();
}

fn is_printable(character: char) -> bool {
    let code = u32::from(character);
    let next = UNPRINTABLE.partition_point(|(_, last)| *last < code);
    UNPRINTABLE.get(next).is_none_or(|(first, _)| code < *first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn strings_are_quoted_and_escaped_as_python_does() {
        for (raw, expected) in [
            ("it's", r#""it's""#),
            ("say \"hi\"", r#"'say "hi"'"#),
            ("both'\"", r#"'both\'"'"#),
            ("tab\t nl\n cr\r bs\\ nul\0 del\u{7f}", r"'tab\t nl\n cr\r bs\\ nul\x00 del\x7f'"),
            ("ü 日本 😀", "'ü 日本 😀'"),
            ("\u{a0}\u{ad}\u{200b}\u{2028}\u{e000}", r"'\xa0\xad\u200b\u2028\ue000'"),
            ("\u{1fbff}\u{e0001}\u{10ffff}", r"'\U0001fbff\U000e0001\U0010ffff'"),
            ("", "''"),
        ] {
            assert_eq!(text(raw), expected);
        }
    }

    #[test]
    fn values_are_written_as_python_literals() {
        let sent = json!({"a": [1, null, true, false], "b": {"c": 1.5}, "d": []});
        assert_eq!(value(&sent), "{'a': [1, None, True, False], 'b': {'c': 1.5}, 'd': []}");
        for (float, expected) in [
            (5.0, "5.0"),
            (-0.0, "-0.0"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.1, "0.1"),
            (0.012, "0.012"),
            (-12.5, "-12.5"),
            (659_671_544_600_972.2, "659671544600972.2"),
        ] {
            assert_eq!(value(&json!(float)), expected);
        }
    }
}
