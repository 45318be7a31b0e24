//! A conversation as text: for the summary request and for the file that keeps what was cut
//! (`get_buffer_string(…, format="xml")` of langchain-core).

use std::sync::Arc;

use agent_langgraph_codec::{Content, Kind, Message, ToolCall};
use serde_json::{Map, Value};

use crate::pyjson;

/// Characters that are shown of a call's id, and of parts that a provider's server ran.
const LONGEST_ID: usize = 64;
const LONGEST_PART: usize = 500;

/// One element a message.
pub(crate) fn conversation<'a>(messages: impl Iterator<Item = &'a Arc<Message>>) -> String {
    messages.map(|message| element(message)).collect::<Vec<_>>().join("\n")
}

fn element(message: &Message) -> String {
    let content = match &message.content {
        Content::Text(text) => escape(text),
        Content::Blocks(blocks) => {
            blocks.iter().filter_map(block).filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
        }
    };
    let kind = match &message.kind {
        Kind::Chat { role } => role.as_str(),
        Kind::Human | Kind::Ai { .. } | Kind::System | Kind::Tool { .. } | Kind::Remove | Kind::Function => {
            message.type_name()
        }
    };
    let calls = message.tool_calls();
    if calls.is_empty() {
        return format!("<message type={}>{content}</message>", quote(kind));
    }
    let mut lines = vec![format!("<message type={}>", quote(kind))];
    if !content.is_empty() {
        lines.push(format!("  <content>{content}</content>"));
    }
    lines.extend(calls.iter().map(call));
    lines.push("</message>".to_owned());
    lines.join("\n")
}

fn call(call: &ToolCall) -> String {
    let id = quote(&shortened(call.id.as_deref().unwrap_or_default(), LONGEST_ID));
    let args = escape(&pyjson::object(&call.args));
    format!("  <tool_call id={id} name={}>{args}</tool_call>", quote(&call.name))
}

/// A block as text; inline data and kinds that nobody knows are dropped.
fn block(block: &Value) -> Option<String> {
    let map = match block {
        Value::String(text) => return Some(escape(text)),
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return None,
    };
    if holds_data(map) {
        return None;
    }
    let text = |key: &str| map.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let id_or_url = |kind: &str| {
        let attribute =
            text("url").map(|url| ("url", url)).or_else(|| text("file_id").map(|id| ("file_id", id)));
        attribute.map(|(name, value)| format!("<{kind} {name}={} />", quote(value)))
    };
    match text("type")? {
        "text" => text("text").map(escape),
        "reasoning" => text("reasoning").map(|words| format!("<reasoning>{}</reasoning>", escape(words))),
        kind @ ("image" | "audio" | "video") => id_or_url(kind),
        "image_url" => {
            let url = map.get("image_url")?.get("url")?.as_str().filter(|url| !url.is_empty())?;
            Some(format!("<image url={} />", quote(url)))
        }
        "text-plain" => text("text").map(|words| escape(&shortened(words, LONGEST_PART))),
        "server_tool_call" => {
            let args = map.get("args").map_or_else(|| "{}".to_owned(), pyjson::value);
            let (id, name) = (text("id").unwrap_or_default(), text("name").unwrap_or_default());
            let args = escape(&shortened(&args, LONGEST_PART));
            Some(format!("<server_tool_call id={} name={}>{args}</server_tool_call>", quote(id), quote(name)))
        }
        "server_tool_result" => {
            let output = map.get("output").filter(|output| !output.is_null()).map(pyjson::value);
            let output = escape(&shortened(&output.unwrap_or_default(), LONGEST_PART));
            let (id, status) = (text("tool_call_id").unwrap_or_default(), text("status").unwrap_or_default());
            let (id, status) = (quote(id), quote(status));
            Some(format!(
                "<server_tool_result tool_call_id={id} status={status}>{output}</server_tool_result>"
            ))
        }
        _ => None,
    }
}

fn holds_data(map: &Map<String, Value>) -> bool {
    let data_url =
        |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|url| url.starts_with("data:"));
    map.get("base64").and_then(Value::as_str).is_some_and(|data| !data.is_empty())
        || data_url(map.get("url"))
        || data_url(map.get("image_url").and_then(|image| image.get("url")))
}

fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('>', "&gt;").replace('<', "&lt;")
}

/// `xml.sax.saxutils.quoteattr`.
fn quote(text: &str) -> String {
    let text = escape(text).replace('\n', "&#10;").replace('\r', "&#13;").replace('\t', "&#9;");
    match (text.contains('"'), text.contains('\'')) {
        (false, _) => format!("\"{text}\""),
        (true, false) => format!("'{text}'"),
        (true, true) => format!("\"{}\"", text.replace('"', "&quot;")),
    }
}

#[cfg(test)]
mod tests {
    use agent_langgraph_codec::ToolStatus;
    use serde_json::json;

    use super::*;

    // The texts are those of get_buffer_string of langchain-core 1.7.2.
    #[test]
    fn a_conversation_reads_as_in_python() {
        let args = json!({"q": "ä \"<b>\"", "n": 1.0}).as_object().unwrap().clone();
        let asked = ToolCall { id: Some("c'1\"".to_owned()), name: "find it".to_owned(), args };
        let silent = ToolCall { id: None, name: "ls".to_owned(), args: Map::new() };
        let messages = [
            Message::human("a < b & c", "h"),
            Message::ai(Content::Text("I'll look".to_owned()), vec![asked], None),
            Message::ai(Content::Text(String::new()), vec![silent], None),
            Message::tool(Content::Text("found".to_owned()), "ls", "c", ToolStatus::Success, "t"),
            Message::new(
                Kind::Human,
                Content::Blocks(vec![
                    json!({"type": "text", "text": "see"}),
                    json!({"type": "image", "url": "https://x/?a=1&b=2"}),
                    json!({"type": "image", "base64": "QUJD", "mime_type": "image/png"}),
                    json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,QQ=="}}),
                    json!({"type": "thinking", "thinking": "hm"}),
                    json!("end"),
                ]),
                None,
            ),
            Message::system("rules", "s"),
        ];
        let messages = messages.map(Arc::new);
        let expected = "<message type=\"human\">a &lt; b &amp; c</message>\n\
            <message type=\"ai\">\n  <content>I'll look</content>\n  \
            <tool_call id=\"c'1&quot;\" name=\"find it\">{\"q\": \"ä \\\"&lt;b&gt;\\\"\", \"n\": 1.0}</tool_call>\n</message>\n\
            <message type=\"ai\">\n  <tool_call id=\"\" name=\"ls\">{}</tool_call>\n</message>\n\
            <message type=\"tool\">found</message>\n\
            <message type=\"human\">see <image url=\"https://x/?a=1&amp;b=2\" /> end</message>\n\
            <message type=\"system\">rules</message>";
        assert_eq!(conversation(messages.iter()), expected);
    }
}
