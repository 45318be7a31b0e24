//! Writes msgpack exactly as `ormsgpack` does: shortest forms, floats always 64 bits wide, maps in
//! insertion order. Everything goes into one growing buffer; no tree is built.

use rmp::Marker;
use serde_json::{Map, Value};

/// Longest header of an extension: marker, 32 bits of length, code.
const EXT_HEADER: usize = 6;

/// A growing msgpack buffer.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    out: Vec<u8>,
}

/// msgpack cannot count further than 32 bits; a value that long does not fit into memory several times over.
fn len32(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl Packer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes) }
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.out
    }

    fn marker(&mut self, marker: Marker) {
        self.out.push(marker.to_u8());
    }

    fn with<const N: usize>(&mut self, marker: Marker, number: [u8; N]) {
        self.marker(marker);
        self.out.extend_from_slice(&number);
    }

    pub(crate) fn nil(&mut self) {
        self.marker(Marker::Null);
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.marker(if value { Marker::True } else { Marker::False });
    }

    pub(crate) fn u64(&mut self, value: u64) {
        if let Ok(small) = u8::try_from(value) {
            match small {
                0..=0x7f => self.marker(Marker::FixPos(small)),
                _ => self.with(Marker::U8, [small]),
            }
        } else if let Ok(value) = u16::try_from(value) {
            self.with(Marker::U16, value.to_be_bytes());
        } else if let Ok(value) = u32::try_from(value) {
            self.with(Marker::U32, value.to_be_bytes());
        } else {
            self.with(Marker::U64, value.to_be_bytes());
        }
    }

    pub(crate) fn i64(&mut self, value: i64) {
        if let Ok(value) = u64::try_from(value) {
            self.u64(value);
        } else if let Ok(value) = i8::try_from(value) {
            if value >= -32 {
                self.marker(Marker::FixNeg(value));
            } else {
                self.with(Marker::I8, value.to_be_bytes());
            }
        } else if let Ok(value) = i16::try_from(value) {
            self.with(Marker::I16, value.to_be_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.with(Marker::I32, value.to_be_bytes());
        } else {
            self.with(Marker::I64, value.to_be_bytes());
        }
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.with(Marker::F64, value.to_be_bytes());
    }

    pub(crate) fn str(&mut self, text: &str) {
        let len = len32(text.len());
        if let (Ok(len8), true) = (u8::try_from(len), len < 32) {
            self.marker(Marker::FixStr(len8));
        } else if let Ok(len) = u8::try_from(len) {
            self.with(Marker::Str8, [len]);
        } else if let Ok(len) = u16::try_from(len) {
            self.with(Marker::Str16, len.to_be_bytes());
        } else {
            self.with(Marker::Str32, len.to_be_bytes());
        }
        self.out.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn opt_str(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.str(text),
            None => self.nil(),
        }
    }

    /// Announces an array; its items must follow.
    pub(crate) fn array(&mut self, len: usize) {
        let len = len32(len);
        if let (Ok(len8), true) = (u8::try_from(len), len < 16) {
            self.marker(Marker::FixArray(len8));
        } else if let Ok(len) = u16::try_from(len) {
            self.with(Marker::Array16, len.to_be_bytes());
        } else {
            self.with(Marker::Array32, len.to_be_bytes());
        }
    }

    /// Announces a map; its keys and values must follow in turn.
    pub(crate) fn map(&mut self, len: usize) {
        let len = len32(len);
        if let (Ok(len8), true) = (u8::try_from(len), len < 16) {
            self.marker(Marker::FixMap(len8));
        } else if let Ok(len) = u16::try_from(len) {
            self.with(Marker::Map16, len.to_be_bytes());
        } else {
            self.with(Marker::Map32, len.to_be_bytes());
        }
    }

    /// Bytes that are msgpack already.
    pub(crate) fn raw(&mut self, packed: &[u8]) {
        self.out.extend_from_slice(packed);
    }

    /// Writes an extension whose payload `body` packs. The header's size depends on the payload's, so the
    /// payload is written first and moved once: cheaper than measuring it beforehand.
    pub(crate) fn ext(&mut self, code: u8, body: impl FnOnce(&mut Self)) {
        let start = self.out.len();
        self.out.extend_from_slice(&[0; EXT_HEADER]);
        let from = self.out.len();
        body(self);
        let end = self.out.len();
        let (header, len) = ext_header(len32(end - from), code);
        self.out.copy_within(from..end, start + len);
        self.out.truncate(end - (EXT_HEADER - len));
        for (slot, byte) in self.out.iter_mut().skip(start).zip(header.into_iter().take(len)) {
            *slot = byte;
        }
    }

    pub(crate) fn json(&mut self, value: &Value) {
        match value {
            Value::Null => self.nil(),
            Value::Bool(value) => self.bool(*value),
            Value::Number(number) => self.number(number),
            Value::String(text) => self.str(text),
            Value::Array(items) => {
                self.array(items.len());
                items.iter().for_each(|item| self.json(item));
            }
            Value::Object(map) => self.json_map(map),
        }
    }

    pub(crate) fn json_map(&mut self, map: &Map<String, Value>) {
        self.map(map.len());
        for (key, value) in map {
            self.str(key);
            self.json(value);
        }
    }

    /// Python keeps `1` and `1.0` apart, and so does `serde_json`.
    fn number(&mut self, number: &serde_json::Number) {
        if let Some(value) = number.as_u64() {
            self.u64(value);
        } else if let Some(value) = number.as_i64() {
            self.i64(value);
        } else {
            self.f64(number.as_f64().unwrap_or(f64::NAN));
        }
    }
}

/// A byte string on its own: the value of rows whose type is `bytes`.
pub(crate) fn bin(bytes: &[u8]) -> Vec<u8> {
    let mut packer = Packer::with_capacity(bytes.len() + 5);
    let len = len32(bytes.len());
    if let Ok(len) = u8::try_from(len) {
        packer.with(Marker::Bin8, [len]);
    } else if let Ok(len) = u16::try_from(len) {
        packer.with(Marker::Bin16, len.to_be_bytes());
    } else {
        packer.with(Marker::Bin32, len.to_be_bytes());
    }
    packer.raw(bytes);
    packer.into_vec()
}

fn ext_header(len: u32, code: u8) -> ([u8; EXT_HEADER], usize) {
    let fixed = |marker: Marker| ([marker.to_u8(), code, 0, 0, 0, 0], 2);
    match len {
        1 => fixed(Marker::FixExt1),
        2 => fixed(Marker::FixExt2),
        4 => fixed(Marker::FixExt4),
        8 => fixed(Marker::FixExt8),
        16 => fixed(Marker::FixExt16),
        _ => {
            let [a, b, c, d] = len.to_be_bytes();
            if a == 0 && b == 0 && c == 0 {
                ([Marker::Ext8.to_u8(), d, code, 0, 0, 0], 3)
            } else if a == 0 && b == 0 {
                ([Marker::Ext16.to_u8(), c, d, code, 0, 0], 4)
            } else {
                ([Marker::Ext32.to_u8(), a, b, c, d, code], EXT_HEADER)
            }
        }
    }
}
