//! Reads one glob pattern whose braces are expanded.

/// A part of the pattern between slashes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// `**`: any number of directories.
    AnyNumber,
    /// One name.
    Plain {
        tokens: Vec<Token>,
        /// Characters that a name needs at least.
        shortest: usize,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    One(char),
    Any,
    Star,
    Set(Set),
}

/// `[…]`: ranges with both ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Set {
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Set {
    pub(super) fn contains(&self, character: char) -> bool {
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&character)) != self.negated
    }

    pub(super) fn size(&self) -> usize {
        self.ranges.len()
    }

    fn add(&mut self, character: char) {
        self.ranges.push((character, character));
    }
}

/// The segments of a pattern; `None` for one that no file can fit: empty, or with a slash at either end.
pub(super) fn parse(pattern: &str) -> Option<Vec<Segment>> {
    let text: Vec<char> = pattern.chars().collect();
    let mut segments = Segments::default();
    // A bracket that is not closed stands for itself, and so do all brackets up to where that was found out.
    let mut literal_until = 0;
    let mut at = 0;
    while let Some(character) = text.get(at) {
        at += 1;
        match character {
            '/' => segments.end()?,
            '\\' => {
                match text.get(at) {
                    Some('/') => segments.end()?,
                    Some(escaped) => segments.push(Token::One(*escaped)),
                    None => {}
                }
                at += 1;
            }
            '*' => segments.star(),
            '?' => segments.push(Token::Any),
            '[' if at > literal_until => match set(&text, at) {
                Ok((set, after)) => {
                    segments.push(Token::Set(set));
                    at = after;
                }
                Err(failed_at) => {
                    literal_until = failed_at;
                    segments.push(Token::One('['));
                }
            },
            other => segments.push(Token::One(*other)),
        }
    }
    segments.finish()
}

#[derive(Default)]
struct Segments {
    done: Vec<Segment>,
    tokens: Vec<Token>,
    /// Stars as written; neighbours are one token.
    stars: usize,
}

impl Segments {
    fn push(&mut self, token: Token) {
        self.tokens.push(token);
    }

    fn star(&mut self) {
        self.stars += 1;
        if self.tokens.last() != Some(&Token::Star) {
            self.tokens.push(Token::Star);
        }
    }

    /// At a slash. Several are one; `None` if the pattern begins with it.
    fn end(&mut self) -> Option<()> {
        let tokens = std::mem::take(&mut self.tokens);
        let stars = std::mem::take(&mut self.stars);
        if tokens.is_empty() {
            return (!self.done.is_empty()).then_some(());
        }
        if stars == 2 && tokens == [Token::Star] {
            if self.done.last() != Some(&Segment::AnyNumber) {
                self.done.push(Segment::AnyNumber);
            }
            return Some(());
        }
        let shortest = tokens.iter().filter(|token| **token != Token::Star).count();
        self.done.push(Segment::Plain { tokens, shortest });
        Some(())
    }

    fn finish(mut self) -> Option<Vec<Segment>> {
        if self.tokens.is_empty() {
            return None;
        }
        self.end()?;
        Some(self.done)
    }
}

/// What a hyphen in a set would continue.
enum Before {
    /// A range from this character.
    Character(char),
    /// Nothing: a hyphen after a class or a range is one more character.
    Nothing,
    /// It was a hyphen, and this character began the range.
    Hyphen(char),
}

/// A set whose `[` lies before `at`, and the position after its `]`; else the position after which there is none.
fn set(text: &[char], mut at: usize) -> Result<(Set, usize), usize> {
    let mut set = Set::default();
    if let Some('!' | '^') = text.get(at) {
        set.negated = true;
        at += 1;
    }
    let mut before = Before::Nothing;
    if let Some(first @ ('-' | ']')) = text.get(at) {
        set.add(*first);
        before = Before::Character(*first);
        at += 1;
    }
    loop {
        let mut character = *text.get(at).ok_or(text.len())?;
        at += 1;
        match character {
            ']' => {
                if let Before::Hyphen(_) = before {
                    set.add('-');
                }
                return Ok((set, at));
            }
            '-' => {
                before = match before {
                    Before::Character(first) => Before::Hyphen(first),
                    Before::Hyphen(first) => end_range(&mut set, first, '-'),
                    Before::Nothing => {
                        set.add('-');
                        Before::Character('-')
                    }
                };
                continue;
            }
            '[' => {
                if let Some((class, after)) = class(text, at) {
                    if let Before::Hyphen(_) = before {
                        set.add('-');
                    }
                    set.ranges.extend(class);
                    before = Before::Nothing;
                    at = after;
                    continue;
                }
            }
            '/' => return Err(at),
            '\\' => {
                character = *text.get(at).ok_or(text.len())?;
                at += 1;
                if character == '/' {
                    return Err(at);
                }
            }
            _ => {}
        }
        before = match before {
            Before::Hyphen(first) => end_range(&mut set, first, character),
            Before::Character(_) | Before::Nothing => {
                set.add(character);
                Before::Character(character)
            }
        };
    }
}

/// A range that runs backwards is nothing at all, its first character included.
fn end_range(set: &mut Set, first: char, last: char) -> Before {
    if first <= last {
        set.ranges.push((first, last));
    } else if set.ranges.last() == Some(&(first, first)) {
        set.ranges.pop();
    }
    Before::Nothing
}

type Ranges = &'static [(char, char)];

/// `[:name:]` whose `[` lies before `at`: its ranges, ASCII only, and the position after it.
fn class(text: &[char], at: usize) -> Option<(Ranges, usize)> {
    // The longest name has 6 letters.
    let inside = text.get(at..text.len().min(at + 10))?.strip_prefix(&[':'])?;
    let length = inside.iter().position(|character| *character == ':')?;
    let name: String = inside.get(..length)?.iter().collect();
    let ranges: Ranges = match name.as_str() {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7f')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1f'), ('\x7f', '\x7f')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    };
    (inside.get(length + 1) == Some(&']')).then_some((ranges, at + length + 3))
}
