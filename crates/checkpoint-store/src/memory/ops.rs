//! The port's methods over plain maps.

mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::thread::{Sendable, Thread};
use crate::port::StoreError;
use crate::seq;
use crate::types::{
    Begin, BeginRequest, Commit, DeadLetterRecord, Finished, JobRecord, JobStatus, JobSummary, Lease, NewJob,
    Snapshot, Terminal,
};

#[derive(Debug)]
struct Job {
    record: JobRecord,
    /// Rises from job to job.
    admitted: u64,
    ended: Option<i64>,
    /// Tells a finish that is repeated from one that comes too late.
    ended_under: Option<i64>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    now: i64,
    ttl: i64,
    jobs: BTreeMap<Arc<str>, Job>,
    admitted: u64,
    threads: BTreeMap<Arc<str>, Thread>,
    /// Who has a role, and until when.
    roles: BTreeMap<String, (Arc<str>, i64)>,
    dead: Vec<DeadLetterRecord>,
    last_dead: i64,
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl State {
    pub(super) fn at(&mut self, now: i64, ttl: Duration) {
        // Never backwards: transactions have an order, and so have their times.
        self.now = self.now.max(now);
        self.ttl = ms(ttl);
    }

    pub(super) const fn now(&self) -> i64 {
        self.now
    }

    pub(super) fn expire(&mut self, thread_id: &str, now: i64) {
        if let Some(lease) = self.threads.get_mut(thread_id).and_then(|thread| thread.lease.as_mut()) {
            lease.until = lease.until.min(now);
        }
    }

    pub(super) fn begin(&mut self, request: BeginRequest) -> Begin {
        let BeginRequest { job, owner, fresh } = request;
        let thread_id = job.thread_id.clone();
        let admitted = match self.jobs.get(&job.job_id) {
            Some(known) if known.record.payload_hash != job.payload_hash => return Begin::IdReused,
            Some(known) if known.record.thread_id != thread_id => return Begin::IdReused,
            Some(known) if known.record.status.is_terminal() => {
                return Begin::Terminal(Box::new(known.record.clone()));
            }
            Some(_) => false,
            None => {
                self.admit(job);
                true
            }
        };
        let (now, ttl) = (self.now, self.ttl);
        let thread = self.threads.entry(thread_id.clone()).or_default();
        let virgin = thread.lease.is_none() && !thread.has_checkpoint();
        let Some(mut lease) = thread.take(&thread_id, &owner, now, ttl) else {
            let until = thread.lease.as_ref().map_or(now, |row| row.until);
            let remaining = Duration::from_millis(u64::try_from(until - now).unwrap_or(0));
            return Begin::Busy { remaining, admitted };
        };
        let fresh = fresh.filter(|_| virgin && admitted);
        let wrote = fresh.is_some();
        if let Some(commit) = fresh {
            lease.next_seq = seq::last_used(lease.next_seq, commit.last_seq) + 1;
            raise(thread, commit.last_seq);
            thread.write(commit, now);
        }
        match self.start_oldest(&thread_id, lease.taken_over) {
            Some(job) => Begin::Started { lease, job: Box::new(job), fresh: wrote, admitted },
            // Cannot be: the offered job is open. Said as what it would mean.
            None => Begin::Busy { remaining: Duration::ZERO, admitted },
        }
    }

    fn admit(&mut self, job: NewJob) {
        let thread = self.threads.entry(job.thread_id.clone()).or_default();
        thread.jobs.push(job.job_id.clone());
        let record = JobRecord {
            job_id: job.job_id.clone(),
            thread_id: job.thread_id,
            payload_hash: job.payload_hash,
            request: job.request,
            status: JobStatus::Queued,
            unclean_count: 0,
            created_at_ms: self.now,
            deadline_at_ms: job.deadline.map(|deadline| self.now.saturating_add(ms(deadline))),
            cancel_requested: false,
            result: None,
        };
        self.admitted += 1;
        let job_row = Job { record, admitted: self.admitted, ended: None, ended_under: None };
        self.jobs.insert(job.job_id, job_row);
    }

    fn start_oldest(&mut self, thread_id: &str, taken_over: bool) -> Option<JobRecord> {
        let ids = &self.threads.get(thread_id)?.jobs;
        let open = |id: &&Arc<str>| self.jobs.get(*id).is_some_and(|job| !job.record.status.is_terminal());
        let id = ids.iter().find(open)?.clone();
        let job = self.jobs.get_mut(&id)?;
        job.record.status = JobStatus::Running;
        job.record.unclean_count += u32::from(taken_over);
        Some(job.record.clone())
    }

    fn has_open_job(&self, thread: &Thread) -> bool {
        thread.jobs.iter().any(|id| self.jobs.get(id).is_some_and(|job| !job.record.status.is_terminal()))
    }

    pub(super) fn acquire(&mut self, thread_id: &str, owner: &Arc<str>) -> Option<(Lease, JobRecord)> {
        let (key, thread) = self.threads.get_key_value(thread_id)?;
        if !self.has_open_job(thread) {
            return None;
        }
        let key = key.clone();
        let (now, ttl) = (self.now, self.ttl);
        let lease = self.threads.get_mut(thread_id)?.take(&key, owner, now, ttl)?;
        let job = self.start_oldest(thread_id, lease.taken_over)?;
        Some((lease, job))
    }

    pub(super) fn load(&self, thread_id: &str) -> Snapshot {
        let Some(thread) = self.threads.get(thread_id) else { return Snapshot::default() };
        let open = |id: &str| self.jobs.get(id).is_none_or(|job| !job.record.status.is_terminal());
        let steps = thread.steps.values().filter(|step| open(&step.job_id)).cloned().collect();
        Snapshot { rows: thread.rows(), steps }
    }

    /// The thread, if `lease` still stands; its lease is extended.
    fn guarded(&mut self, lease: &Lease) -> Result<&mut Thread, StoreError> {
        let until = self.now + self.ttl;
        let thread = self.threads.get_mut(&lease.thread_id);
        let held = thread.filter(|thread| thread.lease.as_ref().is_some_and(|row| row.is_held_by(lease)));
        let fenced = || StoreError::Fenced { thread_id: lease.thread_id.clone(), epoch: lease.epoch };
        let thread = held.ok_or_else(fenced)?;
        if let Some(row) = &mut thread.lease {
            row.until = until;
        }
        Ok(thread)
    }

    pub(super) fn commit(&mut self, lease: &Lease, commit: Commit) -> Result<(), StoreError> {
        let now = self.now;
        let thread = self.guarded(lease)?;
        raise(thread, commit.last_seq);
        thread.write(commit, now);
        Ok(())
    }

    pub(super) fn finish(
        &mut self,
        lease: &Lease,
        commit: Commit,
        terminal: Terminal,
    ) -> Result<Finished, StoreError> {
        let now = self.now;
        let ended_by_us =
            self.jobs.get(&terminal.job_id).is_some_and(|job| job.ended_under == Some(lease.epoch));
        let last = seq::last_used(lease.next_seq, commit.last_seq);
        let thread = match self.guarded(lease) {
            Err(StoreError::Fenced { .. }) if ended_by_us => return Ok(Finished { next: None }),
            other => other?,
        };
        thread.write(commit, now);
        let message = terminal.outbox;
        let sendable = Sendable { message, created: now, sent: None };
        thread.outbox.entry(sendable.message.id.clone()).or_insert(sendable);
        if let Some(job) = self.jobs.get_mut(&terminal.job_id)
            && job.record.thread_id == lease.thread_id
            && !job.record.status.is_terminal()
        {
            job.record.status = terminal.status;
            job.record.result = Some(terminal.result);
            job.ended = Some(now);
            job.ended_under = Some(lease.epoch);
        }
        let next = self.start_oldest(&lease.thread_id, false);
        let row = self.threads.get_mut(&lease.thread_id).and_then(|thread| thread.lease.as_mut());
        if let Some(row) = row {
            if next.is_none() {
                row.released = true;
                row.until = now;
                row.reserved = last;
            } else {
                row.reserved = seq::raised(row.reserved, last);
            }
        }
        Ok(Finished { next: next.map(Box::new) })
    }

    pub(super) fn end_queued(&mut self, terminal: Terminal) -> bool {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&terminal.job_id) else { return false };
        if job.record.status != JobStatus::Queued {
            return false;
        }
        job.record.status = terminal.status;
        job.record.result = Some(terminal.result);
        job.ended = Some(now);
        let message = terminal.outbox;
        let thread = self.threads.entry(message.thread_id.clone()).or_default();
        let sendable = Sendable { message, created: now, sent: None };
        thread.outbox.entry(sendable.message.id.clone()).or_insert(sendable);
        true
    }

