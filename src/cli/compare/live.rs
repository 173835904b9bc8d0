//! Measuring two servers in turns until it is decided, or time is up.

use std::collections::BTreeMap;

use super::super::args::RunArgs;
use super::super::args::compare::CompareArgs;
use super::super::error::{CliError, EXIT_NOTHING_MEASURED};
use super::super::{execute, lower, redact, server, write_stderr};
use super::stored::name;
use super::{block_ns, metric, server_pids};
use crate::cli::args::warmup::Warmup;
use crate::compare::{
    Block, Comparison, Disturbance, FALSE_ALARM, Layout, Look, Metric, Order, Race, Rules, Side,
    Terms, Unfit, Word, against, is_steady, summarize, unfit, units_more, unknown,
};
use crate::live::{LiveLine, LiveView};
use crate::plan::Plan;
use crate::report::compare as render;
use crate::result::{Answers, Interrupted, RunResult};
use crate::rng::Rng;
use crate::run::{self, RunError, Session};
use crate::stats::RESAMPLES;
use crate::sys::{self, Clock, SIGINT, Signals};
use crate::units::format_duration_ns;

/// Exit code: the measurement is invalid.
const EXIT_INVALID: u8 = 4;
/// The part of a block that comes before its window, so that caches are its own again.
const SETTLE_PART: u64 = 12;
/// The part of the time that warming up may take.
const WARM_UP_PART: u64 = 5;
/// So many blocks in a row without an answer, over so long a time, are no accident.
const EMPTY_MAX: u32 = 3;
const EMPTY_NS_MIN: u64 = 2_000_000_000;
/// Bounds of how many pairs are planned.
const PAIRS_MIN: u64 = 4;
const PAIRS_MAX: u64 = 500;

/// Compares two servers that run.
pub(super) fn compare_urls(
    args: &CompareArgs,
    argv: &[String],
    urls: [String; 2],
) -> Result<Comparison, CliError> {
    let allowed = sys::allowed_cpus();
    let mut contest = Contest::new(args, Layout::Pairs, false);
    let mut plans = [
        contest.plan(args, argv, &urls[0], &allowed)?,
        contest.plan(args, argv, &urls[1], &allowed)?,
    ];
    for (plan, (flag, pid)) in plans.iter_mut().zip(server_pids(args)) {
        plan.server = pid.map(|pid| server::process(flag, pid)).transpose()?;
    }
    contest.announce();
    let mut sessions = contest.open(&mut plans)?;
    let budget_ns = contest.left_ns() / WARM_UP_PART;
    contest.warm_up(&mut sessions, &plans, budget_ns)?;
    contest.race(&mut sessions, &plans)?;
    drop(sessions);
    contest.finish(urls.map(|url| redact::url(&url)), Vec::new())
}

/// What became of a pair of blocks.
enum Taken {
    /// Both are fit to be compared.
    Pair(Box<[Block; 2]>),
    /// One of them is not.
    LeftOut(Vec<Reason>),
    /// A signal came.
    Stopped,
}

/// Why a pair is left out.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Reason {
    /// Through no fault of the servers.
    Disturbed(Disturbance),
    /// A side completed no request.
    Empty(usize),
}

impl Reason {
    fn words(self) -> String {
        match self {
            Self::Disturbed(disturbance) => render::disturbance(disturbance).to_owned(),
            Self::Empty(side) => format!("{} completed no request", name(side)),
        }
    }

    /// What may help against it.
    fn hint(self) -> &'static str {
        match self {
            Self::Disturbed(Disturbance::SentLate | Disturbance::Starved) => {
                "give wring CPUs of its own (-t, --cpus) or a lower -R, and leave out --no-spin; wring \
                 doctor tells whether this machine is fit to measure"
            }
            Self::Disturbed(_) => "wring doctor tells whether this machine is fit to measure",
            Self::Empty(_) => "a longer --block gives slow answers time",
        }
    }
}

