//! Headers of a message, as pairs: NATS keeps the case of names, HTTP does not.

/// The first value of the header `name`, compared without case.
pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The media type of `content-type`, lower case and without parameters.
pub(crate) fn media_type(headers: &[(String, String)]) -> Option<String> {
    let value = header(headers, "content-type")?;
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    (!kind.is_empty()).then_some(kind)
}

/// `application/json`, `text/json` or anything that ends in `+json`.
pub(crate) fn is_json(media_type: &str) -> bool {
    matches!(media_type, "application/json" | "text/json") || media_type.ends_with("+json")
}
