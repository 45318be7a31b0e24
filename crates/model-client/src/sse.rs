//! Server-sent events, as the WHATWG specification reads them: bytes in, frames out.

use std::{borrow::Cow, ops::Range};

use memchr::memchr2;

/// One event with data. Comments, `id` and `retry` are not reported.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The event's name; empty where the stream gives none.
    pub event: Cow<'a, str>,
    /// Its data lines joined by LF. Bytes that are not UTF-8 are replaced.
    pub data: Cow<'a, str>,
}

/// Why a stream cannot be read further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {limit} bytes")]
pub struct EventTooLong {
    /// The configured bound, bytes.
    pub limit: usize,
}

/// Reads events from pieces of a stream, however it was cut into pieces.
///
/// An event that lies in one piece with one data line (all that providers send) is handed out without a copy
/// of its text beyond the one into the buffer.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Start of the line being read; all before it is used up, but for `event` and `data`.
    line: usize,
    /// Up to here no line end was found.
    scanned: usize,
    /// The last piece ended with CR: a LF that follows belongs to it.
    after_cr: bool,
    /// Nothing has been read yet: a byte order mark may come.
    at_start: bool,
    event: Range<usize>,
    data: Option<Range<usize>>,
    /// Data of an event with several data lines; used instead of `data` when not empty.
    joined: Vec<u8>,
    several: bool,
    limit: usize,
}

