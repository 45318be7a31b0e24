//! What a file is, by the ending of its name.

/// How media are shown to a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Audio,
    Video,
    File,
}

impl Kind {
    /// The content block's `type`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Image => "image",
            Kind::Audio => "audio",
            Kind::Video => "video",
            Kind::File => "file",
        }
    }
}

/// Kind and MIME type of binary content under this name. The MIME types are those of Python's table and of
/// the reference image's system table, oddities included.
pub(super) fn of(path: &str) -> (Kind, &'static str) {
    let name = super::path::name(path);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
    match ending.as_str() {
        "png" => (Kind::Image, "image/png"),
        "jpg" | "jpeg" => (Kind::Image, "image/jpeg"),
        "webp" => (Kind::Image, "image/webp"),
        "gif" => (Kind::Image, "image/gif"),
        "heic" => (Kind::Image, "image/heic"),
        "heif" => (Kind::Image, "image/heif"),
        "mp4" => (Kind::Video, "video/mp4"),
        "mpeg" | "mpg" => (Kind::Video, "video/mpeg"),
        "mov" => (Kind::Video, "video/quicktime"),
        "avi" => (Kind::Video, "video/x-msvideo"),
        "flv" => (Kind::Video, "video/x-flv"),
        "webm" => (Kind::Video, "video/webm"),
        "wmv" => (Kind::Video, "video/x-ms-wmv"),
        "3gpp" => (Kind::Video, "audio/3gpp"),
        "wav" => (Kind::Audio, "audio/x-wav"),
        "mp3" => (Kind::Audio, "audio/mpeg"),
        "aiff" => (Kind::Audio, "audio/x-aiff"),
        "aac" => (Kind::Audio, "audio/aac"),
        "ogg" => (Kind::Audio, "audio/ogg"),
        "flac" => (Kind::Audio, "audio/flac"),
        "mkv" => (Kind::File, "video/x-matroska"),
        "pdf" => (Kind::File, "application/pdf"),
        "ppt" => (Kind::File, "application/vnd.ms-powerpoint"),
        "pptx" => (Kind::File, "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
        "doc" => (Kind::File, "application/msword"),
        "docx" => (Kind::File, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        "xls" => (Kind::File, "application/vnd.ms-excel"),
        "xlsx" => (Kind::File, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        "zip" => (Kind::File, "application/zip"),
        "json" => (Kind::File, "application/json"),
        "rtf" => (Kind::File, "application/rtf"),
        "csv" => (Kind::File, "text/csv"),
        "md" => (Kind::File, "text/markdown"),
        "txt" => (Kind::File, "text/plain"),
        _ => (Kind::File, "application/octet-stream"),
    }
}
