//! Reads the body of an answer under its cap.

use std::mem;

use authflow_core::{Delivery, HttpError, HttpErrorKind, HttpResponse};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};

use crate::decode::Decoder;
use crate::encoding::{Declared, TELLING, format, is_text};
use crate::failure;

/// What a compressed body may have on the wire beyond the cap: frames around content that does not compress.
const FRAMING: usize = 1024;

/// Reads the rest of `response`, whose headers are taken: at most `max` bytes, on the wire and decoded.
pub(crate) async fn read(response: &mut reqwest::Response, max: usize) -> Result<HttpResponse, HttpError> {
    let status = response.status();
    let mut headers = mem::take(response.headers_mut());
    let mut body = Body::new(&headers, max);
    if let Some(length) = response.content_length() {
        body.expect(length)?;
    }
    while let Some(chunk) = response.chunk().await.map_err(failure::in_answer)? {
        body.push(&chunk)?;
    }
    let body = body.finish()?;
    if body.decoded {
        // They describe what came, not what is handed on.
        for name in [CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING] {
            headers.remove(name);
        }
    }
    let mut response = HttpResponse::new(status, body.bytes);
    response.headers = headers;
    Ok(response)
}

/// A body that is being read.
struct Body {
    declared: Declared,
    max: usize,
    on_the_wire: usize,
    /// What was read and is not given to a decoder: the body, or the bytes that tell what it is.
    bytes: Vec<u8>,
    state: State,
}

enum State {
    Unknown,
    Plain,
    Encoded(Box<Decoder>),
}

/// A body that was read.
struct Complete {
    bytes: Vec<u8>,
    decoded: bool,
}

impl Body {
    fn new(headers: &HeaderMap, max: usize) -> Self {
        let declared = Declared::of(headers);
        let plain = declared == Declared::Plain && !is_text(headers);
        let state = if plain { State::Plain } else { State::Unknown };
        Self { declared, max, on_the_wire: 0, bytes: Vec::new(), state }
    }

    /// Refuses a body that says it is too large, and makes room for one that is not.
    fn expect(&mut self, length: u64) -> Result<(), HttpError> {
        let length = usize::try_from(length).map_err(|_| too_large())?;
        if length > self.max_on_the_wire() {
            return Err(too_large());
        }
        self.bytes.reserve_exact(length);
        Ok(())
    }

    fn push(&mut self, chunk: &[u8]) -> Result<(), HttpError> {
        self.on_the_wire = self.on_the_wire.saturating_add(chunk.len());
        if self.on_the_wire > self.max_on_the_wire() {
            return Err(too_large());
        }
        if let State::Encoded(decoder) = &mut self.state {
            return decoder.push(chunk);
        }
        self.bytes.extend_from_slice(chunk);
        if matches!(self.state, State::Unknown) && self.bytes.len() >= TELLING {
            self.decide()?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Complete, HttpError> {
        // No body, no encoding: HEAD, 204 and 304 may name one all the same.
        if matches!(self.state, State::Unknown) && !self.bytes.is_empty() {
            self.decide()?;
        }
        if let State::Encoded(decoder) = self.state {
            return Ok(Complete { bytes: decoder.finish()?, decoded: true });
        }
        // What turned out to be plain was given the allowance of what may be compressed.
        if self.bytes.len() > self.max {
            return Err(too_large());
        }
        Ok(Complete { bytes: self.bytes, decoded: false })
    }

    fn decide(&mut self) -> Result<(), HttpError> {
        self.state = match format(self.declared, &self.bytes)? {
            None => State::Plain,
            Some(format) => {
                let mut decoder = Decoder::new(format, self.max)?;
                decoder.push(&mem::take(&mut self.bytes))?;
                State::Encoded(Box::new(decoder))
            }
        };
        Ok(())
    }

    const fn max_on_the_wire(&self) -> usize {
        match self.state {
            State::Plain => self.max,
            State::Unknown | State::Encoded(_) => self.max.saturating_add(FRAMING),
        }
    }
}

pub(crate) fn too_large() -> HttpError {
    HttpError::new(HttpErrorKind::TooLarge, Delivery::Answered)
}
