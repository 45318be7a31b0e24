//! How large a definition may be. The body as a whole is limited before it comes here.

/// Version of the definition's form (`schema_version`, and the published JSON Schema's). It rises when a member
/// changes its meaning or an accepted form goes; new optional members do not raise it.
pub const SCHEMA_VERSION: u64 = 1;

/// Most agents of one definition. Each costs some 150 tokens in every call of the orchestrator.
pub const MAX_NODES: usize = 100;

/// Most script tools of one definition.
pub const MAX_TOOL_DEFINITIONS: usize = 200;

/// Most channels of one agent's `state_schema`.
pub const MAX_CHANNELS: usize = 100;

/// Longest name of an agent or tool, in characters.
pub const MAX_NAME_CHARS: usize = 256;

/// Longest description of a specialist, in bytes.
pub const MAX_DESCRIPTION_BYTES: usize = 16 * 1024;

/// Longest system prompt, in bytes: some 64,000 tokens, half of the smallest known context window.
pub const MAX_PROMPT_BYTES: usize = 256 * 1024;

/// Longest Python source of one tool, in bytes.
pub const MAX_SCRIPT_BYTES: usize = 256 * 1024;

/// Largest `recursion_limit`, and the limit where none is named: the one that deepagents binds.
pub const MAX_RECURSION_LIMIT: u32 = 9999;

/// Most patterns of `fail_if_output_matches`.
pub const MAX_PATTERNS: usize = 20;

/// Longest of these patterns, in bytes.
pub const MAX_PATTERN_BYTES: usize = 1024;
