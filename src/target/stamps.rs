//! The stamps of every counted request, kept while serving and written afterwards.
//!
//! Owns the memory of the stamps, its bound, and their text form. The idea: a stamp is 32 bytes
//! appended to a piece of memory that never moves, so that logging does not show in what is logged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::limits::{STAMPS_MAX, STAMPS_PER_PIECE, STAMPS_RESERVED};

/// One request.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Stamp {
    /// When its last byte was seen, in the server's nanoseconds.
    pub(super) arrival_ns: u64,
    pub(super) start_ns: u64,
    /// When its answer was due.
    pub(super) end_ns: u64,
    /// Number of its connection, in order of accepts.
    pub(super) connection: u32,
    /// Number of the request on that connection.
    pub(super) number: u32,
}

const _: () = assert!(size_of::<Stamp>() == 32);

/// Pieces that may still be taken, by all threads of a server together.
#[derive(Debug)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    /// A server's budget.
    pub(super) fn new() -> Self {
        Self::of_pieces(STAMPS_MAX / STAMPS_PER_PIECE)
    }

    fn of_pieces(pieces: usize) -> Self {
        Self(AtomicUsize::new(pieces))
    }

    fn take(&self) -> Option<Vec<Stamp>> {
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .ok()?;
        Some(Vec::with_capacity(STAMPS_PER_PIECE))
    }
}

/// One thread's stamps, in order of arrival.
#[derive(Debug)]
pub(super) struct Stamps {
    full: Vec<Vec<Stamp>>,
    current: Vec<Stamp>,
    spare: Vec<Vec<Stamp>>,
    /// Requests that found no room.
    lost: u64,
}

impl Stamps {
    /// Touches this thread's share of the reserved memory, so that the first million requests wait
    /// for no page.
    pub(super) fn new(budget: &Budget, threads: usize) -> Self {
        let pieces = (STAMPS_RESERVED / STAMPS_PER_PIECE / threads.max(1)).max(1);
        let mut spare: Vec<_> = (0..pieces).map_while(|_| budget.take()).collect();
        for piece in &mut spare {
            piece.resize(STAMPS_PER_PIECE, Stamp::default());
            piece.clear();
        }
        let full = Vec::with_capacity(STAMPS_MAX / STAMPS_PER_PIECE);
        Self { full, current: spare.pop().unwrap_or_default(), spare, lost: 0 }
    }

    /// Keeps a stamp, unless the budget is used up. Arrivals must not decrease.
    pub(super) fn push(&mut self, stamp: Stamp, budget: &Budget) {
        if self.current.len() == self.current.capacity() {
            let Some(next) = self.spare.pop().or_else(|| budget.take()) else {
                self.lost += 1;
                return;
            };
            self.full.push(std::mem::replace(&mut self.current, next));
        }
        self.current.push(stamp);
    }

    fn len(&self) -> usize {
        self.full.iter().map(Vec::len).sum::<usize>() + self.current.len()
    }

    fn iter(&self) -> impl Iterator<Item = &Stamp> {
        self.full.iter().chain([&self.current]).flatten()
    }
}

/// The stamps of all requests a server counted, in order of arrival.
#[derive(Debug)]
pub struct StampLog {
    threads: Vec<Stamps>,
    base_monotonic_ns: u64,
}

impl StampLog {
    /// `base_monotonic_ns` is the server's time 0 on CLOCK_MONOTONIC.
    pub(super) fn new(threads: Vec<Stamps>, base_monotonic_ns: u64) -> Self {
        Self { threads, base_monotonic_ns }
    }

    /// Requests in it.
    pub fn requests(&self) -> u64 {
        self.threads.iter().map(|stamps| stamps.len() as u64).sum()
    }

    /// Requests that were counted but are missing, because the memory for stamps is bounded. They
    /// are the last ones of their threads.
    pub fn lost(&self) -> u64 {
        self.threads.iter().map(|stamps| stamps.lost).sum()
    }

