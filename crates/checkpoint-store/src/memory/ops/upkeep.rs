//! What is done beside the jobs: outbox, orphans, dead letters, deletion.

use std::sync::Arc;
use std::time::Duration;

use super::{State, ms};
use crate::memory::thread::{Sendable, Thread};
use crate::types::{
    DeadLetter, DeadLetterRecord, JobRecord, JobStatus, JournalRow, OutboxMessage, Retention,
};

impl State {
    pub(crate) fn outbox_due(&self, min_age: Duration, limit: usize) -> Vec<OutboxMessage> {
        let latest = self.now.saturating_sub(ms(min_age));
        let all = self.threads.values().flat_map(|thread| thread.outbox.values());
        let mut due: Vec<_> = all.filter(|row| row.sent.is_none() && row.created <= latest).collect();
        due.sort_by_key(|row| row.created);
        due.into_iter().take(limit).map(|row| row.message.clone()).collect()
    }

    pub(crate) fn outbox_sent(&mut self, sent: &[OutboxMessage]) {
        let now = self.now;
        for message in sent {
            let thread = self.threads.get_mut(&message.thread_id);
            if let Some(row) = thread.and_then(|thread| thread.outbox.get_mut(&message.id)) {
                row.sent.get_or_insert(now);
            }
        }
    }

