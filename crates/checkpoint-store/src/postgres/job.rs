//! A job's row.

use std::sync::Arc;

use bytes::Bytes;
use tokio_postgres::{Error, Row};

use crate::types::{JobRecord, JobStatus, JobSummary};

/// Reads the columns of `sql::job_columns`; `None` where the outer join found no job.
pub(super) fn of(row: &Row) -> Result<Option<JobRecord>, Error> {
    let Some(job_id) = row.try_get::<_, Option<&str>>("job_id")? else { return Ok(None) };
    Ok(Some(JobRecord {
        job_id: Arc::from(job_id),
        thread_id: Arc::from(row.try_get::<_, &str>("thread_id")?),
        payload_hash: row.try_get("payload_hash")?,
        request: Bytes::copy_from_slice(row.try_get("request")?),
        status: status(row.try_get("status")?),
        unclean_count: u32::try_from(row.try_get::<_, i32>("unclean_count")?).unwrap_or(0),
        created_at_ms: row.try_get("created_ms")?,
        deadline_at_ms: row.try_get("deadline_ms")?,
        cancel_requested: row.try_get("cancel_requested")?,
        result: row.try_get::<_, Option<&[u8]>>("result")?.map(Bytes::copy_from_slice),
    }))
}

/// Reads the columns of a list.
pub(super) fn summary(row: &Row) -> Result<JobSummary, Error> {
    Ok(JobSummary {
        job_id: Arc::from(row.try_get::<_, &str>(0)?),
        thread_id: Arc::from(row.try_get::<_, &str>(1)?),
        status: status(row.try_get(2)?),
        created_at_ms: row.try_get(3)?,
        ended_at_ms: row.try_get(4)?,
    })
}

/// The table's check allows no other words.
fn status(word: &str) -> JobStatus {
    match word {
        "queued" => JobStatus::Queued,
        "completed" => JobStatus::Completed,
        "failed" => JobStatus::Failed,
        "cancelled" => JobStatus::Cancelled,
        _ => JobStatus::Running,
    }
}
