//! FNV-1a: the hash of the Collector, for choices that have to agree with it or with those of other processes.

/// FNV-1a of 64 bits over the concatenation of `parts`.
#[must_use]
pub fn fnv1a_64(parts: &[&[u8]]) -> u64 {
    parts
        .iter()
        .copied()
        .flatten()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// FNV-1a of 32 bits over the concatenation of `parts`.
#[must_use]
pub fn fnv1a_32(parts: &[&[u8]]) -> u32 {
    parts
        .iter()
        .copied()
        .flatten()
        .fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of <http://www.isthe.com/chongo/tech/comp/fnv/>.
    #[test]
    fn hashes_are_those_of_the_definition() {
        assert_eq!(fnv1a_64(&[]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a_64(&[b"foo", b"bar"]), 0x8594_4171_f739_67e8);
        assert_eq!(fnv1a_32(&[b"foobar"]), 0xbf9c_f968);
    }
}
