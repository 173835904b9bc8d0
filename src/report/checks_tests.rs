//! What a reader sees of checks, groups and thresholds, and that a file keeps it.

use super::json;
use super::samples::{self, Sample};
use super::stored::{self, ReadError};
use super::text::{self, TextOptions};
use crate::inspect::{Bodies, BodyCount, Checks, GroupCount, Groups, Reference};
use crate::outcome::Failure;
use crate::result::RunResult;
use crate::result::threshold::Threshold;
use crate::units::parse_statuses;

/// 1,530 answers in the window, of which everything there is to check found something.
fn checked() -> RunResult {
    let mut result = samples::run(Sample {
        answers: 1_500,
        not_found: 30,
        failures: &[(Failure::Timeout, 2)],
        ..Sample::default()
    });
    result.asked.checks = Checks {
        statuses: parse_statuses("2xx", ',').ok(),
        body_bytes: Some(1_000),
        body_hash: Some(Reference::First),
        group_by: Some("X-Backend".to_owned()),
    };
    let findings = &mut result.total.findings;
    findings.body_bytes_failed = [0, 5, 7, 0];
    let seen = |hash, window| BodyCount { hash, counts: [0, 5, window, 0] };
    findings.bodies = vec![Bodies {
        first: Some((17, 0xab)),
        seen: vec![seen(0xab, 1_200), seen(1, 300), seen(2, 10), seen(3, 9), seen(4, 8)],
        other: [0, 0, 3, 0],
    }];
    let group =
        |value: &str, window| GroupCount { value: value.to_owned(), counts: [0, 5, window, 0] };
    findings.groups = Some(Groups {
        values: vec![
            group("127.0.0.1:81", 1_000),
            group("127.0.0.1:82", 500),
            group("", 20),
            group("\u{1b}[31m\u{202e}", 5),
        ],
        without: [0, 0, 4, 0],
        other: [0, 0, 1, 0],
    });
    result.asked.thresholds = ["p99<20ms", "p99.9<20ms", "failed<0.1%", "status[404]<1%", "rps>50"]
        .map(|typed| Threshold::parse(typed).unwrap())
        .to_vec();
    result
}

fn plain(result: &RunResult) -> String {
    String::from_utf8(text::render(result, &TextOptions::default())).unwrap()
}

