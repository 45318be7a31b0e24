//! Whether to try again, and when.

use std::time::Duration;

use reqwest::{StatusCode, header::HeaderMap};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use super::failure::Failed;
use crate::config::RetryPolicy;

/// Whether another try may help: by the status, unless the server says so itself.
pub(super) fn wanted(status: StatusCode, headers: &HeaderMap) -> bool {
    match header(headers, "x-should-retry") {
        Some("true") => true,
        Some("false") => false,
        Some(_) | None => matches!(status.as_u16(), 408 | 409 | 429 | 500..),
    }
}

/// What the server asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date.
pub(super) fn after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |text: &str, unit: f64| {
        let value: f64 = text.trim().parse().ok()?;
        Duration::try_from_secs_f64(value * unit).ok()
    };
    if let Some(wait) = header(headers, "retry-after-ms").and_then(|text| seconds(text, 0.001)) {
        return Some(wait);
    }
    let text = header(headers, "retry-after")?;
    seconds(text, 1.0).or_else(|| {
        let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
        Some((date - OffsetDateTime::now_utc()).try_into().unwrap_or_default())
    })
}

/// Time before the next try; `None` ends it. `chance` is between 0 and 1.
pub(super) fn delay(policy: &RetryPolicy, tried: u32, failed: &Failed, chance: f64) -> Option<Duration> {
    if !failed.retry || tried >= policy.retries {
        return None;
    }
    if let Some(after) = failed.after {
        return Some(after.min(policy.retry_after_cap));
    }
    let full = policy.base_delay.saturating_mul(1 << tried.min(16));
    Some(full.mul_f64((1.0 - policy.jitter.clamp(0.0, 1.0) * chance.clamp(0.0, 1.0)).max(0.0)))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use agent_executor_core::ModelErrorKind;
    use reqwest::header::HeaderValue;

    use super::*;
    use crate::{HttpConfig, http::failure::plain};

    fn failed(after: Option<Duration>) -> Failed {
        Failed { after, ..Failed::again(plain(ModelErrorKind::Unavailable, "x".to_owned())) }
    }

    #[test]
    fn delays_double_and_chance_only_shortens_them() {
        let policy = HttpConfig::default().retry;
        let at = |tried, chance| delay(&policy, tried, &failed(None), chance).map(|d| d.as_millis());
        assert_eq!([0, 1, 2, 3].map(|n| at(n, 0.0)), [Some(500), Some(1000), Some(2000), Some(4000)]);
        assert_eq!(at(0, 1.0), Some(375));
        assert_eq!(at(4, 0.0), None, "four repetitions, no more");
    }

    #[test]
    fn the_servers_wish_is_obeyed_up_to_the_cap() {
        let policy = HttpConfig::default().retry;
        let at =
            |seconds| delay(&policy, 0, &failed(Some(Duration::from_secs(seconds))), 0.5).unwrap().as_secs();
        assert_eq!([at(0), at(7), at(120)], [0, 7, 60]);
    }

    #[test]
    fn every_form_of_retry_after_is_read() {
        let read = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
            after(&headers)
        };
        assert_eq!(read("retry-after", "1.5"), Some(Duration::from_millis(1500)));
        assert_eq!(read("retry-after-ms", "20"), Some(Duration::from_millis(20)));
        assert_eq!(read("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("retry-after", "-5"), None);
        assert_eq!(read("retry-after", "soon"), None);
        let tomorrow = (OffsetDateTime::now_utc() + time::Duration::DAY).format(&Rfc2822).unwrap();
        assert!(read("retry-after", &tomorrow).unwrap() > Duration::from_secs(3600));
    }

    #[test]
    fn the_server_may_overrule_its_status() {
        let with = |value: &'static str| {
            HeaderMap::from_iter([("x-should-retry".parse().unwrap(), HeaderValue::from_static(value))])
        };
        assert!(wanted(StatusCode::BAD_REQUEST, &with("true")));
        assert!(!wanted(StatusCode::INTERNAL_SERVER_ERROR, &with("false")));
        for (status, expected) in [
            (400, false),
            (401, false),
            (404, false),
            (408, true),
            (409, true),
            (413, false),
            (429, true),
            (500, true),
            (529, true),
        ] {
            assert_eq!(
                wanted(StatusCode::from_u16(status).unwrap(), &HeaderMap::new()),
                expected,
                "{status}"
            );
        }
    }
}
