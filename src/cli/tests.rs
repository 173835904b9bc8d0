//! Every flag, every usage error, and wrk's persona, without a process of its own.

mod checks;
mod targets;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;

use super::args::warmup::Warmup;
use super::args::{ArrivalsChoice, Engine, ReportFormat};
use super::*;
use crate::limits;
use crate::plan::{EngineChoice, Pacing, StopAfter};
use crate::schedule::{Arrivals, Profile};
use crate::target::{self, Config, Freeze, Timing, Wait};
use crate::units::{Distribution, Rate, parse_distribution};

const SECOND_NS: u64 = 1_000_000_000;

fn argv(line: &[&str]) -> Vec<OsString> {
    std::iter::once("wring").chain(line.iter().copied()).map(OsString::from).collect()
}

fn run_args(line: &[&str]) -> RunArgs {
    match args::parse(argv(line)) {
        Ok(Parsed::Command(command)) => match *command {
            Command::Run(run) => run.run,
            other => panic!("{line:?}: {other:?}"),
        },
        other => panic!("{line:?}: {other:?}"),
    }
}

fn job(line: &[&str]) -> RunJob {
    match prepare(argv(line), &[0, 1]) {
        Ok(Job::Run(job)) => *job,
        other => panic!("{line:?}: {other:?}"),
    }
}

fn refusal(line: &[&str]) -> Refusal {
    prepare(argv(line), &[0, 1]).expect_err(&format!("{line:?}"))
}

const URL: &str = "http://127.0.0.1:9/";

#[test]
fn defaults_are_those_of_the_contract() {
    let plan = job(&[URL]).plan;
    assert_eq!((plan.connections, plan.depth, plan.shares.len()), (64, 1, 2));
    let ten_seconds = StopAfter { duration_ns: Some(10 * SECOND_NS), ..StopAfter::default() };
    assert_eq!(plan.stop, ten_seconds);
    assert_eq!((plan.warmup_ns, plan.drain_ns, plan.timeout_ns), (0, SECOND_NS, 2 * SECOND_NS));
    assert_eq!((plan.connect_timeout_ns, plan.interval_ns), (2 * SECOND_NS, SECOND_NS));
    assert_eq!((plan.engine, plan.tcp_congestion), (EngineChoice::Auto, None));
    assert_eq!(plan.request.bytes(), b"GET / HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\r\n");
    assert_eq!(plan.shares.iter().map(|s| s.cpu).collect::<Vec<_>>(), [Some(0), Some(1)]);
}

#[test]
fn every_flag_of_a_measurement_is_read_in_its_forms() {
    type Check = fn(&RunArgs) -> bool;
    let table: &[(&[&[&str]], Check)] = &[
        (&[&["-c100"], &["-c", "100"], &["-c=100"], &["--connections", "100"]], |a| {
            a.connections == 100
        }),
        (&[&["-c10k"], &["--connections=10K"]], |a| a.connections == 10_000),
        (&[&["-t3"], &["--threads", "3"]], |a| a.threads == Some(3)),
        (&[&["-d2m"], &["--duration=2m"], &["-d", "120"]], |a| a.duration == Some(120 * SECOND_NS)),
        (&[&["-d0"], &["-d", "0s"]], |a| a.duration == Some(0)),
        (&[&["-n1M"], &["--requests", "1000000"]], |a| a.requests == Some(1_000_000)),
        (&[&["-p16"], &["--pipeline", "16"]], |a| a.pipeline == 16),
        (&[&["-T500ms"], &["--timeout", "0.5"]], |a| a.timeout == SECOND_NS / 2),
        (&[&["--warmup", "auto"]], |a| a.warmup == Warmup::Auto),
        (&[&["--warmup", "3s"]], |a| a.warmup == Warmup::For(3 * SECOND_NS)),
        (&[&["--drain", "0"]], |a| a.drain == 0),
        (&[&["--connect-timeout", "1s"]], |a| a.connect_timeout == Some(SECOND_NS)),
        (&[&["--seed", "7"]], |a| a.seed == 7),
        (&[&["-R10k"], &["-R", "10k/s"], &["--rate=10000"], &["-R", "10/ms"]], |a| {
            a.rate == Rate::new(10_000, SECOND_NS)
        }),
        (&[&["-R300/m"], &["--rate", "5"]], |a| a.rate == Rate::new(5, SECOND_NS)),
        (&[&["-R0.1/s"], &["-R6/m"]], |a| a.rate == Rate::new(1, 10 * SECOND_NS)),
        (&[&["--stages", "1:2s"], &["--stages=1:2s"]], |a| a.stages.as_deref() == Some("1:2s")),
        (&[&["--arrivals", "poisson"]], |a| a.arrivals == Some(ArrivalsChoice::Poisson)),
        (&[&["--arrivals=constant"]], |a| a.arrivals == Some(ArrivalsChoice::Constant)),
        (&[&["--deadline", "50ms"]], |a| a.deadline == Some(SECOND_NS / 20)),
        (&[&["--no-spin"]], |a| a.no_spin),
        (&[&["-U"], &["--u_latency"], &["--u-latency"], &["-LU"]], |a| a.u_latency),
        (&[&["-XPUT"], &["-X", "PUT"], &["--method", "PUT"]], |a| {
            a.method.as_deref() == Some("PUT")
        }),
        (&[&["-HA: 1", "-H", "B:2"], &["--header", "A: 1", "--header=B:2"]], |a| {
            a.headers == ["A: 1", "B:2"]
        }),
        (&[&["-b", "-x"], &["-b-x"], &["--body=-x"]], |a| {
            a.body.as_deref() == Some(OsStr::new("-x"))
        }),
        (&[&["-L"], &["--latency"], &["-Lv"]], |a| a.latency),
        (&[&["--json"]], |a| a.json == Some(None)),
        (&[&["--json=f"]], |a| a.json == Some(Some("f".into()))),
        (&[&["-o", "f"], &["-of"], &["--output", "f"]], |a| a.output == Some("f".into())),
        (&[&["--interval", "100ms"]], |a| a.interval == SECOND_NS / 10),
        (&[&["--color", "never"]], |a| a.color == ColorChoice::Never),
        (&[&["--color=always"]], |a| a.color == ColorChoice::Always),
        (&[&["-q"], &["--quiet"]], |a| a.quiet),
        (&[&["-v"], &["--verbose"]], |a| a.verbose),
        (&[&["--cpus", "0-3,5"]], |a| a.cpus.as_deref() == Some("0-3,5")),
        (&[&["--no-pin"]], |a| a.no_pin),
        (&[&["--engine", "uring"]], |a| a.engine == Engine::Uring),
        (&[&["--engine", "epoll"]], |a| a.engine == Engine::Epoll),
        (&[&["--tcp-congestion", "reno"]], |a| a.tcp_congestion.as_deref() == Some("reno")),
        (&[&["-s", "x.lua"], &["-s"]], |a| a.script.is_some()),
        (&[&["--no-keepalive"]], |a| a.network.no_keepalive),
        (&[&["--requests-per-connection", "1k"], &["--requests-per-connection=1000"]], |a| {
            a.network.requests_per_connection == Some(1000)
        }),
        (&[&["--close", "orderly"], &["--close=orderly"]], |a| {
            a.network.close == Some(args::CloseChoice::Orderly)
        }),
        (&[&["--connect-rate", "1k"], &["--connect-rate=60k/m"]], |a| {
            a.network.connect_rate == Rate::new(1000, SECOND_NS)
        }),
        (&[&["--unix-socket", "/x"]], |a| a.network.unix_socket == Some("/x".into())),
        (&[&["--connect-to", "h:1"]], |a| a.network.connect_to.as_deref() == Some("h:1")),
        (&[&["--resolve", "a:1:::1", "--resolve=b:2:1.2.3.4"]], |a| {
            a.network.resolve == ["a:1:::1", "b:2:1.2.3.4"]
        }),
        (&[&["-4"], &["--ipv4"]], |a| a.network.ipv4 && !a.network.ipv6),
        (&[&["-6"], &["--ipv6"]], |a| a.network.ipv6 && !a.network.ipv4),
        (&[&["--source-ip", "127.0.0.2,127.0.1.0/30"]], |a| {
            a.network.source_ip.as_deref() == Some("127.0.0.2,127.0.1.0/30")
        }),
        (&[&["--proxy", "http://p:1"]], |a| a.network.proxy == ["http://p:1"]),
        (&[&["--proxy-tunnel"]], |a| a.network.proxy_tunnel),
        (&[&["--proxy-protocol", "v2"]], |a| {
            a.network.proxy_protocol == Some(args::ProxyProtocolChoice::V2)
        }),
        (&[&["-ua:b"], &["-u", "a:b"], &["--user", "a:b"], &["--user=a:b"]], |a| {
            a.network.user == ["a:b"]
        }),
    ];
    for (forms, check) in table {
        for form in *forms {
            let before: Vec<_> = form.iter().copied().chain([URL]).collect();
            let after: Vec<_> = std::iter::once(URL).chain(form.iter().copied()).collect();
            let named: Vec<_> = std::iter::once("run").chain(after.iter().copied()).collect();
            // A flag whose value may be left out takes the word after it.
            let lines =
                if form == &["-s"] { vec![after, named] } else { vec![before, after, named] };
            for line in lines {
                assert!(check(&run_args(&line)), "{line:?}");
            }
        }
    }
}

