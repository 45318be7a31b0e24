//! A group of commits and finishes.

use std::collections::HashSet;

use super::{Failed, Outcome, Session, Settled};
use crate::check;
use crate::port::StoreError;
use crate::postgres::calls::WriteCall;
use crate::postgres::rows::{Param, RowArrays};
use crate::postgres::{job, sql};
use crate::seq;
use crate::types::Finished;

fn last_used(call: &WriteCall) -> Result<i64, StoreError> {
    check::number("last_seq", seq::last_used(call.lease.next_seq, call.commit.last_seq))
}

#[derive(Default)]
struct Heads<'a> {
    thread_id: Vec<&'a str>,
    owner: Vec<&'a str>,
    epoch: Vec<i64>,
    last_used: Vec<i64>,
    job_id: Vec<Option<&'a str>>,
    status: Vec<Option<&'static str>>,
    result: Vec<Option<&'a [u8]>>,
    outbox_id: Vec<Option<&'a str>>,
    subject: Vec<Option<&'a str>>,
    body: Vec<Option<&'a [u8]>>,
}

impl<'a> Heads<'a> {
    fn push(&mut self, call: &'a WriteCall) -> Result<(), StoreError> {
        self.thread_id.push(&call.lease.thread_id);
        self.owner.push(&call.lease.owner);
        self.epoch.push(call.lease.epoch);
        self.last_used.push(last_used(call)?);
        let terminal = call.terminal.as_ref();
        self.job_id.push(terminal.map(|it| &*it.job_id));
        self.status.push(terminal.map(|it| it.status.as_str()));
        self.result.push(terminal.map(|it| &*it.result));
        self.outbox_id.push(terminal.map(|it| &*it.outbox.id));
        self.subject.push(terminal.map(|it| &*it.outbox.subject));
        self.body.push(terminal.map(|it| &*it.outbox.body));
        Ok(())
    }

    fn params(&self) -> [Param<'_>; 10] {
        [
            &self.thread_id,
            &self.owner,
            &self.epoch,
            &self.last_used,
            &self.job_id,
            &self.status,
            &self.result,
            &self.outbox_id,
            &self.subject,
            &self.body,
        ]
    }
}

fn fenced(call: &WriteCall) -> StoreError {
    StoreError::Fenced { thread_id: call.lease.thread_id.clone(), epoch: call.lease.epoch }
}

impl Session {
    /// Writes all calls whose lease stands, or none.
    pub(in crate::postgres) async fn write(
        &self,
        calls: &[WriteCall],
    ) -> Result<Vec<Outcome<Finished>>, Failed> {
        let mut answers = self.write_at_once(calls).await?;
        let late = calls.iter().zip(&mut answers);
        let late: Vec<_> =
            late.filter(|(call, answer)| answer.is_none() && call.terminal.is_some()).collect();
        if !late.is_empty() {
            let calls: Vec<_> = late.iter().map(|(call, _)| *call).collect();
            let ended = self.ended_by(&calls).await?;
            for (call, answer) in late {
                if call.terminal.as_ref().is_some_and(|it| ended.contains(&*it.job_id)) {
                    *answer = Some(Finished { next: None });
                }
            }
        }
        let outcome = |(call, answer): (&WriteCall, Option<Finished>)| {
            Outcome::Done(answer.ok_or_else(|| fenced(call)))
        };
        Ok(calls.iter().zip(answers).map(outcome).collect())
    }

    /// `None` for calls whose lease does not stand.
    async fn write_at_once(&self, calls: &[WriteCall]) -> Result<Vec<Option<Finished>>, Failed> {
        let (mut rows, mut heads) = (RowArrays::default(), Heads::default());
        for (n, call) in (1..).zip(calls) {
            rows.push(n, &call.commit).map_err(Failed::Data)?;
            heads.push(call).map_err(Failed::Data)?;
        }
        let mut params = rows.params();
        params.extend(heads.params());
        params.push(&self.ttl);
        let told = self.ask(&self.write, &params).await?;

        let mut answers: Vec<Option<Finished>> = calls.iter().map(|_| None).collect();
        for row in &told {
            let at = usize::try_from(row.try_get::<_, i32>(0)?).unwrap_or(0).wrapping_sub(1);
            let (Some(answer), Some(call)) = (answers.get_mut(at), calls.get(at)) else { continue };
            let next = if row.try_get("look_again")? {
                let used = last_used(call).map_err(Failed::Data)?;
                match self.settle(&call.lease, used, false).await? {
                    Settled::Next(job) => Some(job),
                    Settled::Released | Settled::Fenced => None,
                }
            } else {
                job::of(row)?.map(Box::new)
            };
            *answer = Some(Finished { next });
        }
        Ok(answers)
    }

    /// Jobs that these very finishes have ended before: their answer was lost.
    async fn ended_by(&self, calls: &[&WriteCall]) -> Result<HashSet<String>, Failed> {
        let jobs = |call: &&'_ WriteCall| call.terminal.as_ref().map(|it| it.job_id.to_string());
        let ids: Vec<String> = calls.iter().filter_map(jobs).collect();
        let mut ended = HashSet::new();
        for row in self.ask_rarely(sql::ENDED, &[&ids]).await? {
            let (job_id, epoch): (String, i64) = (row.try_get(0)?, row.try_get(1)?);
            if calls.iter().any(|call| {
                call.lease.epoch == epoch && call.terminal.as_ref().is_some_and(|it| *it.job_id == *job_id)
            }) {
                ended.insert(job_id);
            }
        }
        Ok(ended)
    }
}
