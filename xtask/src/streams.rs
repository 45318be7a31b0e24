//! `cargo xtask bench --streams`: what many clients cost one worker. WebSockets that wait for nothing, and jobs that are
//! followed while they run; how much memory, and how long a token takes from the model to its reader.
//!
//! The model is in this process and writes the moment of sending into each token, so both ends read one clock. It takes
//! its share of the machine, as do the followers: on few cores the figures are worse than a worker's own. Of each time some
//! 20 ms are the worker's choice: so long it gathers text before it tells it (`merge_deltas` of the runtime).

mod follow;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use agent_testkit::FakeModel;
use anyhow::{Context, ensure};
use async_nats::jetstream;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

use crate::bench::memory;
use crate::{job, place, stack};
use follow::Followed;

/// Of each job.
const TOKENS: usize = 200;
const DELAY_MS: u32 = 50;
/// A stream's ten seconds, and what a busy machine adds.
const LIMIT: Duration = Duration::from_secs(180);

/// How many clients of each kind.
pub(crate) struct Plan {
    pub(crate) idle: usize,
    pub(crate) active: usize,
}

impl Plan {
    pub(crate) fn measure(&self, worker: &Path) -> anyhow::Result<()> {
        place::runtime()?.block_on(self.rows(worker))
    }

    async fn rows(&self, worker: &Path) -> anyhow::Result<()> {
        let model = FakeModel::start().await?;
        let (concurrency, base) = (self.active.max(1).to_string(), model.base_url());
        let settings = [
            ("WORKER_CONCURRENCY", concurrency.as_str()),
            ("OPENAI_BASE_URL", base.as_str()),
            ("OPENAI_API_KEY", "scripted"),
        ];
        stack::start_worker(worker, &settings)?;
        let pid = stack::running("worker").context("the worker has ended")?.pid.as_raw_nonzero().get();
        let publisher = Publisher::connect().await?;
        // Pools and caches are filled before anything is measured.
        publisher.streams("warm", 1).await?;
        let rest = memory(pid);

        println!(
            "\n{:<44} {:>8} {:>8} {:>8} {:>8} {:>8}",
            "", "tokens", "p50 ms", "p99 ms", "max ms", "peak MB"
        );
        let row = async |name: String, jobs: usize| -> anyhow::Result<()> {
            let peak = Peak::watch(pid);
            let followed = publisher.streams("bench", jobs).await?;
            println!("{name:<44} {} {:>8.1}", line(followed)?, megabytes(peak.end().await));
            Ok(())
        };
        row("1 job, 1 follower".to_owned(), 1).await?;
        let mut idle = self.open_idle().await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let with_idle = memory(pid);
        row(format!("the same beside {} idle WebSockets", self.idle), 1).await?;
        row(format!("{0} jobs, {0} followers, beside them", self.active), self.active).await?;
        ensure!(idle.try_join_next().is_none(), "an idle WebSocket was closed meanwhile");

        let each = with_idle.saturating_sub(rest) / u64::try_from(self.idle.max(1)).unwrap_or(1);
        println!(
            "\nmemory at rest {:.1} MB, with {} idle WebSockets {:.1} MB ({each} kB each)",
            megabytes(rest),
            self.idle,
            megabytes(with_idle)
        );
        idle.shutdown().await;
        stack::stop("worker", Signal::TERM, Duration::from_secs(40))?;
        Ok(())
    }

    /// Each on a thread that nobody writes to; it answers pings.
    async fn open_idle(&self) -> anyhow::Result<JoinSet<()>> {
        let mut open = JoinSet::new();
        for number in 0..self.idle {
            let mut socket = follow::Socket::open(&format!("idle-{number}")).await?;
            open.spawn(async move { while socket.next().await.is_ok_and(|frame| frame.is_some()) {} });
        }
        Ok(open)
    }
}

fn megabytes(kilobytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "kilobytes of one machine")]
    let kilobytes = kilobytes as f64;
    kilobytes / 1024.0
}

/// The largest memory of a process while something goes on.
struct Peak {
    highest: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    watch: JoinHandle<()>,
}

impl Peak {
    fn watch(pid: i32) -> Self {
        let (highest, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, stop) = (Arc::clone(&highest), Arc::clone(&over));
        let watch = tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                seen.fetch_max(memory(pid), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Self { highest, over, watch }
    }

    async fn end(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.watch.await.ok();
        self.highest.load(Ordering::Relaxed)
    }
}

/// Sends jobs over NATS.
struct Publisher(jetstream::Context);

impl Publisher {
    async fn connect() -> anyhow::Result<Self> {
        Ok(Self(jetstream::new(async_nats::connect(stack::address(stack::NATS)).await?)))
    }

    /// Runs so many jobs at once, each with a follower: every second one over Server-Sent Events, the others over
    /// WebSocket. All that was heard.
    async fn streams(&self, prefix: &str, jobs: usize) -> anyhow::Result<Vec<Followed>> {
        let ids: Vec<String> =
            (0..jobs).map(|number| format!("{}-{number}", job::fresh_id(prefix))).collect();
        let mut followers = JoinSet::new();
        for (number, id) in ids.iter().enumerate() {
            if number % 2 == 0 {
                let socket = follow::Socket::open(id).await?;
                followers.spawn(follow::over_socket(socket));
            } else {
                followers.spawn(follow::over_events(id.clone()));
            }
        }
        for id in &ids {
            let body = serde_json::to_vec(&job::event(id, &definition(), "Say something."))?;
            self.0.publish(format!("agent.execute.{id}"), body.into()).await?.await?;
        }
        let all = async {
            let mut heard = Vec::new();
            while let Some(followed) = followers.join_next().await {
                heard.push(followed??);
            }
            anyhow::Ok(heard)
        };
        let heard =
            tokio::time::timeout(LIMIT, all).await.context("not every stream has ended in time")??;
        for followed in &heard {
            ensure!(followed.tokens == TOKENS, "a follower got {} tokens of {TOKENS}", followed.tokens);
        }
        Ok(heard)
    }
}

fn definition() -> Value {
    let prompt = format!("You talk. [[fake:hello text=time tokens={TOKENS} delay_ms={DELAY_MS}]]");
    let model = json!({"provider": "openai", "model": "gpt-4o-mini"});
    json!({"nodes": [{"type": "orchestrator", "config": {"name": "main", "system_prompt": prompt, "model": model}}]})
}

/// How many tokens, and how long they took.
fn line(heard: Vec<Followed>) -> anyhow::Result<String> {
    let mut took: Vec<u64> = heard.into_iter().flat_map(|followed| followed.took).collect();
    took.sort_unstable();
    let last = took.len().checked_sub(1).context("no token came while somebody listened")?;
    let at = |part: usize| {
        let micros = took.get(last * part / 100).copied().unwrap_or_default();
        Duration::from_micros(micros).as_secs_f64() * 1000.0
    };
    Ok(format!("{:>8} {:>8.2} {:>8.2} {:>8.2}", took.len(), at(50), at(99), at(100)))
}
