//! The script's stdout and stderr.

use std::io::{self, Read};
use std::os::fd::AsFd;

/// An output of the script: its beginning is kept, the rest read and dropped so that it never blocks.
pub(crate) struct Kept<P> {
    pub(crate) from: Option<P>,
    pub(crate) bytes: Vec<u8>,
    room: usize,
}

impl<P: Read + AsFd> Kept<P> {
    pub(crate) fn new(from: Option<P>, room: usize) -> Self {
        let from = from.filter(|pipe| rustix::io::ioctl_fionbio(pipe, true).is_ok());
        Self { from, bytes: Vec::new(), room }
    }

    /// One piece at a time, so that a script which never stops writing cannot keep us from its limits.
    pub(crate) fn read(&mut self, ready: bool) {
        let Some(pipe) = self.from.as_mut().filter(|_| ready) else { return };
        let mut piece = [0; 65_536];
        match pipe.read(&mut piece) {
            Ok(0) => self.from = None,
            Ok(length) => {
                let left = self.room.saturating_sub(self.bytes.len()).min(length);
                self.bytes.extend_from_slice(piece.get(..left).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.from = None,
        }
    }
}
