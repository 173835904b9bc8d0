//! An allocator that counts the calls of chosen threads while a window is open.
//!
//! Owns no memory: everything is passed on to the system's allocator. It exists so that tests can
//! show that workers do not allocate, which needs `unsafe` and so cannot stand in a test itself.
//! Threads are told apart by the name the kernel knows, because asking for it allocates nothing and
//! touches no thread-local storage, either of which would be a trap inside an allocator.
#![expect(unsafe_code, reason = "an allocator is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Bytes of a thread's name in Linux, the closing NUL included (prctl(2), PR_GET_NAME).
const NAME_BYTES: usize = 16;

/// To be made a `#[global_allocator]`.
#[derive(Debug)]
pub struct CountingAllocator {
    is_counted: fn(&[u8]) -> bool,
    is_open: AtomicBool,
    calls: AtomicU64,
    last_bytes: AtomicU64,
}

impl CountingAllocator {
    /// Counts for threads whose name, cut to 15 bytes, pleases `is_counted`, which must not
    /// allocate. The window is closed.
    pub const fn new(is_counted: fn(&[u8]) -> bool) -> Self {
        Self {
            is_counted,
            is_open: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            last_bytes: AtomicU64::new(0),
        }
    }

    /// Opens the window, with nothing counted.
    pub fn open(&self) {
        self.calls.store(0, Ordering::Relaxed);
        self.last_bytes.store(0, Ordering::Relaxed);
        self.is_open.store(true, Ordering::Release);
    }

    /// Closes the window; what was counted stays readable.
    pub fn close(&self) {
        self.is_open.store(false, Ordering::Release);
    }

    /// Allocations, reallocations and releases counted since the window opened.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Acquire)
    }

    /// Bytes that the latest counted call was about: a hint at who it was.
    pub fn last_bytes(&self) -> u64 {
        self.last_bytes.load(Ordering::Acquire)
    }

    #[inline]
    fn note(&self, bytes: usize) {
        if self.is_open.load(Ordering::Acquire) {
            self.note_in_window(bytes);
        }
    }

    #[cold]
    fn note_in_window(&self, bytes: usize) {
        let mut name = [0_u8; NAME_BYTES];
        // SAFETY: the call writes at most 16 bytes, which is what `name` has.
        let result = unsafe { libc::prctl(libc::PR_GET_NAME, name.as_mut_ptr()) };
        let len = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_BYTES);
        if result == 0 && (self.is_counted)(&name[..len]) {
            self.last_bytes.store(bytes as u64, Ordering::Relaxed);
            self.calls.fetch_add(1, Ordering::Release);
        }
    }
}

// SAFETY: every call goes to the system's allocator unchanged; counting allocates nothing and does
// not unwind as long as `is_counted` keeps its promise.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.note(layout.size());
        // SAFETY: the caller's promises are the ones asked for here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        self.note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_bytes: usize) -> *mut u8 {
        self.note(new_bytes);
        // SAFETY: as above; what was allocated here came from the system's allocator.
        unsafe { System.realloc(pointer, layout, new_bytes) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.note(layout.size());
        // SAFETY: as for `realloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
