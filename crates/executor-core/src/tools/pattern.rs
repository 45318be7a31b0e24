//! Glob patterns with the meaning that `wcmatch` gives them under its flags BRACE and GLOBSTAR.
//!
//! Matching never backtracks further than the last star, and all work of a search is counted: its time has a
//! bound whatever the pattern is.

use std::ops::Range;

use super::braces::{self, Refused};
use super::path;
use super::pattern_parse::{Segment, Token, parse};
use crate::pyrepr;

/// Most steps of one search: 1.2 s unoptimised. Usual patterns need some 200,000 for 10,000 files.
const MOST_WORK: usize = 50_000_000;

/// Why a search by pattern is refused. The text is what the model reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PatternError {
    #[error("Path traversal not allowed in glob pattern {0}")]
    Traversal(String),
    #[error("Invalid glob pattern {0}: Pattern limit exceeded the limit of 1000")]
    TooMany(String),
    #[error("Invalid glob pattern: too long or nested too deep after brace expansion")]
    TooLarge,
    #[error(
        "Glob pattern takes too long to match this many files. Use a simpler pattern, fewer alternatives or a narrower path"
    )]
    TooMuchWork,
}

/// A pattern, ready to be matched with many paths.
#[derive(Debug)]
pub(super) struct Pattern {
    /// A pattern without `/` is about names.
    names_only: bool,
    alternatives: Vec<Vec<Segment>>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, PatternError> {
        if text.split(['/', '\\']).any(|segment| segment == "..") {
            return Err(PatternError::Traversal(pyrepr::text(text)));
        }
        let mut expanded = braces::expand(text.trim_start_matches('/')).map_err(|refused| match refused {
            Refused::TooMany => PatternError::TooMany(pyrepr::text(text)),
            Refused::TooLarge => PatternError::TooLarge,
        })?;
        expanded.sort_unstable();
        expanded.dedup();
        let alternatives = expanded.iter().filter_map(|alternative| parse(alternative)).collect();
        Ok(Self { names_only: !text.contains('/'), alternatives })
    }
}

/// Matches one pattern with many paths and counts the work.
#[derive(Debug)]
pub(super) struct Matcher<'p> {
    pattern: &'p Pattern,
    work: usize,
    characters: Vec<char>,
    segments: Vec<Range<usize>>,
}

impl<'p> Matcher<'p> {
    pub(super) fn new(pattern: &'p Pattern) -> Self {
        Self { pattern, work: 0, characters: Vec::new(), segments: Vec::new() }
    }

    /// Whether a path below the search root fits.
    pub(super) fn fits(&mut self, below: &str) -> Result<bool, PatternError> {
        self.take_apart(if self.pattern.names_only { path::name(below) } else { below });
        let segments: Vec<&[char]> =
            self.segments.iter().filter_map(|range| self.characters.get(range.clone())).collect();
        let mut fits = false;
        for alternative in &self.pattern.alternatives {
            self.work += 1;
            if path_fits(alternative, &segments, &mut self.work) {
                fits = true;
                break;
            }
            if self.work > MOST_WORK {
                return Err(PatternError::TooMuchWork);
            }
        }
        Ok(fits)
    }

    fn take_apart(&mut self, path: &str) {
        self.characters.clear();
        self.segments.clear();
        for part in path.split('/').filter(|part| !part.is_empty()) {
            let start = self.characters.len();
            self.characters.extend(part.chars());
            self.segments.push(start..self.characters.len());
        }
    }
}

/// Whether a pattern covers all segments of a path.
fn path_fits(pattern: &[Segment], path: &[&[char]], work: &mut usize) -> bool {
    let plain = pattern.iter().filter(|segment| matches!(segment, Segment::Plain { .. })).count();
    if plain > path.len() || (plain == pattern.len() && plain < path.len()) {
        return false;
    }
    // All ways are followed at once: this says which numbers of segments the pattern so far can cover.
    let mut reached: Vec<bool> = std::iter::once(true).chain(path.iter().map(|_| false)).collect();
    for (index, segment) in pattern.iter().enumerate() {
        *work += path.len();
        let at_least_one = index + 1 == pattern.len();
        reached = match segment {
            Segment::AnyNumber => after_any_number(&reached, path, at_least_one),
            Segment::Plain { tokens, shortest } => {
                let steps = reached
                    .iter()
                    .zip(path)
                    .map(|(so_far, name)| *so_far && name_fits(tokens, *shortest, name, work));
                std::iter::once(false).chain(steps).collect()
            }
        };
        if !reached.contains(&true) {
            return false;
        }
    }
    reached.last().copied().unwrap_or(false)
}

