//! Stored results come back equal, and no file, however broken, does harm.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::json;
use super::samples::{self, Sample};
use super::stored::{FILE_BYTES_MAX, ReadError, read, write};
use super::text::{self, TextOptions};
use crate::result::{Invalid, RunResult, SilentEnd, Verdict};

/// The file of the eventful run, written once: the recorder behind it takes its time.
static STORED: LazyLock<String> =
    LazyLock::new(|| String::from_utf8(write(&samples::eventful())).unwrap());

/// The file of the shedding schedule.
static SCHEDULED: LazyLock<String> =
    LazyLock::new(|| String::from_utf8(write(&samples::shedding())).unwrap());

fn changed(from: &str, to: &str) -> Vec<u8> {
    assert!(STORED.contains(from), "{from} is not in {}", *STORED);
    STORED.replacen(from, to, 1).into_bytes()
}

/// Reads, and renders whatever could be read: neither may panic.
fn read_and_render(bytes: &[u8]) -> Result<RunResult, ReadError> {
    let result = read(bytes)?;
    let options =
        TextOptions { latency_distribution: true, uncorrected: true, color: true, verbose: true };
    assert!(!text::render(&result, &options).is_empty());
    assert!(!json::render(&result).is_empty());
    assert_eq!(read(&write(&result)).as_ref(), Ok(&result));
    Ok(result)
}

#[test]
fn what_is_written_is_read_back_equal() {
    let mut results = vec![samples::calm(), samples::eventful(), RunResult::default()];
    let mut wide = samples::eventful();
    wide.identities[7].left = u128::MAX;
    wide.total.inflight_sum_ns = u128::MAX;
    wide.total.inflight_integral_ns = u128::from(u64::MAX) + 1;
    wide.total.latency.record(7_200_000_000_000, 3);
    wide.workers[0].busy_ns = 1_234_567_891;
    wide.remarks.push("\u{1b}\u{202e}\u{e0001}\\ \" ü".to_owned());
    results.push(wide);
    let mut invalid = samples::calm();
    invalid.total.phases[2].due += 1;
    invalid.workers[0].turn_gap_ns_max = 2_000_000_000;
    samples::settle(&mut invalid);
    invalid.workers[0].broke = true;
    invalid.workers[0].starved_ns = 900_000_000;
    samples::settle(&mut invalid);
    assert!(matches!(&invalid.verdict, Verdict::Invalid(reasons) if reasons.len() == 5));
    assert!(invalid.verdict != Verdict::Invalid(vec![Invalid::Gap { gap_ns: 2_000_000_000 }]));
    results.push(invalid);
    results.extend([samples::scheduled(), samples::overloaded(), samples::shedding()]);
    let mut late = samples::scheduled();
    late.suspended_ns = 12_345;
    late.total.sending.late.record(2_000_000, 10_000);
    samples::settle(&mut late);
    let reasons = |result: &RunResult| match &result.verdict {
        Verdict::Invalid(reasons) => reasons.len(),
        _ => 0,
    };
    assert_eq!(reasons(&late), 3, "I3, suspended, late: {:?}", late.verdict);
    results.push(late);
    results.push(samples::several_servers());
    let (mut lost, mut plain) = (samples::calm(), samples::calm());
    (lost.given_up, lost.asked.requests) = (Some(0), Some(1_000_000));
    plain.speaks_tls = true;
    plain.asked.connect_rate_per_s = Some(0.1);
    for mut result in [lost, plain] {
        samples::settle(&mut result);
        assert_eq!(reasons(&result), 1, "{:?}", result.verdict);
        results.push(result);
    }
    let mut short = samples::calm();
    (short.target_on_this_machine, short.target_cpus) = (true, Some(vec![0, 1]));
    short.workers[0].starved_ns = 500_000_000;
    samples::settle(&mut short);
    assert!(matches!(short.verdict, Verdict::ShortOfCpu { .. }), "{:?}", short.verdict);
    results.push(short);
    let mut instant = RunResult { window_ns: 1, ..samples::run(Sample::default()) };
    instant.silent_end = Some(SilentEnd { length_ns: 7, inflight: 9 });
    samples::settle(&mut instant);
    assert_eq!(instant.verdict, Verdict::NotJudged);
    results.push(instant);
    for result in results {
        assert_eq!(read(&write(&result)), Ok(result));
    }
}

