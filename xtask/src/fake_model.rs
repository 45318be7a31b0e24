//! `cargo xtask fake-model`: testkit's scripted model for the local stack.

use agent_testkit::FakeModel as Model;
use tokio::signal::unix::{SignalKind, signal};

use crate::flags::FakeModel;
use crate::place;

impl FakeModel {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        place::runtime()?.block_on(async {
            let model = Model::start_on(self.port).await?;
            println!("scripted model at {}", model.base_url());
            signal(SignalKind::terminate())?.recv().await;
            Ok(())
        })
    }
}
