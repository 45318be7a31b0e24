//! `ScriptsOff` keeps the port's promises. `ScriptHost` is tried where its launcher is built: bins/tool-launcher.

agent_tool_host::tool_host_conformance!(std::sync::Arc::new(agent_tool_host::ScriptsOff));