#[test]
fn a_file_from_before_servers_were_told_apart_is_read_without() {
    let mut file: serde_json::Value =
        serde_json::from_slice(&write(&samples::several_servers())).unwrap();
    for server in file["servers"].as_array_mut().unwrap() {
        without(server, &["established", "carried", "failures", "tls"]);
    }
    let result = read_and_render(file.to_string().as_bytes()).unwrap();
    assert_eq!((result.asked.servers.len(), result.total.servers.len()), (3, 0));
}

#[test]
fn a_stored_result_renders_as_the_run_itself_did() {
    let result = samples::eventful();
    let back = read(&write(&result)).unwrap();
    let options =
        TextOptions { latency_distribution: true, verbose: true, ..TextOptions::default() };
    assert_eq!(text::render(&back, &options), text::render(&result, &options));
    assert_eq!(json::render(&back), json::render(&result));
}

#[test]
fn a_stored_schedule_renders_as_the_run_itself_did() {
    for result in [samples::scheduled(), samples::shedding()] {
        let back = read(&write(&result)).unwrap();
        let options = TextOptions { uncorrected: true, verbose: true, ..TextOptions::default() };
        assert_eq!(text::render(&back, &options), text::render(&result, &options));
        assert_eq!(json::render(&back), json::render(&result));
    }
}