    /// Writes a line for each request in order of arrival, below a header; a last line that begins
    /// with `#` tells of requests that are missing. Times are nanoseconds of CLOCK_MONOTONIC.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let base_ns = self.base_monotonic_ns;
        writeln!(out, "arrival_ns,start_ns,end_ns,connection,number")?;
        let mut iterators: Vec<_> =
            self.threads.iter().map(|stamps| stamps.iter().peekable()).collect();
        // The thread with the earliest arrival comes next; each thread's own are in order.
        let mut heads: BinaryHeap<_> = iterators
            .iter_mut()
            .enumerate()
            .filter_map(|(thread, stamps)| Some(Reverse((stamps.peek()?.arrival_ns, thread))))
            .collect();
        while let Some(Reverse((_, thread))) = heads.pop() {
            let stamps = &mut iterators[thread];
            let Some(stamp) = stamps.next() else { continue };
            let Stamp { arrival_ns, start_ns, end_ns, connection, number } = stamp;
            let [arrival_ns, start_ns, end_ns] =
                [arrival_ns, start_ns, end_ns].map(|ns| ns.saturating_add(base_ns));
            writeln!(out, "{arrival_ns},{start_ns},{end_ns},{connection},{number}")?;
            if let Some(next) = stamps.peek() {
                heads.push(Reverse((next.arrival_ns, thread)));
            }
        }
        match self.lost() {
            0 => Ok(()),
            lost => writeln!(
                out,
                "# incomplete: {lost} requests were counted and are not in this log, which holds \
                 {} at most",
                crate::units::format_grouped(STAMPS_MAX as u64)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(arrival_ns: u64, connection: u32) -> Stamp {
        Stamp {
            arrival_ns,
            start_ns: arrival_ns + 1,
            end_ns: arrival_ns + 2,
            connection,
            number: 7,
        }
    }

    fn written(log: &StampLog) -> Vec<String> {
        let mut bytes = Vec::new();
        log.write(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn threads_are_merged_in_order_of_arrival_on_the_monotonic_clock() {
        let budget = Budget::of_pieces(3);
        let threads = [&[1, 4, 4, 9][..], &[], &[2, 3, 10]].map(|arrivals| {
            let mut stamps = Stamps::new(&budget, 16);
            arrivals.iter().for_each(|&ns| stamps.push(stamp(ns, 5), &budget));
            stamps
        });
        let log = StampLog::new(threads.into(), 100);
        let expected = [
            "arrival_ns,start_ns,end_ns,connection,number",
            "101,102,103,5,7",
            "102,103,104,5,7",
            "103,104,105,5,7",
            "104,105,106,5,7",
            "104,105,106,5,7",
            "109,110,111,5,7",
            "110,111,112,5,7",
        ];
        assert_eq!(written(&log), expected);
        assert_eq!((log.requests(), log.lost()), (7, 0));
    }

    #[test]
    fn what_the_bound_leaves_out_is_counted_and_told_in_the_last_line() {
        let budget = Budget::of_pieces(2);
        let mut stamps = Stamps::new(&budget, 16);
        let most = 2 * STAMPS_PER_PIECE as u64;
        (0..most + 3).for_each(|ns| stamps.push(stamp(ns, 0), &budget));
        let log = StampLog::new(vec![stamps], 0);
        assert_eq!((log.requests(), log.lost()), (most, 3));
        let lines = written(&log);
        assert_eq!(lines.len() as u64, most + 2);
        assert_eq!(lines[most as usize], format!("{},{most},{},0,7", most - 1, most + 1));
        let last = lines.last().unwrap();
        assert!(last.starts_with("# incomplete: 3 requests"), "{last}");
    }

    #[test]
    fn a_thread_without_room_loses_every_stamp_and_says_so() {
        let budget = Budget::of_pieces(0);
        let mut stamps = Stamps::new(&budget, 1);
        stamps.push(stamp(1, 0), &budget);
        let log = StampLog::new(vec![stamps], 0);
        assert_eq!((log.requests(), log.lost()), (0, 1));
    }
}
