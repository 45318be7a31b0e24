//! The codec: no blob makes it panic, and what it reads it writes so that the same is read again.
#![no_main]

use agent_langgraph_codec as codec;
use libfuzzer_sys::fuzz_target;

const TYPES: [&str; 5] = ["msgpack", "json", "null", "bytes", "empty"];

fuzz_target!(|data: &[u8]| {
    let Some((kind, blob)) = data.split_first() else { return };
    let type_ = TYPES[usize::from(*kind) % TYPES.len()];
    if let Ok(write) = codec::decode_messages(type_, blob)
        && !write.overwrite
    {
        let packed = codec::encode_messages(&write.messages);
        let again = codec::decode_messages("msgpack", &packed).expect("our own bytes");
        assert_eq!(codec::encode_messages(&again.messages), packed);
        let mut folded = Vec::new();
        codec::fold_messages(&mut folded, [write]);
    }
    if let Ok(write) = codec::decode_files(type_, blob)
        && !write.overwrite
    {
        let packed = codec::encode_files_write(&write.files);
        let again = codec::decode_files("msgpack", &packed).expect("our own bytes");
        assert_eq!(codec::encode_files_write(&again.files), packed);
    }
    if let Ok(value) = codec::decode_channel(type_, blob) {
        let (again, packed) = value.encode();
        assert_eq!(codec::decode_channel(&again, &packed).expect("our own bytes"), value);
        drop(value.to_json());
    }
    drop(codec::decode_sends(type_, blob));
    drop(codec::decode_interrupts(type_, blob));
    drop(codec::decode_map(type_, blob));
    drop(codec::decode_json(type_, blob));
});