/// What version 1 lacked, taken out again, wherever it stands.
fn without(value: &mut serde_json::Value, fields: &[&str]) {
    match value {
        serde_json::Value::Object(object) => {
            object.retain(|name, _| !fields.contains(&name.as_str()));
            object.values_mut().for_each(|inner| without(inner, fields));
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(|i| without(i, fields)),
        _ => {}
    }
}

#[test]
fn a_file_of_version_1_is_read_as_the_closed_loop_it_is() {
    let result = samples::eventful();
    let mut stored: serde_json::Value = serde_json::from_slice(&write(&result)).unwrap();
    let due = stored["requests"]["due"].clone();
    let new = [
        "schedule",
        "service",
        "send_lag",
        "suspended_ns",
        "window_start_monotonic_ns",
        "due",
        "shed",
        "unsent",
        "unsent_end",
        "asked_per_s",
        "due_per_s",
        "backlog_start",
        "backlog_end",
        "lag_max_ns",
        "idle_spin_ns",
        "turns",
        "own_lag_p99_ns",
        "own_lag_limit_ns",
        "sent_share",
        "achieved_share",
    ];
    without(&mut stored, &new);
    for second in stored["seconds"].as_array_mut().unwrap() {
        without(second, &["asked"]);
    }
    stored["requests"]["due"] = due;
    stored["schema_version"] = 1.into();
    assert_eq!(read(stored.to_string().as_bytes()), Ok(result));
}

#[test]
fn each_kind_of_wrong_file_is_named() {
    let error = |bytes: &[u8]| read(bytes).unwrap_err();
    assert!(matches!(error(b""), ReadError::NotJson(_)));
    assert!(matches!(error(b"\xff\x00binary"), ReadError::NotJson(_)));
    assert!(matches!(error(b"[]"), ReadError::NotAResult(_)));
    assert!(matches!(error(b"{\"a\":1}"), ReadError::NotAResult(_)));
    assert!(matches!(error(b"{\"kind\":\"wring-result\"}"), ReadError::NotAResult(_)));
    assert!(matches!(
        error(b"{\"kind\":\"wring-result\",\"schema_version\":1}"),
        ReadError::NotAResult(_)
    ));
    let version = "\"schema_version\":2";
    assert_eq!(
        error(&changed(version, "\"schema_version\":3")),
        ReadError::NewerSchema { version: 3 }
    );
    assert_eq!(
        error(b"{\"kind\":\"wring-result\",\"schema_version\":99,\"all\":\"else differs\"}"),
        ReadError::NewerSchema { version: 99 }
    );
    let ReadError::NotAResult(what) = error(&changed(version, "\"schema_version\":0")) else {
        panic!()
    };
    assert_eq!(what, "its schema_version is 0, and the first that wring wrote is 1");
    assert_eq!(error(&json::render(&samples::calm())), ReadError::NoHistograms);
    assert_eq!(
        error(&vec![b' '; FILE_BYTES_MAX + 1]),
        ReadError::TooLarge { bytes: FILE_BYTES_MAX + 1 }
    );
    assert!(matches!(
        error(&b"[".repeat(100_000)),
        ReadError::NotJson(_) | ReadError::NotAResult(_)
    ));
}

#[test]
fn every_message_says_what_to_do_and_shows_nothing_raw() {
    let hostile = changed("\"eof_body\":", "\"\\u001b[31m\\u202e\":");
    let error = read(&hostile).unwrap_err();
    assert!(matches!(error, ReadError::NotAResult(_)));
    let errors = [
        error,
        ReadError::TooLarge { bytes: 1 },
        ReadError::NotJson("x".to_owned()),
        ReadError::NewerSchema { version: 2 },
        ReadError::NoHistograms,
        ReadError::CorruptHistogram("latency"),
        ReadError::Implausible("bytes"),
    ];
    for error in errors {
        let text = error.to_string();
        assert!(
            text.contains("give a file")
                || text.contains("measure")
                || text.contains("read it")
                || text.contains("store the result"),
            "{text}"
        );
        assert!(!text.contains(super::escape::is_unsafe), "{text:?}");
    }
}

#[test]
fn a_changed_histogram_is_refused() {
    let latency = samples::eventful().total.latency;
    let max = format!("\"max\":{}", latency.max());
    for bytes in [
        changed("\"v2\":\"HISTE", "\"v2\":\"HISTF"),
        changed("\"v2\":\"", "\"v2\":\"!"),
        changed("\"v2\":\"", "\"v2\":\"HISTEw"),
        changed("\"value_max\":3600000000000", "\"value_max\":3600000000001"),
        changed(&max, "\"max\":1"),
        changed("\"overflow\":0,\"v2\"", "\"overflow\":99999,\"v2\""),
    ] {
        assert_eq!(read(&bytes), Err(ReadError::CorruptHistogram("latency")));
    }
}

/// A V2 histogram of the latency kind with these bytes as its buckets.
fn with_buckets(buckets: &[u8], claimed_bytes: u32) -> Vec<u8> {
    use base64::Engine;
    let latency = read(STORED.as_bytes()).unwrap().total.latency;
    let mut v2 = crate::result::empty_latency().to_v2();
    v2.truncate(40);
    v2[4..8].copy_from_slice(&claimed_bytes.to_be_bytes());
    v2.extend_from_slice(buckets);
    let encode = |v2: &[u8]| base64::engine::general_purpose::STANDARD.encode(v2);
    STORED.replacen(&encode(&latency.to_v2()), &encode(&v2), 1).into_bytes()
}

#[test]
fn hostile_buckets_are_refused_before_the_library_sees_them() {
    let corrupt = Err(ReadError::CorruptHistogram("latency"));
    // A length of 4 GiB, which the library would allocate.
    assert_eq!(read(&with_buckets(&[2], u32::MAX)), corrupt);
    // A run of 2^63 empty buckets, whose negation overflows.
    assert_eq!(read(&with_buckets(&[0xff; 9], 9)), corrupt);
    // A count near 2^63.
    assert_eq!(
        read(&with_buckets(&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 9)),
        corrupt
    );
    // A number cut off.
    assert_eq!(read(&with_buckets(&[0x80], 1)), corrupt);
    // A bucket far beyond the last.
    assert_eq!(read(&with_buckets(&[0xff, 0xff, 0xff, 0x7f, 2], 5)), corrupt);
    // One sound sample.
    assert!(read(&with_buckets(&[2], 1)).is_ok());
}

#[test]
fn numbers_that_no_run_can_count_are_refused() {
    for (field, value) in [
        ("\"due\":1588", "\"due\":18446744073709551615"),
        ("\"started\":1588", "\"started\":2251799813685249"),
        ("\"404\":30", "\"404\":18446744073709551615"),
        ("\"closed_by_us\":1", "\"closed_by_us\":18446744073709551615"),
    ] {
        // The first place may be a derived field, which is not read; change all.
        assert!(STORED.contains(field), "{field}");
        let error = read(STORED.replace(field, value).as_bytes()).unwrap_err();
        assert!(matches!(error, ReadError::Implausible(_)), "{field}: {error:?}");
    }
    let share = changed("\"busy_share\":0.62", "\"busy_share\":1.5");
    assert_eq!(read(&share), Err(ReadError::Implausible("busy_share")));
    let status = changed("\"404\":30", "\"1000\":30");
    assert!(matches!(read(&status), Err(ReadError::NotAResult(_))));
}

#[test]
fn numbers_that_no_schedule_can_have_are_refused() {
    let scheduled = String::from_utf8(write(&samples::scheduled())).unwrap();
    let huge = u64::MAX.to_string();
    let too_many = [
        ("\"shed\":0", format!("\"shed\":{huge}")),
        ("\"unsent\":0", format!("\"unsent\":{huge}")),
        ("\"backlog_end\":0", format!("\"backlog_end\":{huge}")),
        ("\"lag_max_ns\":254000", format!("\"lag_max_ns\":{huge}")),
        ("\"asked\":1000", format!("\"asked\":{huge}")),
        ("\"idle_spin_ns\":400000000", format!("\"idle_spin_ns\":{huge}")),
        ("\"turns\":4000", format!("\"turns\":{huge}")),
        ("\"rate_per_s\":1000.0", "\"rate_per_s\":-1.0".to_owned()),
        ("\"sent_share\":1.0", "\"sent_share\":1.5".to_owned()),
        ("\"gap_tenths\":[0,", "\"gap_tenths\":[".to_owned()),
        ("\"gap_tenths\":[0,", format!("\"gap_tenths\":[{huge},")),
    ];
    for (field, value) in too_many {
        assert!(scheduled.contains(field), "{field}");
        let error = read(scheduled.replace(field, &value).as_bytes()).unwrap_err();
        assert!(matches!(error, ReadError::Implausible(_)), "{field}: {error:?}");
    }
    let arrivals = scheduled.replace("\"arrivals\":\"constant\"", "\"arrivals\":\"even\"");
    assert!(matches!(read(arrivals.as_bytes()), Err(ReadError::NotAResult(_))));
    for (name, part) in [
        ("service", "\"scheduled\":{\"service\":{\"value_max\":36"),
        ("lag", "\"lag\":{\"value_max\":36"),
        ("late", "\"late\":{\"value_max\":36"),
        ("no_connection", "\"no_connection\":{\"value_max\":36"),
    ] {
        let (before, after) = scheduled.rsplit_once(part).unwrap();
        let changed = format!("{before}{}37{after}", part.strip_suffix("36").unwrap());
        assert_eq!(read(changed.as_bytes()), Err(ReadError::CorruptHistogram(name)));
    }
}

#[test]
fn a_file_cut_at_any_byte_is_an_error() {
    let stored = STORED.as_bytes();
    let end = stored.len() - 1;
    for cut in 0..end {
        assert!(matches!(read(&stored[..cut]), Err(ReadError::NotJson(_))), "cut at {cut}");
    }
    assert!(read(&stored[..end]).is_ok(), "the line end is not needed");
}

/// A closed loop or a schedule.
fn any_stored(choice: usize) -> String {
    if choice.is_multiple_of(2) { SCHEDULED.clone() } else { STORED.clone() }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_file_with_changed_bytes_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)
    ) {
        let mut stored = any_stored(changes.len()).into_bytes();
        for (place, byte) in changes {
            let index = place.index(stored.len());
            stored[index] = byte;
        }
        let _ = read_and_render(&stored);
    }

    #[test]
    fn a_file_with_other_digits_never_panics(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), "[0-9]{1,20}"), 1..6)
    ) {
        let mut stored = any_stored(changes.len());
        for (place, digits) in changes {
            let numbers: Vec<usize> = stored
                .match_indices(|c: char| c.is_ascii_digit())
                .map(|(index, _)| index)
                .collect();
            let index = numbers[place.index(numbers.len())];
            stored.replace_range(index..=index, &digits);
        }
        let _ = read_and_render(stored.as_bytes());
    }

    #[test]
    fn other_buckets_never_panic(buckets in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = read_and_render(&with_buckets(&buckets, buckets.len() as u32));
    }
}
