//! Numbers that are as good as random and depend on their seed alone.

/// SplitMix64's output function: a bijection of 64 bits in which every input bit changes about half of the output's
/// (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).
#[must_use]
pub(crate) const fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_outputs_are_those_of_the_reference() {
        // The generator seeded with 0 outputs mix(0), mix(gamma), …; values from Vigna's splitmix64.c.
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(mix(0x9e37_79b9_7f4a_7c15), 0x6e78_9e6a_a1b9_65f4);
    }
}
