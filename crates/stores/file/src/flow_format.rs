//! What is in the file of a pending flow.
//!
//! ```text
//! head       "authflow", format, kind
//! ends       when the flow ends, by the machine's clock, with its boot and the whole time to live
//! flow       the bytes of the flow
//! checksum   SHA-256 of the file's name and of all before: a file that was torn ends without it
//! ```
//!
//! The name is in the checksum, so that a file which was given another's name is not taken for the other.

use authflow_core::PendingFlow;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::Damage;
use crate::format::{FORMAT, MAGIC, Reader, SUM, put_deadline};
use crate::machine_time::Deadline;
use crate::names::FlowName;

/// Behind those of the records and the tombstones.
const FLOW: u8 = 3;
/// Magic, format, kind, and a deadline.
const HEAD: usize = 8 + 1 + 1 + 16 + 8 + 8;
/// More than the bytes of any flow that is meant as one.
const MAX_FLOW: usize = 1 << 20;
/// The longest file.
pub(crate) const MAX_FILE: usize = HEAD + MAX_FLOW + SUM;

/// The bytes of the file; `None` if they are more than a file takes.
pub(crate) fn encode(name: &FlowName, ends: &Deadline, flow: &PendingFlow) -> Option<Zeroizing<Vec<u8>>> {
    let flow = Zeroizing::new(flow.to_bytes());
    if flow.len() > MAX_FLOW {
        return None;
    }
    // The room is there from the start: a buffer that grows would leave parts behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD + flow.len() + SUM));
    bytes.extend_from_slice(MAGIC);
    bytes.push(FORMAT);
    bytes.push(FLOW);
    put_deadline(&mut bytes, ends);
    bytes.extend_from_slice(&flow);
    let sum = sum(name, &bytes);
    bytes.extend_from_slice(&sum);
    Some(bytes)
}

/// When the flow ends, and its bytes.
pub(crate) fn decode<'b>(name: &FlowName, bytes: &'b [u8]) -> Result<(Deadline, &'b [u8]), Damage> {
    Reader(bytes).begin()?;
    let (summed, expected) = bytes.split_last_chunk::<SUM>().ok_or(Damage::NotARecord)?;
    if sum(name, summed) != *expected {
        return Err(Damage::Checksum);
    }
    let mut reader = Reader(summed);
    reader.begin()?;
    match (reader.array(), reader.deadline()) {
        (Some([FLOW]), Some(ends)) => Ok((ends, reader.0)),
        _ => Err(Damage::NotARecord),
    }
}

fn sum(name: &FlowName, bytes: &[u8]) -> [u8; SUM] {
    Sha256::new().chain_update(name.as_bytes()).chain_update(bytes).finalize().into()
}