#[test]
fn failed_checks_groups_and_thresholds_have_their_sections() {
    let text = plain(&checked());
    let checks = "
Answers that failed a check
               window  whole run
  status           30         30  expected: 2xx
  body length       7         12  expected: 1,000 bytes
  body            330        350  expected: as in the first answer
  bodies: 1,205 with hash 00000000000000ab, 305 with 0000000000000001, 15 with 0000000000000002, \
14 with 0000000000000003, 16 with others

Answers by X-Backend
                      window  whole run
  127.0.0.1:81         1,000      1,005
  127.0.0.1:82           500        505
  (empty)                 20         25
  \\u{1b}[31m\\u{202e}       5         10
  (other values)           1          1
  (without it)             4          4
";
    assert!(text.contains(checks), "{text}");
    let mut several = checked();
    let bodies = several.total.findings.bodies[0].clone();
    several.total.findings.bodies.push(bodies);
    let text_of_several = plain(&several);
    let part = "expected: as in the first answer of the same target\n";
    assert!(text_of_several.contains(part), "{text_of_several}");
    let thresholds = "
Thresholds
  pass  p99<20ms              measured 1.62 ms
  FAIL  p99.9<20ms            not known: of 1,532 requests too few lie above it; it takes 10,000: \
measure longer, or ask for a lower percentile or for max
  FAIL  failed<0.1%           measured 2 of 1,532 (0.1305 %)
  FAIL  status[404]<1%        measured 30 of 1,530 (1.961 %)
  pass  rps>50                measured 765.00/s
  FAIL  checks[status]=0      measured 30
  FAIL  checks[body_bytes]=0  measured 7
  FAIL  checks[body_hash]=0   measured 330

identities: ";
    assert!(text.contains(thresholds), "{text}");
    let color = text::render(&checked(), &TextOptions { color: true, ..TextOptions::default() });
    let color = String::from_utf8(color).unwrap();
    assert!(color.contains("\u{1b}[1;31mFAIL\u{1b}[0m  failed<0.1%"), "{color:?}");
    assert!(!plain(&samples::calm()).contains("Thresholds"));
}

#[test]
fn a_threshold_on_a_check_stands_in_for_none_at_all() {
    let mut result = checked();
    let asked = ["checks[status]<2%", "checks[body_bytes|body_hash]<50%"];
    result.asked.thresholds = asked.map(|typed| Threshold::parse(typed).unwrap()).to_vec();
    let all: Vec<String> = result.thresholds().iter().map(ToString::to_string).collect();
    assert_eq!(all, asked);
    assert!(result.passes(), "{}", plain(&result));
    result.asked.thresholds.pop();
    assert_eq!(result.thresholds().len(), 3);
    assert!(!result.passes());
    // 30 + 7 + 330 of 3 * 1,530 checks.
    result.asked.thresholds = vec![Threshold::parse("checks<8%").unwrap()];
    assert_eq!(result.thresholds().len(), 1);
    assert!(result.passes());
    assert!(plain(&result).contains("measured 367 of 4,590 (7.996 %)"), "{}", plain(&result));
}

#[test]
fn json_has_every_number_of_the_text() {
    let report: serde_json::Value = serde_json::from_slice(&json::render(&checked())).unwrap();
    let at = |pointer: &str| report.pointer(pointer).unwrap().clone();
    assert_eq!(at("/checks/statuses"), "2xx");
    assert_eq!(at("/checks/body_bytes"), 1_000);
    assert_eq!(at("/checks/failed/status/window"), 30);
    assert_eq!(at("/checks/failed/body_bytes/whole"), 12);
    assert_eq!(at("/checks/failed/body_hash/window"), 330);
    assert_eq!(at("/checks/body_hash/targets/0/reference"), "00000000000000ab");
    assert_eq!(at("/groups/header"), "X-Backend");
    assert_eq!(at("/groups/values/0/value"), "127.0.0.1:81");
    assert_eq!(at("/groups/values/0/answers/whole"), 1_005);
    assert_eq!(at("/groups/without/window"), 4);
    let threshold = |index: usize, field: &str| at(&format!("/thresholds/{index}/{field}"));
    assert_eq!(threshold(0, "condition"), "p99<20ms");
    assert_eq!((threshold(0, "passed"), threshold(0, "at_least")), (true.into(), false.into()));
    assert!((1_600_000..1_700_000).contains(&threshold(0, "measured_ns").as_u64().unwrap()));
    assert_eq!(threshold(1, "passed"), false);
    assert!(threshold(1, "text").as_str().unwrap().starts_with("not known"));
    assert!(report.pointer("/thresholds/1/measured_ns").is_none());
    assert_eq!((threshold(2, "measured"), threshold(2, "measured_of")), (2.into(), 1_532.into()));
    assert_eq!(threshold(4, "measured_per_s"), 765.0);
    assert_eq!((threshold(5, "implied"), threshold(5, "measured")), (true.into(), 30.into()));
    let calm: serde_json::Value = serde_json::from_slice(&json::render(&samples::calm())).unwrap();
    assert!(calm["checks"].is_null() && calm["groups"].is_null());
    assert_eq!(calm["thresholds"], serde_json::json!([]));
}

#[test]
fn a_stored_result_keeps_what_was_checked_and_found() {
    let mut given = checked();
    given.asked.checks.body_hash = Some(Reference::Given(u64::MAX));
    let mut empty = samples::calm();
    empty.asked.checks = given.asked.checks.clone();
    empty.total.findings.bodies = vec![Bodies::default()];
    empty.total.findings.groups = Some(Groups::default());
    let mut grouped = checked();
    grouped.asked.checks = Checks { group_by: Some("Server".to_owned()), ..Checks::default() };
    grouped.total.findings.bodies.clear();
    grouped.total.findings.body_bytes_failed = [0; 4];
    for result in [checked(), given, empty, grouped] {
        let back = stored::read(&stored::write(&result)).unwrap();
        assert_eq!(back, result);
        assert_eq!(plain(&back), plain(&result));
    }
}

#[test]
fn what_no_run_can_have_found_is_refused() {
    let stored = String::from_utf8(stored::write(&checked())).unwrap();
    for (from, to) in [
        ("\"statuses\":\"2xx\"", "\"statuses\":\"\""),
        ("\"first\":\"00000000000000ab\"", "\"first\":null"),
        ("\"first\":\"00000000000000ab\"", "\"first\":\"xyz\""),
        ("\"hash\":\"0000000000000001\"", "\"hash\":\"1ffffffffffffffff\""),
        ("\"condition\":\"p99<20ms\"", "\"condition\":\"p99\""),
        ("\"window\":1200", "\"window\":18446744073709551615"),
        ("\"window\":1000", "\"window\":2251799813685249"),
        ("\"without\":{\"warmup\":0", "\"without\":{\"warmup\":2251799813685249"),
    ] {
        assert!(stored.contains(from), "{from} is not in {stored}");
        let error = stored::read(stored.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(matches!(error, ReadError::Implausible(_)), "{to}: {error:?}");
    }
}

#[test]
fn shares_have_the_digits_that_say_something() {
    for (part, whole, expected) in [
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (1, 3, "33.33 %"),
        (1, 1000, "0.1 %"),
        (1, 3_000_000, "0.00003333 %"),
        (999_999, 1_000_000, "99.9999 %"),
        (12, 10_000, "0.12 %"),
        (3, 2, "150 %"),
        (0, 0, "0 %"),
    ] {
        assert_eq!(super::words::share(part, whole), expected, "{part} of {whole}");
    }
}