    pub(crate) fn orphans(&self, idle: Duration, handed_back: Duration, limit: usize) -> Vec<Arc<str>> {
        let latest = |thread: &Thread| {
            let released = thread.lease.as_ref().is_some_and(|row| row.released);
            self.now.saturating_sub(ms(if released { handed_back } else { idle }))
        };
        let unheld = |thread: &Thread| {
            thread.lease.as_ref().is_none_or(|row| row.is_free(self.now) && row.until <= latest(thread))
        };
        let quiet = |thread: &Thread| self.newest_admission(thread) <= latest(thread);
        let orphaned = self
            .threads
            .iter()
            .filter(|(_, thread)| unheld(thread) && self.has_open_job(thread) && quiet(thread));
        orphaned.take(limit).map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn overdue(&self, limit: usize) -> Vec<JobRecord> {
        let free = |thread_id: &str| {
            let lease = self.threads.get(thread_id).and_then(|thread| thread.lease.as_ref());
            lease.is_none_or(|row| row.is_free(self.now))
        };
        let open = self.jobs.values().map(|job| &job.record).filter(|job| !job.status.is_terminal());
        let must_end =
            open.filter(|job| job.cancel_requested || job.deadline_at_ms.is_some_and(|at| at <= self.now));
        let unheld = must_end.filter(|job| job.status == JobStatus::Queued || free(&job.thread_id));
        let mut overdue: Vec<JobRecord> = unheld.cloned().collect();
        overdue.sort_by_key(|job| job.created_at_ms);
        overdue.truncate(limit);
        overdue
    }

    pub(crate) fn elect(&mut self, role: &str, owner: &Arc<str>, ttl: Duration) -> bool {
        let now = self.now;
        let free = self.roles.get(role).is_none_or(|(holder, until)| holder == owner || *until <= now);
        if free {
            self.roles.insert(role.to_owned(), (owner.clone(), now.saturating_add(ms(ttl))));
        }
        free
    }

    fn newest_admission(&self, thread: &Thread) -> i64 {
        let jobs = thread.jobs.iter().filter_map(|id| self.jobs.get(id));
        jobs.map(|job| job.record.created_at_ms).max().unwrap_or(i64::MIN)
    }

    pub(crate) fn dead_letter(&mut self, letter: DeadLetter) {
        let same = |there: &DeadLetterRecord| {
            letter.seq != 0 && there.letter.seq == letter.seq && there.letter.source == letter.source
        };
        if let Some(message) = letter.outbox.clone() {
            let thread = self.threads.entry(message.thread_id.clone()).or_default();
            let sendable = Sendable { created: self.now, sent: None, message };
            thread.outbox.entry(sendable.message.id.clone()).or_insert(sendable);
        }
        if !self.dead.iter().any(same) {
            self.last_dead += 1;
            // The message is a row of the outbox; the letter does not keep a copy.
            let letter = DeadLetter { outbox: None, ..letter };
            self.dead.push(DeadLetterRecord { id: self.last_dead, letter, created_at_ms: self.now });
        }
    }

    pub(crate) fn dead_letters(&self, before: Option<i64>, limit: usize) -> Vec<DeadLetterRecord> {
        let below = |record: &&DeadLetterRecord| before.is_none_or(|id| record.id < id);
        self.dead.iter().rev().filter(below).take(limit).cloned().collect()
    }

    pub(crate) fn events(&self, thread_id: &str, after: u64, limit: usize) -> Vec<JournalRow> {
        let Some(thread) = self.threads.get(thread_id) else { return Vec::new() };
        let rows = thread.journal.values().map(|(row, _)| row).filter(|row| row.last_seq > after);
        rows.take(limit).cloned().collect()
    }

    pub(crate) fn delete_thread(&mut self, thread_id: &str) -> bool {
        let Some((key, thread)) = self.threads.remove_entry(thread_id) else { return false };
        let mut some = thread.has_checkpoint() || !thread.jobs.is_empty() || !thread.outbox.is_empty();
        for id in &thread.jobs {
            self.jobs.remove(id);
        }
        // A holder that nobody has seen end keeps its epoch used up, or it could write into the next life of
        // the thread.
        if let Some(mut row) = thread.lease.filter(|row| !row.released || row.owner.is_empty()) {
            some |= !row.owner.is_empty();
            if !row.owner.is_empty() {
                row.epoch += 1;
            }
            row.owner = Arc::from("");
            row.released = true;
            row.until = self.now;
            row.reserved = 0;
            self.threads.entry(key).or_default().lease = Some(row);
        }
        some
    }

    pub(crate) fn purge(&mut self, retention: &Retention, batch: usize) -> u64 {
        let mut gone = 0;
        if let Some(age) = retention.threads {
            gone += self.purge_threads(self.now.saturating_sub(ms(age)), batch);
        }
        if let Some(age) = retention.events {
            gone += self.purge_events(self.now.saturating_sub(ms(age)), batch);
        }
        if let Some(age) = retention.outbox {
            let latest = self.now.saturating_sub(ms(age));
            let mut left = batch;
            for thread in self.threads.values_mut() {
                thread.outbox.retain(|_, row| keep(row.sent.is_none_or(|at| at > latest), &mut left));
            }
            gone += batch - left;
        }
        if let Some(age) = retention.dead_letters {
            let latest = self.now.saturating_sub(ms(age));
            let mut left = batch;
            self.dead.retain(|record| keep(record.created_at_ms > latest, &mut left));
            gone += batch - left;
        }
        u64::try_from(gone).unwrap_or(u64::MAX)
    }

    fn purge_threads(&mut self, latest: i64, batch: usize) -> usize {
        let settled = |thread: &Thread| {
            thread.lease.as_ref().is_some_and(|row| row.is_free(self.now) && row.until <= latest)
                && !self.has_open_job(thread)
                && thread.outbox.values().all(|row| row.sent.is_some())
        };
        let old = self.threads.iter().filter(|(_, thread)| settled(thread));
        let ids: Vec<_> = old.take(batch).map(|(id, _)| id.clone()).collect();
        for id in &ids {
            self.delete_thread(id);
            self.threads.remove(id);
        }
        ids.len()
    }

    fn purge_events(&mut self, latest: i64, batch: usize) -> usize {
        let mut left = batch;
        let jobs = &self.jobs;
        let ended = |id: &str| jobs.get(id).is_none_or(|job| job.ended.is_some_and(|at| at <= latest));
        for thread in self.threads.values_mut() {
            thread.journal.retain(|_, (row, at)| keep(*at > latest || !ended(&row.job_id), &mut left));
        }
        batch - left
    }
}

/// Whether to keep a row: it may stay, or this round has deleted enough.
fn keep(stays: bool, left: &mut usize) -> bool {
    if stays || *left == 0 {
        return true;
    }
    *left -= 1;
    false
}
