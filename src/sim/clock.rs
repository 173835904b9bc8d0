//! The virtual clock, and what it shows.

/// Virtual time. The reading may stand still for a while; it never goes back.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The time it is, in nanoseconds since the simulation began.
    pub(super) now_ns: u64,
    reading_ns: u64,
}

impl Clock {
    /// Takes a reading, or repeats the last one when the clock stands.
    pub(super) fn read(&mut self, stands: bool) -> u64 {
        if !stands {
            self.reading_ns = self.now_ns;
        }
        self.reading_ns
    }

    /// The last reading.
    pub(super) fn reading_ns(&self) -> u64 {
        self.reading_ns
    }
}
