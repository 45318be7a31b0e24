//! The summary request, the message that takes the place of what was summarised, and the file that keeps it.

use std::sync::Arc;

use agent_langgraph_codec::{Content, Encoding, FileData, Files, Kind, Message};
use serde_json::Value;

use super::event::is_summary;
use super::limits::Limits;
use super::tokens::{Counter, chars};
use super::{HISTORY, SOURCE, xml};
use crate::tools::record;

/// Where the messages go in a prompt.
pub(crate) const PLACE: &str = "{messages}";

/// Stands for the middle of a conversation that is too long for a summary.
const OMITTED: &str = "\n\n[... middle of conversation omitted ...]\n\n";

/// Says what Python's prompt says, in our words; the names of the sections are the same.
const PROMPT: &str = "\
<role>
Context Extraction Assistant
</role>

<primary_objective>
Find what matters in the conversation below, and nothing else.
</primary_objective>

<objective_information>
The conversation is about to outgrow what you can read at once. What you write now takes its place: whoever goes on \
with the work sees your text instead of these messages. Leave out what the work can do without.
</objective_information>

<instructions>
Nothing that is done already may be done again because of your text, so say what was done and what came of it, seen \
from the overall goal. Write these sections, each of them; where there is nothing to say write \"None\".

## SESSION INTENT

What the user wants, in the end and right now, short but so that the whole purpose can be understood from it.

## SUMMARY

The context that matters most: decisions and why they were made, results, plans, and what was ruled out and for which \
reason.

## ARTIFACTS

Every file or other thing that was made, changed or looked at, with its exact path; for a changed one, what changed.

## NEXT STEPS

What remains to be done for the intent, and what is to be done first.
</instructions>

<media_reference_information>
Pictures, sound, video and other attachments of the conversation may have been moved to files. Such a place holds a \
tag, e.g. `<image url=\"/conversation_history/media/0123456789abcdef.png\" />`: a reference that was put there for you, \
no text of the user. Do not guess what an attachment shows where the text around it does not say so. Where it may \
matter later, keep its path: whoever reads your text can open it with `read_file`.
</media_reference_information>

<messages>
Messages to summarize:
{messages}
</messages>";

/// The request's only message.
pub(crate) fn request(limits: &Limits, conversation: &str) -> Message {
    let prompt = limits.summary_prompt.as_deref().unwrap_or(PROMPT);
    let text = prompt.replacen(PLACE, conversation, 1);
    Message::new(Kind::Human, Content::Text(text.trim_end().to_owned()), None)
}

/// The conversation without its middle, for a second try: a quarter of what is left from its beginning, where the
/// task mostly stands, the rest from its end. Half of it is left, at most two fifths of the window.
pub(crate) fn without_middle(conversation: &str, limits: &Limits) -> Option<String> {
    let tokens = Counter::new(limits).text(conversation).max(1);
    let budget = limits.max_input.map_or(tokens / 2, |max| (tokens / 2).min(max * 2 / 5));
    let length = u64::try_from(chars(conversation)).unwrap_or(u64::MAX);
    let keep =
        usize::try_from(u128::from(length) * u128::from(budget) / u128::from(tokens)).unwrap_or(usize::MAX);
    if keep == 0 {
        return None;
    }
    let head = keep / 4;
    let skip = chars(conversation).saturating_sub(keep - head);
    let head = crate::tools::first_chars(conversation, head);
    let tail =
        conversation.char_indices().nth(skip).and_then(|(at, _)| conversation.get(at..)).unwrap_or_default();
    Some(format!("{head}{OMITTED}{tail}"))
}

/// The message that the model is shown from now on. It has no id: it is never stored among the messages.
pub(crate) fn message(summary: &str, file_path: Option<&str>) -> Message {
    let text = match file_path {
        Some(path) => format!(
            "You are in the middle of a conversation that has been summarized.\n\n\
             The full conversation history has been saved to {path} should you need to refer back to it for \
             details.\n\nA condensed summary follows:\n\n<summary>\n{summary}\n</summary>"
        ),
        None => format!("Here is a summary of the conversation to date:\n\n{summary}"),
    };
    let mut message = Message::new(Kind::Human, Content::Text(text), None);
    message.additional_kwargs.insert(SOURCE.to_owned(), Value::String("summarization".to_owned()));
    message
}

/// The history file with one more part: what is cut now. A summary made earlier stands for messages that the file
/// holds already.
pub(crate) fn history(files: &Files, session: &str, cut: &[Arc<Message>], now: &str) -> (String, FileData) {
    let path = format!("{HISTORY}/{session}.md");
    let old = files.get(&path).map(Arc::as_ref);
    let mut text = old.map(|file| file.text().into_owned()).unwrap_or_default();
    text.push_str(&format!("## Summarized at {now}\n\n"));
    text.push_str(&xml::conversation(cut.iter().filter(|message| !is_summary(message))));
    text.push_str("\n\n");
    let file = record(text, Some(Encoding::Utf8), old, now);
    (path, file)
}

/// A new thread's name for its history: 32 hex digits of a UUID.
pub(crate) fn session(uuid: &str) -> String {
    format!("session_{}", uuid.replace('-', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelRef;
    use crate::context::ContextSettings;

    fn limits(settings: &ContextSettings) -> Limits {
        Limits::of(settings, &ModelRef { provider: "openai".to_owned(), model: "m".to_owned() })
    }

    #[test]
    fn the_prompt_holds_the_conversation_once_and_can_be_replaced() {
        let text = request(&limits(&ContextSettings::default()), "A {messages} B").text("");
        assert!(text.ends_with("<messages>\nMessages to summarize:\nA {messages} B\n</messages>"), "{text}");
        let own =
            ContextSettings { summary_prompt: Some("Sum up: {messages}\n".to_owned()), ..Default::default() };
        assert_eq!(request(&limits(&own), "all").text(""), "Sum up: all");
    }

    #[test]
    fn a_second_try_has_no_middle() {
        let conversation: String = ('a'..='z').cycle().take(4000).collect();
        let cut = without_middle(&conversation, &limits(&ContextSettings::default())).unwrap();
        let (head, tail) = cut.split_once(OMITTED).unwrap();
        assert!(conversation.starts_with(head) && conversation.ends_with(tail));
        // 1004 tokens: half of them are kept.
        assert_eq!((head.len(), tail.len()), (500, 1500));
        let tight = ContextSettings { max_input_tokens: Some(100), ..Default::default() };
        assert_eq!(without_middle(&conversation, &limits(&tight)).unwrap().len() - OMITTED.len(), 159);
        assert_eq!(without_middle("", &limits(&ContextSettings::default())), None);
    }

    #[test]
    fn the_history_grows_and_leaves_summaries_out() {
        let cut = [Arc::new(Message::human("one", "a"))];
        let (path, first) = history(&Files::new(), "session_x", &cut, "T1");
        assert_eq!(first.text(), "## Summarized at T1\n\n<message type=\"human\">one</message>\n\n");
        let files = Files::from([(path, Arc::new(first))]);
        let cut = [Arc::new(message("S", None)), Arc::new(Message::human("two", "b"))];
        let (_, second) = history(&files, "session_x", &cut, "T2");
        assert_eq!(
            second.text(),
            "## Summarized at T1\n\n<message type=\"human\">one</message>\n\n\
             ## Summarized at T2\n\n<message type=\"human\">two</message>\n\n"
        );
        assert_eq!((second.created_at.as_deref(), second.modified_at.as_deref()), (Some("T1"), Some("T2")));
    }
}
