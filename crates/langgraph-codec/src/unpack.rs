//! Reads msgpack from untrusted bytes: one token at a time, with every length checked against what is left
//! before anything is allocated, and a limit on nesting.

use rmp::Marker;

use crate::error::CodecError;

/// Nesting that is read, extensions included. Python's reader stops at about 1000; agents stay below 20.
pub(crate) const MAX_DEPTH: u16 = 256;

/// The start of a value: the whole value for scalars and extensions, the number of parts for the others.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Token<'a> {
    Nil,
    Bool(bool),
    Uint(u64),
    Int(i64),
    Float(f64),
    Str(&'a str),
    Bin(&'a [u8]),
    Array(usize),
    Map(usize),
    Ext(i8, &'a [u8]),
}

impl Token<'_> {
    /// The kind, for error texts.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "null",
            Self::Bool(_) => "a boolean",
            Self::Uint(_) | Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Str(_) => "a string",
            Self::Bin(_) => "bytes",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
            Self::Ext(..) => "an extension",
        }
    }
}

/// A position in msgpack bytes.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    depth: u16,
    /// Something was read that JSON cannot say.
    pub(crate) lossy: bool,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, depth: 0, lossy: false }
    }

    /// A reader of an extension's payload, one level deeper.
    pub(crate) fn inside(&self, payload: &'a [u8]) -> Result<Self, CodecError> {
        let mut inner = Self { rest: payload, depth: self.depth, lossy: false };
        inner.enter()?;
        Ok(inner)
    }

    /// Goes one level down; pair it with [`Self::leave`].
    pub(crate) fn enter(&mut self) -> Result<(), CodecError> {
        if self.depth >= MAX_DEPTH {
            return Err(CodecError::TooDeep { limit: MAX_DEPTH });
        }
        self.depth += 1;
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// The bytes from `start` (an earlier clone of this reader) up to here.
    pub(crate) fn since(&self, start: &Self) -> &'a [u8] {
        let len = start.rest.len().saturating_sub(self.rest.len());
        start.rest.get(..len).unwrap_or_default()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], CodecError> {
        let short = CodecError::Truncated { needed: len, found: self.rest.len() };
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let short = CodecError::Truncated { needed: N, found: self.rest.len() };
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn len8(&mut self) -> Result<usize, CodecError> {
        Ok(usize::from(u8::from_be_bytes(self.number()?)))
    }

    fn len16(&mut self) -> Result<usize, CodecError> {
        Ok(usize::from(u16::from_be_bytes(self.number()?)))
    }

    fn len32(&mut self) -> Result<usize, CodecError> {
        Ok(usize::try_from(u32::from_be_bytes(self.number()?)).unwrap_or(usize::MAX))
    }

    fn str(&mut self, len: usize) -> Result<Token<'a>, CodecError> {
        let text = std::str::from_utf8(self.take(len)?);
        text.map(Token::Str).map_err(|_| CodecError::Utf8 { at: "msgpack string" })
    }

    fn ext(&mut self, len: usize) -> Result<Token<'a>, CodecError> {
        let code = i8::from_be_bytes(self.number()?);
        self.take(len).map(|payload| Token::Ext(code, payload))
    }

    /// Each part takes at least one byte, so a length beyond the rest is a lie and is not allocated for.
    fn parts(&self, count: usize, bytes_each: usize) -> Result<usize, CodecError> {
        let needed = count.saturating_mul(bytes_each);
        if needed > self.rest.len() {
            return Err(CodecError::Truncated { needed, found: self.rest.len() });
        }
        Ok(count)
    }

    fn array(&self, count: usize) -> Result<Token<'a>, CodecError> {
        self.parts(count, 1).map(Token::Array)
    }

    fn map(&self, count: usize) -> Result<Token<'a>, CodecError> {
        self.parts(count, 2).map(Token::Map)
    }

    /// The next token.
    pub(crate) fn token(&mut self) -> Result<Token<'a>, CodecError> {
        let [byte] = self.number()?;
        match Marker::from_u8(byte) {
            Marker::FixPos(value) => Ok(Token::Uint(value.into())),
            Marker::FixNeg(value) => Ok(Token::Int(value.into())),
            Marker::FixStr(len) => self.str(len.into()),
            Marker::FixArray(count) => self.array(count.into()),
            Marker::FixMap(count) => self.map(count.into()),
            Marker::Null => Ok(Token::Nil),
            Marker::Reserved => Err(CodecError::Reserved),
            Marker::False => Ok(Token::Bool(false)),
            Marker::True => Ok(Token::Bool(true)),
            Marker::U8 => Ok(Token::Uint(u8::from_be_bytes(self.number()?).into())),
            Marker::U16 => Ok(Token::Uint(u16::from_be_bytes(self.number()?).into())),
            Marker::U32 => Ok(Token::Uint(u32::from_be_bytes(self.number()?).into())),
            Marker::U64 => Ok(Token::Uint(u64::from_be_bytes(self.number()?))),
            Marker::I8 => Ok(Token::Int(i8::from_be_bytes(self.number()?).into())),
            Marker::I16 => Ok(Token::Int(i16::from_be_bytes(self.number()?).into())),
            Marker::I32 => Ok(Token::Int(i32::from_be_bytes(self.number()?).into())),
            Marker::I64 => Ok(Token::Int(i64::from_be_bytes(self.number()?))),
            Marker::F32 => Ok(Token::Float(f32::from_be_bytes(self.number()?).into())),
            Marker::F64 => Ok(Token::Float(f64::from_be_bytes(self.number()?))),
            Marker::Str8 => self.len8().and_then(|len| self.str(len)),
            Marker::Str16 => self.len16().and_then(|len| self.str(len)),
            Marker::Str32 => self.len32().and_then(|len| self.str(len)),
            Marker::Bin8 => self.len8().and_then(|len| self.take(len)).map(Token::Bin),
            Marker::Bin16 => self.len16().and_then(|len| self.take(len)).map(Token::Bin),
            Marker::Bin32 => self.len32().and_then(|len| self.take(len)).map(Token::Bin),
            Marker::Array16 => self.len16().and_then(|count| self.array(count)),
            Marker::Array32 => self.len32().and_then(|count| self.array(count)),
            Marker::Map16 => self.len16().and_then(|count| self.map(count)),
            Marker::Map32 => self.len32().and_then(|count| self.map(count)),
            Marker::Ext8 => self.len8().and_then(|len| self.ext(len)),
            Marker::Ext16 => self.len16().and_then(|len| self.ext(len)),
            Marker::Ext32 => self.len32().and_then(|len| self.ext(len)),
            Marker::FixExt1 => self.ext(1),
            Marker::FixExt2 => self.ext(2),
            Marker::FixExt4 => self.ext(4),
            Marker::FixExt8 => self.ext(8),
            Marker::FixExt16 => self.ext(16),
        }
    }

    /// The token after this one's start, without moving.
    pub(crate) fn peek(&self) -> Result<Token<'a>, CodecError> {
        self.clone().token()
    }

    /// Moves over one whole value. Extensions are not looked into. Does not recurse.
    pub(crate) fn skip(&mut self) -> Result<(), CodecError> {
        let mut open = 1_usize;
        while open > 0 {
            open -= 1;
            open = match self.token()? {
                Token::Array(count) => open.saturating_add(count),
                Token::Map(count) => open.saturating_add(count.saturating_mul(2)),
                Token::Nil
                | Token::Bool(_)
                | Token::Uint(_)
                | Token::Int(_)
                | Token::Float(_)
                | Token::Str(_)
                | Token::Bin(_)
                | Token::Ext(..) => open,
            };
        }
        Ok(())
    }
}
