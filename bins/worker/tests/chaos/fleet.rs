//! Several worker processes on one stack, and jobs for them.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use agent_testkit::{FakeModel, until};
use async_nats::jetstream;
use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use crate::Dose;
use crate::common::{Plan, Stack, Worker, job, metric};
use crate::effects::{CALLS_OF_EFFECTS_JOB, Effects};

/// Four slots a worker. The poison limit is out of the way: with 5, chance alone would
/// poison some jobs, and poison has its own test. In short all timers are a tenth.
pub(crate) fn plan(dose: Dose) -> Plan {
    let plan = Plan::default().env("POISON_LIMIT", "100").env("WORKER_CONCURRENCY", "4");
    if dose == Dose::Short { plan.quick() } else { plan }
}

/// Workers that come and go.
pub(crate) struct Fleet {
    pub(crate) stack: Stack,
    pub(crate) members: Vec<Member>,
    /// Where at-most-once tools have their effects, in scenarios that have such.
    pub(crate) effects: Option<Effects>,
    /// Providers of workers that have one of their own.
    pub(crate) models: Vec<FakeModel>,
    lives: usize,
    published: Vec<Value>,
    begun: Instant,
}

/// One life of one worker.
pub(crate) struct Member {
    /// The beginning of its name in leases.
    pub(crate) name: String,
    pub(crate) worker: Worker,
}

impl Fleet {
    /// `None` where no servers can be had.
    pub(crate) async fn start(plan: Plan, workers: usize) -> anyhow::Result<Option<Self>> {
        let begun = Instant::now();
        // The stack's own worker only proves that the settings do.
        let Some(mut stack) = plan.start().await else { return Ok(None) };
        stack.worker.signal("TERM");
        stack.worker.ended().await;
        let mut fleet = Self {
            stack,
            members: Vec::new(),
            effects: None,
            models: Vec::new(),
            lives: 0,
            published: Vec::new(),
            begun,
        };
        for _ in 0..workers {
            let member = fleet.spawn(&[]);
            fleet.members.push(member);
        }
        for member in &fleet.members {
            member.worker.ready().await;
        }
        Ok(Some(fleet))
    }

    /// As [`Fleet::start`], with tools whose effects are logged.
    pub(crate) async fn start_with_effects(plan: Plan, workers: usize) -> anyhow::Result<Option<Self>> {
        let effects = Effects::start().await?;
        let plan = if effects.is_some() { Effects::plan(plan) } else { plan };
        Ok(Self::start(plan, workers).await?.map(|fleet| Self { effects, ..fleet }))
    }

    /// Jobs with effects that cannot be undone, if there can be such; else of the other kind.
    pub(crate) fn effects_jobs(&self, prefix: &str, count: usize) -> Vec<Value> {
        match &self.effects {
            Some(effects) => effects.jobs(prefix, count),
            None => tools_jobs(prefix, count, 20),
        }
    }

    /// Model calls beyond those that the published jobs need.
    pub(crate) fn wasted(&self) -> u64 {
        let asked = self.stack.model.requests() + self.models.iter().map(FakeModel::requests).sum::<u64>();
        let needs = |job: &Value| match job.pointer("/agent_definition/tool_definitions") {
            Some(_) => CALLS_OF_EFFECTS_JOB,
            None => CALLS_OF_TOOLS_JOB,
        };
        asked.saturating_sub(self.published.iter().map(needs).sum())
    }

    /// One more process, not yet ready.
    pub(crate) fn spawn(&mut self, more: &[(&str, &str)]) -> Member {
        self.lives += 1;
        let name = format!("m{}x", self.lives);
        let mut environment = vec![("WORKER_NAME", name.as_str())];
        environment.extend_from_slice(more);
        let worker = self.stack.another(&environment);
        Member { name, worker }
    }

    /// kill -9 and a new process in its place; returns the name of the dead one.
    pub(crate) fn replace(&mut self, at: usize) -> Option<String> {
        let fresh = self.spawn(&[]);
        let member = self.members.get_mut(at)?;
        // Dropping a worker kills it.
        let dead = std::mem::replace(member, fresh);
        Some(dead.name)
    }