impl Decoder {
    /// A decoder that refuses events of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: Vec::new(),
            line: 0,
            scanned: 0,
            after_cr: false,
            at_start: true,
            event: 0..0,
            data: None,
            joined: Vec::new(),
            several: false,
            limit,
        }
    }

    /// Takes the next bytes of the stream. Call [`Self::frame`] until it yields nothing before the next push.
    pub fn push(&mut self, mut bytes: &[u8]) {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        let used = self.first_used();
        self.buffer.drain(..used);
        self.line -= used;
        self.scanned -= used;
        self.event = self.event.start.saturating_sub(used)..self.event.end.saturating_sub(used);
        self.data = self.data.take().map(|range| range.start - used..range.end - used);
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete event, if the bytes so far hold one.
    ///
    /// # Errors
    /// [`EventTooLong`] when an event outgrows the bound.
    pub fn frame(&mut self) -> Result<Option<Frame<'_>>, EventTooLong> {
        if self.at_start && self.buffer.len() >= 3 {
            self.at_start = false;
            if self.buffer.starts_with(b"\xEF\xBB\xBF") {
                self.line = 3;
                self.scanned = 3;
            }
        }
        while let Some(line) = self.next_line() {
            if !line.is_empty() {
                self.field(line);
            } else if self.data.is_some() {
                return Ok(Some(self.dispatch()));
            } else {
                self.event = 0..0;
            }
        }
        if self.buffer.len() - self.first_used() + self.joined.len() > self.limit {
            return Err(EventTooLong { limit: self.limit });
        }
        Ok(None)
    }

    /// What was begun when the stream ended. Some servers leave out the last empty line.
    pub fn rest(&mut self) -> Option<Frame<'_>> {
        if self.line < self.buffer.len() {
            let line = self.line..self.buffer.len();
            self.line = self.buffer.len();
            self.scanned = self.line;
            self.field(line);
        }
        self.data.is_some().then(|| self.dispatch())
    }

    /// The first byte of the buffer that is still needed.
    fn first_used(&self) -> usize {
        let event = if self.event.is_empty() { self.line } else { self.event.start };
        self.data.as_ref().map_or(self.line, |data| data.start.min(self.line)).min(event)
    }

    fn next_line(&mut self) -> Option<Range<usize>> {
        let unread = self.buffer.get(self.scanned..)?;
        let Some(at) = memchr2(b'\n', b'\r', unread) else {
            self.scanned = self.buffer.len();
            return None;
        };
        let end = self.scanned + at;
        let mut next = end + 1;
        if self.buffer.get(end) == Some(&b'\r') {
            match self.buffer.get(next) {
                Some(b'\n') => next += 1,
                Some(_) => {}
                None => self.after_cr = true,
            }
        }
        let line = self.line..end;
        self.line = next;
        self.scanned = next;
        self.at_start = false;
        Some(line)
    }

    fn field(&mut self, line: Range<usize>) {
        let bytes = self.buffer.get(line.clone()).unwrap_or_default();
        let name_len = bytes.iter().position(|byte| *byte == b':').unwrap_or(bytes.len());
        let after_colon = (name_len + 1).min(bytes.len());
        let blank = usize::from(bytes.get(after_colon) == Some(&b' '));
        let value = line.start + after_colon + blank..line.end;
        match bytes.get(..name_len) {
            Some(b"data") => self.add_data(value),
            Some(b"event") => self.event = value,
            _ => {}
        }
    }

    fn add_data(&mut self, value: Range<usize>) {
        let Some(first) = &self.data else {
            self.data = Some(value);
            return;
        };
        if !self.several {
            self.several = true;
            self.joined.clear();
            self.joined.extend_from_slice(self.buffer.get(first.clone()).unwrap_or_default());
        }
        self.joined.push(b'\n');
        self.joined.extend_from_slice(self.buffer.get(value.clone()).unwrap_or_default());
        self.data = Some(value);
    }

    fn dispatch(&mut self) -> Frame<'_> {
        let event = std::mem::take(&mut self.event);
        let data = self.data.take().unwrap_or_default();
        let several = std::mem::take(&mut self.several);
        let data = if several { self.joined.as_slice() } else { self.buffer.get(data).unwrap_or_default() };
        Frame {
            event: String::from_utf8_lossy(self.buffer.get(event).unwrap_or_default()),
            data: String::from_utf8_lossy(data),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Events as (name, data) pairs, the stream cut into pieces of `size` bytes.
    fn read(stream: &[u8], size: usize) -> Vec<(String, String)> {
        let mut decoder = Decoder::new(1 << 20);
        let mut seen = Vec::new();
        for piece in stream.chunks(size.max(1)) {
            decoder.push(piece);
            while let Some(frame) = decoder.frame().unwrap() {
                seen.push((frame.event.into_owned(), frame.data.into_owned()));
            }
        }
        if let Some(frame) = decoder.rest() {
            seen.push((frame.event.into_owned(), frame.data.into_owned()));
        }
        seen
    }

    fn check(stream: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(e, d)| ((*e).to_owned(), (*d).to_owned())).collect();
        for size in [1, 2, 3, 5, 7, 1000] {
            assert_eq!(read(stream.as_bytes(), size), expected, "{stream:?} in pieces of {size}");
        }
    }

    #[test]
    fn every_line_end_and_every_cut_gives_the_same_events() {
        for end in ["\n", "\r", "\r\n"] {
            let stream = "event: a\ndata: 1ä€😀\n\n: comment\n\ndata:2\ndata: 3\ndata\nid: 7\nretry: 9\n\n"
                .replace('\n', end);
            check(&stream, &[("a", "1ä€😀"), ("", "2\n3\n")]);
        }
    }

    #[test]
    fn an_event_without_data_is_nothing_and_its_name_does_not_stick() {
        check("event: ping\n\ndata: x\n\n", &[("", "x")]);
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        check("\u{feff}data: x\n\n", &[("", "x")]);
    }

    #[test]
    fn the_last_event_may_lack_its_empty_line() {
        check("data: x\n\ndata: [DONE]", &[("", "x"), ("", "[DONE]")]);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_replaced() {
        assert_eq!(read(b"data: a\xFFb\n\n", 100), [(String::new(), "a\u{fffd}b".to_owned())]);
    }

    #[test]
    fn an_event_that_outgrows_the_bound_is_refused() {
        let mut decoder = Decoder::new(10);
        decoder.push(b"data: 12345678901234567890");
        assert_eq!(decoder.frame(), Err(EventTooLong { limit: 10 }));
        let mut decoder = Decoder::new(10);
        let mut ended = false;
        for _ in 0..10 {
            decoder.push(b"data: abc\n");
            ended |= decoder.frame().is_err();
        }
        assert!(ended, "many data lines are bounded too");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_cuts_do_not_matter(
            bytes in proptest::collection::vec(prop_oneof![
                Just(b'\n'), Just(b'\r'), Just(b':'), Just(b' '), Just(b'd'), any::<u8>()], 0..400),
            size in 1usize..20,
        ) {
            prop_assert_eq!(read(&bytes, size), read(&bytes, bytes.len().max(1)));
        }

        #[test]
        fn what_is_written_is_read(texts in proptest::collection::vec("[^\r\n]{0,40}", 1..8), size in 1usize..9) {
            let stream: String = texts.iter().map(|text| format!("data: {text}\n\n")).collect();
            let seen: Vec<String> = read(stream.as_bytes(), size).into_iter().map(|(_, data)| data).collect();
            prop_assert_eq!(seen, texts);
        }
    }
}
