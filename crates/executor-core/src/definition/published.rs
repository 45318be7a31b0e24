//! The JSON Schema of a definition, for editors and for other programs. It is made from the same names and limits
//! that the parser uses; `docs/schemas/agent-definition-v1.schema.json` is its text.

use serde_json::{Map, Value, json};

use crate::definition::agent::{CONFIG, NODE};
use crate::definition::limits::{
    MAX_CHANNELS, MAX_DESCRIPTION_BYTES, MAX_NAME_CHARS, MAX_NODES, MAX_PATTERN_BYTES, MAX_PATTERNS,
    MAX_PROMPT_BYTES, MAX_RECURSION_LIMIT, MAX_SCRIPT_BYTES, MAX_TOOL_DEFINITIONS, SCHEMA_VERSION,
};
use crate::definition::model::PROVIDERS;
use crate::definition::parse::{RUNTIME, TOOL, TOP};

/// The schema of an agent definition (draft 2020-12). Whatever the parser takes fits it; what it refuses beyond the
/// schema (two specialists of one name, unknown providers in a text, bad patterns) `worker validate` tells.
pub fn definition_schema() -> Value {
    let mut top = members(TOP, top_member);
    top.insert(
        "schema_version".to_owned(),
        json!({
            "description": "Version of this form. Absent: 1.",
            "type": ["integer", "null"], "minimum": 1, "maximum": SCHEMA_VERSION
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("agent-definition-v{SCHEMA_VERSION}.schema.json"),
        "title": "Agent definition",
        "description": "An orchestrator, its specialists and their tools. Members that stand nowhere below are kept, \
            warned about once, and have no effect. null counts as absent.",
        "type": "object",
        "required": ["nodes"],
        "properties": top,
        "$defs": {
            "node": node(),
            "agent": {"type": "object", "properties": members(CONFIG, agent_member)},
            "tool": tool(),
            "names": {
                "description": "Names, or objects with a `name`.",
                "type": ["array", "null"],
                "items": {"anyOf": [
                    {"type": "string"},
                    {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
                ]}
            },
            "model": model(),
            "limit": {
                "description": "Most super-steps: one before the agent, one for each model call, one for each round \
                    of tools, one after the agent.",
                "type": ["integer", "null"], "minimum": 1, "maximum": MAX_RECURSION_LIMIT
            },
            "channels": channels(),
            "response_format": response_format(),
            "context": context(),
            "size": size(),
        }
    })
}

fn members(names: &[&str], of: fn(&str) -> Value) -> Map<String, Value> {
    names.iter().map(|name| ((*name).to_owned(), of(name))).collect()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// A text that may be null. JSON Schema counts characters where we count bytes: what fits us fits it.
fn text(about: &str, most: usize) -> Value {
    json!({ "description": about, "type": ["string", "null"], "maxLength": most })
}

fn top_member(name: &str) -> Value {
    match name {
        "tool_definitions" => json!({
            "description": "Tools that agents may list by name.",
            "type": ["array", "null"], "maxItems": MAX_TOOL_DEFINITIONS, "items": reference("tool")
        }),
        "nodes" => json!({
            "description": "The agents. The last one of type `orchestrator` is the main agent, all others are \
                specialists that it can call; without an orchestrator the first node is the main agent.",
            "type": "array", "minItems": 1, "maxItems": MAX_NODES, "items": reference("node")
        }),
        "edges" => json!({
            "description": "Without effect; `source` and `target`, or `from` and `to`."
        }),
        "user_request" => json!({
            "description": "The user's message where a job's input has none. Anything but a text is ignored."
        }),
        "recursion_limit" => reference("limit"),
        "required_files" => json!({
            "description": "Files that must exist at the end, else the job fails (`result.requirement`).",
            "$ref": "#/$defs/names"
        }),
        "fail_if_output_matches" => json!({
            "description": "Regular expressions. A job whose output begins with a match fails \
                (`result.requirement`): `HALT` catches every output that begins so.",
            "anyOf": [
                {"type": ["string", "null"], "maxLength": MAX_PATTERN_BYTES},
                {"type": "array", "maxItems": MAX_PATTERNS, "items": {"anyOf": [
                    {"type": "string", "maxLength": MAX_PATTERN_BYTES},
                    {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
                ]}}
            ]
        }),
        "general_purpose" => json!({
            "description": "false: no `general-purpose` sub-agent. Default true.", "type": ["boolean", "null"]
        }),
        "without_tools" => json!({
            "description": "Built-in tools that no agent is offered.", "$ref": "#/$defs/names"
        }),
        "response_format" => reference("response_format"),
        "context" => reference("context"),
        "name" => {
            json!({ "description": "Name of the definition, for logs. Anything but a text is ignored." })
        }
        _ => json!({ "description": "Without effect." }),
    }
}

fn node() -> Value {
    let mut properties = members(CONFIG, agent_member);
    for name in NODE {
        let about = match *name {
            "type" => text("`orchestrator` in any case of letters, or anything else.", MAX_NAME_CHARS),
            "config" => json!({
                "description": "The agent's members; each may stand beside it instead.",
                "anyOf": [{"type": "null"}, reference("agent")]
            }),
            // Of any kind: beside a name nobody reads it.
            _ => {
                json!({ "description": "Name of an agent that has no `name`, then a text; else without effect." })
            }
        };
        properties.insert((*name).to_owned(), about);
    }
    json!({ "type": "object", "properties": properties })
}

fn agent_member(name: &str) -> Value {
    match name {
        "name" => text("Name, blanks allowed; a specialist's is its `subagent_type`.", MAX_NAME_CHARS),
        "description" => text(
            "What the orchestrator is told of a specialist. Default: the prompt's first 200 characters.",
            MAX_DESCRIPTION_BYTES,
        ),
        "system_prompt" => text("System prompt.", MAX_PROMPT_BYTES),
        "tools" => json!({
            "description": "Tools of the definition that this agent is offered; built-in ones it has anyway.",
            "$ref": "#/$defs/names"
        }),
        "model" => reference("model"),
        "model_name" => text("The model's name, where there is no `model`.", MAX_NAME_CHARS * 4),
        "provider" => json!({
            "description": format!("Provider of a bare `model` or `model_name`: {}.", PROVIDERS.join(", ")),
            "type": ["string", "null"]
        }),
        "recursion_limit" => reference("limit"),
        "without_tools" => json!({
            "description": "Built-in tools that this agent is not offered.", "$ref": "#/$defs/names"
        }),
        "state_schema" => reference("channels"),
        "response_format" => reference("response_format"),
        "context" => reference("context"),
        _ => json!({}),
    }
}

fn tool() -> Value {
    let script = text("Python source that defines a tool of this name.", MAX_SCRIPT_BYTES);
    let effect = text("`pure`, `idempotent` or `at_most_once` (default).", MAX_NAME_CHARS);
    let inner = |name: &str| match name {
        "script" => script.clone(),
        "effect" => effect.clone(),
        _ => json!({ "description": "Without effect." }),
    };
    let runtime: Map<String, Value> = RUNTIME.iter().map(|name| ((*name).to_owned(), inner(name))).collect();
    let mut properties: Map<String, Value> =
        TOOL.iter().map(|name| ((*name).to_owned(), inner(name))).collect();
    properties.insert(
        "name".to_owned(),
        json!({
            "description": "Name by which agents list it and models call it.",
            "type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARS
        }),
    );
    let about = "Where the script stands; it may stand beside `name` instead.";
    properties.insert(
        "runtime".to_owned(),
        json!({ "description": about, "type": ["object", "null"], "properties": runtime }),
    );
    json!({ "type": "object", "required": ["name"], "properties": properties })
}

fn model() -> Value {
    json!({
        "description": "`provider:model`, a bare name (OpenAI's), or an object with `provider` and `model` or \
            `model_name`. A specialist without one takes the orchestrator's.",
        "anyOf": [
            {"type": ["string", "null"]},
            {"type": "object", "properties": {
                "provider": {"description": PROVIDERS.join(", "), "type": ["string", "null"]},
                "model": {"type": ["string", "null"]},
                "model_name": {"type": ["string", "null"]}
            }}
        ]
    })
}

fn channels() -> Value {
    let kind = "list, dict, str, int, float, bool or any";
    json!({
        "description": "Channels beside messages, files and todos. The orchestrator has them too; the agent gets \
            their values and gives back those that it changed. `add_messages` merges messages by id, a list with any \
            other reducer grows, everything else takes the newest value.",
        "type": ["object", "null"],
        "maxProperties": MAX_CHANNELS,
        "additionalProperties": {"anyOf": [
            {"description": kind, "type": "string"},
            {"type": "object", "properties": {
                "type": {"description": kind, "type": ["string", "null"]},
                "item_type": {},
                "reducer": {"type": ["string", "null"]}
            }}
        ]}
    })
}

fn response_format() -> Value {
    let schema = json!({ "description": "JSON Schema of an object.", "type": "object" });
    json!({
        "description": "The form of the agent's answer: a JSON Schema of an object, OpenAI's \
            `{type: json_schema, json_schema: {name, schema}}`, or `{schema, name, strategy}`.",
        "type": ["object", "null"],
        "properties": {
            "json_schema": {
                "type": ["object", "null"], "required": ["schema"],
                "properties": {"schema": schema, "name": text("Name of the form.", MAX_NAME_CHARS)}
            },
            "schema": {"description": "JSON Schema of an object.", "type": ["object", "null"]},
            "name": text("Name of the form.", MAX_NAME_CHARS),
            "strategy": text("`auto` (default), `tool` or `provider`.", MAX_NAME_CHARS)
        }
    })
}

/// `context`, member by member (docs/context.md says what each does).
fn context() -> Value {
    let chars = |about: &str| {
        json!({
            "description": format!("{about}; false: without limit."),
            "anyOf": [{"type": ["integer", "null"], "minimum": 1}, {"const": false}]
        })
    };
    let tokens = |about: &str| json!({ "description": about, "type": ["integer", "null"], "minimum": 1 });
    let switch = |about: &str, details: Value| {
        json!({
            "description": about,
            "anyOf": [{"type": ["boolean", "null"]}, {"type": "object", "properties": details}]
        })
    };
    json!({
        "description": "How much of a conversation the model gets to see. An agent's own stands over the definition's.",
        "type": ["object", "null"],
        "properties": {
            "max_input_tokens": tokens("What the model can take, where its profile is not known or not right."),
            "max_output_tokens": tokens("Most tokens that the model may write."),
            "large_tool_result_chars": chars("Longer results of tools are moved to a file"),
            "large_user_message_chars": chars("Longer messages of the user are moved to a file"),
            "truncate_arguments": switch("Shorten old arguments of write_file and edit_file.", json!({
                "at": reference("size"), "keep": reference("size"),
                "max_chars": chars("Longer arguments are shortened")
            })),
            "summarize": switch("Replace old messages by a summary.", json!({
                "at": reference("size"), "keep": reference("size"),
                "prompt": text("Words of the request for a summary.", MAX_PROMPT_BYTES),
                "model": reference("model")
            })),
            "prompt_caching": {"description": "Ask providers to cache.", "type": ["boolean", "null"]}
        }
    })
}

fn size() -> Value {
    let kinds = ["fraction", "tokens", "messages"];
    json!({
        "description": "`{fraction}` of what the model can take, `{tokens}` or `{messages}`; or a pair of name and \
            number.",
        "anyOf": [
            {"type": "null"},
            {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": false,
                "properties": kinds.map(|kind| (kind.to_owned(), json!({"type": "number", "exclusiveMinimum": 0})))
                    .into_iter().collect::<Map<String, Value>>()},
            {"type": "array", "minItems": 2, "maxItems": 2,
                "prefixItems": [{"enum": kinds}, {"type": "number", "exclusiveMinimum": 0}]}
        ]
    })
}
