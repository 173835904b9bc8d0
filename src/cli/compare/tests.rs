//! What the words and flags of `wring compare` mean.

use super::super::args::{self, Command, Parsed};
use super::*;
use crate::compare::{Against, Block, Layout, Side};

fn parsed(line: &[&str]) -> Result<CompareJob, CliError> {
    let argv: Vec<String> =
        ["wring", "compare"].iter().chain(line).map(|w| (*w).to_owned()).collect();
    match args::parse(&argv)? {
        Parsed::Command(command) => match *command {
            Command::Compare(args) => lower(*args, argv),
            other => panic!("{other:?}"),
        },
        Parsed::Text(text) => panic!("{text}"),
    }
}

fn refused(line: &[&str]) -> String {
    let error = parsed(line).unwrap_err();
    assert_eq!(error.code, 2, "{error}");
    error.to_string()
}

fn job(line: &[&str]) -> CompareJob {
    parsed(line).unwrap()
}

const URLS: [&str; 2] = ["http://a/", "http://b/"];

fn with_urls(more: &[&str]) -> Vec<&'static str> {
    let more = more.iter().map(|word| &*(*word).to_owned().leak());
    URLS.into_iter().chain(more).collect()
}

#[test]
fn sides_are_urls_commands_or_files() {
    assert_eq!(job(&URLS).kind, Kind::Urls(URLS.map(str::to_owned)));
    let commands = ["--a-cmd", "a {port}", "--b-cmd", "b {port}"];
    let both = ["a {port}", "b {port}"].map(str::to_owned);
    assert_eq!(job(&commands).kind, Kind::Commands(both.clone(), "/".to_owned()));
    let with_path = [&commands[..], &["/x?y"]].concat();
    assert_eq!(job(&with_path).kind, Kind::Commands(both, "/x?y".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for name in ["a1", "a2", "b"] {
        std::fs::write(path(name), "{}").unwrap();
    }
    let a = format!("{},{}", path("a1"), path("a2"));
    let files = vec![vec![path("a1"), path("a2")], vec![path("b")]];
    assert_eq!(job(&[&a, &path("b")]).kind, Kind::Files(files));
    assert!(refused(&[&a]).contains("one side only"));
    assert!(refused(&[&a, "http://h/"]).contains("a URL and a stored result"));
}

#[test]
fn what_cannot_be_compared_is_told_with_what_would_be_right() {
    for (line, said) in [
        (&[][..], "nothing to compare is given"),
        (&["http://a/"], "'http://a/' is one side only"),
        (&["http://a/", "nonsense"], "'nonsense' is neither a URL nor a stored result"),
        (&["missing.json", "http://a/"], "there is no file 'missing.json'"),
        (&["http://a/", "localhost:80"], "did you mean 'http://localhost:80'?"),
        (&["http://a/", "http://b/", "http://c/"], "3 URLs are given; two are compared"),
        (&["http://a/", "ftp://b/"], "scheme 'ftp'"),
        (&["--a-cmd", "x {port}"], "--b-cmd is missing"),
        (&["--b-cmd", "x {port}"], "--a-cmd is missing"),
        (&["--a-cmd", "x", "--b-cmd", "y {port}"], "--a-cmd 'x' has no {port}"),
        (&["--a-cmd", " ", "--b-cmd", "y {port}"], "--a-cmd is empty"),
        (&["--a-cmd", "x {port}", "--b-cmd", "y {port}", "http://h/"], "is not a path"),
        (&["--a-cmd", "x {port}", "--b-cmd", "y {port}", "/", "/"], "2 words are given"),
        (
            &["--a-cmd", "x {port}", "--b-cmd", "y {port}", "--a-server-pid", "1"],
            "--a-server-pid has no meaning with --a-cmd and --b-cmd",
        ),
        (&["/path", "http://h/"], "a path needs --a-cmd and --b-cmd"),
    ] {
        let message = refused(line);
        assert!(message.contains(said), "{line:?}: {message}");
        assert!(message.contains("wring: error: "), "{message}");
    }
}

#[test]
fn flags_that_blocks_give_no_meaning_are_refused_by_name() {
    for (flags, named) in [
        (&["-d", "3s"][..], "-d has no meaning in a comparison"),
        (&["-n", "3"], "-n has"),
        (&["--stages", "1:1s"], "--stages has"),
        (&["--warmup", "1s"], "--warmup has"),
        (&["-o", "x"], "-o has"),
        (&["-L"], "-L has"),
        (&["--server-pid", "1"], "--server-pid has"),
        (&["--a-server-pid", "1"], "names one side only; --b-server-pid is missing"),
        (&["--b-server-pid", "1"], "names one side only; --a-server-pid is missing"),
        (&["--a-server-pid", "nginx"], "'nginx' is not a process id"),
        (&["--b-server-pid", "0"], "'0' is not a process id"),
        (&["--margin", "1"], "'1' is not a margin"),
        (&["--margin", "60%"], "'60%' is not a margin"),
        (&["--max-duration", "1ms"], "'1ms' is too short"),
        (&["--block", "1ms"], "'1ms' is too short"),
        (&["--restarts", "5000"], "out of range"),
        (&["--metric", "p95"], "possible values are rps, p50"),
        (&["--fail-on", "faster"], "possible values are slower, undecided, never"),
        (&["--json", "--format", "md"], "--json and --format contradict each other"),
        (&["-v"], "-v has no meaning in a comparison"),
        (&["--threshold", "p99<1s"], "--threshold has no meaning in a comparison"),
        (&["--group-by", "X"], "--group-by has"),
        (&["--interval", "1s"], "--interval has"),
        (&["--urls", "x"], "--urls has"),
        (&["-U"], "-U has"),
        (&["--server-cgroup", "/"], "--server-cgroup has"),
        (&["--restarts", "5"], "--restarts has no meaning with URLs"),
        (&["--force"], "--force has no meaning without stored results"),
        (&["--metric", "cpu"], "--metric cpu needs servers whose CPU time can be read"),
        (&["--a-server-pid", "7", "--b-server-pid", "7"], "name the same process"),
        (
            &["--block", "5s", "--max-duration", "60s"],
            "--block 5.00 s is too long for --max-duration 1m: the 20 blocks that a comparison takes \
             at least need 1m40s",
        ),
    ] {
        let message = refused(&with_urls(flags));
        assert!(message.contains(named), "{flags:?}: {message}");
    }
}

#[test]
fn stored_results_and_commands_refuse_what_would_be_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a").to_str().unwrap().to_owned();
    std::fs::write(&path, "{}").unwrap();
    for flags in [
        &["-c", "64"][..],
        &["--max-duration", "55s"],
        &["--restarts", "5"],
        &["--block", "1s"],
        &["--expect", "200"],
        &["-R", "1k"],
    ] {
        let message = refused(&[&[&*path, &*path], flags].concat());
        let said = format!("{} has no meaning for stored results", flags[0]);
        assert!(message.contains(&said), "{flags:?}: {message}");
    }
    let taken = ["--metric", "p99", "--margin", "2%", "--force", "--seed", "1", "--json", "-q"];
    job(&[&[&*path, &*path], &taken[..]].concat());
    let commands = ["--a-cmd", "a {port}", "--b-cmd", "b {port}"];
    assert!(refused(&[&commands[..], &["--force"]].concat()).contains("--force has no meaning"));
    let long = refused(&[&commands[..], &["--block", "2s"]].concat());
    assert!(long.contains("the 36 blocks"), "{long}");
    job(&[&commands[..], &["--restarts", "0", "--block", "2s"]].concat());
}

#[test]
fn a_block_is_as_long_as_its_percentile_needs_and_as_short_as_there_is_time() {
    let block = |flags: &[&str]| block_ns(&job(&with_urls(flags)).args, false) / 1_000_000;
    assert_eq!(block(&[]), 250);
    assert_eq!(block(&["--block", "1s"]), 1000);
    assert_eq!(block(&["--max-duration", "6s"]), 100);
    assert_eq!(block(&["--max-duration", "1s"]), 20);
    assert_eq!(block(&["-R", "20k"]), 250, "p99 of 5,000 requests is known");
    assert_eq!(block(&["-R", "1k"]), 1100, "and of 250 it is not");
    assert_eq!(block(&["-R", "1k", "--metric", "p50"]), 250);
    assert_eq!(block(&["-R", "10"]), 2750, "but no longer than leaves time for ten pairs");
    assert_eq!(block(&["-R", "10", "--max-duration", "10m"]), 5000, "nor longer than this");
    let commands = ["--a-cmd", "a {port}", "--b-cmd", "b {port}", "--restarts", "99"];
    assert_eq!(block_ns(&job(&commands).args, true) / 1_000_000, 91, "three pairs of each start");
}

#[test]
fn what_decides_follows_the_flags() {
    let decides = |flags: &[&str]| {
        let args = job(&with_urls(flags)).args;
        metric(&args, args.run.rate.is_some())
    };
    assert_eq!(decides(&[]), Metric::RequestsPerS);
    assert_eq!(decides(&["-R", "1k"]), Metric::P99);
    assert_eq!(decides(&["-R", "1k", "--metric", "rps"]), Metric::RequestsPerS);
    let costs = ["--a-server-pid", "1", "--b-server-pid", "2", "--metric", "cpu"];
    assert_eq!(decides(&costs), Metric::ServerCpu);
    let choices = ["p50", "p90", "p99", "p99.9"];
    let metrics = [Metric::P50, Metric::P90, Metric::P99, Metric::P999];
    for (choice, metric) in choices.into_iter().zip(metrics) {
        assert_eq!(decides(&["--metric", choice]), metric);
    }
}

#[test]
fn the_exit_code_is_what_fail_on_says() {
    let block = |rps| Block { requests_per_s: Some(rps), ..Block::default() };
    let comparison = |word, to: f64| {
        let terms = crate::compare::Terms {
            metric: Metric::RequestsPerS,
            margin: 0.01,
            layout: Layout::Pairs,
            alpha: 0.05,
        };
        let (a, b) = (vec![block(100.0)], vec![block(to)]);
        let against = crate::compare::against(&a, &b, &terms, &mut crate::rng::Rng::new(1));
        let side = |name: &str, blocks| Side {
            name: name.to_owned(),
            label: String::new(),
            blocks,
            answers: Default::default(),
        };
        Comparison {
            sides: vec![side("A", a), side("B", b)],
            others: vec![Against { word, ..against }],
            metric: Metric::RequestsPerS,
            margin: 0.01,
            layout: Layout::Pairs,
            setup: Vec::new(),
            notes: Vec::new(),
            interrupted: None,
        }
    };
    let code = |word, to, fail_on| exit_code(&comparison(word, to), fail_on, false);
    assert_eq!(code(Word::Slower, 95.0, FailOn::Slower), 99);
    assert_eq!(code(Word::Slower, 99.5, FailOn::Slower), 0, "within the margin");
    assert_eq!(code(Word::Slower, 95.0, FailOn::Undecided), 99);
    assert_eq!(code(Word::Slower, 95.0, FailOn::Never), 0);
    assert_eq!(code(Word::Undecided, 95.0, FailOn::Slower), 0);
    assert_eq!(code(Word::Undecided, 95.0, FailOn::Undecided), 99);
    assert_eq!(code(Word::Faster, 105.0, FailOn::Undecided), 0);
    assert_eq!(code(Word::Same, 100.0, FailOn::Undecided), 0);
    let mut stopped = comparison(Word::Slower, 95.0);
    stopped.interrupted = Some(Interrupted::Interrupt);
    assert_eq!(exit_code(&stopped, FailOn::Slower, true), 130);
    assert_eq!(exit_code(&comparison(Word::Faster, 105.0), FailOn::Never, true), 99);
}
