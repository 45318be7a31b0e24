//! `/ui`: a page to look at, and the list that it begins with. Its files are in the binary and hold no data, so they need
//! no token; what it shows, it fetches with one.

use agent_checkpoint_store::JobSummary;
use agent_wire::http::{ThreadList, ThreadSummary};
use axum::Json;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::answers;
use crate::router::HttpDoor;

/// Threads of a list for which nobody says how many.
pub(crate) const PAGE: usize = 50;
pub(crate) const LARGEST_PAGE: usize = 200;
/// Jobs that are looked at for each thread that is wanted: a thread may have several.
const JOBS_A_THREAD: usize = 4;

/// Nothing but what this service itself serves; text of a job is never markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const FILES: &[(&str, &str, &str)] = &[
    ("index.html", "text/html; charset=utf-8", include_str!("../ui/index.html")),
    ("app.js", "text/javascript; charset=utf-8", include_str!("../ui/app.js")),
    ("api.js", "text/javascript; charset=utf-8", include_str!("../ui/api.js")),
    ("diff.js", "text/javascript; charset=utf-8", include_str!("../ui/diff.js")),
    ("tree.js", "text/javascript; charset=utf-8", include_str!("../ui/tree.js")),
    ("view.js", "text/javascript; charset=utf-8", include_str!("../ui/view.js")),
    ("style.css", "text/css; charset=utf-8", include_str!("../ui/style.css")),
];

/// The page's files name each other relative to `/ui/`.
pub(crate) async fn folder(OriginalUri(uri): OriginalUri) -> Redirect {
    Redirect::permanent(&format!("{}/", uri.path()))
}

pub(crate) async fn index() -> Response {
    file("index.html")
}

pub(crate) async fn part(Path(name): Path<String>) -> Response {
    file(&name)
}

fn file(name: &str) -> Response {
    let Some((_, kind, text)) = FILES.iter().find(|(known, _, _)| *known == name) else {
        return answers::error(StatusCode::NOT_FOUND, "Not Found", None).into_response();
    };
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, *text).into_response()
}

#[derive(Debug, Deserialize)]
pub(crate) struct Wanted {
    limit: Option<String>,
}

/// `GET /threads`: the threads with the newest jobs, newest first.
pub(crate) async fn threads(State(door): State<HttpDoor>, Query(wanted): Query<Wanted>) -> Response {
    let limit = wanted.limit.map_or(Some(PAGE), |text| text.parse().ok());
    let Some(limit) = limit.filter(|limit| (1..=LARGEST_PAGE).contains(limit)) else {
        let expected = format!("expected a whole number from 1 to {LARGEST_PAGE}");
        return answers::bad_parameter("query", "limit", &expected);
    };
    match door.executor.store().recent_jobs(limit * JOBS_A_THREAD).await {
        Ok(jobs) => Json(ThreadList { threads: newest_of_each(&jobs, limit) }).into_response(),
        Err(error) => answers::unavailable(&error),
    }
}

/// The first job of each thread in a list that begins with the newest.
fn newest_of_each(jobs: &[JobSummary], limit: usize) -> Vec<ThreadSummary> {
    let mut seen = std::collections::BTreeSet::new();
    let first = jobs.iter().filter(|job| seen.insert(job.thread_id.clone()));
    first.take(limit).map(summary).collect()
}

fn summary(job: &JobSummary) -> ThreadSummary {
    ThreadSummary {
        thread_id: job.thread_id.to_string(),
        job_id: job.job_id.to_string(),
        status: job.status.as_str().to_owned(),
        created_at: moment(job.created_at_ms),
        ended_at: job.ended_at_ms.map(moment),
    }
}

fn moment(ms: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000);
    time.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agent_checkpoint_store::JobStatus;

    use super::*;

    #[test]
    fn a_thread_is_listed_once_with_its_newest_job() {
        let job = |job: &str, thread: &str| JobSummary {
            job_id: Arc::from(job),
            thread_id: Arc::from(thread),
            status: JobStatus::Completed,
            created_at_ms: 0,
            ended_at_ms: Some(1500),
        };
        let list = newest_of_each(&[job("3", "a"), job("2", "b"), job("1", "a"), job("0", "c")], 2);
        let ids: Vec<_> = list.iter().map(|thread| (&*thread.thread_id, &*thread.job_id)).collect();
        assert_eq!(ids, [("a", "3"), ("b", "2")]);
        assert_eq!(list[0].created_at, "1970-01-01T00:00:00Z");
        assert_eq!(list[0].ended_at.as_deref(), Some("1970-01-01T00:00:01.5Z"));
    }

    #[test]
    fn the_page_asks_for_no_file_that_is_not_in_the_binary() {
        let all: String = FILES.iter().map(|(_, _, text)| *text).collect();
        for named in all.split(['"', '\'']).filter(|word| word.ends_with(".js") || word.ends_with(".css")) {
            let name = named.trim_start_matches("./");
            assert!(FILES.iter().any(|(known, _, _)| *known == name), "{name}");
        }
        assert!(!all.contains("http://") && !all.contains("https://"), "no request to anybody else");
    }
}