    pub(crate) async fn publish(&mut self, jobs: Vec<Value>) -> anyhow::Result<()> {
        let context = jetstream::new(self.stack.nats.client().await?);
        for job in jobs {
            send(&context, &job).await?;
            self.published.push(job);
        }
        Ok(())
    }

    /// As a publisher does that looks later whether its jobs are known; returns how many were not.
    pub(crate) async fn publish_unknown_again(&self) -> anyhow::Result<u64> {
        let known = self.statuses().await?;
        let context = jetstream::new(self.stack.nats.client().await?);
        let mut again = 0;
        for job in &self.published {
            if job_id(job).is_some_and(|id| !known.contains_key(id)) {
                send(&context, job).await?;
                again += 1;
            }
        }
        Ok(again)
    }

    pub(crate) fn job_ids(&self) -> impl Iterator<Item = &str> {
        self.published.iter().filter_map(job_id)
    }

    pub(crate) async fn postgres(&self) -> anyhow::Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.stack.dsn, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Status by job.
    pub(crate) async fn statuses(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let rows = self.postgres().await?.query("select job_id, status from agent_jobs", &[]).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Jobs that are not yet ended, or not even known.
    pub(crate) async fn open(&self) -> anyhow::Result<usize> {
        let known = self.statuses().await?;
        let ended =
            |id: &&str| known.get(*id).is_some_and(|status| !matches!(status.as_str(), "queued" | "running"));
        Ok(self.job_ids().count() - self.job_ids().filter(ended).count())
    }

    /// Waits until all jobs have ended and no message is left; says how many are open where that takes too long.
    pub(crate) async fn all_ended(&self, limit: Duration) -> anyhow::Result<()> {
        let ended = until("all jobs have ended", limit, async || {
            tokio::time::sleep(Duration::from_millis(200)).await;
            (self.open().await.ok()? == 0).then_some(())
        });
        if let Err(error) = ended.await {
            // The verdict names them.
            println!("chaos: {error}: {:?} open", self.open().await.ok());
        }
        Ok(())
    }

    /// The process of the worker of this name.
    pub(crate) fn pid(&self, name: &str) -> Option<u32> {
        self.members.iter().find(|member| member.name == name).map(|member| member.worker.child.id())
    }

    /// A counter over the workers that live now.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let mut sum = 0.0;
        for member in &self.members {
            sum += metric(member.worker.port, name).await.unwrap_or_default();
        }
        format!("{sum:.0}").parse().unwrap_or_default()
    }

    pub(crate) fn took(&self) -> Duration {
        self.begun.elapsed()
    }
}

/// To a process that may be gone.
pub(crate) fn send_signal(pid: u32, name: &str) {
    Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().ok();
}

async fn send(context: &jetstream::Context, job: &Value) -> anyhow::Result<()> {
    let subject = format!("agent.execute.{}", job_id(job).unwrap_or("none"));
    let body = job.to_string();
    // A server that is coming back needs a moment.
    let sent = until("the stream takes a job", Duration::from_secs(40), async || {
        let stored = context.publish(subject.clone(), body.clone().into()).await.ok()?;
        stored.await.ok()
    });
    sent.await.map(drop)
}

fn job_id(job: &Value) -> Option<&str> {
    job.get("job_id").and_then(Value::as_str)
}

/// Jobs of six model calls and five tool calls each.
pub(crate) fn tools_jobs(prefix: &str, count: usize, delay_ms: u32) -> Vec<Value> {
    let marker = format!("tools tokens=20 delay_ms={delay_ms}");
    (0..count).map(|n| job(&format!("{prefix}-{n}"), &marker)).collect()
}

/// Model calls of one of [`tools_jobs`].
const CALLS_OF_TOOLS_JOB: u64 = 6;

/// A number below `end`, from a generator that starts alike in every run.
#[derive(Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // xorshift64: what is hit need not be secret.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end.max(1)
    }

    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from + 1))
    }

    pub(crate) fn index(&mut self, of: usize) -> usize {
        usize::try_from(self.below(of as u64)).unwrap_or(0)
    }
}
