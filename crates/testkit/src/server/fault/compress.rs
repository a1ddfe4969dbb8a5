//! Bodies in content codings, and one that is too small for what is in it.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{
    Compress, Compression, Crc, FlushCompress,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};

use super::Coding;

/// Writing to memory does not fail; where it did all the same, the body would be empty.
pub(super) fn compress(body: &[u8], coding: Coding) -> Bytes {
    let level = Compression::fast();
    let compressed = match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), level);
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), level);
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
        Coding::RawDeflate => {
            let mut encoder = DeflateEncoder::new(Vec::new(), level);
            encoder.write_all(body).and_then(|()| encoder.finish())
        }
    };
    compressed.unwrap_or_default().into()
}

/// A gzip member with a JSON object whose access token is about `size` bytes long.
///
/// One MiB is compressed once, up to a full flush. What follows such a flush refers to nothing before it, so
/// that piece can be repeated, and the bomb costs little to make.
pub(super) fn bomb(size: u64) -> Bytes {
    const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    const PIECE: usize = 1 << 20;
    let filler = vec![b'A'; PIECE];
    let pieces = size.div_ceil(PIECE as u64).max(1);

    let mut gzip = HEADER.to_vec();
    let mut checksum = Crc::new();
    let mut append = |gzip: &mut Vec<u8>, text: &[u8]| {
        gzip.extend_from_slice(&flushed(text));
        checksum.update(text);
    };
    append(&mut gzip, br#"{"token_type":"Bearer","access_token":""#);
    let piece = flushed(&filler);
    let mut piece_checksum = Crc::new();
    piece_checksum.update(&filler);
    for _ in 0..pieces {
        gzip.extend_from_slice(&piece);
        checksum.combine(&piece_checksum);
    }
    checksum.update(br#""}"#);
    gzip.extend_from_slice(&compress(br#""}"#, Coding::RawDeflate));
    gzip.extend_from_slice(&checksum.sum().to_le_bytes());
    gzip.extend_from_slice(&checksum.amount().to_le_bytes());
    gzip.into()
}

fn flushed(text: &[u8]) -> Vec<u8> {
    let mut encoder = Compress::new(Compression::best(), false);
    // A stored block is the worst case: five bytes for each 64 KiB, and the flush marker.
    let mut compressed = Vec::with_capacity(text.len() + text.len() / 1024 + 64);
    match encoder.compress_vec(text, &mut compressed, FlushCompress::Full) {
        Ok(_) => compressed,
        Err(_) => Vec::new(),
    }
}
