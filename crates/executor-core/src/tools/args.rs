//! Arguments of a call, checked and converted as pydantic's lax mode does, with its texts.

use serde_json::{Map, Number, Value};

use super::ToolAnswer;
use crate::pyrepr;

/// More digits than this are refused by Python's `int()`.
const MAX_DIGITS: usize = 4300;

/// Reads arguments one by one and collects what is wrong with them, in reading order.
///
/// A field that is refused yields a harmless value; nothing may be done with the values before
/// [`Reader::refusal`] has answered `None`.
pub(super) struct Reader<'a> {
    args: &'a Map<String, Value>,
    problems: Vec<(String, String)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(args: &'a Map<String, Value>) -> Self {
        Self { args, problems: Vec::new() }
    }

    /// A required string.
    pub(super) fn text(&mut self, name: &str) -> &'a str {
        match self.required(name) {
            Some(value) => self.as_text(name, value),
            None => "",
        }
    }

    /// A string that may be null or absent.
    pub(super) fn optional_text(&mut self, name: &str) -> Option<&'a str> {
        match self.args.get(name) {
            None | Some(Value::Null) => None,
            Some(value) => Some(self.as_text(name, value)),
        }
    }

    /// An integer with a default.
    pub(super) fn integer(&mut self, name: &str, default: i128) -> i128 {
        match self.args.get(name).map(integer) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(problem)) => {
                self.problem(name, problem);
                default
            }
        }
    }

    /// An integer that may be null or absent.
    pub(super) fn optional_integer(&mut self, name: &str) -> Option<i128> {
        match self.args.get(name) {
            None | Some(Value::Null) => None,
            Some(_) => Some(self.integer(name, 0)),
        }
    }

    /// An integer above zero that may be null or absent.
    pub(super) fn optional_positive(&mut self, name: &str) -> Option<i128> {
        let problems = self.problems.len();
        let value = self.optional_integer(name)?;
        if self.problems.len() == problems && value <= 0 {
            self.problem(name, "Input should be greater than 0");
        }
        Some(value)
    }

    /// A boolean with a default.
    pub(super) fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.args.get(name).map(boolean) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(problem)) => {
                self.problem(name, problem);
                default
            }
        }
    }

    /// One of the allowed words; the first is the default.
    pub(super) fn choice(&mut self, name: &str, allowed: &[&'static str]) -> &'static str {
        let default = allowed.first().copied().unwrap_or_default();
        let Some(value) = self.args.get(name) else { return default };
        match value.as_str().and_then(|word| allowed.iter().find(|known| **known == word)) {
            Some(known) => known,
            None => {
                self.problem(name, not_one_of(allowed));
                default
            }
        }
    }

    /// The value of a required argument, whatever its kind.
    pub(super) fn required(&mut self, name: &str) -> Option<&'a Value> {
        let value = self.args.get(name);
        if value.is_none() {
            self.problem(name, MISSING);
        }
        value
    }

    /// Records something that is wrong.
    pub(super) fn problem(&mut self, location: impl Into<String>, text: impl Into<String>) {
        self.problems.push((location.into(), text.into()));
    }

    /// The answer to a call with wrong arguments; `None` where all is well.
    pub(super) fn refusal(self, tool: &str) -> Option<ToolAnswer> {
        if self.problems.is_empty() {
            return None;
        }
        let problems: Vec<String> =
            self.problems.iter().map(|(location, text)| format!("{location}: {text}")).collect();
        let problems = problems.join("\n");
        let args = pyrepr::object(self.args);
        Some(ToolAnswer::error(format!(
            "Error invoking tool '{tool}' with kwargs {args} with error:\n {problems}\n Please fix the error and try again."
        )))
    }

    fn as_text(&mut self, name: &str, value: &'a Value) -> &'a str {
        value.as_str().unwrap_or_else(|| {
            self.problem(name, NOT_TEXT);
            ""
        })
    }
}

pub(super) const MISSING: &str = "Field required";
pub(super) const NOT_TEXT: &str = "Input should be a valid string";
const NOT_INTEGER: &str = "Input should be a valid integer";
const NOT_INTEGER_TEXT: &str = "Input should be a valid integer, unable to parse string as an integer";
const FRACTION: &str = "Input should be a valid integer, got a number with a fractional part";
const TOO_LONG: &str = "Unable to parse input string as an integer, exceeded maximum size";
const NOT_BOOLEAN: &str = "Input should be a valid boolean";
const NOT_BOOLEAN_WORD: &str = "Input should be a valid boolean, unable to interpret input";

/// `Input should be 'a', 'b' or 'c'`.
pub(super) fn not_one_of(allowed: &[&str]) -> String {
    let quoted: Vec<String> = allowed.iter().map(|word| format!("'{word}'")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("Input should be {} or {last}", rest.join(", ")),
        Some((only, _)) => format!("Input should be {only}"),
        None => "Input should be absent".to_owned(),
    }
}

fn integer(value: &Value) -> Result<i128, &'static str> {
    match value {
        Value::Bool(flag) => Ok(i128::from(*flag)),
        Value::Number(number) => integer_of_number(number),
        Value::String(text) => integer_of_text(text),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(NOT_INTEGER),
    }
}

