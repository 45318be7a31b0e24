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
    let ending = name
        .rsplit_once('.')
        .filter(|(stem, _)| !stem.is_empty())
        .map(|(_, ending)| ending.to_ascii_lowercase())
        .unwrap_or_default();
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
        other => (
            Kind::File,
            OTHERS.iter().find(|(ending, _)| *ending == other).map_or(UNKNOWN, |(_, mime)| *mime),
        ),
    }
}

const UNKNOWN: &str = "application/octet-stream";

/// What is no medium that a model might take: sorted, endings in lower case.
const OTHERS: &[(&str, &str)] = &[
    ("3g2", "audio/3gpp2"),
    ("3gp", "audio/3gpp"),
    ("7z", "application/x-7z-compressed"),
    ("ai", "application/postscript"),
    ("apk", "application/vnd.android.package-archive"),
    ("asc", "application/pgp-keys"),
    ("avif", "image/avif"),
    ("bib", "text/x-bibtex"),
    ("bmp", "image/bmp"),
    ("c", "text/x-csrc"),
    ("cer", "application/pkix-cert"),
    ("class", "application/java-vm"),
    ("cpp", "text/x-c++src"),
    ("crt", "application/x-x509-ca-cert"),
    ("css", "text/css"),
    ("deb", "application/vnd.debian.binary-package"),
    ("dll", "application/x-msdos-program"),
    ("dmg", "application/x-apple-diskimage"),
    ("dot", "text/vnd.graphviz"),
    ("eml", "message/rfc822"),
    ("eot", "application/vnd.ms-fontobject"),
    ("eps", "application/postscript"),
    ("epub", "application/epub+zip"),
    ("exe", "application/x-msdos-program"),
    ("h", "text/x-chdr"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/vnd.microsoft.icon"),
    ("ics", "text/calendar"),
    ("iso", "application/x-iso9660-image"),
    ("jar", "application/java-archive"),
    ("java", "text/x-java"),
    ("js", "text/javascript"),
    ("jxl", "image/jxl"),
    ("key", "application/pgp-keys"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("mdb", "application/msaccess"),
    ("mid", "audio/sp-midi"),
    ("mjs", "text/javascript"),
    ("numbers", "application/vnd.apple.numbers"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("oga", "audio/ogg"),
    ("ogv", "video/ogg"),
    ("ogx", "application/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("p12", "application/pkcs12"),
    ("pages", "application/vnd.apple.pages"),
    ("pem", "application/pem-certificate-chain"),
    ("pfx", "application/pkcs12"),
    ("pl", "text/x-perl"),
    ("ps", "application/postscript"),
    ("psd", "image/vnd.adobe.photoshop"),
    ("py", "text/x-python"),
    ("pyc", "application/x-python-code"),
    ("rar", "application/vnd.rar"),
    ("rb", "application/x-ruby"),
    ("rpm", "application/x-redhat-package-manager"),
    ("rs", "application/rls-services+xml"),
    ("sh", "text/x-sh"),
    ("sig", "application/pgp-signature"),
    ("sql", "application/sql"),
    ("sqlite", "application/vnd.sqlite3"),
    ("sqlite3", "application/vnd.sqlite3"),
    ("svg", "image/svg+xml"),
    ("svgz", "image/svg+xml"),
    ("swf", "application/vnd.adobe.flash.movie"),
    ("tar", "application/x-tar"),
    ("tex", "text/x-tex"),
    ("tgz", "application/x-tar"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("ts", "text/vnd.trolltech.linguist"),
    ("tsv", "text/tab-separated-values"),
    ("ttf", "font/ttf"),
    ("vcf", "text/vcard"),
    ("wasm", "application/wasm"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xml", "application/xml"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_what_follows_a_name() {
        assert_eq!(of("/a.b.PNG"), (Kind::Image, "image/png"));
        for path in ["/.png", "/png", "/a.", "/a.png/b", "/a.tar.gz"] {
            assert_eq!(of(path), (Kind::File, UNKNOWN), "{path}");
        }
        assert_eq!(of("/f.svg").1, "image/svg+xml");
        assert_eq!(of("/f.html").1, "text/html");
    }
}
