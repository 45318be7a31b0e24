//! Who may come in: bearer tokens, or a client certificate that was checked when the connection was made.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use tracing::{info, warn};

use crate::answers;
use crate::limits;
use crate::router::PREFIX;

/// How often the file of tokens is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Larger files are no lists of tokens.
const LONGEST_FILE: u64 = 1 << 20;
const TOKENS_UNREAD: &str = "docs/operations.md#api-tokens-unread";
const PUBLIC: &[&str] = &["/health", "/ready", "/docs", "/ui"];

/// The tokens' file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the file of tokens `{path}` cannot be read: {why}")]
pub struct TokensError {
    /// Its name.
    pub path: PathBuf,
    /// The system's words, or the line that is no `name=token`.
    pub why: String,
}

/// A token as it is compared: never the text itself.
#[derive(Debug, Clone)]
struct Token {
    name: Arc<str>,
    digest: [u8; 32],
}

impl Token {
    /// From `name=token` or `name=sha256:HEX`.
    fn read(text: &str) -> Option<Self> {
        let (name, token) = text.trim().split_once('=')?;
        let (name, token) = (name.trim(), token.trim());
        if name.is_empty() || token.is_empty() {
            return None;
        }
        let digest = match token.strip_prefix("sha256:") {
            Some(hex) => from_hex(hex)?,
            None => Sha256::digest(token.as_bytes()).into(),
        };
        Some(Self { name: Arc::from(name), digest })
    }
}

fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// The tokens that open the interface; several are valid at once, so that they can be rotated.
#[derive(Debug, Default)]
pub struct Tokens {
    fixed: Vec<Token>,
    file: Option<PathBuf>,
    read: Mutex<FromFile>,
}

#[derive(Debug, Default)]
struct FromFile {
    tokens: Arc<[Token]>,
    looked: Option<Instant>,
    stamp: Option<(SystemTime, u64)>,
}

impl Tokens {
    /// Tokens from pairs of name and token, and from a file with one `name=token` or `name=sha256:HEX` a line, which
    /// is read again when it changes.
    ///
    /// # Errors
    /// [`TokensError`]: the file cannot be used.
    pub fn new(
        pairs: impl IntoIterator<Item = (String, String)>,
        file: Option<PathBuf>,
    ) -> Result<Self, TokensError> {
        let fixed = pairs.into_iter().filter_map(|(name, token)| Token::read(&format!("{name}={token}")));
        let tokens = Self { fixed: fixed.collect(), file, read: Mutex::default() };
        if let Some(path) = &tokens.file {
            let error = |why| TokensError { path: path.clone(), why };
            let stamp = stamp(path).map_err(&error)?;
            let mut read = tokens.read.lock().unwrap_or_else(PoisonError::into_inner);
            *read = FromFile { tokens: read_file(path).map_err(&error)?, looked: None, stamp: Some(stamp) };
        }
        Ok(tokens)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.fixed.is_empty() && self.listed().is_empty()
    }

    fn listed(&self) -> Arc<[Token]> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = &self.file else { return read.tokens.clone() };
        if read.looked.is_some_and(|looked| looked.elapsed() < LOOK_EVERY) {
            return read.tokens.clone();
        }
        read.looked = Some(Instant::now());
        match stamp(path) {
            Ok(now) if read.stamp == Some(now) => {}
            Ok(now) => match read_file(path) {
                Ok(tokens) => {
                    info!(event = "api_tokens_read", tokens = tokens.len());
                    (read.tokens, read.stamp) = (tokens, Some(now));
                }
                // The old ones stay: a half-written file must lock nobody out.
                Err(error) => warn!(event = "api_tokens_unread", %error, runbook = TOKENS_UNREAD),
            },
            Err(error) => warn!(event = "api_tokens_unread", %error, runbook = TOKENS_UNREAD),
        }
        read.tokens.clone()
    }

    /// Whose token it is. Takes as long for a wrong token as for a right one.
    pub fn who(&self, token: &str) -> Option<Arc<str>> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = None;
        for known in self.fixed.iter().chain(&*self.listed()) {
            // All bytes of all tokens, whatever the first ones say.
            let differs = known.digest.iter().zip(digest).fold(0, |sum, (a, b)| sum | (a ^ b));
            if std::hint::black_box(differs) == 0 {
                found = Some(known.name.clone());
            }
        }
        found
    }
}

fn stamp(path: &std::path::Path) -> Result<(SystemTime, u64), String> {
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if about.len() > LONGEST_FILE {
        return Err(format!("expected at most {LONGEST_FILE} bytes, found {}", about.len()));
    }
    let changed = about.modified().map_err(|error| error.to_string())?;
    Ok((changed, about.len()))
}