/// `**` passes segments that do not start with a dot. As the last segment it needs one: the file.
fn after_any_number(reached: &[bool], path: &[&[char]], at_least_one: bool) -> Vec<bool> {
    let mut passing = false;
    let mut after = Vec::with_capacity(reached.len());
    for (index, so_far) in reached.iter().enumerate() {
        let previous = index.checked_sub(1).and_then(|previous| path.get(previous));
        passing = passing && previous.is_some_and(|name| name.first() != Some(&'.'));
        after.push(if at_least_one { passing } else { passing || *so_far });
        passing = passing || *so_far;
    }
    after
}

/// Goes back only to the last star: what an earlier one covers need never grow.
fn name_fits(tokens: &[Token], shortest: usize, name: &[char], work: &mut usize) -> bool {
    let hidden = name.first() == Some(&'.');
    let wild_start = !matches!(tokens.first(), Some(Token::One(_)));
    if shortest > name.len() || (hidden && wild_start) {
        return false;
    }
    let (mut token, mut at) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    while let Some(character) = name.get(at) {
        *work += 1;
        let fits = match tokens.get(token) {
            Some(Token::Star) => {
                last_star = Some((token, at));
                token += 1;
                continue;
            }
            Some(Token::One(one)) => one == character,
            Some(Token::Any) => true,
            Some(Token::Set(set)) => {
                *work += set.size();
                set.contains(*character)
            }
            None => false,
        };
        if fits {
            token += 1;
            at += 1;
        } else if let Some((star, covered)) = last_star {
            last_star = Some((star, covered + 1));
            token = star + 1;
            at = covered + 1;
        } else {
            return false;
        }
    }
    tokens.get(token..).is_some_and(|rest| rest.iter().all(|token| matches!(token, Token::Star)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, path: &str) -> bool {
        let pattern = Pattern::new(pattern).unwrap();
        Matcher::new(&pattern).fits(path).unwrap()
    }

    #[test]
    fn a_dot_in_front_must_be_in_the_pattern() {
        assert!(fits(".env", ".env") && fits("\\.env", ".env") && fits(".*", ".env"));
        assert!(!fits("*env", ".env") && !fits("?env", ".env") && !fits("[.]env", ".env"));
        assert!(fits("*.yml", ".github/w.yml") && !fits("**/*.yml", ".github/w.yml"));
        assert!(fits("**/.h/**/x", "a/.h/b/x") && !fits("**/.h/**/x", "a/.h/.b/x"));
    }

    #[test]
    fn two_stars_are_any_number_of_directories_only_as_a_whole_segment() {
        assert!(fits("src/**/m.py", "src/m.py") && fits("src/**/m.py", "src/a/b/m.py"));
        assert!(fits("src/**", "src/a/b") && !fits("src/**", "src"));
        assert!(fits("src/**.py", "src/m.py") && !fits("src/**.py", "src/a/m.py"));
        assert!(!fits("src/***/m.py", "src/a/b/m.py") && fits("src/***/m.py", "src/a/m.py"));
        assert!(fits("a/**/**/b", "a/b"));
    }

    #[test]
    fn sets_have_ranges_classes_negation_and_escapes() {
        for (pattern, name, expected) in [
            ("[a-c]", "b", true),
            ("[!a-c]", "b", false),
            ("[^a-c]", "d", true),
            ("[]a]", "]", true),
            ("[!]a]", "]", false),
            ("[a\\]b]", "]", true),
            ("[a-]", "-", true),
            ("[z-a]", "m", false),
            ("[!z-a]", "m", true),
            ("[[:digit:]x-z]", "y", true),
            ("[[:digit:]-9]", "-", true),
            ("[[:nope:]]", "n]", true),
            ("[a", "[a", true),
            ("a\\", "a", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
        assert!(fits("[a/b]", "[a/b]"), "a slash ends a set that is not closed yet");
    }

    #[test]
    fn hostile_patterns_end_soon() {
        let name = "a".repeat(200);
        assert!(!fits(&format!("{}b", "*a".repeat(100)), &name));
        let deep = vec!["a"; 100].join("/");
        assert!(!fits(&format!("{}b", "**/a/".repeat(60)), &deep));
        let pattern = Pattern::new(&format!("{{{}}}", vec!["*a*a*a*b"; 400].join(","))).unwrap();
        let mut matcher = Matcher::new(&pattern);
        assert_eq!(pattern.alternatives.len(), 1, "equal alternatives are tried once");
        matcher.work = MOST_WORK;
        assert_eq!(matcher.fits(&name), Err(PatternError::TooMuchWork));
    }
}