#[test]
fn json_never_takes_the_url_for_a_file() {
    assert!(job(&["--json", URL]).output.json_stdout);
}

#[test]
fn a_flag_given_twice_counts_as_given_last_and_the_url_may_follow_two_dashes() {
    assert_eq!(run_args(&["-c1", "-c2", URL]).connections, 2);
    assert_eq!(job(&["-c2", "--", URL]).plan.connections, 2);
}

#[test]
fn a_wrong_value_is_named_and_nothing_is_opened() {
    for (line, words) in [
        (&["-c", "0"][..], &["--connections", "'0'", "1 to 1000000"][..]),
        (&["-c", "-5"], &["--connections", "'-5'", "negative"]),
        (&["-c2M"], &["'2M'", "out of range"]),
        (&["-c", "many"], &["'many'"]),
        (&["-c", "1.5"], &["'1.5'"]),
        (&["-c", ""], &["--connections"]),
        (&["-t", "0"], &["--threads", "'0'"]),
        (&["-t", "5000"], &["'5000'", "1 to 1024"]),
        (&["-p", "0"], &["--pipeline", "'0'"]),
        (&["-p", "1025"], &["'1025'"]),
        (&["-n", "0"], &["--requests", "'0'"]),
        (&["-n", "1e30"], &["'1e30'", "too large"]),
        (&["-d", "-5s"], &["--duration", "'-5s'", "negative"]),
        (&["-d", "NaN"], &["'NaN'"]),
        (&["-d", "inf"], &["'inf'"]),
        (&["-d", "1e30"], &["'1e30'", "too large"]),
        (&["-d", "10x"], &["'10x'", "30s"]),
        (&["-T", "0"], &["--timeout", "'0'"]),
        (&["--connect-timeout", "0"], &["--connect-timeout", "'0'"]),
        (&["--interval", "0"], &["--interval", "'0'"]),
        (&["--warmup", "-1"], &["--warmup", "'-1'"]),
        (&["--drain", "soon"], &["--drain", "'soon'"]),
        (&["--seed", "x"], &["--seed", "'x'"]),
        (&["--color", "blue"], &["'blue'", "never"]),
        (&["--engine", "magic"], &["'magic'", "auto", "uring", "epoll"]),
        (&["--tcp-congestion", "nope"], &["'nope'"]),
        (&["--tcp-congestion", ""], &["--tcp-congestion"]),
        (&["--cpus", "x"], &["--cpus", "'x'", "0-3,5"]),
        (&["--cpus", "0,7"], &["--cpus", "CPU 7", "0,1"]),
        (&["-X", "GE T"], &["GE T", "token"]),
        (&["-X", ""], &["token"]),
        (&["-X", "GET\r\nX: y"], &["token"]),
        (&["-H", "no-colon"], &["'no-colon'", "Name: value"]),
        (&["-H", ": value"], &["Name: value"]),
        (&["-H", "A B: value"], &["A ***"]),
        (&["-H", "A: b\r\nC: d"], &["\"A\"", "CR, LF or NUL"]),
        (&["-H", "Transfer-Encoding: chunked"], &["Transfer-Encoding"]),
        (&["-H", "Content-Length: 3", "-b", "hi"], &["Content-Length", "3", "2 bytes"]),
        (&["-H", "Host: a", "-H", "host: b"], &["Host", "twice"]),
        (&["-b", "@/nonexistent/file"], &["'/nonexistent/file'"]),
        (&["-b", "@/"], &["'/'", "directory"]),
        (&["-o", "/nonexistent/file"], &["-o", "/nonexistent/file"]),
        (&["-o", "/"], &["-o", "'/'"]),
        (&["--json=/nonexistent/file"], &["--json", "/nonexistent/file"]),
        (&["--json=/dev/null", "-o", "/dev/null"], &["same file"]),
        (&["-q", "-v"], &["-q", "-v", "contradict"]),
        (&["--no-pin", "--cpus", "0"], &["--no-pin", "--cpus", "contradict"]),
        (&["-s", "x.lua"], &["-s", "Lua", "-b"]),
        (&["--conections", "5"], &["--conections", "--connections"]),
        (&["-R", "0"], &["--rate", "'0'", "10k/s"]),
        (&["-R", "0/m"], &["'0/m'"]),
        (&["-R", "-1"], &["--rate", "'-1'", "negative"]),
        (&["-R", "-t1"], &["--rate", "'-t1' is an option, so the value is missing"]),
        (&["-R", "1857.043252313/m"], &["--rate", "9 decimals, 8 per minute, 6 per hour"]),
        (&["-R", "NaN"], &["'NaN'"]),
        (&["-R", "1e30"], &["'1e30'", "1G/s"]),
        (&["-R", "2G"], &["'2G'", "1G/s"]),
        (&["-R", ""], &["--rate", "empty"]),
        (&["-R", "10/day"], &["'10/day'", "300/m"]),
        (&["-R", "0.05", "-d", "10s"], &["-R", "10.0 s", "0.05/s", "longer duration"]),
        (&["-R", "1k", "--stages", "1:1s"], &["-R", "1,000/s", "--stages '1:1s'", "contradict"]),
        (&["-d", "90", "--stages", "1:1s"], &["-d (1m30s)", "--stages '1:1s'", "leave -d out"]),
        (&["-d0", "--stages", "1:1s"], &["-d (0s)", "contradict"]),
        (&["-n0", "--stages", "1:1s"], &["--requests", "'0'"]),
        (&["--stages", ""], &["--stages", "stage 1", "0->10k:30s"]),
        (&["--stages", "1:1s,x:5s"], &["--stages", "stage 2", "'x'"]),
        (&["--stages", "1:1s,2:0s"], &["stage 2", "zero"]),
        (&["--stages", "1->0:1s"], &["--stages '1->0:1s'", "less than one"]),
        (&["--stages", "2G:1s"], &["stage 1", "'2G'", "1G/s"]),
        (&["--stages", "1:300d,1:300d"], &["stage", "300d"]),
        (&["--arrivals", "poisson"], &["--arrivals", "-R 10k"]),
        (&["--arrivals", "random", "-R1"], &["'random'", "poisson"]),
        (&["--deadline", "1s"], &["--deadline", "-R 10k", "--stages"]),
        (&["--deadline", "0", "-R1"], &["--deadline", "'0'", "100ms"]),
        (&["--deadline", "-1", "-R1"], &["'-1'", "negative"]),
        (&["-U"], &["-U", "-R 10k"]),
        (&["--no-spin"], &["--no-spin", "-R 10k"]),
        (&["-R", "http://a/"], &["--rate", "'http://a/'", "-R needs a value, such as -R 10k/s"]),
        (&["-R", "localhost:80/"], &["--rate", "-R needs a value, such as -R 10k/s"]),
        (&["-R", "10/day"], &["wring --help"]),
        (&["--stages", "http://a/"], &["--stages needs a value, such as --stages '0->10k:30s"]),
        (&["-B", "-R1"], &["-B", "own intended time"]),
        (&["--requests-per-connection", "0"], &["--requests-per-connection", "'0'"]),
        (&["--requests-per-connection", "-1"], &["'-1'", "negative"]),
        (
            &["--no-keepalive", "--requests-per-connection", "5"],
            &["--no-keepalive", "says 5", "one of them"],
        ),
        (
            &["--no-keepalive", "-H", "Connection: Keep-Alive"],
            &["contradict", "leaves the request"],
        ),
        (&["--close", "reset"], &["--close", "--requests-per-connection N"]),
        (&["--close", "softly", "--no-keepalive"], &["'softly'", "orderly"]),
        (&["--connect-rate", "0"], &["--connect-rate", "'0'"]),
        (&["--connect-rate", "fast"], &["'fast'", "10k/s"]),
        (&["--unix-socket", "/"], &["--unix-socket", "'/'", "directory"]),
        (&["--unix-socket", "/dev/null"], &["'/dev/null'", "is no socket"]),
        (&["--unix-socket", "/nonexistent"], &["'/nonexistent'", "does not exist"]),
        (&["--unix-socket", "/x", "--connect-to", "h:1"], &["--connect-to", "contradict"]),
        (&["--unix-socket", "/x", "--proxy", "http://h:1"], &["--proxy", "contradict"]),
        (&["--unix-socket", "/x", "--source-ip", "::1"], &["--source-ip", "contradict"]),
        (&["--unix-socket", "/x", "-4"], &["-4", "contradict"]),
        (&["--unix-socket", "/x", "--resolve", "a:1:::1"], &["--resolve", "contradict"]),
        (&["--connect-to", "h"], &["--connect-to", "'h'", "host:8080"]),
        (&["--connect-to", "h:0"], &["'h:0'"]),
        (&["--connect-to", "::1:80"], &["'::1:80'", "[::1]:80"]),
        (&["--connect-to", "h:1", "--proxy", "http://h:1"], &["--proxy", "contradict"]),
        (&["--resolve", "h:80"], &["--resolve", "'h:80'", "name:80:10.0.0.7"]),
        (&["--resolve", "h:80:x"], &["'x'", "no address"]),
        (&["--resolve", "*:80:127.0.0.1"], &["--resolve *:80", "of no use"]),
        (&["--resolve", "other:80:127.0.0.1"], &["--resolve other:80", "of no use", "127.0.0.1:9"]),
        (&["-4", "-6"], &["-4", "-6", "contradict"]),
        (&["-6"], &["-6", "'127.0.0.1' has no IPv6 address"]),
        (&["--source-ip", "nonsense"], &["--source-ip", "'nonsense'", "10.0.1.0/28"]),
        (&["--source-ip", "127.0.0.1/24"], &["'127.0.0.1/24'", "127.0.0.0/24"]),
        (&["--source-ip", "192.0.2.1"], &["192.0.2.1", "not an address of this machine"]),
        (&["--source-ip", "192.0.2.0/30"], &["192.0.2.1 (of '192.0.2.0/30')"]),
        (&["--source-ip", "::1"], &["IPv6 addresses only", "'127.0.0.1'"]),
        (&["--proxy", "p:3128"], &["--proxy", "'p:3128'", "no scheme", "http://host:3128"]),
        (&["--proxy", "socks5://p:1"], &["'socks5://p:1'", "no other sort"]),
        (&["--proxy-tunnel"], &["--proxy-tunnel", "needs a proxy"]),
        (
            &["--proxy-protocol", "v1", "--proxy", "http://p:1"],
            &["--proxy-protocol", "--proxy", "contradict"],
        ),
        (&["--proxy-protocol", "v3"], &["'v3'", "v1", "v2"]),
        (&["-u", "name"], &["-u", "colon"]),
        (&["-u", "@/nonexistent"], &["-u", "'/nonexistent'"]),
        (&["-u", "a:b", "-H", "authorization: x"], &["-u", "-H Authorization", "contradict"]),
        (&["-X", "CONNECT"], &["CONNECT", "tunnel", "--proxy-tunnel"]),
        (&["-c1", "run"], &["'run' stands where a URL", "a command comes first"]),
        (&["http://127.0.0.1:8/", "serve"], &["'serve' stands where", "a command comes first"]),
    ] {
        let refused = refusal(&[line, &[URL]].concat());
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{line:?}: {refused:?}");
        assert!(refused.stderr.starts_with("wring: error: "), "{refused:?}");
        assert!(refused.stderr.lines().count() <= 2, "{refused:?}");
        for word in words {
            assert!(refused.stderr.contains(word), "{line:?} lacks {word}: {}", refused.stderr);
        }
    }
}

