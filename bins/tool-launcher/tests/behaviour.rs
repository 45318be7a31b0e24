//! What scripts may use, what the model is shown, and what their answers become.

mod common;

use std::sync::Arc;

use agent_executor_core::{Class, ScriptTool, StateView};
use agent_langgraph_codec::{Content, FileContent, FileData, Message, ToolStatus};
use agent_tool_host::conformance::{call_of, script, text_of};
use agent_tool_host::{ScriptHost, ScriptLimits, ScriptSettings, ScriptsOff, ToolHost};
use common::{body, missing, own, rig, rig_of, rig_with, run, run_on, tool};
use serde_json::{Map, Value, json};

/// A host for the suite; where nothing can be tried the host for `off`, which keeps the same promises.
fn host() -> Arc<dyn ToolHost> {
    match missing() {
        None => Arc::new(ScriptHost::new(ScriptSettings { launcher: own(), ..ScriptSettings::default() })),
        Some(_) => Arc::new(ScriptsOff),
    }
}

agent_tool_host::tool_host_conformance!(host());

const WORD_STATS: &str = "
from langchain_core.tools import tool

@tool
def another(text: str) -> str:
    \"\"\"Stands before the wanted one.\"\"\"
    return text

@tool
def it(text: str, top: int = 2) -> dict:
    \"\"\"Count the words of a text.

    Args:
        text: the text to look at
    \"\"\"
    words = text.lower().split()
    ranked = sorted(set(words), key=lambda w: (-words.count(w), w))
    return {\"words\": len(words), \"top\": [[w, words.count(w)] for w in ranked[:top]], \"sign\": \"é\"}
";

#[tokio::test]
async fn a_tool_is_taken_by_its_name_and_described_as_langchain_describes_it() {
    let Some(rig) = rig() else { return };
    let described = rig.host.describe(&[script("it", WORD_STATS)]).await.unwrap();
    let (name, tool) = &described[0];
    assert_eq!((name.as_str(), tool.class), ("it", Class::AtMostOnce));
    assert!(
        tool.spec.description.starts_with("Count the words of a text.\n\n    Args:\n"),
        "{}",
        tool.spec.description
    );
    let expected = r#"{"properties":{"text":{"type":"string"},"top":{"default":2,"type":"integer"}},"required":["text"],"type":"object"}"#;
    assert_eq!(tool.spec.parameters.to_string(), expected);
}

#[tokio::test]
async fn a_dict_becomes_json_as_python_writes_it_and_wrong_arguments_get_pydantics_text() {
    let Some(rig) = rig() else { return };
    let result = run(&rig, WORD_STATS, json!({"text": "to be or not to be", "top": "1"})).await;
    assert_eq!(text_of(&result.content), r#"{"words": 6, "top": [["be", 2]], "sign": "é"}"#);
    assert_eq!(result.status, ToolStatus::Success);
    let refused = run(&rig, WORD_STATS, json!({"top": "x"})).await;
    assert_eq!(refused.status, ToolStatus::Error);
    assert_eq!(
        text_of(&refused.content),
        "Error invoking tool 'it' with kwargs {'top': 'x'} with error:\n text: Field required\ntop: Input should be a \
         valid integer, unable to parse string as an integer\n Please fix the error and try again."
    );
}

#[tokio::test]
async fn a_script_sees_the_state_and_changes_files_and_channels() {
    let Some(rig) = rig() else { return };
    let source = "
from typing import Annotated
from langchain_core.tools import tool, InjectedToolCallId
from langchain_core.messages import ToolMessage
from langgraph.prebuilt import InjectedState
from langgraph.types import Command

@tool
def it(path: str, files: Annotated[dict, InjectedState('files')], state: Annotated[dict, InjectedState],
       call: Annotated[str, InjectedToolCallId]) -> Command:
    'it'
    seen = f\"{sorted(files)} {files['/a']['content']} {state['messages'][0].content} {state['todos']}\"
    return Command(update={'files': {path: 'new', '/a': None}, 'notes': [1, 'two'],
                           'messages': [ToolMessage(seen, tool_call_id=call)]})
";
    let file = |text: &str| {
        let content = FileContent::Text(text.to_owned());
        Arc::new(FileData { content, encoding: None, created_at: None, modified_at: None, extra: Map::new() })
    };
    let view = StateView {
        messages: vec![Arc::new(Message::human("hello", "m1"))],
        files: Arc::new([("/a".to_owned(), file("old"))].into_iter().collect()),
        values: Map::from_iter([("todos".to_owned(), json!([]))]),
    };
    let result = run_on(&rig, source, json!({"path": "/b", "files": "ignored"}), view).await;
    assert_eq!(text_of(&result.content), "['/a'] old hello []");
    assert_eq!(result.values.get("notes"), Some(&json!([1, "two"])));
    assert_eq!(result.files.len(), 2);
    let (path, written) = &result.files[0];
    let written = written.as_ref().unwrap();
    assert_eq!((path.as_str(), written.text().as_ref()), ("/b", "new"));
    assert!(written.created_at.is_some() && written.encoding.is_some());
    assert_eq!(result.files[1], ("/a".to_owned(), None));
}

#[tokio::test]
async fn results_are_converted_as_langchain_converts_them() {
    let Some(rig) = rig() else { return };
    for (returned, expected) in [
        ("'plain'", "plain"),
        ("None", "null"),
        ("1.5", "1.5"),
        ("float('nan')", "NaN"),
        ("(1, 2)", "[1, 2]"),
        ("['a', 'é']", "[\"a\", \"é\"]"),
        ("{1}", "{1}"),
        ("b'ab'", "b'ab'"),
        ("'\\ud800'", "\u{fffd}"),
    ] {
        assert_eq!(body(&rig, &format!("return {returned}")).await, expected, "{returned}");
    }
    let source = "from langchain_core.tools import tool\n@tool\ndef it():\n    'it'\n    return [{'type': 'text', 'text': 'a'}]\n";
    let blocks = run(&rig, source, Value::Null).await;
    assert_eq!(blocks.content, Content::Blocks(vec![json!({"type": "text", "text": "a"})]));
}

#[tokio::test]
async fn a_script_that_raises_is_answered_with_what_happened() {
    let Some(rig) = rig() else { return };
    assert_eq!(
        body(&rig, "raise ValueError('boom')").await,
        "Error: ValueError: boom (line 5 of the script)"
    );
    assert_eq!(body(&rig, "import sys\nsys.exit(3)").await, "Error: SystemExit: 3 (line 6 of the script)");
    let ended = body(&rig, "import os\nos._exit(3)").await;
    assert_eq!(ended, "Error: script `it` was ended: its process ended with exit status 3");
}

#[tokio::test]
async fn a_definition_whose_script_is_wrong_is_refused_by_name() {
    let Some(rig) = rig() else { return };
    let good = script("it", WORD_STATS);
    let refused = rig.host.describe(&[good.clone(), script("that", "x = 1 / 0")]).await.unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("tool_definitions[1]") && text.contains("`that`"), "{text}");
    assert!(text.contains("ZeroDivisionError: division by zero (line 1 of the script)"), "{text}");
    let refused = rig.host.describe(&[good, script("that", WORD_STATS)]).await.unwrap_err().to_string();
    assert!(refused.contains("no tool called `that`; its tools: 'another', 'it'"), "{refused}");
}

#[tokio::test]
async fn one_call_leaves_nothing_behind_for_another() {
    let Some(rig) = rig() else { return };
    let source = "
import os, pathlib
from langchain_core.tools import tool
count = 0

@tool
def it():
    'it'
    global count
    count += 1
    before = sorted(os.listdir('.'))
    pathlib.Path('left').write_text('x')
    return [count, before]
";
    for _ in 0..4 {
        assert_eq!(text_of(&run(&rig, source, Value::Null).await.content), "[1, []]");
    }
}

#[tokio::test]
async fn what_a_killed_launcher_left_behind_is_removed_by_the_next() {
    let Some(rig) = rig() else { return };
    let folders =
        ["tool-0123456789abcdef0123456789abcdef", "tool-1123456789abcdef0123456789abcdef", "tool-box"];
    let [left, held, foreign] = folders.map(|name| rig.folder.path().join(name));
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    for folder in [&left, &held, &foreign] {
        std::fs::create_dir_all(folder.join("deep")).unwrap();
        std::fs::File::open(folder).unwrap().set_modified(long_ago).unwrap();
    }
    let holder = std::fs::File::open(&held).unwrap();
    holder.try_lock().unwrap();
    assert_eq!(body(&rig, "return 'done'").await, "done");
    assert_eq!((left.exists(), held.exists(), foreign.exists()), (false, true, true));
}

#[tokio::test]
async fn the_examples_of_the_documentation_run() {
    let Some(rig) = rig() else { return };
    let page = include_str!("../../../docs/tool-scripts.md");
    let block = |kind: &str| page.split(&format!("```{kind}\n")).nth(1).unwrap().split("```").next().unwrap();
    let definition: Value = serde_json::from_str(block("json")).unwrap();
    let source = definition["tool_definitions"][0]["runtime"]["script"].as_str().unwrap();
    let tools = Arc::from([script("word_count", source), script("rename", block("python"))]);
    let counted = rig.host.call(&tools, call_of("word_count", json!({"text": "a b c"})), Class::Pure).await;
    assert_eq!(text_of(&counted.unwrap().content), "3");
    let mut call = call_of("rename", json!({"old": "/a", "new": "/b"}));
    let content = FileContent::Text("text".to_owned());
    let file = FileData { content, encoding: None, created_at: None, modified_at: None, extra: Map::new() };
    call.view.files = Arc::new([("/a".to_owned(), Arc::new(file))].into_iter().collect());
    let renamed = rig.host.call(&tools, call, Class::Pure).await.unwrap();
    assert_eq!(text_of(&renamed.content), "renamed /a to /b");
    let paths: Vec<_> = renamed.files.iter().map(|(path, file)| (path.as_str(), file.is_some())).collect();
    assert_eq!(paths, [("/b", true), ("/a", false)]);
}

#[tokio::test]
async fn what_a_script_prints_is_no_answer() {
    let Some(rig) = rig() else { return };
    let said = body(
        &rig,
        "import os\nprint('{\"content\": \"spoofed\"}')\nos.system('id; echo x >&2')\nreturn 'mine'",
    )
    .await;
    assert_eq!(said, "mine");
}

#[tokio::test]
async fn a_dropped_call_ends_what_it_started() {
    let Some(rig) = rig() else { return };
    let tools: Arc<[ScriptTool]> = Arc::new([script(
        "it",
        "from langchain_core.tools import tool\n@tool\ndef it():\n  'i'\n  while True: pass\n",
    )]);
    let call = rig.host.call(&tools, call_of("it", Value::Null), Class::Pure);
    assert!(tokio::time::timeout(std::time::Duration::from_millis(700), call).await.is_err());
    rig.ends_clean().await;
}

#[tokio::test]
async fn each_limit_ends_a_script_and_is_named() {
    let limits = ScriptLimits {
        cpu: std::time::Duration::from_secs(1),
        memory_bytes: 128 << 20,
        folder_bytes: 2 << 20,
        result_bytes: 1000,
        ..ScriptLimits::default()
    };
    let short = ScriptLimits { wall: std::time::Duration::from_secs(2), ..limits.clone() };
    let Some(rig) = rig_with(short) else { return };
    let said = body(&rig, "import time\ntime.sleep(60)").await;
    assert!(said.starts_with("Error: ") && said.contains("longer than its 2 s"), "{said}");
    let Some(rig) = rig_with(limits) else { return };
    let write = "for n in range(100000):\n    open(str(n), 'w').write('x' * 100)\nreturn 'done'";
    let many = "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n        x = bytearray(60 << 20)\n        time.sleep(25)\ntime.sleep(25)";
    for (script, expected) in [
        ("while True: pass", "1 s of CPU time"),
        ("x = bytearray(1 << 30)", "MemoryError: more than 128 MiB of memory"),
        (many, "more than its 128 MiB of memory"),
        (write, "more than its 2 MiB"),
        (
            "import os\nfor _ in range(40):\n    if os.fork() == 0:\n        import time\n        time.sleep(25)",
            "more than its 16 processes",
        ),
        ("return 'x' * 1001", "its result of 1001 bytes is over"),
        ("return 'x' * (4 << 20)", "its result of"),
    ] {
        let said = body(&rig, script).await;
        assert!(said.starts_with("Error: ") && said.contains(expected), "{script}: {said}");
    }
    assert_eq!(body(&rig, "return 'x' * 1000").await.len(), 1000);
}

#[tokio::test]
async fn many_processes_one_after_another_are_no_bomb() {
    let Some(rig) = rig() else { return };
    let source = "
import subprocess
from concurrent.futures import ThreadPoolExecutor
def one(n):
    return subprocess.run(['/bin/sh', '-c', f'true; echo {n}'], capture_output=True, check=True).stdout
for n in range(30):
    one(n)
with ThreadPoolExecutor(4) as pool:
    return b''.join(pool.map(one, range(40))).count(b'\\n')";
    assert_eq!(body(&rig, source).await, "40");
}

#[tokio::test]
async fn what_a_script_prints_is_kept_only_so_far_and_never_blocks_it() {
    let Some(rig) = rig_with(ScriptLimits { output_bytes: 10, ..ScriptLimits::default() }) else { return };
    assert_eq!(body(&rig, "print('x' * (8 << 20))\nreturn 'printed'").await, "printed");
}

#[tokio::test]
async fn the_effect_is_at_most_once_unless_the_definition_says_another() {
    let Some(rig) = rig() else { return };
    let effects = [
        (None, Class::AtMostOnce),
        (Some("pure"), Class::Pure),
        (Some("idempotent"), Class::Idempotent),
        (Some("at_most_once"), Class::AtMostOnce),
        (Some("harmless"), Class::AtMostOnce),
    ];
    let source = tool("return 1");
    let tools: Vec<ScriptTool> = effects
        .iter()
        .map(|(effect, _)| ScriptTool { effect: effect.map(str::to_owned), ..script("it", &source) })
        .collect();
    let described = rig.host.describe(&tools).await.unwrap();
    let classes: Vec<Class> = described.iter().map(|(_, tool)| tool.class).collect();
    assert_eq!(classes, effects.map(|(_, class)| class));
}

#[tokio::test]
async fn every_try_of_a_call_gets_the_same_idempotency_key() {
    let Some(rig) = rig() else { return };
    let source = "
import os
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool

@tool
def it(config: RunnableConfig):
    'it'
    return [os.environ['IDEMPOTENCY_KEY'], config['configurable']['idempotency_key']]
";
    for _ in 0..2 {
        assert_eq!(text_of(&run(&rig, source, Value::Null).await.content), r#"["key_1", "key_1"]"#);
    }
}

#[tokio::test]
async fn a_script_cannot_write_the_channels_of_the_conversation() {
    let Some(rig) = rig() else { return };
    let source = "
from typing import Annotated
from langchain_core.tools import tool, InjectedToolCallId
from langchain_core.messages import ToolMessage
from langgraph.types import Command

@tool
def it(call: Annotated[str, InjectedToolCallId]):
    'it'
    keep = {'__pregel_tasks': [], 'branch:to:model': None, '_private': 1, 'mine': 2}
    return Command(update={**keep, 'messages': [ToolMessage('done', tool_call_id=call)]})
";
    let result = run(&rig, source, Value::Null).await;
    assert_eq!(Value::Object(result.values), json!({"mine": 2}));
}

#[tokio::test]
async fn the_interpreter_that_is_named_runs_with_what_is_installed_in_it() {
    let Some(python) = agent_testkit::langchain_python() else { return };
    let Some(rig) = rig_of(ScriptSettings { python: Some(python), ..ScriptSettings::default() }) else {
        return;
    };
    let said = body(&rig, "import langchain_core.tools, pydantic\nreturn langchain_core.tools.__name__ + ' ' + pydantic.VERSION.split('.')[0] + ' ' + str(hasattr(langchain_core.tools, '__stand_in__'))").await;
    assert_eq!(said, "langchain_core.tools 2 False");
}

#[tokio::test]
async fn without_an_interpreter_or_a_launcher_definitions_with_scripts_are_refused() {
    let none = std::path::PathBuf::from("/nowhere/at/all");
    for (settings, named) in [
        (
            ScriptSettings { python: Some(none.clone()), launcher: own(), ..ScriptSettings::default() },
            "TOOL_SCRIPTS_PYTHON",
        ),
        (ScriptSettings { launcher: Some(none), ..ScriptSettings::default() }, "`tool-launcher`"),
    ] {
        let host = ScriptHost::new(settings);
        assert_eq!(host.describe(&[]).await, Ok(Vec::new()), "definitions without scripts do not care");
        let refused = host.describe(&[script("it", &tool("return 1"))]).await.unwrap_err();
        assert_eq!(refused.code(), "tools.no_sandbox");
        assert!(refused.to_string().contains(named), "{refused}");
    }
}
