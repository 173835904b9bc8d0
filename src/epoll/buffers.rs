//! Buffers of equal size that are lent out by number.

/// All buffers of one kind, in one allocation that never moves or grows.
#[derive(Debug)]
pub(super) struct Buffers {
    memory: Box<[u8]>,
    buffer_bytes: usize,
    /// The one given back last is lent out first: its memory is warm.
    free: Vec<u16>,
}

impl Buffers {
    pub(super) fn new(buffers: u16, buffer_bytes: usize) -> Self {
        let memory = vec![0; usize::from(buffers) * buffer_bytes].into_boxed_slice();
        Self { memory, buffer_bytes, free: (0..buffers).rev().collect() }
    }

    pub(super) fn lend(&mut self) -> Option<u16> {
        self.free.pop()
    }

    pub(super) fn give_back(&mut self, buffer: u16) {
        debug_assert!(!self.free.contains(&buffer), "a buffer came back twice");
        self.free.push(buffer);
    }

    pub(super) fn bytes(&self, buffer: u16) -> &[u8] {
        &self.memory[usize::from(buffer) * self.buffer_bytes..][..self.buffer_bytes]
    }

    pub(super) fn bytes_mut(&mut self, buffer: u16) -> &mut [u8] {
        &mut self.memory[usize::from(buffer) * self.buffer_bytes..][..self.buffer_bytes]
    }
}
