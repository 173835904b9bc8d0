//! One worker's inspector: shown what passes, told what is complete.

use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};

use super::bodies::Bodies;
use super::groups::GroupTable;
use super::{Checks, Counts, Findings};

/// What is known of one complete body.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Body {
    /// Its length without framing.
    pub bytes: u64,
    /// Its hash; 0 when bodies are not compared.
    pub hash: u64,
}

/// The hash of a body that comes in pieces.
struct Hasher(Xxh3Default);

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hasher({:016x})", self.0.digest())
    }
}

/// The body that one connection is receiving.
#[derive(Debug, Default)]
struct Trail {
    bytes: u64,
}

/// One worker's. Does not allocate after `new`.
#[derive(Debug)]
pub struct Inspector {
    expected_bytes: Option<u64>,
    trails: Box<[Trail]>,
    /// One for each connection; empty when bodies are not compared.
    hashers: Box<[Hasher]>,
    phase: usize,
    body_bytes_failed: Counts,
    /// One for each target; empty when bodies are not compared.
    bodies: Box<[Bodies]>,
    groups: Option<GroupTable>,
}

impl Inspector {
    /// An inspector for so many connections and targets; `None` when nothing must be shown to one.
    pub fn new(checks: &Checks, connections: u32, targets: usize) -> Option<Self> {
        if !checks.needs_inspector() {
            return None;
        }
        let connections = connections as usize;
        let hashers = if checks.needs_bodies() { connections } else { 0 };
        let tables = checks.body_hash.map_or(Vec::new(), |reference| {
            (0..targets).map(|_| Bodies::with_room(reference)).collect()
        });
        Some(Self {
            expected_bytes: checks.body_bytes,
            trails: (0..connections).map(|_| Trail::default()).collect(),
            hashers: (0..hashers).map(|_| Hasher(Xxh3Default::new())).collect(),
            phase: 0,
            body_bytes_failed: Counts::default(),
            bodies: tables.into_boxed_slice(),
            groups: checks.group_by.as_deref().map(GroupTable::new),
        })
    }

    /// Whether `body` must be called with every byte.
    pub fn hashes(&self) -> bool {
        !self.hashers.is_empty()
    }

    /// What is counted from here on belongs to the phase with this index.
    pub fn enter(&mut self, phase: usize) {
        self.phase = phase;
    }

    /// A small number for what is to be told apart of `head`: a whole, correct head. Equal heads
    /// have equal numbers, so one may be kept with a head that is known.
    pub fn label(&mut self, head: &[u8]) -> u16 {
        self.groups.as_mut().map_or(0, |groups| groups.label(head))
    }

    /// A new answer begins on connection `conn`; what was seen of the one before is forgotten.
    pub fn begin(&mut self, conn: u32) {
        self.trails[conn as usize].bytes = 0;
        if let Some(hasher) = self.hashers.get_mut(conn as usize) {
            hasher.0.reset();
        }
    }

    /// So many bytes of the body have passed on connection `conn`.
    pub fn passed(&mut self, conn: u32, bytes: u64) {
        self.trails[conn as usize].bytes += bytes;
    }

    /// The next bytes of the body on connection `conn`, wherever the stream was split.
    pub fn body(&mut self, conn: u32, bytes: &[u8]) {
        if let Some(hasher) = self.hashers.get_mut(conn as usize) {
            hasher.0.update(bytes);
        }
    }

    /// The body that passed on connection `conn`, which is complete.
    pub fn completed(&self, conn: u32) -> Body {
        Body {
            bytes: self.trails[conn as usize].bytes,
            hash: self.hashers.get(conn as usize).map_or(0, |hasher| hasher.0.digest()),
        }
    }

    /// A body that is whole at hand. The same as if it had passed in pieces.
    pub fn whole(&self, body: &[u8]) -> Body {
        let hash = if self.hashes() { xxh3_64(body) } else { 0 };
        Body { bytes: body.len() as u64, hash }
    }

    /// `count` answers of target `target` are complete at `now_ns`, with the same label and body.
    pub fn count(&mut self, target: usize, label: u16, body: Body, count: u64, now_ns: u64) {
        if self.expected_bytes.is_some_and(|expected| expected != body.bytes) {
            self.body_bytes_failed[self.phase] += count;
        }
        if let Some(bodies) = self.bodies.get_mut(target) {
            bodies.count(body.hash, count, self.phase, now_ns);
        }
        if let Some(groups) = &mut self.groups {
            groups.count(label, count, self.phase);
        }
    }

    /// What was found.
    pub fn finish(self) -> Findings {
        Findings {
            body_bytes_failed: self.body_bytes_failed,
            bodies: self.bodies.into_vec(),
            groups: self.groups.map(GroupTable::into_groups),
        }
    }
}
