//! Finding bytes in blocks of memory, many at once.

/// Size of a block, in bytes: one bit each in the mask.
pub(crate) const BLOCK: usize = 64;

/// A bit for each line feed of the block, the first byte in the lowest bit.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) fn line_feeds(block: &[u8; BLOCK]) -> u64 {
    // SAFETY: SSE2 is part of every x86-64 processor.
    unsafe { sse2(block) }
}

/// Sixteen bytes at a time.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "sse2")]
fn sse2(block: &[u8; BLOCK]) -> u64 {
    use core::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_loadu_si128, _mm_movemask_epi8, _mm_set1_epi8};
    let feed = _mm_set1_epi8(b'\n' as i8);
    let mut mask = 0;
    for (index, part) in block.as_chunks::<16>().0.iter().enumerate() {
        // SAFETY: `part` is sixteen readable bytes, and the load takes any alignment.
        let bytes = unsafe { _mm_loadu_si128(part.as_ptr().cast::<__m128i>()) };
        mask |= u64::from(_mm_movemask_epi8(_mm_cmpeq_epi8(bytes, feed)) as u32) << (16 * index);
    }
    mask
}

/// As above, eight bytes at a time.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(crate) fn line_feeds(block: &[u8; BLOCK]) -> u64 {
    portable(block)
}

/// The same on any machine: a byte becomes zero by xor, the high bit of each zero byte is found without carries between bytes, and a
/// multiplication gathers the eight bits.
#[cfg(any(test, not(target_arch = "x86_64")))]
fn portable(block: &[u8; BLOCK]) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const FEEDS: u64 = 0x0a0a_0a0a_0a0a_0a0a;
    let mut mask = 0;
    for (index, word) in block.as_chunks::<8>().0.iter().enumerate() {
        let differing = u64::from_le_bytes(*word) ^ FEEDS;
        let zero_bytes = !(((differing & LOW) + LOW) | differing | LOW);
        let bits = (zero_bytes >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        mask |= bits << (8 * index);
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_find_every_line_feed_and_nothing_else() {
        for seed in 0..2000u64 {
            let mut block = [0u8; BLOCK];
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
            for byte in &mut block {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                // Mostly values around the line feed and its high-bit twin, where a careless trick goes wrong.
                *byte = [0x0a, 0x0b, 0x09, 0x8a, 0x00, 0xff, 0x0a, 0x1a][(state >> 61) as usize];
            }
            let expected = block.iter().enumerate().fold(0, |mask, (index, byte)| mask | u64::from(*byte == b'\n') << index);
            assert_eq!(portable(&block), expected, "{block:?}");
            assert_eq!(line_feeds(&block), expected, "{block:?}");
        }
    }
}
