//! What the run looks like while it goes on.
//!
//! The idea: counts come from the workers' standings, which are a few hundredths of a second old
//! whatever the interval of the series is; quantiles from its latest entry, because nothing else has
//! any.

use std::collections::VecDeque;

use crate::record::Standing;
use crate::result::Second;

/// Rates are taken over so much time, in nanoseconds, …
const RATE_OVER_NS: u64 = 1_000_000_000;
/// … at the beginning over less, but not over less than this, …
const RATE_OVER_NS_MIN: u64 = 200_000_000;
/// … between standings so far apart.
const SAMPLE_NS: u64 = 50_000_000;

/// What the run looks like at this moment, for whoever watches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Since the load began, in nanoseconds.
    pub elapsed_ns: u64,
    /// How long the load is to last, if that is known.
    pub total_ns: Option<u64>,
    /// Requests completed per second of late, once that is known.
    pub requests_per_s: Option<f64>,
    /// Median latency of the latest interval.
    pub p50_ns: Option<u64>,
    /// 99th percentile of the latest interval.
    pub p99_ns: Option<u64>,
    /// Requests failed so far.
    pub failed: u64,
    /// Requests completed so far.
    pub completed: u64,
    /// Requests that became due per second of late; `None` in a closed loop.
    pub asked_per_s: Option<f64>,
    /// Requests due and not sent.
    pub backlog: u64,
    /// Requests in flight, once there were any.
    pub inflight: Option<u64>,
}

/// Makes it.
#[derive(Debug)]
pub(super) struct ProgressWatch {
    progress: Progress,
    is_paced: bool,
    /// Elapsed time and standings, the oldest first; together they span `RATE_OVER_NS`.
    samples: VecDeque<(u64, Standing)>,
}

impl ProgressWatch {
    pub(super) fn new(total_ns: Option<u64>, is_paced: bool) -> Self {
        let progress = Progress { total_ns, ..Progress::default() };
        Self { progress, is_paced, samples: VecDeque::new() }
    }

    /// How it looks so long after the load began, which it may not have yet.
    pub(super) fn look(
        &mut self,
        elapsed_ns: Option<u64>,
        now: Standing,
        second: Option<&Second>,
    ) -> &Progress {
        let Some(elapsed_ns) = elapsed_ns else { return &self.progress };
        let is_due = |&(then_ns, _): &(u64, Standing)| elapsed_ns >= then_ns + SAMPLE_NS;
        if self.samples.back().is_none_or(is_due) {
            self.samples.push_back((elapsed_ns, now));
            while self.samples.get(1).is_some_and(|(ns, _)| ns + RATE_OVER_NS <= elapsed_ns) {
                self.samples.pop_front();
            }
        }
        let progress = &mut self.progress;
        progress.elapsed_ns = elapsed_ns;
        (progress.completed, progress.failed) = (now.completed, now.failed);
        progress.backlog = now.backlog;
        progress.inflight = (now.due > 0).then_some(now.inflight);
        if let (Some((then_ns, then)), Some((last_ns, last))) =
            (self.samples.front(), self.samples.back())
            && last_ns - then_ns >= RATE_OVER_NS_MIN
        {
            let per_s = |count: u64| count as f64 * 1e9 / (last_ns - then_ns) as f64;
            progress.requests_per_s = Some(per_s(last.completed - then.completed));
            progress.asked_per_s = self.is_paced.then(|| per_s(last.due - then.due));
        }
        if let Some(second) = second {
            let second = second.clone().with_known_quantiles();
            (progress.p50_ns, progress.p99_ns) = (second.p50_ns, second.p99_ns);
        }
        progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Flow;

    const MS: u64 = 1_000_000;

    fn standing(completed: u64) -> Standing {
        Standing { due: 2 * completed + 1, completed, failed: 1, inflight: 64, backlog: 5 }
    }

    #[test]
    fn counts_are_known_at_once_and_rates_soon_whatever_the_interval() {
        let mut watch = ProgressWatch::new(Some(5_000 * MS), true);
        assert_eq!(watch.look(None, standing(7), None).inflight, None, "the load has not begun");
        assert_eq!(watch.look(Some(0), Standing::default(), None).inflight, None);
        let first = *watch.look(Some(0), standing(0), None);
        assert_eq!((first.inflight, first.backlog, first.failed), (Some(64), 5, 1));
        assert_eq!((first.requests_per_s, first.asked_per_s), (None, None));
        watch.samples.clear();
        watch.look(Some(0), standing(0), None);
        for step in 1..=20 {
            watch.look(Some(step * 20 * MS), standing(step * 20), None);
        }
        let later = *watch.look(Some(400 * MS), standing(400), None);
        assert_eq!((later.completed, later.elapsed_ns), (400, 400 * MS));
        assert_eq!((later.requests_per_s, later.asked_per_s), (Some(1000.0), Some(2000.0)));
    }

    #[test]
    fn a_rate_is_that_of_the_latest_second() {
        let mut watch = ProgressWatch::new(None, false);
        for step in 0..=250 {
            // Nothing more comes after two seconds.
            watch.look(Some(step * 20 * MS), standing((step * 20).min(2000)), None);
        }
        assert_eq!(watch.look(Some(5000 * MS), standing(2000), None).requests_per_s, Some(0.0));
        assert!(watch.samples.len() < 30, "{}", watch.samples.len());
    }

    #[test]
    fn a_quantile_with_few_answers_above_it_is_not_shown() {
        let mut watch = ProgressWatch::new(None, false);
        let mut shown = |completed| {
            let flow = Flow { completed, ..Flow::default() };
            let (p50_ns, p99_ns) = (Some(1), Some(2));
            let second = Second { flow, p50_ns, p99_ns, ..Second::default() };
            let progress = watch.look(Some(0), standing(0), Some(&second));
            (progress.p50_ns, progress.p99_ns)
        };
        assert_eq!(shown(19), (None, None));
        assert_eq!(shown(20), (Some(1), None));
        assert_eq!(shown(1000), (Some(1), Some(2)));
    }
}
