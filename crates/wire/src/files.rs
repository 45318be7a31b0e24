//! The virtual file system as the world sees it (wire contract 6.1; read by the IDE client).

use agent_langgraph_codec::{Encoding, FileContent, FileData, Files};

use crate::json::{self, Object};

/// How a file's content is written (`WIRE_FILE_CONTENT`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FileForm {
    /// A list of lines, split at LF only, so that joining by LF gives the exact text.
    #[default]
    Lines,
    /// One string.
    String,
}

/// Whether the file was made by the context machinery and not by the agents. Such files are in the state and in
/// nothing that is published, unless asked for.
pub fn is_context_file(path: &str) -> bool {
    path.starts_with("/large_tool_results/") || path.starts_with("/conversation_history/")
}

/// `{path: {content, encoding, created_at, modified_at, …}}`, context files left out.
pub(crate) fn write(out: &mut Vec<u8>, files: &Files, form: FileForm) {
    let mut object = Object::open(out);
    for (path, file) in files.iter().filter(|(path, _)| !is_context_file(path)) {
        write_one(object.key(path), file, form);
    }
    object.close();
}

/// Path and text of each file, context files left out, as they stand in events.
pub fn file_texts(files: &Files, form: FileForm) -> Vec<(String, Box<str>)> {
    let shown = files.iter().filter(|(path, _)| !is_context_file(path));
    let text = |file: &FileData| {
        let mut out = Vec::new();
        write_one(&mut out, file, form);
        // Only `str`s and ASCII were written.
        String::from_utf8(out).unwrap_or_default().into_boxed_str()
    };
    shown.map(|(path, file)| (path.clone(), text(file))).collect()
}

/// The files as a value of their own; `all`: with those of the context machinery.
pub fn files_value(files: &Files, form: FileForm, all: bool) -> serde_json::Value {
    let shown = files.iter().filter(|(path, _)| all || !is_context_file(path));
    let value = |file: &FileData| {
        let mut out = Vec::new();
        write_one(&mut out, file, form);
        serde_json::from_slice(&out).unwrap_or_default()
    };
    shown.map(|(path, file)| (path.clone(), value(file))).collect::<serde_json::Map<_, _>>().into()
}

fn write_one(out: &mut Vec<u8>, file: &FileData, form: FileForm) {
    let mut object = Object::open(out);
    content(object.key("content"), file, form);
    let encoding = match file.encoding {
        Some(Encoding::Base64) => "base64",
        Some(Encoding::Utf8) | None => "utf-8",
    };
    object.text("encoding", encoding);
    if let Some(at) = &file.created_at {
        object.text("created_at", at);
    }
    if let Some(at) = &file.modified_at {
        object.text("modified_at", at);
    }
    // The IDE client reads a member `type` that a job's input may have brought.
    for (name, item) in &file.extra {
        json::value(object.key(name), item);
    }
    object.close();
}

fn content(out: &mut Vec<u8>, file: &FileData, form: FileForm) {
    let binary = matches!(file.encoding, Some(Encoding::Base64));
    match (form, &file.content) {
        (FileForm::String, _) => json::string(out, &file.text()),
        (FileForm::Lines, _) if binary => {
            json::array(out, [file.text()], |out, text| json::string(out, &text))
        }
        (FileForm::Lines, FileContent::Text(text)) => json::array(out, text.split('\n'), json::string),
        (FileForm::Lines, FileContent::Lines(lines)) if lines.is_empty() => {
            json::array(out, [""], json::string)
        }
        // An old record may hold LF inside a "line".
        (FileForm::Lines, FileContent::Lines(lines)) => {
            json::array(out, lines.iter().flat_map(|line| line.split('\n')), json::string);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Map, Value, json};

    use super::*;

    fn file(content: FileContent, encoding: Option<Encoding>) -> Arc<FileData> {
        Arc::new(FileData {
            content,
            encoding,
            created_at: Some("2025-01-01T00:00:00+00:00".into()),
            modified_at: None,
            extra: Map::new(),
        })
    }

    fn written(files: &Files, form: FileForm) -> Value {
        let mut out = Vec::new();
        write(&mut out, files, form);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn lines_are_split_at_lf_only_and_joining_them_gives_the_text() {
        let text = "a\r\nb\u{2028}c\n\n";
        let files =
            Files::from([("/a".to_owned(), file(FileContent::Text(text.into()), Some(Encoding::Utf8)))]);
        let value = written(&files, FileForm::Lines);
        assert_eq!(value["/a"]["content"], json!(["a\r", "b\u{2028}c", "", ""]));
        assert_eq!(written(&files, FileForm::String)["/a"]["content"], json!(text));
        assert_eq!(value["/a"]["encoding"], json!("utf-8"));
        assert_eq!(value["/a"].as_object().unwrap().len(), 3);
    }

    #[test]
    fn both_stored_forms_and_base64_are_written() {
        let files = Files::from([
            ("/lines".to_owned(), file(FileContent::Lines(vec!["a".into(), "b\nc".into()]), None)),
            ("/empty".to_owned(), file(FileContent::Lines(vec![]), None)),
            ("/image".to_owned(), file(FileContent::Text("QUJD".into()), Some(Encoding::Base64))),
        ]);
        let value = written(&files, FileForm::Lines);
        assert_eq!(value["/lines"]["content"], json!(["a", "b", "c"]));
        assert_eq!(value["/lines"]["encoding"], json!("utf-8"));
        assert_eq!(value["/empty"]["content"], json!([""]));
        assert_eq!(value["/image"]["content"], json!(["QUJD"]));
        assert_eq!(value["/image"]["encoding"], json!("base64"));
    }

    #[test]
    fn files_of_the_context_machinery_are_left_out() {
        let text = || file(FileContent::Text(String::new()), None);
        let files = Files::from([
            ("/large_tool_results/x".to_owned(), text()),
            ("/conversation_history/y.md".to_owned(), text()),
            ("/large_tool_results.md".to_owned(), text()),
        ]);
        assert_eq!(
            written(&files, FileForm::Lines).as_object().unwrap().keys().collect::<Vec<_>>(),
            ["/large_tool_results.md"]
        );
    }
}
