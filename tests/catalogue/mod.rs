//! What a peer may answer, and how each of it must be counted: one table for all drivers.
//!
//! Owns the cases of the families A (heads), B (bodies), C (pipelining) and D (connections): what
//! the peer does, in raw bytes, and the counts that follow. Knows nothing of codecs, backends or
//! reports, so that the library's own tests (codec, simulation) and the tests of the built binary
//! (real sockets) include this one file and cannot disagree about what is right.
//!
//! The idea: a case is what happens on one connection that was given one batch of requests. How its
//! bytes are cut into pieces must not matter, so the drivers do the cutting. Expectations are
//! counts by name: a status, a cause, a notice, or bytes of a class.

// Each test binary compiles its own copy and uses a part of it.
#![allow(dead_code, clippy::allow_attributes, reason = "every driver uses its own part")]

mod bodies;
mod chunks;
mod connections;
mod heads;
mod pipelines;

use std::collections::{BTreeMap, BTreeSet};

/// An ordinary answer, to follow others.
pub(crate) const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// In raw bytes: what stands behind it belongs to no request.
const STRAY_FROM: &str = "\u{a6}";

/// One thing the peer does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends so many bytes of no interest.
    Fill(u64),
    /// Waits just long enough that what was sent travels alone.
    Gap,
    /// Does nothing for so many milliseconds.
    Pause(u64),
    /// Ends its direction and goes on reading.
    Fin,
    /// Resets the connection.
    Rst,
}

/// How a connection's bytes are cut into pieces.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Delivery {
    /// As the steps say.
    Whole,
    /// In two, behind so many bytes.
    SplitAt(usize),
    /// In pieces of so many bytes.
    Pieces(usize),
}

/// Counts by name; what is not named is zero.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Reads `200*2 cut_off body=4`: names, with a number where it is not one.
    fn parse(text: &str) -> Self {
        let mut counts = Self::default();
        for word in text.split_whitespace() {
            let (name, count) = match word.split_once(['*', '=']) {
                Some((name, count)) => (name, count.parse().expect("a number")),
                None => (word, 1),
            };
            let is_status = name.len() == 3 && name.bytes().all(|byte| byte.is_ascii_digit());
            assert!(is_status || NAMES.contains(&name), "no such count: {name}");
            counts.add(name, count);
        }
        counts
    }

    /// Adds to one count.
    pub(crate) fn add(&mut self, name: &str, count: u64) {
        if count > 0 {
            *self.0.entry(name.to_owned()).or_default() += count;
        }
    }

    /// One count.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// Takes one count out.
    pub(crate) fn take(&mut self, name: &str) -> u64 {
        self.0.remove(name).unwrap_or_default()
    }

    /// Adds all of another, so many times.
    pub(crate) fn add_all(&mut self, other: &Self, times: u64) {
        for (name, count) in &other.0 {
            self.add(name, count * times);
        }
    }

    /// The same in one line, for comparing by eye.
    pub(crate) fn text(&self) -> String {
        let words: Vec<String> =
            self.0.iter().map(|(name, count)| format!("{name}={count}")).collect();
        words.join(" ")
    }
}

/// Causes, notices, bytes by class, and `close`: the last answer ended the connection, or bytes
/// nobody had asked for did.
pub(crate) const NAMES: [&str; 18] = [
    "send",
    "reset",
    "eof",
    "eof_body",
    "parse",
    "limit",
    "timeout",
    "cut_off",
    "stale",
    "tls",
    "interim",
    "bare_lf",
    "length_and_chunked",
    "chunked_in_http10",
    "unsolicited",
    "body",
    "stray",
    "close",
];

