//! Jobs as they arrive: no body makes the parser panic, and an accepted job is stored so that the same is read again.
#![no_main]

use agent_wire::{JobRequest, Limits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let limits = Limits { max_bytes: 1 << 20, ..Limits::default() };
    let headers = [("traceparent".to_owned(), String::from_utf8_lossy(&data[..data.len().min(60)]).into_owned())];
    if let Ok(request) = JobRequest::parse(data, &headers, &limits, Some("from-subject")) {
        let again = JobRequest::from_stored(&request.to_stored()).expect("our own bytes");
        assert_eq!(again, request);
    }
    for refused in [JobRequest::parse_strict(data, &[], &limits).err(), JobRequest::from_json(data, &[], &limits).err()] {
        assert!(refused.is_none_or(|refusal| !refusal.to_string().is_empty()));
    }
});
