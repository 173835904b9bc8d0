//! The flags that check answers and judge results.

use super::*;
use crate::inspect::{Checks, Reference};
use crate::units::parse_statuses;

fn checks(line: &[&str]) -> Checks {
    job(&[line, &[URL]].concat()).plan.checks
}

#[test]
fn every_check_is_read_in_its_forms() {
    assert_eq!(checks(&[]), Checks::default());
    for line in [&["--expect", "200,3xx,404-410"][..], &["--expect=404-410 , 3XX,200"]] {
        assert_eq!(checks(line).statuses, parse_statuses("200,3xx,404-410", ',').ok(), "{line:?}");
    }
    for line in [&["--expect-body-bytes", "1KiB"][..], &["--expect-body-bytes=1024"]] {
        assert_eq!(checks(line).body_bytes, Some(1024));
    }
    assert_eq!(checks(&["--expect-body-bytes=0", "-XHEAD"]).body_bytes, Some(0));
    // Its value may be left out, so it never takes the URL for one.
    assert_eq!(checks(&["--expect-body-hash"]).body_hash, Some(Reference::First));
    let given = checks(&["--expect-body-hash=2d06800538d394C2"]).body_hash;
    assert_eq!(given, Some(Reference::Given(0x2d06_8005_38d3_94c2)));
    assert_eq!(checks(&["--group-by", "X-Backend"]).group_by.as_deref(), Some("X-Backend"));
    assert_eq!(checks(&["--group-by=x"]).group_by.as_deref(), Some("x"));
}

#[test]
fn thresholds_are_repeated_and_kept_in_order() {
    let line = ["--threshold", "p99 < 20ms", "--threshold=failed<0.1%", URL, "--threshold=rps>5k"];
    let thresholds: Vec<String> = job(&line).thresholds.iter().map(ToString::to_string).collect();
    assert_eq!(thresholds, ["p99<20ms", "failed<0.1%", "rps>5k"]);
    assert!(job(&["-R1", "--threshold=held>99%", URL]).thresholds[0].needs_schedule());
    assert!(job(&["--stages=1:9s", "--threshold=lag.max<1s", URL]).thresholds[0].needs_schedule());
    let Ok(Job::Selftest { args, .. }) =
        prepare(argv(&["selftest", "--threshold", "p99<1s"]), &[0])
    else {
        panic!("not a self test")
    };
    assert_eq!(args.checks.thresholds.len(), 1);
    let Ok(Job::Report(report)) = prepare(argv(&["report", "r", "--threshold", "p99<1s"]), &[0])
    else {
        panic!("not a report")
    };
    assert_eq!(report.thresholds[0].to_string(), "p99<1s");
}

#[test]
fn a_wrong_check_is_named_with_what_would_be_right() {
    for (line, words) in [
        (&["--expect", "200,2x"][..], &["--expect", "'200,2x'", "'2x'", "2xx"][..]),
        (&["--expect", "100"], &["'100'", "200 to 999"]),
        (&["--expect", ""], &["--expect", "a status is missing"]),
        (&["--expect", "ok"], &["'ok'"]),
        (&["--expect-body-bytes", "-1"], &["--expect-body-bytes", "'-1'", "negative"]),
        (&["--expect-body-bytes", "many"], &["'many'", "64KiB"]),
        (&["--expect-body-hash=abc"], &["--expect-body-hash", "'abc'", "xxhsum -H3"]),
        (&["--expect-body-hash=0x2d06800538d394c2"], &["16 hexadecimal digits"]),
        (&["--expect-body-hash="], &["--expect-body-hash"]),
        (&["--expect-body-hash", "-X", "HEAD"], &["--expect-body-hash", "-X HEAD", "no body"]),
        (&["--expect-body-bytes=5", "-XHEAD"], &["--expect-body-bytes", "-X HEAD"]),
        (&["--group-by", "X Backend"], &["--group-by", "'X Backend'", "X-Backend"]),
        (&["--group-by", "X-Backend:"], &["'X-Backend:'"]),
        (&["--group-by", ""], &["--group-by"]),
        (&["--threshold", "p99"], &["--threshold", "'p99'", "p99<20ms"]),
        (&["--threshold", "p99<20"], &["'p99<20'", "character 5", "no unit", "20ms"]),
        (&["--threshold", "p9o<2ms"], &["'p9o<2ms'", "character 2"]),
        (&["--threshold", "speed>5"], &["'speed'", "known are p50"]),
        (&["--threshold", "failed<0"], &["character 8", "write ="]),
        (&["--threshold", ""], &["--threshold", "p99<20ms"]),
        (&["--threshold", "held>99%"], &["'held>99%'", "needs a rate", "-R 10k"]),
        (&["--threshold", "lag.p99<1ms"], &["'lag.p99<1ms'", "needs a rate"]),
        (&["--threshold", "checks=0"], &["'checks=0'", "needs --expect"]),
        (
            &["--threshold", "checks[body_hash]<1%", "--expect", "200"],
            &["'checks[body_hash]<1%'", "needs --expect-body-hash"],
        ),
    ] {
        let refused = refusal(&[line, &[URL]].concat());
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{line:?}: {refused:?}");
        assert!(refused.stderr.lines().count() <= 2, "{refused:?}");
        for word in words {
            assert!(refused.stderr.contains(word), "{line:?} lacks {word}: {}", refused.stderr);
        }
    }
    // The self test refuses before it starts its target, a report before it reads its file.
    assert_eq!(refusal(&["selftest", "--threshold", "held>99%"]).code, 2);
    assert_eq!(refusal(&["report", "r", "--threshold", "p99"]).code, 2);
}

#[test]
fn help_completions_and_the_manual_know_the_checks() {
    let long = printed(&["--help"]);
    assert!(long.contains("Checks:"), "{long}");
    for flag in ["expect", "expect-body-bytes", "expect-body-hash", "group-by", "threshold"] {
        assert!(long.contains(&format!("--{flag}")), "{flag}");
        assert!(printed(&["completions", "bash"]).contains(&format!("--{flag}")), "{flag}");
        let in_manual = flag.replace('-', "\\-");
        assert!(printed(&["man"]).contains(&in_manual), "{flag}");
    }
}