/// One case.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// Its number in the catalogue.
    pub(crate) number: &'static str,
    /// Which of the number's cases.
    pub(crate) what: String,
    /// The request is HEAD instead of GET, or POST with a body.
    pub(crate) head_request: bool,
    /// Bytes of the request's body.
    pub(crate) request_body_bytes: usize,
    /// Requests of one batch; the script is played when all of them have come in.
    pub(crate) depth: u32,
    /// Requests of the whole run when it is more than one batch: `expected` is then the whole run's.
    pub(crate) requests: Option<u32>,
    /// Requests per second, when the loop is not closed.
    pub(crate) rate_per_s: Option<u32>,
    /// Milliseconds that an answer may take, where the default would be long.
    pub(crate) timeout_ms: Option<u64>,
    /// What the peer does.
    pub(crate) steps: Vec<Step>,
    /// What is counted.
    pub(crate) expected: Counts,
    /// How many connections the whole run takes.
    pub(crate) connections: Option<u64>,
    /// Why it is not driven over real sockets.
    pub(crate) not_over_sockets: Option<&'static str>,
}

impl Case {
    /// One GET is answered with `raw`, and the peer waits. `STRAY_FROM` in `raw` stands where
    /// stray bytes begin.
    fn new(number: &'static str, what: &str, raw: impl AsRef<[u8]>, expected: &str) -> Self {
        let (raw, stray_bytes) = without_mark(raw.as_ref());
        let mut counts = Counts::parse(expected);
        counts.add("stray", stray_bytes);
        Self {
            number,
            what: what.to_owned(),
            head_request: false,
            request_body_bytes: 0,
            depth: 1,
            requests: None,
            rate_per_s: None,
            timeout_ms: None,
            steps: vec![Step::Send(raw)],
            expected: counts,
            connections: None,
            not_over_sockets: None,
        }
    }

    fn head(mut self) -> Self {
        self.head_request = true;
        self
    }

    fn depth(mut self, depth: u32) -> Self {
        self.depth = depth;
        self
    }

    fn then(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.steps.extend(steps);
        self
    }

    fn times_out(mut self) -> Self {
        self.timeout_ms = Some(800);
        self
    }

    /// A run of so many requests that takes so many connections.
    fn run(mut self, requests: u32, connections: u64) -> Self {
        (self.requests, self.connections) = (Some(requests), Some(connections));
        self
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.number, self.what)
    }

    /// What the peer sends, but for what is of no interest.
    pub(crate) fn raw(&self) -> Vec<u8> {
        let mut raw = Vec::new();
        for step in &self.steps {
            if let Step::Send(bytes) = step {
                raw.extend_from_slice(bytes);
            }
        }
        raw
    }

    /// Whether the expectation is that of one batch on one connection.
    pub(crate) fn is_one_batch(&self) -> bool {
        self.requests.is_none() && self.rate_per_s.is_none()
    }

    /// Whether some of what is sent is of no interest.
    pub(crate) fn has_fill(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Fill(_)))
    }

    /// Whether the case itself says how its bytes are cut.
    pub(crate) fn is_in_pieces(&self) -> bool {
        self.steps.iter().filter(|step| matches!(step, Step::Send(_))).count() > 2
    }

    /// Whether everything the peer sends is sent at once and fits one receive, so that all of it is
    /// seen together.
    pub(crate) fn is_one_piece(&self) -> bool {
        let sends = self.steps.iter().filter(|step| !matches!(step, Step::Fin | Step::Rst));
        sends.count() <= 1 && self.raw().len() <= 4096
    }

    /// The steps with the bytes cut into pieces.
    pub(crate) fn delivered(&self, delivery: Delivery) -> Vec<Step> {
        let mut at = 0;
        let mut steps = Vec::new();
        for step in &self.steps {
            let Step::Send(bytes) = step else {
                steps.push(step.clone());
                continue;
            };
            let mut pieces: Vec<&[u8]> = match delivery {
                Delivery::SplitAt(split) if split > at && split < at + bytes.len() => {
                    let (left, right) = bytes.split_at(split - at);
                    vec![left, right]
                }
                Delivery::Pieces(piece_bytes) => bytes.chunks(piece_bytes).collect(),
                _ => vec![bytes],
            };
            at += bytes.len();
            let last = pieces.pop();
            for piece in pieces {
                steps.extend([Step::Send(piece.to_vec()), Step::Gap]);
            }
            steps.extend(last.map(|piece| Step::Send(piece.to_vec())));
        }
        steps
    }
}