/// A comparison while it is measured.
pub(super) struct Contest {
    pub(super) signals: Signals,
    pub(super) metric: Metric,
    pub(super) notes: Vec<String>,
    layout: Layout,
    margin: f64,
    seed: u64,
    block_ns: u64,
    connections: u32,
    rate: Option<String>,
    clock: Clock,
    deadline_ns: u64,
    order: Order,
    /// What a pair takes, with everything around it.
    pair_ns: u64,
    numbered: u64,
    process: u32,
    /// Pairs that were left out, and why: one may have several reasons.
    left_out: u64,
    reasons: BTreeMap<Reason, u64>,
    /// Blocks in a row that each side completed no request in, and when the first began.
    empty: [(u32, u64); 2],
    blocks: [Vec<Block>; 2],
    /// What each side answered in all of its blocks.
    answers: [Answers; 2],
    look: Option<Look>,
    quiet: bool,
    line: LiveLine,
}

impl Contest {
    /// Takes signals over, and starts the clock.
    pub(super) fn new(args: &CompareArgs, layout: Layout, starts_servers: bool) -> Self {
        let block_ns = block_ns(args, starts_servers);
        Self {
            signals: Signals::install(),
            metric: metric(args, args.run.rate.is_some()),
            notes: Vec::new(),
            layout,
            margin: args.margin,
            seed: args.run.seed,
            block_ns,
            connections: args.run.connections,
            rate: args.run.rate.map(crate::units::format_rate),
            clock: Clock::start(),
            deadline_ns: args.max_duration,
            order: Order::new(args.run.seed),
            pair_ns: 2 * block_ns,
            numbered: 0,
            process: 0,
            left_out: 0,
            reasons: BTreeMap::new(),
            empty: [(0, 0); 2],
            blocks: [Vec::new(), Vec::new()],
            answers: [Answers::default(), Answers::default()],
            look: None,
            quiet: args.run.quiet,
            line: LiveLine::new(Some(args.max_duration), args.run.quiet),
        }
    }

    /// The plan of one block against `url`.
    pub(super) fn plan(
        &mut self,
        args: &CompareArgs,
        argv: &[String],
        url: &str,
        allowed: &[u32],
    ) -> Result<Plan, CliError> {
        let run = RunArgs {
            duration: Some(self.block_ns),
            warmup: Warmup::For(self.block_ns / SETTLE_PART),
            json: None,
            output: None,
            ..args.run.clone()
        };
        let job = lower::run(&run, url, argv, allowed)?;
        for note in job.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        Ok(job.plan)
    }

    pub(super) fn announce(&self) {
        if !self.quiet {
            write_stderr(&format!(
                "wring: A and B take turns in blocks of {}, for {} at most",
                format_duration_ns(self.block_ns),
                format_duration_ns(self.deadline_ns),
            ));
        }
    }

    /// Opens the sessions of both sides, on one and the same backend; a note says so when it is not
    /// the one that was wanted.
    pub(super) fn open(&mut self, plans: &mut [Plan; 2]) -> Result<[Session; 2], CliError> {
        let refused = run::settle_together(plans).map_err(|error| execute::run_error(&error))?;
        let note = refused.map(|refused| execute::on_epoll(&refused));
        if let Some(note) = note.filter(|note| !self.notes.contains(note)) {
            if !self.quiet {
                write_stderr(&format!("wring: note: {note}"));
            }
            self.notes.push(note);
        }
        let open = |plan| Session::open(plan).map_err(|error| execute::run_error(&error));
        Ok([open(&plans[0])?, open(&plans[1])?])
    }

    /// Time until the comparison must end.
    pub(super) fn left_ns(&self) -> u64 {
        self.deadline_ns.saturating_sub(self.clock.now_ns())
    }

    /// When that is, by its clock.
    pub(super) fn deadline(&self) -> (Clock, u64) {
        (self.clock, self.deadline_ns)
    }

    /// Time since the comparison began.
    pub(super) fn passed_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// Whether a signal came.
    pub(super) fn is_stopped(&self) -> bool {
        self.signals.count() > 0
    }

    /// The blocks that follow are of the next process of both sides.
    pub(super) fn next_process(&mut self) {
        self.process += 1;
    }