#[test]
fn without_a_url_and_with_unknown_words_there_is_a_suggestion() {
    for (line, words) in [
        (&[][..], "no URL"),
        (&["-c", "5"], "no URL"),
        (&["run"], "no URL"),
        (&["run", "word"], "http://word"),
        (&["selftset"], "wring selftest"),
        (&["localhost:80"], "http://localhost:80"),
        (&["--sni", "x", "http://h/"], "--sni is about TLS"),
        (&["http://h:0/"], "port '0'"),
        (&["http://u:secret@h/"], "Authorization"),
        (&["selftest", "http://h/"], "http://h/"),
        (&["completions", "csh"], "csh"),
        (&["report"], "RESULT"),
    ] {
        let refused = refusal(line);
        assert_eq!(refused.code, 2, "{line:?}");
        assert!(refused.stderr.contains(words), "{line:?}: {}", refused.stderr);
        assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
    }
}

#[test]
fn a_name_that_does_not_resolve_means_nothing_can_be_measured() {
    let refused = refusal(&["http://name.invalid/"]);
    assert_eq!(refused.code, 3);
    assert!(refused.stderr.contains("cannot resolve 'name.invalid'"), "{}", refused.stderr);
}

#[test]
fn usage_is_checked_before_the_network_is_asked() {
    assert_eq!(refusal(&["-X", "GE T", "http://name.invalid/"]).code, 2);
}

