//! Reports as people and scripts read them, line by line.

use super::samples::{self, Sample};
use super::text::{self, TextOptions};
use super::wrk::Parts;
use super::{Quantile, json, schema, wrk};
use crate::outcome::{ConnectFailure, Failure, TlsFault};
use crate::record::{Phase, TlsRecord};
use crate::result::{Interrupted, OpenConnections, RunResult, SilentEnd, Verdict, judge};

/// The parts that wrk prints with `--latency`.
const DISTRIBUTION: Parts =
    Parts { latency_distribution: true, uncorrected: false, calibration: false };

fn plain(result: &RunResult) -> String {
    String::from_utf8(text::render(result, &TextOptions::default())).unwrap()
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap()
}

fn parsed(result: &RunResult) -> serde_json::Value {
    serde_json::from_slice(&json::render(result)).unwrap()
}

#[test]
fn a_calm_run_begins_with_wrks_lines_to_the_letter() {
    let expected = "\
Running 2s test @ http://127.0.0.1:8080/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.10ms  577.49us   2.10ms   57.75%
    Req/Sec     0.90k   665.54     3.48k    90.91%
  Latency Distribution
     50%    1.10ms
     75%    1.60ms
     90%    1.90ms
     99%    2.08ms
  2000 requests in 2.00s, 292.97KB read
Requests/sec:   1000.00
Transfer/sec:    146.48KB
";
    let result = samples::calm();
    assert_eq!(String::from_utf8(text::render_wrk(&result, true)).unwrap(), expected);
    assert!(plain(&result).starts_with("Running 2s test @ http://127.0.0.1:8080/\n"));
    let with_latency = TextOptions { latency_distribution: true, ..TextOptions::default() };
    let whole = String::from_utf8(text::render(&result, &with_latency)).unwrap();
    assert!(whole.starts_with(expected));
}

#[test]
fn a_run_without_answers_prints_every_line_of_wrk() {
    let result = samples::run(Sample { left: 64, ..Sample::default() });
    let expected = "\
Running 2s test @ http://127.0.0.1:8080/
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     0.00us    0.00us   0.00us    0.00%
    Req/Sec     0.00      0.00     0.00      0.00%
  Latency Distribution
     50%    0.00us
     75%    0.00us
     90%    0.00us
     99%    0.00us
  0 requests in 2.00s, 0.00B read
Requests/sec:      0.00
Transfer/sec:       0.00B
";
    assert_eq!(wrk::block(&result, DISTRIBUTION), expected);
    let text = plain(&result);
    let none = "not judged: none of the window's 64 requests was answered in its 2.00 s, nor in";
    assert!(last_line(&text).contains(none), "{text}");
    assert!(text.contains("with unfinished  ≥ 3.000  ≥ 3.000"), "{text}");
}

#[test]
fn a_verdict_claims_no_more_than_its_evidence() {
    let line = |change: fn(&mut RunResult)| {
        let mut result = samples::calm();
        change(&mut result);
        result.verdict = judge(&result);
        last_line(&plain(&result)).to_owned()
    };
    let starved = line(|result| result.workers[0].starved_ns = 300_000_000);
    assert!(starved.contains("invalid: a worker waited for its CPU for 15 %"), "{starved}");
    let shared = line(|result| {
        result.workers[0].starved_ns = 300_000_000;
        result.target_on_this_machine = true;
    });
    assert_eq!(
        shared,
        "verdict: short of CPU: a worker waited for its CPU for 15 % of the window, and the busiest \
         was busy for 62 %; the target is on this machine and may run on the same CPUs, so that both \
         together set the pace: give each its own (--cpus, taskset) to find out what the target can do"
    );
    let mut apart = samples::calm();
    (apart.target_on_this_machine, apart.target_cpus) = (true, Some(vec![0]));
    assert!(!plain(&apart).contains("CPU time from each other"), "its worker is on CPU 1");
    let little = line(|result| result.workers[0].starved_ns = 100_000_000);
    let part =
        "wring had 33 % to spare (a worker waited for its CPU for 5 % of the window); target";
    assert!(little.contains(part), "{little}");
    let silent = line(|result| {
        result.silent_end = Some(SilentEnd { length_ns: 1_200_000_000, inflight: 64 });
    });
    assert_eq!(
        silent,
        "verdict: not generator-limited: wring had 38 % to spare, and no answer came in the last \
         1.20 s of the window while 64 requests waited: the target had stopped answering"
    );
    let short = line(|result| {
        result.window_ns = 1_000;
        result.total.phases[Phase::Window as usize].completed = 1;
        result.identities.clear();
    });
    assert_eq!(
        short,
        "verdict: not judged: 1 request completed in a window of 1.00 µs: too little to tell who set \
         the pace; measure for longer (-d)"
    );
}