    pub(super) fn renew(&mut self, leases: &[Lease]) -> Vec<Arc<str>> {
        let mut lost = Vec::new();
        for lease in leases {
            match self.guarded(lease) {
                Ok(thread) => raise(thread, lease.next_seq.saturating_sub(1)),
                Err(_) => lost.push(lease.thread_id.clone()),
            }
        }
        lost
    }

    pub(super) fn release(&mut self, lease: &Lease, last_seq: u64) {
        let now = self.now;
        if let Ok(Thread { lease: Some(row), .. }) = self.guarded(lease) {
            row.released = true;
            row.until = now;
            row.reserved = seq::last_used(lease.next_seq, last_seq);
        }
    }

    pub(super) fn job(&self, job_id: &str) -> Option<JobRecord> {
        self.jobs.get(job_id).map(|job| job.record.clone())
    }

    pub(super) fn jobs_of(&self, thread_id: &str) -> Vec<JobRecord> {
        let ids = self.threads.get(thread_id).map(|thread| thread.jobs.as_slice()).unwrap_or_default();
        ids.iter().filter_map(|id| self.job(id)).collect()
    }

    pub(super) fn recent(&self, limit: usize) -> Vec<JobSummary> {
        let mut jobs: Vec<&Job> = self.jobs.values().collect();
        jobs.sort_by_key(|job| std::cmp::Reverse(job.admitted));
        let summary = |job: &Job| JobSummary {
            job_id: job.record.job_id.clone(),
            thread_id: job.record.thread_id.clone(),
            status: job.record.status,
            created_at_ms: job.record.created_at_ms,
            ended_at_ms: job.ended,
        };
        jobs.into_iter().take(limit).map(summary).collect()
    }

    pub(super) fn request_cancel(&mut self, job_id: &str) -> Option<JobRecord> {
        let job = self.jobs.get_mut(job_id)?;
        job.record.cancel_requested |= !job.record.status.is_terminal();
        Some(job.record.clone())
    }

    pub(super) fn cancel_requests(&self, job_ids: &[Arc<str>]) -> Vec<Arc<str>> {
        let asked = |id: &&Arc<str>| self.jobs.get(*id).is_some_and(|job| job.record.cancel_requested);
        job_ids.iter().filter(asked).cloned().collect()
    }
}

fn raise(thread: &mut Thread, last: u64) {
    if let Some(row) = &mut thread.lease {
        row.reserved = seq::raised(row.reserved, last);
    }
}
