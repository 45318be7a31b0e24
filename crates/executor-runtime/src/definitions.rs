//! Definitions made ready once and kept, since most jobs of a team bring the same one.

use std::sync::{Arc, Mutex, PoisonError};

use agent_executor_core::{Compiled, Defaults, Definition, ScriptTool};
use agent_tool_host::ToolHost;
use indexmap::IndexMap;
use serde_json::Value;
use tracing::warn;

use crate::failure::Failed;
use crate::settings::RuntimeSettings;

/// Compiled definitions that are kept.
const KEPT: usize = 256;

/// A definition ready to run, with the scripts that its tools need.
#[derive(Debug, Clone)]
pub(crate) struct Ready {
    pub(crate) compiled: Arc<Compiled>,
    pub(crate) scripts: Arc<[ScriptTool]>,
}

pub(crate) struct Definitions {
    defaults: Defaults,
    without: Vec<String>,
    tools: Arc<dyn ToolHost>,
    kept: Mutex<IndexMap<String, Ready>>,
}

impl Definitions {
    pub(crate) fn new(settings: &RuntimeSettings, tools: Arc<dyn ToolHost>) -> Self {
        Self {
            defaults: Defaults { model: settings.default_model.clone() },
            without: settings.without_tools.clone(),
            tools,
            kept: Mutex::default(),
        }
    }

    /// The definition, ready to run.
    pub(crate) async fn ready(&self, definition: &Value) -> Result<Ready, Failed> {
        let text = definition.to_string();
        if let Some(ready) = self.lock().get(&text) {
            return Ok(ready.clone());
        }
        let parsed = Definition::parse(definition, &self.defaults)
            .map_err(|error| Failed::definition(error.code(), &error.to_string()))?;
        for warning in &parsed.warnings {
            warn!(event = "definition_warning", definition = %parsed.definition.name, %warning);
        }
        let scripts: Arc<[ScriptTool]> = parsed.definition.tools.clone().into();
        let described = self.tools.describe(&scripts).await;
        let custom = described.map_err(|error| Failed::definition(error.code(), &error.to_string()))?;
        let custom: IndexMap<_, _> = custom.into_iter().collect();
        let compiled = Compiled::new(Arc::new(parsed.definition), &custom, &self.without)
            .map_err(|error| Failed::definition(error.code(), &error.to_string()))?;
        let ready = Ready { compiled: Arc::new(compiled), scripts };
        let mut kept = self.lock();
        if kept.len() >= KEPT {
            kept.shift_remove_index(0);
        }
        kept.insert(text, ready.clone());
        Ok(ready)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, IndexMap<String, Ready>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
