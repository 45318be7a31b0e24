//! W3C trace context in and out (wire contract 3, "traceparent").

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The trace that a job belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// 32 lower-case hex digits, not all zero.
    pub trace_id: String,
    /// The publisher's span, where a `traceparent` came with the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span: Option<u64>,
    /// Whether the publisher records this trace; true where nothing was said.
    #[serde(default = "yes")]
    pub sampled: bool,
    /// Passed on unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tracestate: Option<String>,
}

const fn yes() -> bool {
    true
}

/// Longest `tracestate` that is passed on; the specification asks for at least 512 characters.
const LONGEST_TRACESTATE: usize = 2048;

impl TraceContext {
    /// Reads a `traceparent` of any version whose first four parts are those of version 00.
    /// `None`: it is not valid, and the trace begins here, as the specification asks.
    pub fn from_traceparent(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let mut parts = traceparent.trim().split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let known = match version {
            "00" => parts.next().is_none(),
            "ff" => false,
            _ => is_hex(version, 2),
        };
        if !known || !is_hex(trace, 32) || !is_hex(span, 16) || !is_hex(flags, 2) {
            return None;
        }
        let (parent, flags) = (u64::from_str_radix(span, 16).ok()?, u8::from_str_radix(flags, 16).ok()?);
        if parent == 0 || trace.bytes().all(|digit| digit == b'0') {
            return None;
        }
        let tracestate = tracestate.map(str::trim).filter(|state| {
            (1..=LONGEST_TRACESTATE).contains(&state.len())
                && state.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        });
        Some(Self {
            trace_id: trace.to_owned(),
            parent_span: Some(parent),
            sampled: flags & 1 == 1,
            tracestate: tracestate.map(str::to_owned),
        })
    }

    /// From a job's `trace_id`, as the Python service does it where that is hex: without dashes, lower case, cut to
    /// 32 digits, padded with zeros in front. Anything else (`trace-proposal-17`) is hashed to 32 digits.
    pub fn from_trace_id(text: &str) -> Self {
        let digits: String = text.chars().filter(|digit| *digit != '-').take(32).collect();
        let hex = digits.to_ascii_lowercase();
        let usable = !hex.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
            && hex.bytes().any(|digit| digit != b'0');
        if usable { Self::begun(format!("{hex:0>32}")) } else { Self::hashed(text) }
    }

    /// From 16 random bytes.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        // All zero is no trace id.
        Self::begun(format!("{:032x}", u128::from_be_bytes(bytes).max(1)))
    }

    /// The trace of a text: always the same for the same text, so that a job that comes again, or is taken over,
    /// stays in one trace although its publisher named none.
    pub fn hashed(text: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let (half, _) = digest.split_at(16);
        Self::from_random(half.try_into().unwrap_or([1; 16]))
    }

    /// `00-<trace id>-<span>-01` for the span with this id (1 where it is 0, which is not valid).
    pub fn traceparent(&self, span: u64) -> String {
        format!("00-{}-{:016x}-{:02x}", self.trace_id, span.max(1), u8::from(self.sampled))
    }

    fn begun(trace_id: String) -> Self {
        Self { trace_id, parent_span: None, sampled: true, tracestate: None }
    }
}

/// Lower-case hex of this length, as the specification writes it.
fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_continued() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let trace = TraceContext::from_traceparent(given, Some("a=1")).unwrap();
        assert_eq!(trace.parent_span, Some(0x00f0_67aa_0ba9_02b7));
        assert_eq!(trace.tracestate.as_deref(), Some("a=1"));
        assert_eq!(trace.traceparent(0xab), "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000ab-00");
    }

    #[test]
    fn an_invalid_traceparent_begins_no_trace() {
        for bad in [
            "",
            "00-trace-proposal-17-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(TraceContext::from_traceparent(bad, None), None, "{bad}");
        }
        assert!(
            TraceContext::from_traceparent("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x", None)
                .is_some()
        );
    }

    #[test]
    fn a_hex_trace_id_is_kept_as_python_keeps_it_and_any_other_is_hashed() {
        let id = |text: &str| TraceContext::from_trace_id(text).trace_id;
        assert_eq!(id("4BF92F35-77b3-4da6-a3ce-929d0e0e4736"), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(id("abc"), "00000000000000000000000000000abc");
        for odd in ["trace-proposal-17", "", "----", "000", "\u{0}", "é"] {
            let hashed = id(odd);
            assert!(is_hex(&hashed, 32) && hashed.bytes().any(|digit| digit != b'0'), "{odd:?} → {hashed}");
            assert_eq!(TraceContext::from_trace_id(odd).traceparent(0).split('-').count(), 4);
        }
        assert_eq!(id("trace-proposal-17"), id("trace-proposal-17"));
        assert_ne!(id("trace-proposal-17"), id("trace-proposal-18"));
    }
}
