//! A group of begins.

use std::time::Duration;

use tokio_postgres::Row;

use super::{Failed, Outcome, Session, Settled};
use crate::check;
use crate::port::StoreError;
use crate::postgres::calls::BeginCall;
use crate::postgres::rows::{Param, RowArrays};
use crate::postgres::{job, sql};
use crate::seq;
use crate::types::{Begin, JobRecord, JobStatus, Lease};

#[derive(Default)]
struct Heads<'a> {
    job_id: Vec<&'a str>,
    thread_id: Vec<&'a str>,
    payload_hash: Vec<&'a str>,
    request: Vec<&'a [u8]>,
    deadline_ms: Vec<Option<i64>>,
    owner: Vec<&'a str>,
    call: Vec<i64>,
    fresh_last: Vec<Option<i64>>,
}

impl<'a> Heads<'a> {
    fn push(&mut self, call: &'a BeginCall) -> Result<(), StoreError> {
        let job = &call.request.job;
        self.job_id.push(&job.job_id);
        self.thread_id.push(&job.thread_id);
        self.payload_hash.push(&job.payload_hash);
        self.request.push(&job.request);
        self.deadline_ms.push(job.deadline.map(|it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX)));
        self.owner.push(&call.request.owner);
        self.call.push(call.token);
        let fresh = call.request.fresh.as_ref();
        self.fresh_last.push(fresh.map(|it| check::number("last_seq", it.last_seq)).transpose()?);
        Ok(())
    }

    fn params(&self) -> [Param<'_>; 8] {
        [
            &self.job_id,
            &self.thread_id,
            &self.payload_hash,
            &self.request,
            &self.deadline_ms,
            &self.owner,
            &self.call,
            &self.fresh_last,
        ]
    }
}

/// The lease that a row of `taken` stands for.
fn lease(call: &BeginCall, row: &Row, fresh: bool) -> Result<Lease, tokio_postgres::Error> {
    let (epoch, reserved): (i64, i64) = (row.try_get("epoch")?, row.try_get("seq_reserved")?);
    let first = match &call.request.fresh {
        Some(commit) if fresh => commit.last_seq + 1,
        _ if epoch == 1 => 1,
        _ => (u64::try_from(reserved).unwrap_or(0) + 1).saturating_sub(seq::BLOCK),
    };
    Ok(Lease {
        thread_id: call.request.job.thread_id.clone(),
        owner: call.request.owner.clone(),
        epoch,
        next_seq: first,
        taken_over: row.try_get("taken_over")?,
    })
}

/// The offered job, which this statement has inserted and started.
fn own_job(call: &BeginCall, row: &Row) -> Result<JobRecord, tokio_postgres::Error> {
    let job = &call.request.job;
    Ok(JobRecord {
        job_id: job.job_id.clone(),
        thread_id: job.thread_id.clone(),
        payload_hash: job.payload_hash.clone(),
        request: job.request.clone(),
        status: JobStatus::Running,
        unclean_count: 0,
        created_at_ms: row.try_get("own_created_ms")?,
        deadline_at_ms: row.try_get("own_deadline_ms")?,
        cancel_requested: false,
        result: None,
    })
}

impl Session {
    /// Begins all calls, or none.
    pub(in crate::postgres) async fn begin(
        &self,
        calls: &mut [BeginCall],
    ) -> Result<Vec<Outcome<Begin>>, Failed> {
        let told = {
            let (mut rows, mut heads) = (RowArrays::default(), Heads::default());
            for (n, call) in (1..).zip(calls.iter()) {
                if let Some(commit) = &call.request.fresh {
                    rows.push(n, commit).map_err(Failed::Data)?;
                }
                heads.push(call).map_err(Failed::Data)?;
            }
            let mut params = rows.params();
            params.extend(heads.params());
            params.push(&self.ttl);
            self.ask(&self.begin, &params).await?
        };
        let mut outcomes: Vec<_> = calls.iter().map(|_| Outcome::Again).collect();
        for row in &told {
            let at = usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or(0).wrapping_sub(1);
            if let (Some(outcome), Some(call)) = (outcomes.get_mut(at), calls.get_mut(at)) {
                *outcome = self.begun(call, row).await?;
            }
        }
        Ok(outcomes)
    }

