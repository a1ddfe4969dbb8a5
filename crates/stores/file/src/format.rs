//! What is in the file of a connection.
//!
//! ```text
//! head       "authflow", format, kind, length of the fields, length of the sealed bytes
//! fields     the key, the version, and of a record due time, lease and mark, of a tombstone its end
//! checksum   SHA-256 of all before: with it the head can be read without the sealed bytes
//! sealed     the sealed bytes; none in a tombstone
//! checksum   SHA-256 of all before: a file that was torn ends without it
//! ```
//!
//! Numbers are big-endian. The checksums find accidents; against those who can write the file stands the sealing.

use std::time::{Duration, SystemTime};

use authflow_core::{
    ConnectionKey, Incarnation, Lease, LeaseHolder, Record, RefreshMark, SealedBytes, Version,
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::error::Damage;
use crate::machine_time::{Deadline, MachineTime};

pub(crate) const MAGIC: &[u8; 8] = b"authflow";
pub(crate) const FORMAT: u8 = 1;
const RECORD: u8 = 1;
const TOMBSTONE: u8 = 2;
/// Magic, format, kind, two lengths.
pub(crate) const HEAD: usize = 8 + 1 + 1 + 4 + 4;
pub(crate) const SUM: usize = 32;
/// More than the fields of any key that is meant as one.
const MAX_FIELDS: usize = 1 << 20;
/// More than any sealed connection.
const MAX_SEALED: usize = 1 << 24;
/// The longest file.
pub(crate) const MAX_FILE: usize = HEAD + MAX_FIELDS + SUM + MAX_SEALED + SUM;

const DUE: u8 = 1;
const LEASED: u8 = 2;
const MARKED: u8 = 4;

/// What is stored for a connection.
#[derive(Clone, Debug)]
pub(crate) enum Stored {
    Record(Entry),
    Tombstone { key: ConnectionKey, version: Version, ends: Deadline },
}

/// A record.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: ConnectionKey,
    pub(crate) version: Version,
    pub(crate) sealed: SealedBytes,
    /// In milliseconds since 1970.
    pub(crate) due_at: Option<u64>,
    pub(crate) lease: Option<(LeaseHolder, Deadline)>,
    pub(crate) mark: Option<RefreshMark>,
}

impl Entry {
    pub(crate) fn lease(&self, now: MachineTime) -> Option<Lease> {
        let (holder, ends) = self.lease.as_ref()?;
        // A clock that was set back a little makes it last a little longer, which nobody is told.
        Some(Lease::new(*holder, ends.remaining(now)?.min(Lease::LONGEST)))
    }

    pub(crate) fn record(&self, now: MachineTime) -> Record {
        Record::new(self.key.clone(), self.version, self.sealed.clone())
            .due_at(self.due_at.map(from_milliseconds))
            .lease(self.lease(now))
            .mark(self.mark.clone())
    }
}

impl Stored {
    pub(crate) const fn key(&self) -> &ConnectionKey {
        match self {
            Self::Record(entry) => &entry.key,
            Self::Tombstone { key, .. } => key,
        }
    }

    pub(crate) const fn version(&self) -> Version {
        match self {
            Self::Record(entry) => entry.version,
            Self::Tombstone { version, .. } => *version,
        }
    }

    pub(crate) const fn due_at(&self) -> Option<u64> {
        match self {
            Self::Record(entry) => entry.due_at,
            Self::Tombstone { .. } => None,
        }
    }

    /// The bytes of the file; `None` if they are more than a file takes.
    pub(crate) fn encode(&self) -> Option<Zeroizing<Vec<u8>>> {
        let fields = self.fields()?;
        let sealed = match self {
            Self::Record(entry) => entry.sealed.as_bytes(),
            Self::Tombstone { .. } => &[],
        };
        if fields.len() > MAX_FIELDS || sealed.len() > MAX_SEALED {
            return None;
        }
        // The room is there from the start: a buffer that grows would leave parts behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(HEAD + fields.len() + SUM + sealed.len() + SUM));
        bytes.extend_from_slice(MAGIC);
        bytes.push(FORMAT);
        bytes.push(match self {
            Self::Record(_) => RECORD,
            Self::Tombstone { .. } => TOMBSTONE,
        });
        bytes.extend_from_slice(&length(&fields)?);
        bytes.extend_from_slice(&length(sealed)?);
        bytes.extend_from_slice(&fields);
        let sum = Sha256::digest(&*bytes);
        bytes.extend_from_slice(&sum);
        bytes.extend_from_slice(sealed);
        let sum = Sha256::digest(&*bytes);
        bytes.extend_from_slice(&sum);
        Some(bytes)
    }

    fn fields(&self) -> Option<Vec<u8>> {
        let key = self.key().to_bytes();
        let mut fields = Vec::with_capacity(key.len() + 256);
        fields.extend_from_slice(&length(&key)?);
        fields.extend_from_slice(&key);
        fields.extend_from_slice(self.version().incarnation().as_bytes());
        fields.extend_from_slice(&self.version().counter().to_be_bytes());
        match self {
            Self::Tombstone { ends, .. } => put_deadline(&mut fields, ends),
            Self::Record(entry) => {
                let flag = |is: bool, flag: u8| if is { flag } else { 0 };
                fields.push(
                    flag(entry.due_at.is_some(), DUE)
                        | flag(entry.lease.is_some(), LEASED)
                        | flag(entry.mark.is_some(), MARKED),
                );
                if let Some(due_at) = entry.due_at {
                    fields.extend_from_slice(&due_at.to_be_bytes());
                }
                if let Some((holder, ends)) = &entry.lease {
                    fields.extend_from_slice(holder.as_bytes());
                    put_deadline(&mut fields, ends);
                }
                if let Some(mark) = &entry.mark {
                    fields.extend_from_slice(mark.holder.as_bytes());
                    fields.extend_from_slice(&mark.refresh_token_hash);
                    fields.extend_from_slice(&milliseconds(mark.started_at).to_be_bytes());
                    fields.extend_from_slice(&mark.attempt.to_be_bytes());
                }
            }
        }
        Some(fields)
    }
}

