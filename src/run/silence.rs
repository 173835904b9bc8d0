//! When the last answer came, as the control thread saw it: a target that stops answering shows by
//! that, whatever the length of an interval.

use crate::record::Phase;
use crate::result::{RunResult, SilentEnd};

/// A pause shorter than this, in nanoseconds, is not worth telling.
const SILENT_NS_MIN: u64 = 100_000_000;

/// Watches for answers.
#[derive(Debug, Default)]
pub(super) struct SilenceWatch {
    completed: u64,
    /// When they were last seen to have become more.
    last_ns: u64,
}

impl SilenceWatch {
    /// So many requests have completed. What is seen after the window's end, where that is known,
    /// belongs to the drain.
    pub(super) fn look(&mut self, now_ns: u64, window_end_ns: Option<u64>, completed: u64) {
        let is_before_end = window_end_ns.is_none_or(|end_ns| now_ns <= end_ns);
        if completed > self.completed && is_before_end {
            (self.completed, self.last_ns) = (completed, now_ns);
        }
    }

    /// The quiet before the end of the window, which started at `start_ns` and is in `result`; `None`
    /// where nobody waited for an answer.
    pub(super) fn tell(&self, start_ns: u64, result: &RunResult) -> Option<SilentEnd> {
        let end_ns = start_ns + result.window_ns;
        let length_ns = end_ns.saturating_sub(self.last_ns.max(start_ns));
        let (mut started, mut ended) = (0, 0);
        for phase in [Phase::Opening, Phase::Warmup, Phase::Window] {
            let counts = result.total.phase(phase);
            started += counts.started;
            ended += counts.completed + counts.failed.total();
        }
        let inflight = started.saturating_sub(ended);
        (inflight > 0 && length_ns >= SILENT_NS_MIN).then_some(SilentEnd { length_ns, inflight })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_quiet_counts_from_the_last_answer_to_the_windows_end_while_requests_wait() {
        let mut watch = SilenceWatch::default();
        for (now_ns, completed) in [(1000 * MS, 5), (1200 * MS, 9), (1400 * MS, 9)] {
            watch.look(now_ns, None, completed);
        }
        let with = |watch: &SilenceWatch, window_ns: u64, started: u64| {
            let mut result = RunResult { window_ns, ..RunResult::default() };
            result.total.phases[Phase::Window as usize].started = started;
            result.total.phases[Phase::Window as usize].completed = 9;
            watch.tell(500 * MS, &result)
        };
        let expected = SilentEnd { length_ns: 300 * MS, inflight: 3 };
        assert_eq!(with(&watch, 1000 * MS, 12), Some(expected));
        assert_eq!(with(&watch, 1000 * MS, 9), None, "nobody waited");
        assert_eq!(with(&watch, 750 * MS, 12), None, "too short to tell");
        assert_eq!(with(&watch, 200 * MS, 12), None, "answers came after the window");
        watch.look(1600 * MS, Some(1500 * MS), 20);
        assert_eq!(watch.last_ns, 1200 * MS, "those are of the drain");
    }
}