    async fn begun(&self, call: &mut BeginCall, row: &Row) -> Result<Outcome<Begin>, Failed> {
        if row.try_get("other")? {
            return Ok(Outcome::Done(Ok(Begin::IdReused)));
        }
        if row.try_get("ended")? {
            return self.ended(call).await;
        }
        let (known, admitted): (bool, bool) = (row.try_get("known")?, row.try_get("admitted")?);
        call.admitted |= admitted;
        let admitted = call.admitted;
        if !row.try_get::<_, bool>("mine")? {
            if !known && !admitted {
                // Somebody admitted it meanwhile: what it is, the next snapshot shows.
                return Ok(Outcome::Again);
            }
            let left = row.try_get::<_, Option<i64>>("remaining_ms")?.unwrap_or(0);
            let remaining = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            return Ok(Outcome::Done(Ok(Begin::Busy { remaining, admitted })));
        }
        let fresh = row.try_get("fresh")?;
        let lease = lease(call, row, fresh)?;
        let picked: bool = row.try_get("picked")?;
        let job = match job::of(row)? {
            Some(older) => Box::new(older),
            None if admitted && !picked => Box::new(own_job(call, row)?),
            None => return self.look_again(call, lease).await,
        };
        Ok(Outcome::Done(Ok(Begin::Started { lease, job, fresh, admitted })))
    }

    /// The lease is ours, but the job that was seen has ended meanwhile, or another one has the offered id.
    async fn look_again(&self, call: &BeginCall, lease: Lease) -> Result<Outcome<Begin>, Failed> {
        let last_used = check::number("next_seq", lease.next_seq.saturating_sub(1)).map_err(Failed::Data)?;
        Ok(match self.settle(&lease, last_used, lease.taken_over).await? {
            Settled::Next(job) => {
                Outcome::Done(Ok(Begin::Started { lease, job, fresh: false, admitted: call.admitted }))
            }
            Settled::Released | Settled::Fenced => Outcome::Again,
        })
    }

    async fn ended(&self, call: &BeginCall) -> Result<Outcome<Begin>, Failed> {
        let query = format!("select {} from agent_jobs j where j.job_id = $1", sql::job_columns("j"));
        let rows = self.ask_rarely(&query, &[&&*call.request.job.job_id]).await?;
        let job = rows.first().map(job::of).transpose()?.flatten();
        // Gone: the thread was deleted at this moment.
        Ok(job.map_or(Outcome::Again, |job| Outcome::Done(Ok(Begin::Terminal(Box::new(job))))))
    }

    /// What a begin has done whose answer was lost; `None`: nothing that matters, it may simply be repeated.
    pub(in crate::postgres) async fn recall(&self, call: &mut BeginCall) -> Result<Option<Begin>, Failed> {
        let job = &call.request.job;
        let first = call.request.fresh.as_ref().and_then(|commit| commit.rows.checkpoints.first());
        let (ns, id) = first.map_or(("", ""), |row| (&*row.ns, &*row.checkpoint_id));
        let params: [Param<'_>; 5] = [&&*job.thread_id, &call.token, &&*job.job_id, &ns, &id];
        let rows = self.ask_rarely(sql::RECALL, &params).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        call.admitted |= row.try_get::<_, bool>("admitted")?;
        if row.try_get::<_, Option<i64>>("epoch")?.is_none() {
            return Ok(None);
        }
        let fresh = row.try_get("fresh")?;
        let lease = lease(call, row, fresh)?;
        let last_used = check::number("next_seq", lease.next_seq.saturating_sub(1)).map_err(Failed::Data)?;
        // Counted already by the begin itself.
        Ok(match self.settle(&lease, last_used, false).await? {
            Settled::Next(job) => Some(Begin::Started { lease, job, fresh, admitted: call.admitted }),
            Settled::Released | Settled::Fenced => None,
        })
    }
}
