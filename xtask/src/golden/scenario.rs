//! A recorded scenario as its folder describes it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::{Map, Value, json};

pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) turns: Vec<Turn>,
}

/// One job of the scenario's thread.
pub(crate) struct Turn {
    pub(crate) job_id: String,
    pub(crate) thread_id: String,
    /// The CloudEvent that asks for it.
    pub(crate) event: Value,
}

/// The folder's scenarios whose name holds one of the filters, in the order of their names.
pub(crate) fn all(folder: &Path, filters: &[String]) -> anyhow::Result<Vec<Scenario>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut folders: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.retain(|path| path.join("scenario.json").is_file());
    folders.sort();
    let mut scenarios = folders.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    scenarios.retain(|one| filters.is_empty() || filters.iter().any(|filter| one.name.contains(filter)));
    Ok(scenarios)
}

fn read(folder: &Path) -> anyhow::Result<Scenario> {
    let description = json_file(&folder.join("scenario.json"))?;
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let name = text(&description, "name").context("scenario.json has no name")?;
    let file = text(&description, "definition").unwrap_or_else(|| "definition.json".to_owned());
    let definition = json_file(&folder.join(file))?;
    let turns = description.get("turns").and_then(Value::as_array).context("scenario.json has no turns")?;
    let turns = turns.iter().map(|turn| {
        let job_id = text(turn, "job_id").context("a turn has no job_id")?;
        let thread_id = text(turn, "thread_id").unwrap_or_else(|| job_id.clone());
        let mut data = Map::new();
        data.insert("job_id".to_owned(), job_id.clone().into());
        if thread_id != job_id {
            data.insert("thread_id".to_owned(), thread_id.clone().into());
        }
        data.insert("agent_definition".to_owned(), definition.clone());
        data.insert("input_payload".to_owned(), turn.get("input").cloned().unwrap_or_default());
        for (key, value) in turn.get("options").and_then(Value::as_object).into_iter().flatten() {
            data.insert(key.clone(), value.clone());
        }
        let event = json!({
            "specversion": "1.0",
            "type": "dev.my-platform.agent.execute",
            "source": "xtask-golden",
            "id": job_id,
            "subject": job_id,
            "datacontenttype": "application/json",
            "data": data,
        });
        Ok(Turn { job_id, thread_id, event })
    });
    Ok(Scenario { name, folder: folder.to_path_buf(), turns: turns.collect::<anyhow::Result<_>>()? })
}

fn json_file(path: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}