    /// Takes pairs that do not count until both sides are steady, or for `budget_ns`.
    pub(super) fn warm_up(
        &mut self,
        sessions: &mut [Session; 2],
        plans: &[Plan; 2],
        budget_ns: u64,
    ) -> Result<(), CliError> {
        let begun_ns = self.clock.now_ns();
        let mut seen = [Vec::new(), Vec::new()];
        // The first pair opens the connections, which is no measure of the others.
        self.pair(sessions, plans)?;
        let from_ns = self.clock.now_ns();
        let mut pairs = 0;
        while !self.is_stopped() {
            if let Taken::Pair(blocks) = self.pair(sessions, plans)? {
                for (values, block) in seen.iter_mut().zip(*blocks) {
                    values.extend(self.inward(&block));
                }
            }
            pairs += 1;
            let now_ns = self.clock.now_ns();
            self.pair_ns = ((now_ns - from_ns) / pairs).max(1);
            if seen.iter().all(|values| is_steady(values)) {
                return Ok(());
            }
            // The pairs that count need time as well.
            let is_short = self.left_ns() < PAIRS_MIN * self.pair_ns;
            if is_short || now_ns - begun_ns + self.pair_ns > budget_ns {
                let note = "the warm-up was cut short: not both sides were seen to be steady; a \
                            longer --max-duration gives it more time";
                // Too short a time to tell is the user's choice; a drift is a finding.
                if seen.iter().all(|values| values.len() >= 6)
                    && !self.notes.iter().any(|n| n == note)
                {
                    self.notes.push(note.to_owned());
                }
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes pairs until a look decides, a signal comes or time is up.
    pub(super) fn race(
        &mut self,
        sessions: &mut [Session; 2],
        plans: &[Plan; 2],
    ) -> Result<(), CliError> {
        let units_max = (self.left_ns() / self.pair_ns).clamp(PAIRS_MIN, PAIRS_MAX);
        let mut race = Race::new(self.rules(units_max), self.seed);
        while !self.is_stopped() {
            self.count_pair(sessions, plans)?;
            let count = self.differences().first().map_or(0, Vec::len) as u64;
            let is_last = count >= units_max || self.left_ns() < self.pair_ns;
            if (is_last || race.is_look(count)) && !self.is_stopped() {
                self.look(&mut race, is_last);
            }
            if is_last || self.is_decided() {
                break;
            }
        }
        Ok(())
    }

    /// What a race decides by.
    pub(super) fn rules(&self, units_max: u64) -> Rules {
        Rules {
            metric: self.metric,
            margin: self.margin,
            layout: self.layout,
            units_max,
            resamples: RESAMPLES,
        }
    }

    /// Takes pairs of the current process for `time_ns`, at least one.
    pub(super) fn fill(
        &mut self,
        sessions: &mut [Session; 2],
        plans: &[Plan; 2],
        time_ns: u64,
    ) -> Result<(), CliError> {
        let end_ns = self.clock.now_ns() + time_ns;
        while !self.is_stopped() {
            self.count_pair(sessions, plans)?;
            if self.clock.now_ns() + self.pair_ns > end_ns {
                break;
            }
        }
        Ok(())
    }

    /// Lets a race look at the pairs, or the processes, so far.
    pub(super) fn look(&mut self, race: &mut Race, is_last: bool) {
        let [a, b] = &self.blocks;
        let is_little_known = unknown(self.metric, a, b, self.layout).is_too_much();
        let looked = race.look(&self.differences(), is_last).map(|look| match is_little_known {
            true => Look { word: Word::Undecided, is_by_few: false, ..look },
            false => look,
        });
        self.look = looked.or(self.look);
    }

    /// Whether a look has decided.
    pub(super) fn is_decided(&self) -> bool {
        self.look.is_some_and(|look| look.word != Word::Undecided)
    }

    fn count_pair(
        &mut self,
        sessions: &mut [Session; 2],
        plans: &[Plan; 2],
    ) -> Result<(), CliError> {
        match self.pair(sessions, plans)? {
            Taken::Pair(blocks) => {
                for (side, block) in self.blocks.iter_mut().zip(*blocks) {
                    side.push(block);
                }
            }
            Taken::LeftOut(reasons) => {
                self.left_out += 1;
                for reason in reasons {
                    *self.reasons.entry(reason).or_default() += 1;
                }
            }
            Taken::Stopped => {}
        }
        Ok(())
    }

    /// What decides, on its scale.
    fn inward(&self, block: &Block) -> Option<f64> {
        block.value(self.metric).and_then(|value| self.metric.inward(value))
    }

    /// One block of each side, in an order of its own.
    fn pair(&mut self, sessions: &mut [Session; 2], plans: &[Plan; 2]) -> Result<Taken, CliError> {
        self.numbered += 1;
        let order = if self.order.reference_first() { [0, 1] } else { [1, 0] };
        let mut blocks = [Block::default(); 2];
        let mut reasons = Vec::new();
        for side in order {
            let begun_ns = self.clock.now_ns();
            let mut plan = plans[side].clone();
            // Random arrivals are the same for both sides of a pair, and others in the next.
            plan.seed = plan.seed.wrapping_add(self.numbered);
            let result = sessions[side]
                .block(&plan, &self.signals, &mut |_| {})
                .map_err(|error| side_error(side, &error))?;
            self.answers[side].add(&Answers::of(&result));
            if result.speaks_tls {
                let so = format!("nothing of {} can be compared", name(side));
                return Err(execute::speaks_tls(&so));
            }
            if self.is_stopped() {
                return Ok(Taken::Stopped);
            }
            match unfit(&result) {
                None => {}
                Some(Unfit::Disturbed(disturbance)) => {
                    reasons.push(Reason::Disturbed(disturbance));
                }
                Some(Unfit::Miscounted) => return Err(miscounted(side, &result)),
                Some(Unfit::Empty) => {
                    self.note_empty(side, begun_ns)?;
                    reasons.push(Reason::Empty(side));
                    continue;
                }
            }
            self.empty[side] = (0, 0);
            blocks[side] = summarize(&result, self.process);
            self.show(&result);
        }
        reasons.dedup();
        Ok(if reasons.is_empty() { Taken::Pair(Box::new(blocks)) } else { Taken::LeftOut(reasons) })
    }

    /// A block without an answer may be a stall; a side that answers nothing for long is gone.
    fn note_empty(&mut self, side: usize, begun_ns: u64) -> Result<(), CliError> {
        let (count, since_ns) = match self.empty[side] {
            (0, _) => (1, begun_ns),
            (count, since_ns) => (count + 1, since_ns),
        };
        self.empty[side] = (count, since_ns);
        if count < EMPTY_MAX || self.clock.now_ns() - since_ns < EMPTY_NS_MIN {
            return Ok(());
        }
        let length = format_duration_ns(self.block_ns);
        let causes = render::failures(&self.answers[side]);
        Err(CliError::nothing_measured(format!(
            "{} completed no request in {count} blocks of {length}{}",
            name(side),
            causes.map_or_else(String::new, |causes| format!(
                "; its requests failed so far: {causes}"
            ))
        ))
        .hint("does the server still answer? A slow one needs a longer --block"))
    }

    fn show(&mut self, result: &RunResult) {
        let p99_ns = result.quantile_with_unanswered(0.99).ok();
        self.line.update(&LiveView {
            elapsed_ns: self.clock.now_ns(),
            requests_per_s: Some(result.requests_per_s()),
            p50_ns: result.quantile_with_unanswered(0.5).ok(),
            p99_ns,
            failed: result.total.whole().failed.total(),
            inflight: None,
            asked_per_s: None,
            backlog: 0,
        });
    }

    /// The differences of all pairs so far, by process.
    fn differences(&self) -> Vec<Vec<f64>> {
        let mut groups: Vec<Vec<f64>> = Vec::new();
        let mut last = None;
        for (a, b) in self.blocks[0].iter().zip(&self.blocks[1]) {
            // Where it is not known, there is no pair.
            let Some(difference) = self.inward(b).zip(self.inward(a)).map(|(b, a)| b - a) else {
                continue;
            };
            if last != Some(a.process) {
                groups.push(Vec::new());
                last = Some(a.process);
            }
            if let Some(group) = groups.last_mut() {
                group.push(difference);
            }
        }
        groups
    }

    /// The comparison as it stands.
    pub(super) fn finish(
        mut self,
        labels: [String; 2],
        mut setup: Vec<String>,
    ) -> Result<Comparison, CliError> {
        // The report may be long and its reader slow: a signal now ends the process.
        self.signals.release();
        let interrupted = self.signals.first().map(|signal| match signal {
            SIGINT => Interrupted::Interrupt,
            _ => Interrupted::Terminate,
        });
        self.check_counts(interrupted)?;
        self.line.finish();
        let [a, b] = self.blocks;
        let pairs = a.len();
        let terms = Terms {
            metric: self.metric,
            margin: self.margin,
            layout: self.layout,
            alpha: self.look.map_or(FALSE_ALARM, |look| look.alpha),
        };
        let mut other = against(&a, &b, &terms, &mut Rng::new(self.seed));
        let is_little_known = other.is_little_known(self.metric);
        // What a look found stands; the same data with other resamples may say it a little otherwise.
        match self.look {
            Some(look) if interrupted.is_none() => {
                other.word = look.word;
                other.is_by_few = look.is_by_few;
                let mut decisive = other.differences.iter_mut().find(|d| d.metric == self.metric);
                if let Some(difference) = decisive.as_mut() {
                    difference.estimate = Some(look.estimate);
                }
                let more =
                    || units_more(decisive.as_deref()?, look.alpha, self.margin, self.layout);
                let is_open = look.word == Word::Undecided && !is_little_known;
                other.more = if is_open { more() } else { None };
            }
            // Between looks there is no verdict.
            _ => other.word = Word::Undecided,
        }
        let pace = self
            .rate
            .as_ref()
            .map_or_else(|| "as fast as it goes".to_owned(), |rate| format!("at {rate}"));
        setup.insert(
            0,
            format!(
                "{} connections, {pace}; {pairs} pairs of blocks of {}",
                self.connections,
                format_duration_ns(self.block_ns)
            ),
        );
        let limited = a.iter().chain(&b).filter(|block| block.is_generator_limited).count();
        if limited > pairs {
            self.notes.push(format!(
                "wring itself was the limit in {limited} of {} blocks: what differs between the \
                 sides may be hidden; give it more CPUs (-t, --cpus), or compare at a rate (-R)",
                2 * pairs
            ));
        }
        if self.left_out > 0 {
            self.notes.push(format!(
                "{} more pairs of blocks were left out: {}",
                self.left_out,
                because(&self.reasons)
            ));
        }
        let [label_a, label_b] = labels;
        let [answers_a, answers_b] = self.answers;
        Ok(Comparison {
            sides: vec![
                Side { name: name(0), label: label_a, blocks: a, answers: answers_a },
                Side { name: name(1), label: label_b, blocks: b, answers: answers_b },
            ],
            others: vec![other],
            metric: self.metric,
            margin: self.margin,
            layout: self.layout,
            setup,
            notes: self.notes,
            interrupted,
        })
    }

    /// Whether there is anything to report.
    fn check_counts(&self, interrupted: Option<Interrupted>) -> Result<(), CliError> {
        let pairs = self.blocks[0].len() as u64;
        match interrupted {
            Some(by) if pairs == 0 => Err(CliError {
                message: "interrupted before anything was compared".to_owned(),
                hint: None,
                code: if by == Interrupted::Interrupt { 130 } else { 143 },
            }),
            None if self.left_out > pairs => {
                let most = self.reasons.iter().max_by_key(|(_, count)| **count);
                let is_servers = matches!(most, Some((Reason::Empty(_), _)));
                Err(CliError {
                    message: format!(
                        "{} of {} pairs of blocks say nothing of the servers: {}",
                        self.left_out,
                        self.left_out + pairs,
                        because(&self.reasons)
                    ),
                    hint: most.map(|(reason, _)| reason.hint().to_owned()),
                    code: if is_servers { EXIT_NOTHING_MEASURED } else { EXIT_INVALID },
                })
            }
            _ => Ok(()),
        }
    }
}

/// `wring itself sent late in 5, B completed no request in 1`
fn because(reasons: &BTreeMap<Reason, u64>) -> String {
    let one = |(reason, count): (&Reason, &u64)| format!("{} in {count}", reason.words());
    reasons.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn side_error(side: usize, error: &RunError) -> CliError {
    let error = execute::run_error(error);
    CliError { message: format!("{}: {}", name(side), error.message), ..error }
}

fn miscounted(side: usize, result: &RunResult) -> CliError {
    let broken: Vec<_> = result
        .identities
        .iter()
        .filter(|check| check.is_broken())
        .map(|check| check.identity.name())
        .collect();
    CliError {
        message: format!(
            "{}: the counts of a block do not add up: {}",
            name(side),
            broken.join(", ")
        ),
        hint: Some("this is a bug of wring; please report it".to_owned()),
        code: EXIT_INVALID,
    }
}
