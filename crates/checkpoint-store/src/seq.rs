//! Event numbers come in blocks that the lease row reserves, so that numbering costs no statement of its own.

/// Numbers reserved at once.
pub(crate) const BLOCK: u64 = 1024;

/// Fewer than this many left: a commit or a renewal reserves the next block.
pub(crate) const LOW: u64 = 512;

/// The reserved end after numbers up to `last` were used.
pub(crate) const fn raised(reserved: u64, last: u64) -> u64 {
    if last.saturating_add(LOW) > reserved { last.saturating_add(BLOCK) } else { reserved }
}

/// The last number that a holder used: what its commit says, or what the holder before it left.
pub(crate) const fn last_used(next_at_acquisition: u64, last: u64) -> u64 {
    let before = next_at_acquisition.saturating_sub(1);
    if last > before { last } else { before }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_reserved_only_when_few_numbers_are_left() {
        assert_eq!(raised(1024, 0), 1024);
        assert_eq!(raised(1024, 512), 1024);
        assert_eq!(raised(1024, 513), 1537);
    }

    #[test]
    fn a_holder_that_used_no_number_gives_back_what_it_found() {
        assert_eq!(last_used(41, 0), 40);
        assert_eq!(last_used(41, 57), 57);
        assert_eq!(last_used(1, 0), 0);
    }
}
