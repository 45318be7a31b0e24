//! Paths of the virtual file system.

/// Why a path is refused. The text is what the model reads after `Error: `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathRefused {
    /// It climbs (`..`) or starts at a home directory (`~`).
    #[error("Path traversal not allowed: {0}")]
    Traversal(String),
    /// It starts with a drive letter.
    #[error(
        "Windows absolute paths are not supported: {0}. Please use virtual paths starting with / (e.g., /workspace/file.txt)"
    )]
    Windows(String),
    /// It names the root, where a file is needed.
    #[error(
        "Path '{0}' is the root directory. Please name a file or directory below it (e.g., /workspace/file.txt)"
    )]
    Root(String),
}

/// The one form of a path under which its file is kept: absolute, single slashes, no `.`, no final slash.
///
/// An empty path and `.` become `/.`, a name that no file has. Unlike Python, `//a` is `/a`.
///
/// # Errors
/// A path that climbs, starts with `~` or with a drive letter.
pub fn normalise_path(path: &str) -> Result<String, PathRefused> {
    let is_slash = |character: char| matches!(character, '/' | '\\');
    if path.starts_with('~') || path.split(is_slash).any(|part| part == "..") {
        return Err(PathRefused::Traversal(path.to_owned()));
    }
    let mut start = path.chars();
    if start.next().is_some_and(|letter| letter.is_ascii_alphabetic()) && start.next() == Some(':') {
        return Err(PathRefused::Windows(path.to_owned()));
    }
    let mut normal = String::with_capacity(path.len() + 1);
    for part in path.split(is_slash).filter(|part| !matches!(*part, "" | ".")) {
        normal.push('/');
        normal.push_str(part);
    }
    if normal.is_empty() {
        normal.push_str(if path.starts_with(is_slash) { "/" } else { "/." });
    }
    Ok(normal)
}

/// The path of something that is going to be written or removed: any but the root.
pub(super) fn below_root(path: &str) -> Result<String, PathRefused> {
    let normal = normalise_path(path)?;
    if matches!(normal.as_str(), "/" | "/.") { Err(PathRefused::Root(path.to_owned())) } else { Ok(normal) }
}

/// What stands before the names of everything below this directory.
pub(super) fn prefix(directory: &str) -> String {
    if directory == "/" { "/".to_owned() } else { format!("{directory}/") }
}

/// The path seen from a search root: the rest below it, or the name where the root is the file itself.
pub(super) fn relative<'a>(path: &'a str, root: &str, root_prefix: &str) -> Option<&'a str> {
    if path == root { Some(name(path)) } else { path.strip_prefix(root_prefix) }
}

/// The last part of a path.
pub(super) fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_one_name() {
        for (sent, normal) in [
            ("/a", "/a"),
            ("a", "/a"),
            ("//a", "/a"),
            ("/./p//q.md/", "/p/q.md"),
            ("\\docs\\sub", "/docs/sub"),
            ("/", "/"),
            ("///", "/"),
            ("/.", "/"),
            ("", "/."),
            (".", "/."),
            ("./", "/."),
            ("/~", "/~"),
            ("a..b", "/a..b"),
            (" /docs", "/ /docs"),
        ] {
            assert_eq!(normalise_path(sent).as_deref(), Ok(normal), "{sent:?}");
        }
    }

    #[test]
    fn climbing_home_and_drives_are_refused_with_the_path_as_sent() {
        for sent in ["..", "/a/../b", "..\\x", "~", "~/x", "~x"] {
            let refused = normalise_path(sent).unwrap_err();
            assert_eq!(refused.to_string(), format!("Path traversal not allowed: {sent}"));
        }
        assert!(matches!(normalise_path("C:\\x"), Err(PathRefused::Windows(_))));
        assert!(matches!(below_root("//"), Err(PathRefused::Root(_))));
    }
}
