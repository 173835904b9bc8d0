//! The series of a run, put together from the workers' intervals.
//!
//! The idea: intervals with the same index cover the same time, because the workers' grids start
//! together. An entry is complete when every worker has delivered its part or has ended; a worker
//! that ended keeps what it left in flight, so that the flow still balances.

use std::collections::VecDeque;

use crate::hist::Hist;
use crate::limits;
use crate::record::{Interval, IntervalReader, Standing};
use crate::result::{Second, halve};

/// Puts the series together while the run goes on.
#[derive(Debug)]
pub(super) struct Timeline {
    workers: Vec<Lane>,
    seconds: Vec<Second>,
    /// Intervals that one entry of `seconds` covers; doubles when the series gets too long.
    intervals_per_entry: u64,
    intervals: u64,
    load_start_ns: u64,
    scratch: Hist,
    /// Latencies to count the exceedances of, and those of each entry.
    limits_ns: Vec<u64>,
    over_limits: Vec<Option<Vec<u64>>>,
    late_ns_max: Vec<u64>,
}

#[derive(Debug)]
struct Lane {
    reader: IntervalReader,
    pending: VecDeque<Interval>,
    inflight: u64,
    backlog: u64,
    ended: bool,
}

impl Lane {
    fn next_index(&self) -> Option<u64> {
        self.pending.front().map(|interval| interval.index)
    }
}

impl Timeline {
    pub(super) fn new(readers: Vec<IntervalReader>) -> Self {
        let lane = |reader| Lane {
            reader,
            pending: VecDeque::new(),
            inflight: 0,
            backlog: 0,
            ended: false,
        };
        Self {
            workers: readers.into_iter().map(lane).collect(),
            seconds: Vec::new(),
            intervals_per_entry: 1,
            intervals: 0,
            load_start_ns: 0,
            scratch: Hist::new(limits::LATENCY_NS_MAX),
            limits_ns: Vec::new(),
            over_limits: Vec::new(),
            late_ns_max: Vec::new(),
        }
    }

    /// Counts for every entry how many answers took longer than each of `limits_ns`.
    pub(super) fn counting(self, limits_ns: &[u64]) -> Self {
        Self { limits_ns: limits_ns.to_vec(), ..self }
    }

    /// Entries count their start from here.
    pub(super) fn load_starts_at(&mut self, load_start_ns: u64) {
        self.load_start_ns = load_start_ns;
    }

    /// Takes what the workers have handed over. With `ended`, nothing more will come.
    pub(super) fn collect(&mut self, ended: bool) {
        for lane in &mut self.workers {
            // Asked before taking, so that what was handed over last is taken as well.
            lane.ended = ended || lane.reader.worker_ended();
            lane.pending.extend(std::iter::from_fn(|| lane.reader.pop()));
        }
        let complete = |lane: &Lane| lane.ended || !lane.pending.is_empty();
        while self.workers.iter().any(|lane| !lane.pending.is_empty())
            && self.workers.iter().all(complete)
        {
            let second = self.take_interval();
            self.append(second);
        }
    }

    /// How the counts of all workers stood of late.
    pub(super) fn standing(&self) -> Standing {
        let mut standing = Standing::default();
        for lane in &self.workers {
            standing.merge(&lane.reader.standing());
        }
        standing
    }

    /// The complete entries so far.
    pub(super) fn seconds(&self) -> &[Second] {
        &self.seconds
    }

    /// The latest complete entry.
    pub(super) fn last(&self) -> Option<&Second> {
        self.seconds.last()
    }

    /// The series with the quantiles that are known, the exceedances of each entry, and how late wring itself was in it at most.
    pub(super) fn into_parts(self) -> (Vec<Second>, Vec<Option<Vec<u64>>>, Vec<u64>) {
        let seconds = self.seconds.into_iter().map(Second::with_known_quantiles).collect();
        (seconds, self.over_limits, self.late_ns_max)
    }

    fn take_interval(&mut self) -> Second {
        let mut second = Second { start_ns: u64::MAX, ..Second::default() };
        let (mut end_ns, mut late_ns_max) = (0, 0);
        let mut known = true;
        self.scratch.clear();
        // A worker that stood still, or found the queue full, skips intervals; it joins again where
        // its next one belongs.
        let index = self.workers.iter().filter_map(Lane::next_index).min();
        for lane in &mut self.workers {
            second.inflight_start += lane.inflight;
            second.backlog_start += lane.backlog;
            if lane.next_index() == index
                && let Some(interval) = lane.pending.pop_front()
            {
                second.start_ns = second.start_ns.min(interval.start_ns);
                end_ns = end_ns.max(interval.end_ns);
                second.flow.merge(&interval.flow);
                lane.inflight = interval.inflight_end;
                lane.backlog = interval.backlog_end;
                second.lag_ns_max = second.lag_ns_max.max(interval.lag_ns_max);
                second.turn_gap_ns_max = second.turn_gap_ns_max.max(interval.turn_gap_ns_max);
                late_ns_max = late_ns_max.max(interval.late_ns_max);
                match interval.latency {
                    Some(latency) => {
                        self.scratch.merge(&latency);
                        lane.reader.give_back(latency);
                    }
                    None => known &= interval.flow.completed == 0,
                }
            }
            second.inflight_end += lane.inflight;
            second.backlog_end += lane.backlog;
        }
        second.length_ns = end_ns.saturating_sub(second.start_ns);
        second.start_ns = second.start_ns.saturating_sub(self.load_start_ns);
        if !self.limits_ns.is_empty() {
            let count = |&limit_ns: &u64| self.scratch.count_above(limit_ns);
            let over = known.then(|| self.limits_ns.iter().map(count).collect());
            self.over_limits.push(over);
            self.late_ns_max.push(late_ns_max);
        }
        if known && !self.scratch.is_empty() {
            second.p50_ns = Some(self.scratch.quantile(0.50));
            second.p99_ns = Some(self.scratch.quantile(0.99));
            second.max_ns = Some(self.scratch.max());
        }
        second
    }