#[test]
fn a_run_stopped_before_its_window_says_so_and_what_was_open() {
    let mut result = samples::calm();
    (result.window_ns, result.interrupted) = (0, Some(Interrupted::Interrupt));
    result.open = OpenConnections { at_start: 3, min: 3, max: 3 };
    result.verdict = judge(&result);
    let text = plain(&result);
    assert!(text.contains("\nInterrupted\n  by SIGINT before the window started"), "{text}");
    assert!(text.contains("  64 asked, 3 open when it was stopped\n"), "{text}");
    assert!(last_line(&text).contains("the window never opened"), "{text}");
}

#[test]
fn a_window_shorter_than_an_answer_is_told_from_a_target_that_fails() {
    let mut result = samples::calm();
    result.window_ns = 50_000_000;
    let phases = &mut result.total.phases;
    phases[Phase::Window as usize].completed = 0;
    phases[Phase::Drain as usize].completed = 2_000;
    result.identities.clear();
    result.verdict = judge(&result);
    assert_eq!(
        last_line(&plain(&result)),
        "verdict: not judged: none of the window's 2,000 requests was answered in its 50.0 ms, and \
         2,000 later: measure for longer than an answer takes (-d)"
    );
}

#[test]
fn wrks_error_lines_stand_only_where_something_failed() {
    let errors = wrk::block(&samples::eventful(), Parts::default());
    let expected = "\
  1530 requests in 2.00s, 224.12KB read
  Socket errors: connect 11, read 29, write 1, timeout 7
  Non-2xx or 3xx responses: 30
Requests/sec:    765.00
";
    assert!(errors.contains(expected), "{errors}");
    let cut_off = &[(Failure::CutOff, 8)];
    let only_cut_off = samples::run(Sample { answers: 9, failures: cut_off, ..Sample::default() });
    assert!(!wrk::block(&only_cut_off, Parts::default()).contains("Socket errors"));
}

#[test]
fn long_latencies_keep_wrks_columns() {
    let mut result = samples::run(Sample::default());
    result.total.latency.record(1_200_000_000, 1);
    result.total.latency.record(70_000_000_000, 99);
    let expected = "    Latency     1.16m     6.88s    1.17m    99.00%\n";
    let block = wrk::block(&result, DISTRIBUTION);
    assert!(block.contains(expected), "{block}");
    assert!(block.contains("\n     50%    1.17m \n"), "{block}");
}

#[test]
fn the_header_names_the_asked_duration_as_wrk_does() {
    let mut result = samples::calm();
    let mut first_line = |asked_ns, window_ns| {
        result.asked.duration_ns = asked_ns;
        result.window_ns = window_ns;
        wrk::block(&result, Parts::default()).lines().next().unwrap().to_owned()
    };
    assert_eq!(first_line(Some(55_000_000_000), 1), "Running 1m test @ http://127.0.0.1:8080/");
    assert_eq!(first_line(Some(500_000_000), 1), "Running 500.00ms test @ http://127.0.0.1:8080/");
    assert_eq!(first_line(None, 7_100_000_000), "Running 7s test @ http://127.0.0.1:8080/");
    assert_eq!(first_line(None, 0), "Running 0s test @ http://127.0.0.1:8080/");
}

