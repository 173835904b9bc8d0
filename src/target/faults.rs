//! Answers that go wrong on purpose, so that a generator's accounts can be tried for long.
//!
//! Owns which request is hit and by what. Knows no sockets: the engine does what it is told. The
//! idea: a fault is the last thing that happens on its connection, as with a server that crashes;
//! what it answered before is whole, what was asked behind it is never answered.

use crate::rng::Rng;

use super::answers::{Answer, Content};
use super::session::Run;

/// What happens instead of an answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// The connection ends with FIN before the answer.
    Close,
    /// The connection ends with RST before the answer.
    Reset,
    /// Head and a part of the body, then FIN.
    CutShort,
    /// A head whose status is no number, then FIN.
    BadStatus,
    /// Nothing, ever again; the connection stays open.
    Silence,
}

impl Fault {
    const ALL: [Self; 5] =
        [Self::Close, Self::Reset, Self::CutShort, Self::BadStatus, Self::Silence];

    /// What is sent in place of the answer.
    fn answer(self) -> Option<Answer> {
        match self {
            Self::Close | Self::Reset | Self::Silence => None,
            Self::CutShort => Some(Answer::CUT_SHORT),
            Self::BadStatus => Some(Answer::BAD_STATUS),
        }
    }
}

/// One thread's dice.
#[derive(Debug)]
pub(super) struct Faults {
    rng: Rng,
    ppm: u32,
}

impl Faults {
    /// Hits `ppm` of a million requests; `None` when that is none. `index` is the thread's:
    /// threads draw from streams of their own.
    pub(super) fn new(seed: u64, index: usize, ppm: u32) -> Option<Self> {
        let mut seeds = Rng::new(seed);
        let seed = (0..=index).fold(0, |_, _| seeds.next_u64());
        (ppm > 0).then(|| Self { rng: Rng::new(seed), ppm })
    }

    /// Draws for each counted request of a read. At the first that is hit the runs end: with what
    /// is sent in its place, if anything is.
    pub(super) fn strike(&mut self, runs: &mut Vec<Run>) -> Option<Fault> {
        for at in 0..runs.len() {
            let Run { answer, count } = runs[at];
            if !answer.is_counted() {
                continue;
            }
            let Some(whole) = (0..count).find(|_| self.rng.chance_ppm(self.ppm)) else { continue };
            let mut fault = Fault::ALL[self.rng.below(Fault::ALL.len() as u64) as usize];
            if fault == Fault::CutShort && answer.content == Content::HeadOnly {
                // It has no body that could be cut, and a whole head is a whole answer.
                fault = Fault::Close;
            }
            runs.truncate(at + 1);
            runs[at].count = whole;
            if whole == 0 {
                runs.pop();
            }
            runs.extend(fault.answer().map(|answer| Run { answer, count: 1 }));
            return Some(fault);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::answers::Persistence;

    const WHOLE: Answer = Answer { content: Content::Whole, persistence: Persistence::Silent };

    #[test]
    fn the_share_asked_for_is_hit_and_each_fault_equally_often() {
        const REQUESTS: u32 = 200_000;
        let mut faults = Faults::new(1, 0, 10_000).unwrap();
        let mut hits = [0_u32; 5];
        let mut drawn = 0;
        while drawn < REQUESTS {
            let mut runs = vec![Run { answer: WHOLE, count: 7 }];
            match faults.strike(&mut runs) {
                Some(fault) => {
                    let whole = runs.first().filter(|run| run.answer == WHOLE);
                    drawn += whole.map_or(0, |run| run.count) + 1;
                    hits[fault as usize] += 1;
                }
                None => drawn += 7,
            }
        }
        let all: u32 = hits.iter().sum();
        // 2,000 expected with a standard deviation of 44; 400 each with one of 20.
        assert!((1_780..=2_220).contains(&all), "{all}");
        assert!(hits.iter().all(|count| (300..=500).contains(count)), "{hits:?}");
    }

    #[test]
    fn what_stands_before_a_fault_is_answered_and_what_stands_behind_it_is_not() {
        let count = Answer { content: Content::Count, persistence: Persistence::Silent };
        let mut faults = Faults::new(1, 0, 1_000_000).unwrap();
        for _ in 0..100 {
            let mut runs = vec![
                Run { answer: count, count: 1 },
                Run { answer: WHOLE, count: 3 },
                Run { answer: count, count: 1 },
            ];
            let fault = faults.strike(&mut runs).unwrap();
            let sent: Vec<Answer> = runs.iter().map(|run| run.answer).collect();
            let expected: Vec<Answer> =
                [Some(count), fault.answer()].into_iter().flatten().collect();
            assert_eq!(sent, expected, "{fault:?}");
        }
    }

    #[test]
    fn without_a_share_there_are_no_faults_and_a_head_is_not_cut() {
        assert!(Faults::new(1, 0, 0).is_none());
        let head = Answer { content: Content::HeadOnly, persistence: Persistence::Silent };
        let mut faults = Faults::new(1, 0, 1_000_000).unwrap();
        for _ in 0..100 {
            let mut runs = vec![Run { answer: head, count: 1 }];
            assert_ne!(faults.strike(&mut runs), Some(Fault::CutShort));
        }
    }
}