#[test]
fn a_duration_and_a_number_of_requests_stop_a_run_alone_or_together() {
    for (line, duration_ns, requests) in [
        (&["-n", "5"][..], None, Some(5)),
        (&["-n", "5", "-d", "1s"], Some(SECOND_NS), Some(5)),
        (&["-d", "0"], None, None),
        (&["-d", "0", "-n", "5"], None, Some(5)),
        (&["-d", "0", "--warmup", "1s"], None, None),
    ] {
        let job = job(&[line, &[URL]].concat());
        let waits = line[..2] == ["-d", "0"];
        assert_eq!(job.plan.stop, StopAfter { duration_ns, requests, waits }, "{line:?}");
    }
}

fn pacing(line: &[&str]) -> (StopAfter, Pacing) {
    let plan = job(&[line, &[URL]].concat()).plan;
    (plan.stop, plan.pacing.unwrap_or_else(|| panic!("{line:?} is a closed loop")))
}

#[test]
fn a_url_that_a_flag_has_swallowed_is_told_from_a_missing_one() {
    for (line, hint) in [
        (&["-R", URL][..], "-R needs a value"),
        (&["--rate", URL], "-R needs a value"),
        (&["--stages", URL], "--stages needs a value"),
        (&["run", "--stages", URL], "--stages needs a value"),
    ] {
        let refused = refusal(line);
        assert_eq!(refused.code, 2);
        assert!(refused.stderr.contains(&format!("hint: {hint}")), "{}", refused.stderr);
    }
}

#[test]
fn without_a_rate_the_loop_is_closed() {
    for line in [&[][..], &["-n5"], &["--seed", "7"]] {
        assert!(job(&[line, &[URL]].concat()).plan.pacing.is_none(), "{line:?}");
    }
}

#[test]
fn a_rate_makes_a_schedule_as_long_as_the_window() {
    for (line, length_ns, total) in [
        (&["-R", "333"][..], Some(10 * SECOND_NS), Some(3330)),
        (&["-R", "0.1"], Some(10 * SECOND_NS), Some(1)),
        (&["-R300/m", "-d2s"], Some(2 * SECOND_NS), Some(10)),
        (&["-R1k", "-d0"], None, None),
        (&["-R1k", "-n5"], None, None),
        (&["-R1k", "-n5", "-d1s"], Some(SECOND_NS), Some(1000)),
        (&["-R1k", "-n5", "-d0"], None, None),
    ] {
        let (stop, pacing) = pacing(line);
        let profile = &pacing.profile;
        assert_eq!((profile.length_ns(), profile.total()), (length_ns, total), "{line:?}");
        assert_eq!(stop.duration_ns, length_ns, "{line:?}");
        assert_eq!((pacing.arrivals, pacing.deadline_ns), (Arrivals::Constant, None));
        assert!(pacing.spin && pacing.warmup.is_none(), "{line:?}");
    }
    assert_eq!(pacing(&["-R20k"]).1.described, "20,000/s");
    let (_, all) = pacing(&["-R5", "--arrivals=poisson", "--deadline=1s", "--no-spin", "-p4"]);
    assert_eq!((all.arrivals, all.deadline_ns), (Arrivals::Poisson, Some(SECOND_NS)));
    assert!(!all.spin);
}

#[test]
fn stages_say_how_long_to_measure() {
    let (stop, pacing) = pacing(&["--stages", "0->10k:30s, 10k:2m,10K->1/m:500ms"]);
    assert_eq!(stop.duration_ns, Some(150 * SECOND_NS + SECOND_NS / 2));
    assert_eq!(pacing.profile.length_ns(), stop.duration_ns);
    let words = "0/s->10,000/s:30s,10,000/s:2m,10,000/s->1/min:500ms";
    assert_eq!(pacing.described, words);
    let (stop, pacing) = self::pacing(&["--stages", "10:1h1m1.5s", "-n", "7"]);
    assert_eq!((stop.duration_ns, stop.requests), (Some(3_661_500_000_000), Some(7)));
    assert_eq!(pacing.described, "10/s:1h1m1.5s");
    let Ok(Job::Selftest { args, .. }) = prepare(argv(&["selftest", "--stages=9:1s"]), &[0]) else {
        panic!("not a self test")
    };
    assert_eq!(args.duration, None);
    assert_eq!(refusal(&["selftest", "-R", "0.1"]).code, 2, "its window has 5 seconds");
}

#[test]
fn the_warm_up_has_the_rate_that_the_window_starts_with() {
    let warmup =
        |line: &[&str]| pacing(&[&["--warmup", "2s"], line].concat()).1.warmup.as_deref().cloned();
    let at =
        |count, per_ns| Profile::constant(Rate::new(count, per_ns).unwrap(), Some(2 * SECOND_NS));
    assert_eq!(warmup(&["-R50"]), at(50, SECOND_NS).ok());
    assert_eq!(warmup(&["-R50", "-d0"]), at(50, SECOND_NS).ok());
    assert_eq!(warmup(&["--stages", "7->100:1s"]), at(7, SECOND_NS).ok());
    for nothing in [&["--stages", "0->100:1s"][..], &["-R0.1"]] {
        assert_eq!(warmup(nothing), None, "{nothing:?}");
        let notes = job(&[nothing, &["--warmup", "2s", URL]].concat()).notes;
        assert!(notes.iter().any(|note| note.contains("warm-up")), "{nothing:?}: {notes:?}");
    }
    assert_eq!(job(&["-R50", "--warmup", "2s", URL]).notes, [""; 0]);
}

#[test]
fn the_uncorrected_latency_comes_with_the_corrected_one() {
    let output = |line: &[&str]| job(&[line, &["-R1", URL]].concat()).output;
    let (with, without) = (output(&["-U"]), output(&["-L"]));
    assert!(with.latency && with.uncorrected);
    assert!(without.latency && !without.uncorrected);
}

