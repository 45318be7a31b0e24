//! Bounds of numbers and texts.

use regex::Regex;
use serde_json::{Map, Number, Value};

use super::Checker;

impl Checker<'_> {
    pub(super) fn number(&mut self, schema: &Map<String, Value>, number: &Number, at: &str) {
        let Some(value) = number.as_f64() else { return };
        let bound = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
        let bounds = [
            ("minimum", bound("minimum").is_some_and(|least| value < least), "greater than or equal to"),
            ("maximum", bound("maximum").is_some_and(|most| value > most), "less than or equal to"),
            ("exclusiveMinimum", bound("exclusiveMinimum").is_some_and(|b| value <= b), "greater than"),
            ("exclusiveMaximum", bound("exclusiveMaximum").is_some_and(|b| value >= b), "less than"),
        ];
        for (keyword, broken, words) in bounds {
            if broken && let Some(limit) = schema.get(keyword) {
                self.problem(at, &format!("expected a number {words} {limit}, found {number}"));
            }
        }
        if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0) {
            let times = value / step;
            if (times - times.round()).abs() > f64::EPSILON * times.abs().max(1.0) {
                self.problem(at, &format!("expected a multiple of {step}, found {number}"));
            }
        }
    }

    pub(super) fn text(&mut self, schema: &Map<String, Value>, text: &str, at: &str) {
        self.count(schema, ["minLength", "maxLength"], text.chars().count(), "characters", at);
        let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else { return };
        match Regex::new(pattern) {
            Ok(regex) if regex.is_match(text) => {}
            Ok(_) => self.problem(at, &format!("expected a text that matches `{pattern}`")),
            // The definition was warned about; a model cannot do anything about it.
            Err(_) => {}
        }
    }

    /// Checks a number of things against the two keywords.
    pub(super) fn count(
        &mut self,
        schema: &Map<String, Value>,
        keywords: [&str; 2],
        found: usize,
        unit: &str,
        at: &str,
    ) {
        let [least, most] = keywords.map(|keyword| schema.get(keyword).and_then(Value::as_u64));
        let found = found as u64;
        if let Some(least) = least.filter(|least| found < *least) {
            self.problem(at, &format!("expected at least {least} {unit}, found {found}"));
        }
        if let Some(most) = most.filter(|most| found > *most) {
            self.problem(at, &format!("expected at most {most} {unit}, found {found}"));
        }
    }
}
