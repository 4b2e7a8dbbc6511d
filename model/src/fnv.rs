//! [FNV-1a](https://datatracker.ietf.org/doc/html/draft-eastlake-fnv) of 64 bits: names data and tells damage, any
//! single byte's for certain. It is no defence against a forger.

/// The hash of nothing.
pub const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

/// The hash of what gave `hash` with `bytes` behind it.
pub fn extend(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test vectors of the draft.
    #[test]
    fn hashes_are_those_of_the_draft() {
        assert_eq!(extend(EMPTY, b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(extend(EMPTY, b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(extend(extend(EMPTY, b"foo"), b"bar"), extend(EMPTY, b"foobar"));
    }
}