#[test]
fn threads_are_never_more_than_connections_and_never_silently_fewer() {
    let fewer = job(&["-c", "1", URL]);
    assert_eq!((fewer.plan.shares.len(), fewer.notes.len()), (1, 0));
    let asked = job(&["-c", "3", "-t", "8", URL]);
    assert_eq!(asked.plan.shares.len(), 3);
    assert!(asked.notes.iter().any(|note| note.contains("-t 8")), "{:?}", asked.notes);
    let uneven = job(&["-c", "15", "-t", "8", URL]);
    assert_eq!(uneven.plan.shares.iter().map(|s| s.connections).sum::<u32>(), 15);
}

#[test]
fn chosen_cpus_are_pinned_to_and_no_pin_pins_none() {
    assert_eq!(job(&["--cpus", "1", URL]).plan.shares[0].cpu, Some(1));
    assert_eq!(job(&["--cpus", "1", URL]).plan.shares.len(), 1);
    assert!(job(&["--no-pin", URL]).plan.shares.iter().all(|share| share.cpu.is_none()));
}

#[test]
fn a_body_is_posted_unless_a_method_is_given() {
    let posted = job(&["-b", "hi", URL]);
    let wire = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:9\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(posted.plan.request.bytes(), wire);
    assert_eq!(posted.plan.provenance.notes.len(), 1);
    let put = job(&["-X", "PUT", "-b", "", "-HX:\t y ", URL]);
    let wire = b"PUT / HTTP/1.1\r\nHost: 127.0.0.1:9\r\nX: y\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(put.plan.request.bytes(), wire);
}

#[test]
fn the_users_host_replaces_ours() {
    let wire = job(&["-H", "Host: other", "http://127.0.0.1/p?q=1#f"]).plan.request;
    assert_eq!(wire.bytes(), b"GET /p?q=1 HTTP/1.1\r\nHost: other\r\n\r\n");
}

#[test]
fn secrets_do_not_reach_the_record() {
    let job = job(&["-H", "Authorization: Bearer s3cret", "-HCookie: s3cret", URL]);
    assert!(!format!("{:?}", job.plan.provenance).contains("s3cret"));
    assert!(String::from_utf8_lossy(job.plan.request.bytes()).contains("s3cret"));
    let refused = refusal(&["-H", "Authorization: s3cret", "-H", "Authorization: a\rs3cret", URL]);
    assert!(!refused.stderr.contains("s3cret"), "{}", refused.stderr);
    let users = ["-Lujoe:s3cret", "--proxy", "http://joe:s3cret@127.0.0.1:9", URL];
    let plan = self::job(&users).plan;
    assert!(!format!("{:?}", plan.provenance).contains("s3cret"), "{:?}", plan.provenance);
    let request = String::from_utf8_lossy(plan.request.bytes()).into_owned();
    assert!(request.contains("\r\nAuthorization: Basic am9lOnMzY3JldA==\r\n"), "{request}");
    assert!(request.contains("\r\nProxy-Authorization: Basic am9lOnMzY3JldA==\r\n"), "{request}");
    for line in [
        ["-u", "joe s3cret"],
        ["-u", "joe:s3cret\r"],
        ["--proxy", "joe:s3cret@p:1"],
        ["--proxy", "http://joe:s3cret@p"],
    ] {
        let refused = refusal(&[&line[..], &[URL]].concat());
        assert!(!refused.stderr.contains("s3cret"), "{}", refused.stderr);
    }
}

