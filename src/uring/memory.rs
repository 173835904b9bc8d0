//! Memory that the kernel reads and writes: the receive buffer ring and the scratch for sends.
//!
//! The idea: every region is one anonymous mapping that lives as long as the ring. The kernel owns a
//! receive buffer from `recycle` until the completion that names it; a lease is proof of ownership
//! the other way round.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

/// A private, zeroed, page-aligned mapping.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    pub(super) fn new(len: usize) -> io::Result<Self> {
        let len = len.max(1);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches nothing we own.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), len, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, len })
    }

    /// The address of byte `offset`.
    pub(super) fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.len, "offset {offset} lies outside the mapping of {}", self.len);
        self.start.as_ptr().wrapping_add(offset)
    }

    /// Bytes `offset .. offset + len`, which the kernel must not be writing.
    pub(super) fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        assert!(offset + len <= self.len, "range lies outside the mapping");
        // SAFETY: the range is inside the mapping (asserted), which is initialised (zeroed by the
        // kernel) and lives as long as `self`; callers hold a lease, so nobody writes meanwhile.
        unsafe { std::slice::from_raw_parts(self.at(offset), len) }
    }

    /// The same for writing.
    pub(super) fn bytes_mut(&mut self, offset: usize, len: usize) -> &mut [u8] {
        assert!(offset + len <= self.len, "range lies outside the mapping");
        // SAFETY: as in `bytes`; `&mut self` and the caller's lease exclude every other access.
        unsafe { std::slice::from_raw_parts_mut(self.at(offset), len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `new` and no reference into it outlives `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// The provided-buffer ring: the kernel takes a buffer when bytes arrive.
#[derive(Debug)]
pub(super) struct RecvBuffers {
    ring: Mapping,
    memory: Mapping,
    buffer_bytes: usize,
    entries: u16,
    tail: u16,
    published: u16,
}

impl RecvBuffers {
    /// `entries` buffers (a power of two) of `buffer_bytes` each, all owned by us until `publish`.
    pub(super) fn new(entries: u16, buffer_bytes: usize) -> io::Result<Self> {
        assert!(entries.is_power_of_two(), "a buffer ring has a power of two entries");
        let ring = Mapping::new(usize::from(entries) * size_of::<BufRingEntry>())?;
        let memory = Mapping::new(usize::from(entries) * buffer_bytes)?;
        let mut buffers = Self { ring, memory, buffer_bytes, entries, tail: 0, published: 0 };
        for buffer in 0..entries {
            buffers.recycle(buffer);
        }
        Ok(buffers)
    }

    /// Address of the ring, for registration.
    pub(super) fn ring_address(&self) -> u64 {
        self.ring.at(0) as u64
    }

    /// Number of buffers.
    pub(super) fn entries(&self) -> u16 {
        self.entries
    }

    /// Bytes of one buffer.
    pub(super) fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// The first `len` bytes of a buffer that the kernel handed over.
    pub(super) fn bytes(&self, buffer: u16, len: usize) -> &[u8] {
        assert!(buffer < self.entries && len <= self.buffer_bytes, "no such lease");
        self.memory.bytes(usize::from(buffer) * self.buffer_bytes, len)
    }

    /// The same for writing.
    pub(super) fn bytes_mut(&mut self, buffer: u16, len: usize) -> &mut [u8] {
        assert!(buffer < self.entries && len <= self.buffer_bytes, "no such lease");
        self.memory.bytes_mut(usize::from(buffer) * self.buffer_bytes, len)
    }

    /// Puts a buffer back; the kernel sees it at the next `publish`.
    pub(super) fn recycle(&mut self, buffer: u16) {
        assert!(buffer < self.entries, "no such buffer");
        let index = usize::from(self.tail & (self.entries - 1));
        let slot = self.ring.at(index * size_of::<BufRingEntry>()).cast::<BufRingEntry>();
        let address = self.memory.at(usize::from(buffer) * self.buffer_bytes) as u64;
        // SAFETY: `index < entries`, so the entry is inside the mapping and aligned; the kernel reads
        // entries only below the tail, which moves past this one in `publish`.
        let entry = unsafe { &mut *slot };
        entry.set_addr(address);
        entry.set_len(self.buffer_bytes as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel every buffer recycled since the last call.
    pub(super) fn publish(&mut self) {
        if self.tail == self.published {
            return;
        }
        self.published = self.tail;
        // SAFETY: the address is the start of a registered buffer ring.
        let tail = unsafe { BufRingEntry::tail(self.ring.at(0).cast::<BufRingEntry>()) };
        // SAFETY: the tail is an aligned u16 inside the mapping that the kernel only reads.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

/// Scratch buffers for sends whose bytes vary.
#[derive(Debug)]
pub(super) struct SendBuffers {
    memory: Mapping,
    buffer_bytes: usize,
    free: Vec<u16>,
}

impl SendBuffers {
    pub(super) fn new(buffers: u16, buffer_bytes: usize) -> io::Result<Self> {
        let memory = Mapping::new(usize::from(buffers) * buffer_bytes)?;
        Ok(Self { memory, buffer_bytes, free: (0..buffers).rev().collect() })
    }

    pub(super) fn lease(&mut self) -> Option<u16> {
        self.free.pop()
    }

    pub(super) fn give_back(&mut self, buffer: u16) {
        debug_assert!(!self.free.contains(&buffer), "a buffer came back twice");
        self.free.push(buffer);
    }

    pub(super) fn bytes_mut(&mut self, buffer: u16) -> &mut [u8] {
        self.memory.bytes_mut(usize::from(buffer) * self.buffer_bytes, self.buffer_bytes)
    }

    /// Address of a leased buffer's first `len` bytes.
    pub(super) fn address(&self, buffer: u16, len: u32) -> *const u8 {
        assert!(len as usize <= self.buffer_bytes, "more bytes than the scratch buffer holds");
        self.memory.at(usize::from(buffer) * self.buffer_bytes)
    }
}
