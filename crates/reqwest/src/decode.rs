//! Decodes gzip and deflate as it comes, and never holds more than the cap.

#[cfg(not(feature = "decompression"))]
pub(crate) use self::off::Decoder;
#[cfg(feature = "decompression")]
pub(crate) use self::on::Decoder;

#[cfg(not(feature = "decompression"))]
mod off {
    use authflow_core::HttpError;

    use crate::encoding::{Format, Undecodable};

    /// There is none.
    pub(crate) enum Decoder {}

    impl Decoder {
        pub(crate) fn new(_: Format, _: usize) -> Result<Self, HttpError> {
            Err(Undecodable::FeatureOff.into())
        }

        pub(crate) fn push(&mut self, _: &[u8]) -> Result<(), HttpError> {
            match *self {}
        }

        pub(crate) fn finish(self) -> Result<Vec<u8>, HttpError> {
            match self {}
        }
    }
}

#[cfg(feature = "decompression")]
mod on {
    use std::io::{self, Write as _};

    use authflow_core::HttpError;
    use flate2::write::MultiGzDecoder;
    use flate2::{Decompress, FlushDecompress, Status};

    use crate::body::too_large;
    use crate::encoding::{Format, Undecodable};

    /// A decoder of one body.
    pub(crate) enum Decoder {
        Gzip(MultiGzDecoder<Capped>),
        Deflate(Inflate),
    }

    impl Decoder {
        #[allow(clippy::unnecessary_wraps, reason = "without the feature it fails")]
        pub(crate) fn new(format: Format, max: usize) -> Result<Self, HttpError> {
            let decoded = Capped { bytes: Vec::new(), max, overflowed: false };
            Ok(match format {
                Format::Gzip => Self::Gzip(MultiGzDecoder::new(decoded)),
                Format::Zlib => Self::Deflate(Inflate::new(Decompress::new(true), decoded)),
                Format::Deflate => Self::Deflate(Inflate::new(Decompress::new(false), decoded)),
            })
        }

        pub(crate) fn push(&mut self, encoded: &[u8]) -> Result<(), HttpError> {
            match self {
                Self::Gzip(decoder) => {
                    let written = decoder.write_all(encoded);
                    written.map_err(|_| failed(decoder.get_ref()))
                }
                Self::Deflate(decoder) => decoder.push(encoded),
            }
        }

        pub(crate) fn finish(self) -> Result<Vec<u8>, HttpError> {
            match self {
                Self::Gzip(mut decoder) => {
                    let finished = decoder.try_finish();
                    finished.map_err(|_| failed(decoder.get_ref()))?;
                    Ok(std::mem::take(&mut decoder.get_mut().bytes))
                }
                Self::Deflate(decoder) => decoder.finish(),
            }
        }
    }

    /// zlib's format, or raw deflate. By hand, since flate2's writers take the end of the input for the end of the data,
    /// and do not see that something is missing.
    pub(crate) struct Inflate {
        decompress: Decompress,
        decoded: Capped,
        buffer: Box<[u8; 8192]>,
        ended: bool,
    }

    impl Inflate {
        fn new(decompress: Decompress, decoded: Capped) -> Self {
            Self { decompress, decoded, buffer: Box::new([0; 8192]), ended: false }
        }

        fn push(&mut self, mut encoded: &[u8]) -> Result<(), HttpError> {
            loop {
                if self.ended {
                    return if encoded.is_empty() { Ok(()) } else { Err(Undecodable::Corrupt.into()) };
                }
                let (before_in, before_out) = (self.decompress.total_in(), self.decompress.total_out());
                let status = self
                    .decompress
                    .decompress(encoded, &mut *self.buffer, FlushDecompress::None)
                    .map_err(|_| Undecodable::Corrupt)?;
                let taken = usize::try_from(self.decompress.total_in() - before_in).unwrap_or(usize::MAX);
                let given = usize::try_from(self.decompress.total_out() - before_out).unwrap_or(usize::MAX);
                let new = self.buffer.get(..given).ok_or(Undecodable::Corrupt)?;
                self.decoded.write_all(new).map_err(|_| too_large())?;
                encoded = encoded.get(taken..).unwrap_or_default();
                self.ended = status == Status::StreamEnd;
                if !self.ended && taken == 0 && given == 0 {
                    // It wants more, unless it is stuck before something that it cannot read.
                    return if encoded.is_empty() { Ok(()) } else { Err(Undecodable::Corrupt.into()) };
                }
            }
        }

        fn finish(self) -> Result<Vec<u8>, HttpError> {
            if self.ended { Ok(self.decoded.bytes) } else { Err(Undecodable::Corrupt.into()) }
        }
    }

    /// Takes bytes up to a cap.
    pub(crate) struct Capped {
        bytes: Vec<u8>,
        max: usize,
        overflowed: bool,
    }

    impl io::Write for Capped {
        fn write(&mut self, decoded: &[u8]) -> io::Result<usize> {
            if decoded.len() > self.max.saturating_sub(self.bytes.len()) {
                self.overflowed = true;
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.bytes.extend_from_slice(decoded);
            Ok(decoded.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Why a decoder that writes to `decoded` failed.
    fn failed(decoded: &Capped) -> HttpError {
        if decoded.overflowed { too_large() } else { Undecodable::Corrupt.into() }
    }
}