    fn append(&mut self, second: Second) {
        let joins_last = !self.intervals.is_multiple_of(self.intervals_per_entry);
        self.intervals += 1;
        self.seconds.push(second);
        if joins_last {
            let tail = self.seconds.len() - 2;
            let mut pair = self.seconds.split_off(tail);
            halve(&mut pair);
            self.seconds.append(&mut pair);
        }
        if self.seconds.len() > limits::TIMELINE_MAX {
            halve(&mut self.seconds);
            // Nobody judges by stretches that were put together later.
            self.limits_ns.clear();
            self.over_limits.clear();
            self.late_ns_max.clear();
            self.intervals_per_entry *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Recorder, Stamps, interval_queue, lag_of};

    const SECOND_NS: u64 = 1_000_000_000;

    /// Requests of a closed loop: due when they start.
    fn start(recorder: &mut Recorder, count: u64) {
        recorder.due(count);
        recorder.started(count, 1);
    }

    #[test]
    fn two_workers_make_one_series_that_balances_even_if_one_ends_first() {
        let (writers, readers): (Vec<_>, Vec<_>) =
            (0..2).map(|_| interval_queue(SECOND_NS)).unzip();
        let mut timeline = Timeline::new(readers);
        let mut recorders: Vec<_> = writers.into_iter().map(Recorder::new).collect();
        for recorder in &mut recorders {
            recorder.advance(100);
            recorder.enter_window(recorder.now_ns());
        }
        timeline.load_starts_at(100);
        for step in 0..35_u64 {
            for (index, recorder) in recorders.iter_mut().enumerate() {
                if index == 0 || step < 25 {
                    recorder.advance(100 + step * SECOND_NS / 10);
                    start(recorder, 2);
                    recorder.answered(200, 1, Stamps::closed(100));
                }
            }
            timeline.collect(false);
        }
        for recorder in recorders {
            recorder.finish();
        }
        timeline.collect(true);
        let seconds = timeline.into_parts().0;
        assert_eq!(seconds.len(), 4);
        assert_eq!(seconds.iter().map(|s| s.flow.started).sum::<u64>(), 70 + 50);
        assert!(seconds.iter().all(|s| s.max_ns.is_some() && s.p99_ns.is_none()), "few answers");
        assert_eq!((seconds[0].start_ns, seconds[1].start_ns), (0, SECOND_NS));
        let mut inflight = 0;
        for second in &seconds {
            assert_eq!(second.inflight_start, inflight);
            assert_eq!(inflight + second.flow.started, second.flow.completed + second.inflight_end);
            inflight = second.inflight_end;
        }
        assert_eq!(inflight, 60);
    }

    #[test]
    fn a_long_series_stays_bounded_and_loses_no_count() {
        let (writer, reader) = interval_queue(1);
        let mut timeline = Timeline::new(vec![reader]);
        let mut recorder = Recorder::new(writer);
        recorder.enter_window(recorder.now_ns());
        let total = limits::TIMELINE_MAX as u64 * 5;
        for step in 0..total {
            recorder.advance(step);
            start(&mut recorder, 1);
            recorder.answered(200, 1, Stamps::closed(step));
            timeline.collect(false);
        }
        recorder.advance(total);
        recorder.finish();
        timeline.collect(true);
        let seconds = timeline.into_parts().0;
        assert!(seconds.len() <= limits::TIMELINE_MAX);
        assert_eq!(seconds.iter().map(|s| s.flow.completed).sum::<u64>(), total);
        assert_eq!(seconds.iter().map(|s| s.length_ns).sum::<u64>(), total);
    }

    #[test]
    fn the_backlog_of_all_workers_balances_and_the_longest_lag_is_kept() {
        let (writers, readers): (Vec<_>, Vec<_>) =
            (0..2).map(|_| interval_queue(SECOND_NS)).unzip();
        let mut timeline = Timeline::new(readers);
        let mut recorders: Vec<_> = writers.into_iter().map(Recorder::paced).collect();
        for recorder in &mut recorders {
            recorder.enter_window(0);
        }
        // Worker 0 falls behind by one request a step, worker 1 keeps up and ends early.
        for step in 1..=30_u64 {
            for (index, recorder) in recorders.iter_mut().enumerate() {
                if index == 0 || step <= 15 {
                    recorder.advance(step * SECOND_NS / 10);
                    recorder.due(2);
                    recorder.started(1 + index as u64, 1);
                    recorder.left(lag_of(recorder, 0, 0), 0);
                }
            }
            timeline.collect(false);
        }
        recorders[0].unsent(30);
        recorders.into_iter().for_each(|recorder| drop(recorder.finish()));
        timeline.collect(true);
        let seconds = timeline.into_parts().0;
        let mut backlog = 0;
        for second in &seconds {
            let flow = &second.flow;
            assert_eq!(second.backlog_start, backlog);
            let left = flow.started + flow.shed + flow.unsent;
            assert_eq!(backlog + flow.due, left + second.backlog_end);
            backlog = second.backlog_end;
        }
        assert_eq!(backlog, 0, "given up at the end");
        let sum = |pick: fn(&Second) -> u64| seconds.iter().map(pick).sum::<u64>();
        assert_eq!(sum(|s| s.flow.due), 60 + 30);
        assert_eq!(sum(|s| s.flow.unsent), 30);
        assert_eq!(seconds.iter().map(|s| s.lag_ns_max).max(), Some(3 * SECOND_NS));
        assert!(seconds[1].backlog_start > 0);
    }
}
