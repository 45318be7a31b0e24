//! Kinds of values: what is expected, in words, and how it is read.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;
use url::Url;

/// What kind of value a variable takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A TCP port.
    Port,
    /// A host name or address, without port.
    Host,
    /// An absolute URL with one of these schemes.
    Url(&'static [&'static str]),
    /// Server addresses, comma-separated.
    Servers,
    /// A database connection string: a URL, or libpq's `key=value` pairs.
    Dsn,
    /// A whole number between these, both allowed.
    Count(u64, u64),
    /// Seconds between these, both allowed.
    Seconds(u64, u64),
    /// Milliseconds between these, both allowed.
    Milliseconds(u64, u64),
    /// Days between these, both allowed.
    Days(u64, u64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Some of these words, comma-separated.
    Some(&'static [&'static str]),
    /// The name of a file.
    Path,
    /// Names, comma-separated.
    List,
    /// `name=token` pairs, comma-separated.
    Tokens,
}

impl Kind {
    /// What is expected, in words.
    pub fn expected(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Port => "a port, 1 to 65535".to_owned(),
            Self::Host => "a host name or address without scheme and port".to_owned(),
            Self::Url(schemes) => format!("a URL that begins with {}", list(schemes, "://")),
            Self::Servers => "server addresses like `nats://host:4222`, comma-separated".to_owned(),
            Self::Dsn => "`postgresql://user:password@host:port/database` or `host=… dbname=…`".to_owned(),
            Self::Count(least, most) => format!("a whole number, {least} to {most}"),
            Self::Seconds(least, most) => format!("seconds, {least} to {most}"),
            Self::Milliseconds(least, most) => format!("milliseconds, {least} to {most}"),
            Self::Days(least, most) => format!("days, {least} to {most}"),
            Self::Flag => "`true` or `false`".to_owned(),
            Self::Choice(words) => list(words, ""),
            Self::Some(words) => format!("some of {}, comma-separated", list(words, "")),
            Self::Path => "the name of a file".to_owned(),
            Self::List => "names, comma-separated".to_owned(),
            Self::Tokens => "`name=token` pairs, comma-separated".to_owned(),
        }
    }

    fn number(self, text: &str) -> Option<u64> {
        let (Self::Count(least, most)
        | Self::Seconds(least, most)
        | Self::Milliseconds(least, most)
        | Self::Days(least, most)) = self
        else {
            return None;
        };
        text.parse().ok().filter(|number| (least..=most).contains(number))
    }
}

fn list(words: &[&str], end: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}{end}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => String::new(),
    }
}

/// A value that can be read from the text of a variable.
pub(crate) trait FromText: Sized {
    /// `None`: the text is not of this kind.
    fn from_text(text: &str, kind: Kind) -> Option<Self>;
}

impl FromText for String {
    fn from_text(text: &str, kind: Kind) -> Option<Self> {
        let fits = match kind {
            Kind::Host => host(text),
            Kind::Url(schemes) => {
                Url::parse(text).is_ok_and(|url| schemes.contains(&url.scheme()) && url.has_host())
            }
            Kind::Servers => text.split(',').all(server),
            Kind::Choice(words) => words.contains(&text.to_ascii_lowercase().as_str()),
            Kind::Text
            | Kind::Port
            | Kind::Dsn
            | Kind::Count(..)
            | Kind::Seconds(..)
            | Kind::Milliseconds(..)
            | Kind::Days(..)
            | Kind::Flag
            | Kind::Some(_)
            | Kind::Path
            | Kind::List
            | Kind::Tokens => true,
        };
        fits.then(|| text.to_owned())
    }
}

/// A name, an address, or the folder of a Unix socket as libpq takes it.
fn host(text: &str) -> bool {
    let named = !text.contains(['/', '@', ' ', ':']);
    named || text.starts_with('/') || text.parse::<std::net::Ipv6Addr>().is_ok()
}

fn server(address: &str) -> bool {
    let address = address.trim();
    let with_scheme = if address.contains("://") { address.to_owned() } else { format!("nats://{address}") };
    Url::parse(&with_scheme)
        .is_ok_and(|url| ["nats", "tls", "ws", "wss"].contains(&url.scheme()) && url.has_host())
}

impl FromText for SecretString {
    fn from_text(text: &str, kind: Kind) -> Option<Self> {
        let fits = match kind {
            Kind::Dsn => return dsn(text).map(Self::from),
            Kind::Url(_) => return String::from_text(text, kind).map(Self::from),
            Kind::Text
            | Kind::Port
            | Kind::Host
            | Kind::Servers
            | Kind::Count(..)
            | Kind::Seconds(..)
            | Kind::Milliseconds(..)
            | Kind::Days(..)
            | Kind::Flag
            | Kind::Choice(_)
            | Kind::Some(_)
            | Kind::Path
            | Kind::List
            | Kind::Tokens => true,
        };
        fits.then(|| Self::from(text.to_owned()))
    }
}

/// `postgresql+psycopg://…`, as Python's SQLAlchemy wants it, is `postgresql://…`.
fn dsn(text: &str) -> Option<String> {
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let scheme = scheme.split('+').next().unwrap_or(scheme);
            let fits = matches!(scheme, "postgres" | "postgresql") && !rest.is_empty();
            fits.then(|| format!("{scheme}://{rest}"))
        }
        None => {
            let host = text
                .split_whitespace()
                .any(|pair| pair.starts_with("host=") || pair.starts_with("hostaddr="));
            host.then(|| text.to_owned())
        }
    }
}

impl FromText for u16 {
    fn from_text(text: &str, _kind: Kind) -> Option<Self> {
        text.parse().ok().filter(|port| *port > 0)
    }
}

macro_rules! whole_numbers {
    ($($kind:ty),+) => { $(
        impl FromText for $kind {
            fn from_text(text: &str, kind: Kind) -> Option<Self> {
                <$kind>::try_from(kind.number(text)?).ok()
            }
        }
    )+ };
}
whole_numbers!(u32, u64, usize);

impl FromText for Duration {
    fn from_text(text: &str, kind: Kind) -> Option<Self> {
        let number = kind.number(text)?;
        if let Kind::Milliseconds(..) = kind {
            return Some(Self::from_millis(number));
        }
        let unit = if let Kind::Days(..) = kind { 86_400 } else { 1 };
        number.checked_mul(unit).map(Self::from_secs)
    }
}

impl FromText for bool {
    fn from_text(text: &str, _kind: Kind) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Some(true),
            "false" | "0" | "no" | "off" => Some(false),
            _ => None,
        }
    }
}

impl FromText for PathBuf {
    fn from_text(text: &str, _kind: Kind) -> Option<Self> {
        Some(Self::from(text))
    }
}

impl FromText for Vec<String> {
    fn from_text(text: &str, _kind: Kind) -> Option<Self> {
        Some(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }
}

/// An enumeration whose words are what a variable takes.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident { $( $(#[$doc:meta])* $variant:ident = $word:literal ),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
        pub enum $name { $( $(#[$doc])* $variant ),+ }

        impl $name {
            /// The words, in order.
            pub const WORDS: &'static [&'static str] = &[$($word),+];

            /// The word of this one.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl $crate::kind::FromText for $name {
            fn from_text(text: &str, _kind: $crate::Kind) -> Option<Self> {
                match text.to_ascii_lowercase().as_str() { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
pub(crate) use choice;