/// The bytes without the mark, and how many stood behind it.
fn without_mark(raw: &[u8]) -> (Vec<u8>, u64) {
    let mark = STRAY_FROM.as_bytes();
    match raw.windows(mark.len()).position(|window| window == mark) {
        Some(at) => {
            let (left, right) = (&raw[..at], &raw[at + mark.len()..]);
            ([left, right].concat(), right.len() as u64)
        }
        None => (raw.to_vec(), 0),
    }
}

/// Many cases of one number that lead to the same, named by what varies.
fn each<'v>(
    number: &'static str,
    values: impl IntoIterator<Item = &'v str>,
    expected: &str,
    raw: impl Fn(&str) -> String,
) -> Vec<Case> {
    let cases = values.into_iter().map(|value| {
        let what = value.replace(STRAY_FROM, "");
        let short: String = what.chars().take(40).collect();
        Case::new(number, &format!("{short:?}"), raw(value), expected)
    });
    cases.collect()
}

/// A 200 with these header lines and this rest.
fn ok(fields: &str, rest: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{rest}")
}

/// A chunked 200 with this body.
fn chunked(rest: &str) -> String {
    ok("Transfer-Encoding: chunked\r\n", rest)
}

/// Lengths of bodies that the kernel throws away unseen, where that is possible.
const LARGE: [(&str, usize); 3] = [("64 KiB", 64 << 10), ("300,000", 300_000), ("1 MiB", 1 << 20)];

/// A 200 with a body of so many bytes.
fn large(body_bytes: usize) -> String {
    ok(&format!("Content-Length: {body_bytes}\r\n"), &"x".repeat(body_bytes))
}

/// Every case that is a script of bytes.
pub(crate) fn cases() -> Vec<Case> {
    let mut all = heads::cases();
    all.extend(bodies::cases());
    all.extend(chunks::cases());
    all.extend(pipelines::cases());
    all.extend(connections::cases());
    all
}

/// Numbers that are no script of bytes, or more than one: where they are tested, or why not.
pub(crate) fn elsewhere() -> Vec<(&'static str, &'static str)> {
    let mut all = vec![(
        "A14",
        "the drivers: every case goes through the codec whole, at every split, byte by byte, with \
         and without the memo, and coalesced with the next answer; through `sim` and real sockets \
         whole and in pieces",
    )];
    all.extend(bodies::elsewhere());
    all.extend(pipelines::elsewhere());
    all.extend(connections::elsewhere());
    all
}

/// Every number of the four families.
fn numbers() -> Vec<String> {
    let families = [("A", 14), ("B", 35), ("C", 10), ("D", 19)];
    let all =
        families.iter().flat_map(|(family, last)| (1..=*last).map(move |n| format!("{family}{n}")));
    all.collect()
}

/// Whether the file has a test of that name.
fn exists(file: &str, test: &str) -> bool {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("fn {test}(")))
}

#[test]
fn every_number_of_the_four_families_has_a_case_or_a_reason() {
    let cases = cases();
    let elsewhere = elsewhere();
    let named = cases.iter().map(|case| case.number).chain(elsewhere.iter().map(|line| line.0));
    let named: BTreeSet<String> = named.map(str::to_owned).collect();
    assert_eq!(named, numbers().into_iter().collect::<BTreeSet<_>>());
    for (number, where_or_why) in &elsewhere {
        assert!(where_or_why.len() > 20, "{number}: no reason");
        let mut words = where_or_why.split_whitespace();
        while let Some(word) = words.next() {
            let Some(file) = word.strip_suffix(".rs:") else { continue };
            let test = words.next().unwrap_or_default().trim_matches(['`', ';', ',']);
            assert!(exists(&format!("{file}.rs"), test), "{number}: no {test} in {file}.rs");
        }
    }
    let names: BTreeSet<String> = cases.iter().map(Case::name).collect();
    assert_eq!(names.len(), cases.len(), "two cases have the same name");
}
