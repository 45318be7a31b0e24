//! The definition parser: no input makes it panic, and reading twice gives the same definition.
#![no_main]

use agent_executor_core::{Defaults, Definition};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Value>(data) else { return };
    let defaults = Defaults::default();
    match Definition::parse(&value, &defaults) {
        Ok(parsed) => {
            let text = serde_json::to_vec(&value).expect("JSON is written");
            let again: Value = serde_json::from_slice(&text).expect("what was written is read");
            let again = Definition::parse(&again, &defaults).expect("the same definition is read again");
            assert_eq!(again, parsed);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