fn read_file(path: &std::path::Path) -> Result<Arc<[Token]>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    let lines = (1..).zip(text.lines().map(str::trim));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let read = |(number, line): (usize, &str)| {
        Token::read(line).ok_or_else(|| format!("line {number}: expected `name=token` or `name=sha256:HEX`"))
    };
    lines.map(read).collect()
}

/// A connection whose client has shown a certificate that we trust.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Certified;

/// What the door asks of those who come.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Bearer tokens.
    pub tokens: Arc<Tokens>,
    /// Client certificates count as tokens do.
    pub certificates: bool,
    /// Origins of browsers that may open a WebSocket, beside the service's own; `*` is any.
    pub origins: Arc<[String]>,
}

impl Guard {
    /// Whether anybody may come in.
    pub fn is_open(&self) -> bool {
        !self.certificates && self.tokens.is_empty()
    }

    /// Whether a browser's page may open a WebSocket here. Programs send no origin.
    pub(crate) fn allows_origin(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else { return true };
        let Ok(origin) = origin.to_str() else { return false };
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let own = origin.split_once("://").map(|(_, host)| host);
        (own.is_some() && own == host) || self.origins.iter().any(|known| known == "*" || known == origin)
    }
}

/// What anybody may ask: probes have no token, and the pages hold no data.
fn is_public(path: &str) -> bool {
    PUBLIC.contains(&path) || path.starts_with("/ui/")
}

/// Lets a request pass that may.
pub(crate) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    if is_public(path) || guard.is_open() || request.extensions().get::<Certified>().is_some() {
        return next.run(request).await;
    }
    match token(request.headers()) {
        Some(token) if guard.tokens.who(token).is_some() => next.run(request).await,
        sent => {
            limits::refused("auth");
            let (detail, code) = match sent {
                Some(_) => ("the token is not known", "auth.invalid"),
                None => ("expected `Authorization: Bearer <token>`, found none", "auth.required"),
            };
            let mut answer = answers::error(StatusCode::UNAUTHORIZED, detail, Some(code)).into_response();
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            answer
        }
    }
}

/// The token of a request. A browser's WebSocket cannot send the header, so there it may be the protocol after
/// `bearer`.
fn token(headers: &HeaderMap) -> Option<&str> {
    if let Some(sent) = headers.get(header::AUTHORIZATION) {
        let (scheme, token) = sent.to_str().ok()?.split_once(' ')?;
        return scheme.eq_ignore_ascii_case("bearer").then(|| token.trim());
    }
    let mut offered = headers.get(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?.split(',').map(str::trim);
    (offered.next() == Some("bearer")).then(|| offered.next()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_hashed_tokens_open_and_others_do_not() {
        let hash = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"; // "test"
        let pairs = [("a", "tok-1"), ("b", hash)].map(|(name, token)| (name.to_owned(), token.to_owned()));
        let tokens = Tokens::new(pairs, None).unwrap();
        assert_eq!(tokens.who("tok-1").as_deref(), Some("a"));
        assert_eq!(tokens.who("test").as_deref(), Some("b"));
        for wrong in ["", "tok", "tok-1 ", hash, "sha256:"] {
            assert_eq!(tokens.who(wrong), None, "{wrong}");
        }
        assert!(!format!("{tokens:?}").contains("tok-1"), "no secret in Debug");
    }

    #[test]
    fn a_file_of_tokens_is_read_again_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        std::fs::write(&path, "# comment\n\nci=first\n").unwrap();
        let tokens = Tokens::new([], Some(path.clone())).unwrap();
        assert!(tokens.who("first").is_some());
        let look_again = || tokens.read.lock().unwrap().looked = None;
        std::fs::write(&path, "ci=first\nnew=second-token\n").unwrap();
        look_again();
        assert!(tokens.who("second-token").is_some());
        std::fs::write(&path, "no pair in this line at all\n").unwrap();
        look_again();
        assert!(tokens.who("first").is_some(), "the old ones stay");
        std::fs::write(&path, "new=second-token\n").unwrap();
        look_again();
        assert!(tokens.who("first").is_none());
        assert!(Tokens::new([], Some(folder.path().join("none"))).is_err());
    }

    #[test]
    fn a_page_of_another_origin_opens_no_socket() {
        let guard = Guard { origins: Arc::from(["https://ide.example".to_owned()]), ..Guard::default() };
        let headers = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("agents:8080"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            headers
        };
        for good in [None, Some("http://agents:8080"), Some("https://ide.example")] {
            assert!(guard.allows_origin(&headers(good)), "{good:?}");
        }
        for bad in
            ["https://evil.example", "null", "http://agents:8080.evil.example", "https://ide.example.evil"]
        {
            assert!(!guard.allows_origin(&headers(Some(bad))), "{bad}");
        }
    }
}