fn serve_job(line: &[&str]) -> ServeJob {
    match prepare(argv(&[&["serve"], line].concat()), &[0, 1]) {
        Ok(Job::Serve(job)) => *job,
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn serve_has_its_defaults_and_its_flags() {
    let job = serve_job(&[]);
    let expected = Config {
        listen: "127.0.0.1:8080".parse().unwrap(),
        threads: 2,
        cpus: vec![0, 1],
        body_bytes: 100,
        timing: Timing { seed: 1, ..Timing::default() },
        status: 200,
        engine: target::Engine::TokioUring,
        close_after: None,
        faults_ppm: 0,
    };
    assert_eq!((job.config, job.count_on_exit, job.log.is_none()), (expected, false, true));
    let line = "--listen [::1]:0 -t 1 --body 1MiB --delay 5ms --status 404 --engine uring \
                --cpus 1 --close-after 3 --faults 1.25% --count-on-exit --freeze 3s:500ms --seed 7 \
                --log /dev/null";
    let job = serve_job(&line.split_whitespace().collect::<Vec<_>>());
    let expected = Config {
        listen: "[::1]:0".parse().unwrap(),
        threads: 1,
        cpus: vec![1],
        body_bytes: 1 << 20,
        timing: Timing {
            wait: Wait::Delay(Distribution::constant(5_000_000)),
            freeze: Some(Freeze { from_ns: 3 * SECOND_NS, length_ns: SECOND_NS / 2 }),
            seed: 7,
            is_logged: true,
        },
        status: 404,
        engine: target::Engine::Backend,
        close_after: Some(3),
        faults_ppm: 12_500,
    };
    assert_eq!((job.config, job.count_on_exit, job.log.is_some()), (expected, true, true));
}

#[test]
fn what_needs_precise_timers_chooses_the_engine_that_has_them() {
    for (line, engine) in [
        (&[][..], target::Engine::TokioUring),
        (&["--delay", "5ms"], target::Engine::Backend),
        (&["--delay", "5ms", "--engine", "tokio-uring"], target::Engine::TokioUring),
        (&["--delay", "5ms", "--engine", "uring"], target::Engine::Backend),
        (&["--delay", "exp:5ms", "--engine", "epoll"], target::Engine::Epoll),
        (&["--delay", "exp:5ms"], target::Engine::Backend),
        (&["--delay", "99%:0,1%:5ms"], target::Engine::Backend),
        (&["--service", "5ms"], target::Engine::Backend),
        (&["--freeze", "0:1s"], target::Engine::Backend),
        (&["--log", "/dev/null"], target::Engine::Backend),
        (&["--faults", "1%"], target::Engine::Backend),
    ] {
        let job = serve_job(line);
        assert_eq!(job.config.engine, engine, "{line:?}");
        assert_eq!(job.may_fall_back, !line.contains(&"--engine"), "{line:?}");
        // A delay that does not vary is the one that tokio-uring can be asked for.
        if engine == target::Engine::Backend
            && !line.contains(&"uring")
            && line != ["--delay", "5ms"]
        {
            let refused = refusal(&[&["serve", "--engine", "tokio-uring"], line].concat());
            assert_eq!(refused.code, 2, "{line:?}");
            assert!(refused.stderr.contains("--engine tokio-uring"), "{}", refused.stderr);
        }
    }
}

#[test]
fn one_queue_is_served_by_one_thread() {
    let job = serve_job(&["--service", "exp:1ms"]);
    let expected = parse_distribution("exp:1ms", SECOND_NS).unwrap();
    assert_eq!((job.config.threads, job.config.timing.wait), (1, Wait::Service(expected)));
    assert_eq!(serve_job(&["--service", "1ms", "-t", "1"]).config.threads, 1);
}

#[test]
fn wrong_values_of_serve_are_named() {
    for (line, words) in [
        (&["--listen", "nowhere"][..], "'nowhere'"),
        (&["--listen", "127.0.0.1:70000"], "'127.0.0.1:70000'"),
        (&["--body", "-1"], "'-1'"),
        (&["--status", "99"], "'99'"),
        (&["--status", "600"], "'600'"),
        (&["--delay", "-1s"], "'-1s'"),
        (&["--threads", "0"], "'0'"),
        (&["--close-after", "0"], "'0'"),
        (&["--engine", "magic"], "'magic'"),
        (&["--faults", "101%"], "'101%'"),
        (&["--faults", "1"], "'1'"),
        (&["--faults", "0.00001%"], "'0.00001%'"),
        (&["--faults", "-1%"], "'-1%'"),
        (&["--faults", "%"], "'%'"),
        (&["--cpus", "9"], "CPU 9"),
        (&["--delay", "99%:0"], "'99%:0'"),
        (&["--delay", ""], "--delay"),
        (&["--service", "exp:soon"], "'exp:soon'"),
        (&["--service", "1ms", "-t", "2"], "-t 2"),
        (&["--service", "1ms", "--delay", "0s"], "--delay and --service contradict"),
        (&["--freeze", "3s"], "'3s'"),
        (&["--freeze", "3s:0"], "'3s:0'"),
        (&["--freeze", "-1s:2s"], "'-1s:2s'"),
        (&["--freeze", "1s:2s:3s"], "'1s:2s:3s'"),
        (&["--seed", "x"], "'x'"),
        (&["--log", "/nonexistent/file"], "/nonexistent/file"),
        (&["--log", ""], "--log"),
    ] {
        let refused = refusal(&[&["serve"], line].concat());
        assert_eq!(refused.code, 2, "{line:?}");
        assert!(refused.stderr.contains(words), "{line:?}: {}", refused.stderr);
    }
}

#[test]
fn the_other_commands_are_read() {
    let Ok(Job::Report(report)) = prepare(argv(&["report", "r", "--format", "json"]), &[0]) else {
        panic!("not a report")
    };
    assert_eq!((report.result, report.format), ("r".into(), ReportFormat::Json));
    let Ok(Job::Selftest { args, .. }) = prepare(argv(&["selftest", "-c5"]), &[0]) else {
        panic!("not a self test")
    };
    assert_eq!(args.connections, 5);
    assert_eq!(refusal(&["selftest", "-q", "-v"]).code, 2);
}

fn printed(line: &[&str]) -> String {
    match prepare(argv(line), &[0]) {
        Ok(Job::Print(bytes)) => String::from_utf8(bytes).unwrap(),
        other => panic!("{line:?}: {other:?}"),
    }
}

#[test]
fn short_help_fits_a_screen_with_four_examples_and_long_help_has_headings() {
    let short = printed(&["-h"]);
    assert!(short.lines().count() <= 40, "{} lines:\n{short}", short.lines().count());
    assert_eq!(short.lines().filter(|line| line.starts_with("  wring ")).count(), 4, "{short}");
    for line in short.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(printed(&["serve", "-h"]).contains("--count-on-exit"));
    let long = printed(&["--help"]);
    for heading in ["Load:", "Schedule:", "Request:", "TLS:", "Output:", "Machine:"] {
        assert!(long.contains(heading), "{heading}");
    }
    for command in args::command_names() {
        assert!(short.contains(&command), "{command}");
        assert_eq!(printed(&["help", &command]), printed(&[&command, "--help"]), "{command}");
    }
    for line in [&["-V"][..], &["--version"], &["run", "-V"], &["serve", "-V"], &["man", "-V"]] {
        let version = format!("wring {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(printed(line), version, "{line:?}");
    }
    assert_eq!(printed(&["help"]), long);
    let unknown = refusal(&["help", "serv"]);
    assert!(unknown.code == 2 && unknown.stderr.contains("'serv' is no command"), "{unknown:?}");
    assert!(unknown.stderr.contains("serve, report"), "{unknown:?}");
}

#[test]
fn completions_and_the_manual_know_every_flag() {
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&["completions", shell]);
        for flag in ["connections", "close-after", "tcp-congestion", "stages", "no-spin", "cacert"]
        {
            assert!(script.contains(flag), "{shell} {flag}");
        }
    }
    let page = printed(&["man"]);
    assert!(page.contains(".TH"), "{page}");
    for flag in
        ["connections", "count\\-on\\-exit", "tcp\\-congestion", "stages", "no\\-spin", "u_latency"]
    {
        assert!(page.contains(flag), "{flag}");
    }
    assert!(page.is_ascii(), "groff reads letters by their numbers");
    assert!(!page.contains("\\-run(1)") && page.contains("\n\\fBwring run\\fR\n"), "{page}");
    // A flag's line is followed by what it does.
    let lines: Vec<&str> = page.lines().collect();
    let is_bare = |pair: &&[&str]| pair[0].starts_with("\\fB\\-") && pair[1].is_empty();
    let bare: Vec<_> = lines.windows(2).filter(is_bare).map(|pair| pair[0]).collect();
    assert!(bare.is_empty(), "{bare:?}");
}

#[test]
fn the_definition_is_consistent() {
    args::definition().debug_assert();
    assert_eq!(run_args(&["-c1M", URL]).connections, limits::CONNECTIONS_MAX);
}

fn as_tool(persona: &Persona, line: &[&str]) -> Result<wrk::WrkRun, wrk::WrkRefusal> {
    let argv: Vec<OsString> =
        std::iter::once(persona.name).chain(line.iter().copied()).map(OsString::from).collect();
    persona.parse(&argv)
}

fn wrk(line: &[&str]) -> Result<wrk::WrkRun, wrk::WrkRefusal> {
    as_tool(&wrk::WRK, line)
}

fn wrk2(line: &[&str]) -> Result<wrk::WrkRun, wrk::WrkRefusal> {
    as_tool(&wrk::WRK2, line)
}

#[test]
fn another_tools_name_is_known_by_its_last_part() {
    for (program, name) in [
        ("wrk", Some("wrk")),
        ("/usr/bin/wrk", Some("wrk")),
        ("./wrk2", Some("wrk2")),
        ("wring", None),
        ("wrk3", None),
        ("wrk/", None),
    ] {
        assert_eq!(Persona::of(program).map(|persona| persona.name), name, "{program}");
    }
}

#[test]
fn wrks_defaults_and_grammar() {
    let run = wrk(&[URL]).unwrap();
    assert_eq!((run.args.connections, run.args.threads), (10, Some(2)));
    assert_eq!((run.args.duration, run.args.timeout), (Some(10 * SECOND_NS), 2 * SECOND_NS));
    assert!(!run.args.latency);
    for line in [
        &["-c1k", "-t", "4", "-d2m", "-T3s", "-H", "A: b", "-L", URL][..],
        &[URL, "-Lc1000", "-t4", "-d", "120", "--timeout=3", "--header", "A: b"],
        &[
            "--conn", "1000", "--thr=4", "--dur", "2M", "--ti", "3", "-HA: b", "--lat", "--", URL,
            "-x",
        ],
    ] {
        let run = wrk(line).unwrap();
        assert_eq!((run.args.connections, run.args.threads), (1000, Some(4)), "{line:?}");
        assert_eq!((run.args.duration, run.args.timeout), (Some(120 * SECOND_NS), 3 * SECOND_NS));
        assert!(run.args.latency && run.args.headers == ["A: b"] && run.url == URL, "{line:?}");
    }
}

#[test]
fn numbers_are_whole_as_wrks_sscanf_reads_them() {
    for (typed, seconds) in [
        ("1", Some(1)),
        ("+1", Some(1)),
        (" 1", Some(1)),
        ("1 s", Some(1)),
        ("1S", Some(1)),
        ("2m", Some(120)),
        ("1h", Some(3600)),
        ("1 m x", Some(60)),
        ("1.5", None),
        ("100ms", None),
        ("1sec", None),
        ("1m0", None),
        ("0x1", None),
        ("-1", None),
        ("", None),
        ("s", None),
        ("99999999999999999999", None),
        ("9999999999h", None),
    ] {
        let run = wrk(&["-d", typed, URL]).ok();
        let expected = seconds.map(|seconds: u64| seconds * SECOND_NS);
        assert_eq!(run.and_then(|run| run.args.duration), expected, "-d '{typed}'");
    }
    let connections = |typed: &str| wrk(&["-t1", "-c", typed, URL]).map(|run| run.args.connections);
    assert_eq!((connections(" 2").ok(), connections("2K").ok()), (Some(2), Some(2000)));
    assert!(["1.5", "0.002k", "1kk", "2x"].iter().all(|typed| connections(typed).is_err()));
}

#[test]
fn headers_that_wrk_leaves_out_are_left_out_with_a_remark() {
    let sent = |headers: &[&str]| {
        let line: Vec<&str> = headers.iter().flat_map(|header| ["-H", header]).collect();
        let run = wrk(&[&line[..], &[URL]].concat()).unwrap();
        (run.args.headers, run.remark)
    };
    for left_out in ["Bar", "Foo:bar", "A:", "", "Content-Length: 3"] {
        let (headers, remark) = sent(&["B: 1", left_out]);
        assert_eq!(headers, ["B: 1"], "{left_out}");
        assert!(remark.unwrap().contains(&format!("-H '{left_out}' is left out")));
    }
    assert_eq!(sent(&["A: 1", "a: 3", "A: 2"]), (vec!["a: 3".into(), "A: 2".into()], None));
    assert_eq!(sent(&["A: ", "Foo:  bar"]).0, ["A: ", "Foo:  bar"]);
    assert!(!sent(&["Authorization:x"]).1.unwrap().contains('x'), "a secret");
}

#[test]
fn bytes_that_are_no_text_are_sent_in_headers_and_bodies_and_named_elsewhere() {
    let with = |line: &[&[u8]]| -> Vec<OsString> {
        let line = line.iter().map(|argument| OsString::from_vec(argument.to_vec()));
        std::iter::once(OsString::from("wring")).chain(line).chain([URL.into()]).collect()
    };
    for line in [&[&b"-H"[..], b"A: b\xe9", b"-b", b"\xff"][..], &[b"-HA: b\xe9", b"-b\xff"]] {
        let Ok(Job::Run(job)) = prepare(with(line), &[0]) else { panic!("{line:?}") };
        let sent = job.plan.request.bytes();
        assert!(sent.windows(7).any(|bytes| bytes == b"A: b\xe9\r\n"), "{sent:?}");
        assert!(sent.ends_with(b"\r\n\r\n\xff"), "{sent:?}");
    }
    let mut as_wrk = with(&[b"-H", b"A: b\xe9"]);
    as_wrk[0] = "wrk".into();
    let Ok(Job::Wrk { run, .. }) = prepare(as_wrk, &[0]) else { panic!("not wrk's") };
    assert!(run.plan.request.bytes().windows(6).any(|bytes| bytes == b"A: b\xe9\r"));
    for (line, named) in [
        (&[&b"-H"[..], b"A: \xe9", b"-u", b"joe:secret\xe9"][..], "the value of -u is not UTF-8"),
        (&[b"-ujoe:secret\xe9"], "the value of -u is not UTF-8"),
        (&[b"--user=joe:secret\xe9"], "the value of --user is not UTF-8"),
        (&[b"-X", b"G\xe9T"], "the value of -X is not UTF-8"),
        (&[b"http://joe:secret@h/\xe9"], "'http://***@h/"),
    ] {
        let refused = prepare(with(line), &[0]).expect_err(named);
        assert!(refused.code == 2 && refused.stderr.contains(named), "{}", refused.stderr);
        assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
    }
}

#[test]
fn wrks_refusals_are_its_own_words_and_its_usage() {
    for (line, stderr) in [
        (&[][..], ""),
        (&["-c"], "wrk: option requires an argument -- 'c'\n"),
        (&["-Z", URL], "wrk: invalid option -- 'Z'\n"),
        (&["-h"], "wrk: invalid option -- 'h'\n"),
        (&["--bogus", URL], "wrk: unrecognized option '--bogus'\n"),
        (&["--latency=3", URL], "wrk: option '--latency' doesn't allow an argument\n"),
        (&["--conn"], "wrk: option '--connections' requires an argument\n"),
        (
            &["--t=5", URL],
            "wrk: option '--t=5' is ambiguous; possibilities: '--threads' '--timeout'\n",
        ),
        (&["-?", URL], ""),
        (&["-r", URL], ""),
        (&["-R5", URL], "wrk: invalid option -- 'R'\n"),
        (&["-c1", "-t2", URL], "number of connections must be >= threads\n"),
        (&["-c0", URL], "number of connections must be >= threads\n"),
        (&["-t0", URL], ""),
        (&["-d0", URL], ""),
        (&["-d", "xx", URL], ""),
        (&["foo"], "invalid URL: foo\n"),
    ] {
        let expected = wrk::WrkRefusal { stdout: wrk::WRK.usage.into(), stderr: stderr.into() };
        assert_eq!(wrk(line).expect_err(&format!("{line:?}")), expected, "{line:?}");
    }
    let version = wrk(&["-v"]).unwrap_err();
    assert!(version.stdout.starts_with("wrk 4.1.0 ") && version.stdout.ends_with(wrk::WRK.usage));
    let script = wrk(&["-s", "x.lua", URL]).unwrap_err();
    assert!(script.stdout.is_empty() && script.stderr.contains("Lua"));
    let job = prepare(["wrk", "-c1", URL].map(OsString::from).to_vec(), &[0]).unwrap_err();
    assert_eq!(job.code, 1);
}

#[test]
fn wrk2s_defaults_and_grammar() {
    let run = wrk2(&["-R2k", URL]).unwrap();
    assert_eq!((run.args.connections, run.args.threads), (10, Some(2)));
    assert_eq!((run.args.duration, run.args.timeout), (Some(10 * SECOND_NS), 2 * SECOND_NS));
    assert_eq!(run.args.rate, Rate::new(2000, SECOND_NS));
    assert!(!run.args.latency && !run.args.u_latency && run.remark.is_none());
    for line in [&["-R", "2000", "-L", "-U", "-B", URL][..], &[URL, "--rat=2K", "--u_lat", "--b"]] {
        let run = wrk2(line).unwrap();
        assert_eq!(run.args.rate, Rate::new(2000, SECOND_NS), "{line:?}");
        assert!(run.args.latency && run.args.u_latency && run.remark.is_some(), "{line:?}");
    }
    let line = ["wrk2", "-R5", "-c1", "-t1", URL].map(OsString::from).to_vec();
    let Ok(Job::Wrk { run, persona, .. }) = prepare(line, &[0]) else { panic!("not wrk2's") };
    assert_eq!((persona.name, run.plan.pacing.unwrap().profile.total()), ("wrk2", Some(50)));
}

#[test]
fn wrk2s_refusals_are_its_own_words_and_its_usage() {
    let missing = "Throughput MUST be specified with the --rate or -R option\n";
    for (line, stderr) in [
        (&[][..], ""),
        (&[URL], missing),
        (&["-R0", URL], missing),
        (&["-R"], "wrk2: option requires an argument -- 'R'\n"),
        (&["-R", "x", URL], ""),
        (&["-R1.5k", URL], ""),
        (&["-r", "-R5", URL], ""),
        (&["--u-latency", "-R5", URL], "wrk2: unrecognized option '--u-latency'\n"),
        (&["-c1", URL], "number of connections must be >= threads\n"),
        (&["-R5", "foo"], "invalid URL: foo\n"),
    ] {
        let expected = wrk::WrkRefusal { stdout: wrk::WRK2.usage.into(), stderr: stderr.into() };
        assert_eq!(wrk2(line).expect_err(&format!("{line:?}")), expected, "{line:?}");
    }
    let version = wrk2(&["-v"]).unwrap_err();
    assert!(version.stdout.starts_with("wrk 4.0.0 ") && version.stdout.ends_with(wrk::WRK2.usage));
    let line = ["wrk2", "-c1", "-t1", URL].map(OsString::from).to_vec();
    assert_eq!(prepare(line, &[0]).unwrap_err().code, 1);
}

#[test]
fn flags_on_connections_make_the_plans_network() {
    let network = |line: &[&str]| job(&[line, &[URL]].concat()).plan.network;
    let plain = network(&[]);
    assert!(plain.requests_per_connection.is_none() && plain.prelude.is_none());
    assert!(plain.sources.is_empty() && plain.connect_rate.is_none());
    let once = network(&["--no-keepalive", "--close", "orderly"]);
    assert_eq!(once.requests_per_connection, Some(1));
    assert_eq!(once.close, crate::io::CloseKind::Orderly);
    assert_eq!(network(&["--requests-per-connection", "7"]).close, crate::io::CloseKind::Reset);
    let paced = network(&["--connect-rate", "300/m"]);
    assert_eq!(paced.connect_rate, Rate::new(5, SECOND_NS));
    assert_eq!(paced.opening_ns_min(64), 12_800_000_000);
    let from = network(&["--source-ip", "127.0.0.2,127.0.0.3"]).sources;
    assert_eq!(from.len(), 2);
    let plan = job(&["--proxy", "http://127.0.0.1:8", "--proxy-tunnel", URL]).plan;
    assert_eq!(plan.addresses[0].to_string(), "127.0.0.1:8");
    assert!(plan.network.prelude.is_some_and(|prelude| prelude.is_answered()));
    assert!(plan.request.bytes().starts_with(b"GET / HTTP/1.1\r\n"));
    let plan = job(&["--proxy", "http://127.0.0.1:8", URL]).plan;
    assert!(plan.network.prelude.is_none());
    assert!(plan.request.bytes().starts_with(b"GET http://127.0.0.1:9/ HTTP/1.1\r\nHost: 127."));
    let noted = job(&["--connect-rate", "5", URL]).notes;
    assert!(noted.iter().any(|note| note.contains("5/s") && note.contains("12.8")), "{noted:?}");
}

#[test]
fn the_self_test_brings_its_own_target() {
    for line in [
        &["--unix-socket", "/x"][..],
        &["--connect-to", "h:1"],
        &["--resolve", "h:1:::1"],
        &["--proxy", "http://p:1"],
        &["--proxy-protocol", "v1"],
        &["-6"],
    ] {
        let refused = refusal(&[&["selftest"], line].concat());
        assert_eq!(refused.code, 2, "{line:?}");
        assert!(refused.stderr.contains(line[0]) && refused.stderr.contains("self test"));
    }
    assert!(prepare(argv(&["selftest", "--no-keepalive"]), &[0, 1]).is_ok());
}

#[test]
fn a_secret_is_shown_nowhere_however_often_its_flag_is_given() {
    for line in [
        &["-u", "me:SEKRET", "-u", "a:b"][..],
        &["-ume:SEKRET", "--user=a:b"],
        &["-u", "a:b", "-u", "me:SEKRET"],
        &["--proxy", "http://me:SEKRET/x@127.0.0.1:1", "--proxy", "http://127.0.0.1:1"],
        &["--proxy=http://me:SEKRET@127.0.0.1:1", "--proxy", "http://a:SEKRET@127.0.0.1:1"],
        &["-H", "Authorization: SEKRET", "-HCookie:SEKRET; authorization: x"],
        &["--header=Proxy-Authorization: SEKRET", "-H", "cookie: SEKRET"],
    ] {
        let plan = job(&[line, &["-n", "1", URL]].concat()).plan;
        let shown = plan.provenance.options.join(" ");
        assert!(shown.contains("***") && !shown.contains("SEKRET"), "{shown}");
        assert!(shown.ends_with(&format!("-n 1 {URL}")), "nothing else is masked: {shown}");
    }
    for line in [
        &["-H", "Authorization SEKRET", URL][..],
        &["-H", "Bearer SEKRET", URL],
        &["-H", "Bearer SEKRET: x", URL],
        &["-u", "SEKRET", URL],
        &["me:SEKRET@host/"],
        &["http://me:SEKRET@host/"],
        &["http://me:SEKRET/x@host/"],
        &["--proxy", "http://me:SEKRET/x@host:1", URL],
        &["--proxy", "me:SEKRET@host:1", URL],
        &["--connect-to", "me:SEKRET@host:1", URL],
        &["compare", "me:SEKRET@a", "me:SEKRET@b"],
        &["--urls", "x", "me:SEKRET@host/"],
    ] {
        let refused = refusal(line);
        assert_eq!(refused.code, 2, "{line:?}: {}", refused.stderr);
        assert!(!refused.stderr.contains("SEKRET"), "{line:?}: {}", refused.stderr);
    }
}