#[test]
fn an_eventful_run_tells_everything_once() {
    let expected = "
Interrupted
  by SIGTERM after 2.00 s of the window; everything here counts what happened until then

Connections
  64 asked, 64 open at the start of the window, 63 to 64 open during it
  12 attempts: 1 established, 11 failed
  closed: by wring 1
  spread evenly over 127.0.0.1:8080, [::1]:8080, 127.0.0.2:8080

Requests
             started  completed  failed  received
  window       1,588      1,530      45   224 KiB
  drain            0          0       0       0 B
  whole run    1,588      1,530      45   224 KiB
  13 still in flight at the end, after a drain of 3.00 ms
  the target counted 1,560 requests

Status codes in the window
  200  1,500
  404     30

Failures in the whole run
  send              1  the request's bytes could not be sent
  reset             2  the peer reset the connection before the answer was whole
  eof               3  the peer closed before an answer's head was whole
  eof_body          4  the peer closed inside a body
  parse             5  the answer broke the rules of HTTP
  limit             6  the answer went over a bound (head, fields, interim responses, framing)
  timeout           7  no whole answer in time, counted from the send
  cut_off           8  the connection ended with these pipelined requests still waiting behind \
others; not counted as read errors
  stale             9  sent on a kept connection that the peer was just closing
  connect refused  11  nobody listens there

Latency in ms
                     p50    p75    p90      p99  p99.9  p99.99      max
  answered         0.864  1.247  1.477    1.615      –       –    1.629
  with unfinished  0.894  1.290  1.530  ≥ 1.629      –       –  ≥ 3.000
  connect              –      –      –        –      –       –    0.045
  –: fewer than ten samples lie above it, so it is not known
  with unfinished: the 58 requests of the window that failed or were never answered count as \
slower than any answer
  Closed loop: a stalled server also stalls this load; latency counts from the actual send.

Notes
  19 interim (1xx) responses were skipped
  17 heads had a bare LF as line end; accepted
  a note \\u{1b}[31m\\u{202e}on the request
  63 of 64 connections opened
  the target runs on this machine: it and wring take CPU time from each other

identities: I1–I8 hold
verdict: not generator-limited: wring had 38 % to spare; connections were down: connect refused \
11 times, at times only 63 of 64 were open; nobody listened there all of the time: look at the \
target, its address and port
";
    let result = samples::eventful();
    let text = plain(&result);
    let ours = text.strip_prefix(&wrk::block(&result, Parts::default())).unwrap();
    assert_eq!(ours, expected, "{ours}");
}

#[test]
fn the_verdict_is_the_last_line_with_its_evidence() {
    let mut result = samples::calm();
    result.workers[0].busy_ns = 1_940_000_000;
    samples::settle(&mut result);
    assert_eq!(
        last_line(&plain(&result)),
        "verdict: generator-limited: wring's busiest worker was busy 97 % of the window; the \
         target may be able to do more: give wring more CPUs (-t, --cpus)"
    );
    result.workers[0].turn_gap_ns_max = 1_500_000_000;
    result.total.inflight_end += 1;
    samples::settle(&mut result);
    let text = plain(&result);
    assert_eq!(
        last_line(&text),
        "verdict: invalid: identity I2 (started = completed + failed + in flight at the end): \
         2000 against 2001 in worker 0 is broken; identity I7 (in flight after the last second = at \
         the end): 0 against 1 in total is broken; a worker's loop stood still for 1.50 s: \
         suspended, stopped or starved of CPU; do not use these numbers"
    );
    assert!(text.contains("identities: I1, I3–I5, I8 hold; I6 not applicable\n  broken: I2 ("));
    result.verdict = Verdict::Invalid(Vec::new());
    assert!(last_line(&plain(&result)).starts_with("verdict: invalid: the run was not judged"));
}

#[test]
fn an_interrupted_run_is_marked_and_a_whole_one_is_not() {
    let mut result = samples::calm();
    assert!(!plain(&result).contains("Interrupted"));
    result.interrupted = Some(Interrupted::Interrupt);
    assert!(plain(&result).contains("\nInterrupted\n  by SIGINT after 2.00 s of the window"));
}

#[test]
fn colour_changes_nothing_but_the_colour() {
    for verbose in [false, true] {
        let options = TextOptions { latency_distribution: true, verbose, ..TextOptions::default() };
        let result = samples::eventful();
        let plain = String::from_utf8(text::render(&result, &options)).unwrap();
        let colored = TextOptions { color: true, ..options };
        let mut stripped = String::from_utf8(text::render(&result, &colored)).unwrap();
        assert!(stripped.contains("\u{1b}[1;32mnot generator-limited\u{1b}[0m"));
        for code in ["\u{1b}[1m", "\u{1b}[1;32m", "\u{1b}[0m"] {
            stripped = stripped.replace(code, "");
        }
        assert_eq!(stripped, plain);
        assert!(!plain.contains('\u{1b}'));
    }
}

#[test]
fn text_from_outside_never_reaches_a_terminal_raw() {
    let hostile = "x\u{1b}[2J\u{9b}1m\r\n\u{202e}y".to_owned();
    let mut result = samples::eventful();
    result.asked.url.clone_from(&hostile);
    result.asked.addresses = vec![hostile.clone(), hostile.clone()];
    result.asked.options = vec![hostile.clone()];
    result.remarks = vec![hostile.clone()];
    result.manifest.backend.clone_from(&hostile);
    result.manifest.cpu_model = Some(hostile.clone());
    let options =
        TextOptions { latency_distribution: true, verbose: true, ..TextOptions::default() };
    for bytes in [text::render(&result, &options), json::render(&result)] {
        let text = String::from_utf8(bytes).unwrap();
        let raw = |c: char| c != '\n' && super::escape::is_unsafe(c);
        assert!(!text.contains(raw), "{text:?}");
    }
    assert_eq!(parsed(&result)["asked"]["url"], hostile.as_str());
}

#[test]
fn a_percentile_needs_ten_samples_above_it() {
    let p99 = Quantile { name: "p99", per_100k: 99_000 };
    assert!(!p99.is_known(999) && p99.is_known(1000));
    let p50 = Quantile { name: "p50", per_100k: 50_000 };
    assert!(!p50.is_known(19) && p50.is_known(20));
    assert!(!p50.is_known(0) && p50.is_known(u64::MAX));
    let few = parsed(&samples::run(Sample { answers: 19, ..Sample::default() }));
    assert_eq!(few["latency"]["count"], 19);
    assert!(few["latency"]["p50_ns"].is_null() && few["latency"]["max_ns"].is_u64());
}

#[test]
fn json_carries_the_keys_that_readers_know() {
    let json = parsed(&samples::eventful());
    assert_eq!(json["schema_version"], schema::SCHEMA_VERSION);
    assert_eq!(json["requests"]["due"], 1_588);
    assert_eq!(json["requests"]["started"], 1_588);
    assert_eq!(json["requests"]["completed"], 1_530);
    assert_eq!(json["requests"]["failed"], 45);
    assert_eq!(json["requests"]["inflight_end"], 13);
    assert_eq!(json["window"]["statuses"]["404"], 30);
    assert_eq!(json["window"]["failures"]["cut_off"], 8);
    assert_eq!(json["window"]["length_ns"], 2_000_000_000_u64);
    assert_eq!(json["drain"]["completed"], 0);
    assert_eq!(json["target_requests"], 1_560);
    assert_eq!(json["latency_with_unanswered"]["p99"]["at_least"], true);
    assert_eq!(json["latency_with_unanswered"]["p99"]["ns"], 1_629_000);
    assert_eq!(json["verdict"]["kind"], "not generator-limited");
    assert!(json["verdict"]["try_connections"].is_null(), "connections failed");
    let calm: serde_json::Value = serde_json::from_slice(&json::render(&samples::calm())).unwrap();
    assert_eq!(calm["verdict"]["try_connections"], 256);
    assert_eq!(json["identities"][1]["name"], "I2");
    assert_eq!(json["interrupted"], "SIGTERM");
    assert_eq!(json["asked"]["seed"], u64::MAX);
    assert!(json.get("histograms").is_none());
    assert_eq!(json::render(&samples::eventful()).iter().filter(|&&b| b == b'\n').count(), 1);
}

/// Every integer of `value`, wherever it stands.
fn integers(value: &serde_json::Value, found: &mut Vec<u64>) {
    match value {
        serde_json::Value::Number(number) => found.extend(number.as_u64()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| integers(item, found)),
        serde_json::Value::Object(fields) => fields.values().for_each(|item| integers(item, found)),
        _ => {}
    }
}

#[test]
fn every_counter_of_the_result_appears_in_the_json() {
    let mut result = samples::calm();
    let mut next = 7_000_000_u64;
    let mut planted = Vec::new();
    let mut plant = |place: &mut u64| {
        next += 1;
        *place = next;
        planted.push(next);
    };
    let total = &mut result.total;
    for phase in &mut total.phases {
        plant(&mut phase.due);
        plant(&mut phase.shed);
        plant(&mut phase.unsent);
        plant(&mut phase.started);
        plant(&mut phase.completed);
        plant(&mut phase.bytes_in);
        plant(&mut phase.bytes_out);
        plant(&mut phase.statuses[100]);
        plant(&mut phase.statuses[999]);
    }
    let worker = &mut result.workers[0];
    let (c, b, n) = (&mut total.connections, &mut total.bytes, &mut total.notices);
    for place in [
        &mut total.inflight_end,
        &mut total.window_started_failed,
        &mut total.window_started_inflight_end,
        &mut c.attempts,
        &mut c.established,
        &mut c.connecting_end,
        &mut c.closed_by_us,
        &mut c.closed_by_peer,
        &mut c.errored,
        &mut c.open_end,
        &mut b.head,
        &mut b.body,
        &mut b.framing,
        &mut b.interim,
        &mut b.stray,
        &mut n.interim,
        &mut n.bare_lf,
        &mut n.length_and_chunked,
        &mut n.chunked_in_http10,
        &mut n.unsolicited,
        &mut result.opening_ns,
        &mut result.window_ns,
        &mut result.drain_ns,
        &mut result.suspended_ns,
        &mut worker.busy_ns,
        &mut worker.idle_spin_ns,
        &mut worker.turns,
        &mut worker.completed,
        &mut worker.turn_gap_ns_max,
        &mut worker.starved_ns,
    ] {
        plant(place);
    }
    result.total.phases[Phase::Drain as usize].failed.add(Failure::Stale, 9_000_001);
    planted.push(9_000_001);
    let mut found = Vec::new();
    integers(&parsed(&result), &mut found);
    for value in planted {
        assert!(found.contains(&value), "{value} is missing");
    }
}

#[test]
fn verbose_adds_workers_bytes_and_the_manifest() {
    let options = TextOptions { verbose: true, ..TextOptions::default() };
    let text = String::from_utf8(text::render(&samples::calm(), &options)).unwrap();
    for part in [
        "\nWorkers\n",
        "worker 0    1           64",
        "62 %",
        "bodies   200,000",
        "version: 0.1.0",
        "hash cbf29ce484222325",
        "kernel: 6.12.0",
        "holds: I1 (",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn each_of_several_servers_is_told_with_its_connections_its_tls_and_what_was_wrong() {
    let result = samples::several_servers();
    let text = plain(&result);
    for part in [
        "  https://b: TLS 1.3, TLS_AES_128_GCM_SHA256, x25519, http/1.1; certificate: \
         CN=b\\u{1b}[2J; 6 full handshakes, 7 resumed\n",
        "  https://c: 4 times closed during the handshake: the peer closed; 19 times certificate of \
         an unknown issuer: nobody\\u{1b}[2J knows\n",
        "             connections  established  failed    addresses\n",
        "  http://a            31           29       0  127.0.0.1:1\n",
        "  https://b           30           17       0  127.0.0.1:1\n",
        "  https://c            3            0      23  127.0.0.1:1\n",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("the first: "), "it is told with its server: {text}");
    assert_eq!(
        last_line(&text),
        "verdict: invalid: nothing could be measured at https://c: no TLS handshake succeeded, \
         nobody\\u{1b}[2J knows; do not use these numbers"
    );
    let json = parsed(&result);
    assert_eq!(json["servers"][0]["tls"], serde_json::Value::Null);
    assert_eq!(json["servers"][1]["tls"]["agreed"]["subject"], "CN=b\u{1b}[2J");
    assert_eq!(json["servers"][2]["tls"]["faults"]["unknown_issuer"], 19);
    assert_eq!(json["servers"][2]["failures"]["tls"], 23);
    assert_eq!(json["verdict"]["never_reached"][0], 2);
}

#[test]
fn a_run_that_was_given_up_says_how_much_of_it_was_not_started() {
    let mut result = samples::calm();
    (result.given_up, result.asked.requests) = (Some(0), Some(3_000));
    samples::settle(&mut result);
    let line = last_line(&plain(&result)).to_owned();
    let part = "invalid: no connection to http://127.0.0.1:8080/ could be had any more, so 1,000 of \
                3,000 requests were never started; do not use these numbers";
    assert!(line.contains(part), "{line}");
}

#[test]
fn a_rate_of_connections_that_sets_the_pace_is_named_and_more_connections_are_not_asked_for() {
    let mut result = samples::calm();
    result.asked.connect_rate_per_s = Some(0.5);
    result.total.connections.closed_by_peer += 1;
    result.total.connections.attempts += 1;
    result.total.connections.established += 1;
    result.total.connect.record(5_000, 1);
    result.total.connect_window.record(5_000, 1);
    samples::settle(&mut result);
    let line = last_line(&plain(&result)).to_owned();
    let part =
        "to spare; new connections came at 0.5 a second, as --connect-rate allows 0.5: raise it";
    assert!(line.contains(part) && !line.contains("try -c"), "{line}");
    result.asked.connect_rate_per_s = Some(10.0);
    samples::settle(&mut result);
    assert!(last_line(&plain(&result)).contains("try -c"), "{}", plain(&result));
}

#[test]
fn handshakes_that_nobody_answers_are_no_unanswered_connections() {
    let mut result = samples::calm();
    let mut tls = TlsRecord { plain: result.total.connections.established, ..TlsRecord::default() };
    tls.faults.add(TlsFault::Silent, 5);
    result.total.tls = Some(Box::new(tls));
    result.total.connections.failed.add(ConnectFailure::Timeout, 5);
    result.total.connections.attempts += 5;
    samples::settle(&mut result);
    let text = plain(&result);
    let line = last_line(&text);
    assert!(line.contains("TCP connections were made, and their TLS handshakes"), "{line}");
    assert!(!line.contains("backlog") && !text.contains("no answer within"), "{text}");
    assert!(text.contains("connect timeout  5  the TLS handshake did not end"), "{text}");
}