/// What the first bytes of a file say of the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    kind: u8,
    fields: usize,
    sealed: usize,
}

impl Head {
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Damage> {
        let mut reader = Reader(bytes);
        reader.begin()?;
        let head = (|| {
            let [kind] = reader.array()?;
            Some(Self { kind, fields: reader.length()?, sealed: reader.length()? })
        })();
        let head = head.ok_or(Damage::NotARecord)?;
        if head.fields > MAX_FIELDS || head.sealed > MAX_SEALED {
            return Err(Damage::Checksum);
        }
        Ok(head)
    }

    /// How many bytes have all but the sealed bytes in them.
    pub(crate) const fn clear(&self) -> usize {
        HEAD + self.fields + SUM
    }

    /// How many bytes the file has.
    const fn file(&self) -> usize {
        self.clear() + self.sealed + SUM
    }

    /// Reads all but the sealed bytes; in their place there are none.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Result<Stored, Damage> {
        let clear = bytes.get(..self.clear()).ok_or(Damage::NotARecord)?;
        let summed = checked(clear)?;
        let fields = summed.get(HEAD..).ok_or(Damage::NotARecord)?;
        let mut reader = Reader(fields);
        let stored = read_fields(self.kind, &mut reader).ok_or(Damage::NotARecord)?;
        if reader.0.is_empty() { Ok(stored) } else { Err(Damage::NotARecord) }
    }
}

/// Reads a whole file.
pub(crate) fn decode(bytes: &[u8]) -> Result<Stored, Damage> {
    let head = Head::read(bytes)?;
    if bytes.len() != head.file() {
        return Err(Damage::NotARecord);
    }
    let summed = checked(bytes)?;
    let mut stored = head.decode(bytes)?;
    let sealed = summed.get(head.clear()..).ok_or(Damage::NotARecord)?;
    match &mut stored {
        Stored::Record(entry) => entry.sealed = SealedBytes::new(sealed.to_vec()),
        Stored::Tombstone { .. } if sealed.is_empty() => {}
        Stored::Tombstone { .. } => return Err(Damage::NotARecord),
    }
    Ok(stored)
}

/// What stands before the checksum, if that agrees.
fn checked(bytes: &[u8]) -> Result<&[u8], Damage> {
    let (summed, sum) = bytes.split_last_chunk::<SUM>().ok_or(Damage::NotARecord)?;
    if Sha256::digest(summed)[..] == sum[..] { Ok(summed) } else { Err(Damage::Checksum) }
}

fn read_fields(kind: u8, reader: &mut Reader<'_>) -> Option<Stored> {
    let length = reader.length()?;
    let key = ConnectionKey::from_bytes(reader.bytes(length)?)?;
    let version = Version::new(Incarnation::from_bytes(reader.array()?), reader.number()?);
    match kind {
        TOMBSTONE => Some(Stored::Tombstone { key, version, ends: reader.deadline()? }),
        RECORD => {
            let [flags] = reader.array()?;
            if flags & !(DUE | LEASED | MARKED) != 0 {
                return None;
            }
            let mut entry = Entry {
                key,
                version,
                sealed: SealedBytes::new(Vec::new()),
                due_at: None,
                lease: None,
                mark: None,
            };
            if flags & DUE != 0 {
                entry.due_at = Some(reader.number()?);
            }
            if flags & LEASED != 0 {
                entry.lease = Some((LeaseHolder::from_bytes(reader.array()?), reader.deadline()?));
            }
            if flags & MARKED != 0 {
                let holder = LeaseHolder::from_bytes(reader.array()?);
                let mark = RefreshMark::new(holder, reader.array()?, from_milliseconds(reader.number()?));
                entry.mark = Some(mark.attempt(u32::from_be_bytes(reader.array()?)));
            }
            Some(Stored::Record(entry))
        }
        _ => None,
    }
}

/// What is left to be read.
pub(crate) struct Reader<'b>(pub(crate) &'b [u8]);

impl<'b> Reader<'b> {
    /// What every file of these stores begins with.
    pub(crate) fn begin(&mut self) -> Result<(), Damage> {
        if self.array::<8>() != Some(*MAGIC) {
            return Err(Damage::NotARecord);
        }
        match self.array() {
            Some([FORMAT]) => Ok(()),
            Some([other]) => Err(Damage::Format(other)),
            None => Err(Damage::NotARecord),
        }
    }

    fn bytes(&mut self, length: usize) -> Option<&'b [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.array()?))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(u32::from_be_bytes(self.array()?)).ok()
    }

    pub(crate) fn deadline(&mut self) -> Option<Deadline> {
        Some(Deadline { boot: self.array()?, until: self.number()?, lasts: self.number()? })
    }
}

pub(crate) fn put_deadline(fields: &mut Vec<u8>, deadline: &Deadline) {
    fields.extend_from_slice(&deadline.boot);
    fields.extend_from_slice(&deadline.until.to_be_bytes());
    fields.extend_from_slice(&deadline.lasts.to_be_bytes());
}

fn length(bytes: &[u8]) -> Option<[u8; 4]> {
    Some(u32::try_from(bytes.len()).ok()?.to_be_bytes())
}

pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The year 9999, for what the system cannot hold.
const FAR: Duration = Duration::from_secs(253_402_300_799);

fn from_milliseconds(milliseconds: u64) -> SystemTime {
    let since = Duration::from_millis(milliseconds);
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH + FAR)
}