fn integer_of_number(number: &Number) -> Result<i128, &'static str> {
    if let Some(whole) = number.as_i128() {
        return Ok(whole);
    }
    let float = number.as_f64().unwrap_or(f64::NAN);
    if !float.is_finite() {
        Err("Input should be a finite number")
    } else if float.fract() != 0.0 {
        Err(FRACTION)
    } else {
        whole_i64(float).map(i128::from).ok_or(TOO_LONG)
    }
}

/// The same number as an `i64`, if it is whole and fits.
fn whole_i64(float: f64) -> Option<i64> {
    // 2^63 is a float, 2^63 - 1 is not.
    if float.fract() != 0.0 || !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float) {
        return None;
    }
    format!("{float:.0}").parse().ok()
}

/// `[+-]digits[.0…]`, blanks around it, single underscores between digits.
fn integer_of_text(text: &str) -> Result<i128, &'static str> {
    let text = text.trim();
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let whole = match rest.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => whole,
        Some(_) => return Err(NOT_INTEGER_TEXT),
        None => rest,
    };
    let groups_are_digits =
        whole.split('_').all(|group| !group.is_empty() && group.bytes().all(|byte| byte.is_ascii_digit()));
    if !groups_are_digits {
        return Err(NOT_INTEGER_TEXT);
    }
    let digits: String = whole.chars().filter(|character| *character != '_').collect();
    if digits.len() > MAX_DIGITS {
        return Err(TOO_LONG);
    }
    // Python's integers have no end; nothing here needs more than the far ends of ours.
    let magnitude = digits.parse::<i128>().unwrap_or(i128::MAX);
    Ok(if negative { -magnitude } else { magnitude })
}

fn boolean(value: &Value) -> Result<bool, &'static str> {
    match value {
        Value::Bool(flag) => Ok(*flag),
        Value::Number(number) => {
            let whole = number.as_i64().or_else(|| number.as_f64().and_then(whole_i64));
            match whole {
                Some(0) => Ok(false),
                Some(1) => Ok(true),
                Some(_) => Err(NOT_BOOLEAN_WORD),
                None => Err(NOT_BOOLEAN),
            }
        }
        Value::String(word) => match word.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "t" | "y" | "1" => Ok(true),
            "false" | "no" | "off" | "f" | "n" | "0" => Ok(false),
            _ => Err(NOT_BOOLEAN_WORD),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => Err(NOT_BOOLEAN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn integers_are_coerced_as_pydantic_coerces_them() {
        for (value, expected) in [
            (json!("5"), 5),
            (json!(" 5 "), 5),
            (json!("\u{a0}5\u{3000}"), 5),
            (json!("5.00"), 5),
            (json!("+5"), 5),
            (json!("1_000.0"), 1000),
            (json!("0_5"), 5),
            (json!("-05"), -5),
            (json!(-5.0), -5),
            (json!(true), 1),
            (json!(1e15), 1_000_000_000_000_000),
            (json!(u64::MAX), i128::from(u64::MAX)),
            (json!("9".repeat(60)), i128::MAX),
        ] {
            assert_eq!(integer(&value), Ok(expected), "{value}");
        }
    }

    #[test]
    fn other_integers_are_refused_with_pydantics_words() {
        for text in
            ["", "  ", "1e3", "0x5", "5.", ".0", "5.5", "5__0", "_5", "5_", "5_.0", "--5", "+-5", "- 5", "٥"]
        {
            assert_eq!(integer(&json!(text)), Err(NOT_INTEGER_TEXT), "{text:?}");
        }
        assert_eq!(integer(&json!(5.5)), Err(FRACTION));
        assert_eq!(integer(&json!(9.3e18)), Err(TOO_LONG));
        assert_eq!(integer(&json!("9".repeat(5000))), Err(TOO_LONG));
        for value in [json!(null), json!([]), json!({})] {
            assert_eq!(integer(&value), Err(NOT_INTEGER), "{value}");
        }
    }

    #[test]
    fn booleans_are_coerced_as_pydantic_coerces_them() {
        for value in [json!(true), json!(1), json!(1.0), json!("tRue"), json!("YES"), json!("on"), json!("1")]
        {
            assert_eq!(boolean(&value), Ok(true), "{value}");
        }
        for value in [json!(0), json!(0.0), json!("off"), json!("N"), json!("f")] {
            assert_eq!(boolean(&value), Ok(false), "{value}");
        }
        for value in [json!(2), json!(-1), json!(2.0), json!("1.0"), json!(""), json!(" true")] {
            assert_eq!(boolean(&value), Err(NOT_BOOLEAN_WORD), "{value}");
        }
        for value in [json!(null), json!({}), json!(0.5), json!(1e300)] {
            assert_eq!(boolean(&value), Err(NOT_BOOLEAN), "{value}");
        }
    }
}
