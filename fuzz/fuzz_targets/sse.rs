//! The decoder of server-sent events: no stream makes it panic, and where a stream is cut makes no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The file alone: it needs none of the client's dependencies.
#[allow(dead_code, missing_docs)]
#[path = "../../crates/model-client/src/sse.rs"]
mod sse;

const LIMIT: usize = 1 << 20;

fn frames<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<(String, String)> {
    let mut decoder = sse::Decoder::new(LIMIT);
    let mut found = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        while let Some(frame) = decoder.frame().expect("shorter than the limit") {
            found.push((frame.event.into_owned(), frame.data.into_owned()));
        }
    }
    found.extend(decoder.rest().map(|frame| (frame.event.into_owned(), frame.data.into_owned())));
    found
}

fuzz_target!(|data: &[u8]| {
    let Some((size, stream)) = data.split_first() else { return };
    let size = usize::from(*size % 32) + 1;
    let whole = frames(std::iter::once(stream));
    assert_eq!(frames(stream.chunks(size)), whole);
    let mut tight = sse::Decoder::new(size);
    tight.push(stream);
    while let Ok(Some(_)) = tight.frame() {}
});
