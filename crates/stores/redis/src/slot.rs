//! The hash slot of a key (Redis Cluster specification, "Key distribution model" and "Hash tags").

pub(crate) const SLOTS: u16 = 16_384;

/// CRC16 of the key, or of what stands between its first `{` and the next `}`, modulo 16,384.
pub(crate) fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}')?;
        rest.get(..close).filter(|tag| !tag.is_empty())
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC16-CCITT as XMODEM has it.
fn crc16(bytes: &[u8]) -> u16 {
    // The table has an entry for each byte.
    let entry = |at: u8| TABLE.get(usize::from(at)).copied().unwrap_or_default();
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ entry((crc >> 8) as u8 ^ byte))
}

static TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let (mut at, mut rest): (u16, &mut [u16]) = (0, &mut table);
    while let Some((entry, after)) = rest.split_first_mut() {
        let mut crc = at << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        *entry = crc;
        (at, rest) = (at + 1, after);
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{crc16, slot};

    /// The vector of the specification.
    #[test]
    fn the_check_value() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn hash_tags() {
        assert_eq!(slot(b"{user1000}.following"), slot(b"{user1000}.followers"));
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % 16_384);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
        assert_eq!(slot(b"open{"), crc16(b"open{") % 16_384);
    }
}
