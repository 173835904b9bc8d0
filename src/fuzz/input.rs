//! Arguments from bytes: what a body needs is read from the front, the rest is raw.
//!
//! The idea: every input means something. Bytes that are missing are zeros, so that a fuzzer that
//! shortens an input gets a simpler case and never a useless one.

/// The bytes not read so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Input<'d> {
    rest: &'d [u8],
}

impl<'d> Input<'d> {
    pub(super) fn new(rest: &'d [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        first
    }

    /// Two bytes, the high one first.
    pub(super) fn short(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// Eight bytes, the high one first.
    pub(super) fn long(&mut self) -> u64 {
        (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }

    /// At most `bytes` bytes.
    pub(super) fn take(&mut self, bytes: usize) -> &'d [u8] {
        let (taken, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// At most seven places to cut at.
    pub(super) fn cuts(&mut self) -> Cuts {
        let count = self.byte() % 8;
        Cuts((0..count).map(|_| self.short()).collect())
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'d [u8] {
        self.rest
    }
}

/// Places of cuts that do not know yet what they cut.
#[derive(Clone, Debug)]
pub(super) struct Cuts(Vec<u16>);

impl Cuts {
    /// The places within `raw`, in ascending order.
    pub(super) fn of(&self, raw: &[u8]) -> Vec<usize> {
        let mut cuts: Vec<usize> =
            self.0.iter().map(|&cut| usize::from(cut) % (raw.len() + 1)).collect();
        cuts.sort_unstable();
        cuts
    }
}
