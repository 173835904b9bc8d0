//! From what was typed to integers in base units, or to a message that names what was typed.

use std::fmt;

use bytesize::ByteSize;
use jiff::fmt::friendly::SpanParser;

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;

const WANT_DURATION: &str = "a time such as 30s, 500ms, 2m or 1h30m (a bare number is seconds)";
const WANT_COUNT: &str = "a whole number such as 64, 10k or 1M";
const WANT_BYTES: &str = "a size such as 100, 64KiB or 1M";

/// What is wrong with a quantity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum UnitFault {
    /// Nothing was given.
    Empty,
    /// Below zero.
    Negative,
    /// The option that comes next.
    NextOption,
    /// Not a number, or not with a unit known here.
    Malformed,
    /// A number, but larger than allowed.
    TooLarge,
    /// A number, but with more digits behind the point than are kept.
    TooFine,
}

/// A quantity that could not be read. Prints the value and what would be right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UnitError {
    /// What was typed.
    pub value: String,
    /// What is wrong with it.
    pub fault: UnitFault,
    want: &'static str,
    max: Option<String>,
}

impl UnitError {
    /// `value` was typed, `want` would be right; `max` is the largest possible value in words.
    pub(super) fn new(
        value: &str,
        fault: UnitFault,
        want: &'static str,
        max: Option<String>,
    ) -> Self {
        Self { value: value.to_owned(), fault, want, max }
    }
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.escape_debug();
        match self.fault {
            UnitFault::Empty => write!(f, "the value is empty; give {}", self.want),
            UnitFault::Negative => write!(f, "'{value}' is negative; give {}", self.want),
            UnitFault::NextOption => {
                write!(f, "'{value}' is an option, so the value is missing; give {}", self.want)
            }
            UnitFault::Malformed => {
                write!(f, "'{value}' cannot be read; give {}", self.want)
            }
            UnitFault::TooLarge => match &self.max {
                Some(max) => write!(f, "'{value}' is too large; at most {max} is possible"),
                None => write!(f, "'{value}' is too large; give {}", self.want),
            },
            UnitFault::TooFine => {
                write!(f, "'{value}' is finer than can be kept exactly; give {}", self.want)
            }
        }
    }
}

impl std::error::Error for UnitError {}

/// Reads a time: `30s`, `500ms`, `2m`, `1h30m`, `1.5s`, or a bare number of seconds (`10`, `0.5`).
///
/// Unit letters are taken in either case, as wrk takes them. The result is in nanoseconds, rounded
/// down; more than `max_ns` is an error.
pub fn parse_duration_ns(text: &str, max_ns: u64) -> Result<u64, UnitError> {
    let fail = |fault| UnitError {
        value: text.to_owned(),
        fault,
        want: WANT_DURATION,
        max: Some(super::format_duration_ns(max_ns)),
    };
    reject_sign(text).map_err(fail)?;
    let bare = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let ns = if bare {
        seconds_ns(text).map_err(fail)?
    } else {
        // The friendly grammar also knows words ("2 minutes") and signs ("5s ago"); a result below
        // zero is caught here, a shape it does not know is malformed.
        let duration = SpanParser::new()
            .parse_duration(text.to_ascii_lowercase())
            .map_err(|_| fail(without_unit_it_is_huge(text)))?;
        if duration.is_negative() {
            return Err(fail(UnitFault::Negative));
        }
        u64::try_from(duration.as_nanos()).map_err(|_| fail(UnitFault::TooLarge))?
    };
    if ns > max_ns { Err(fail(UnitFault::TooLarge)) } else { Ok(ns) }
}

/// Reads a count: `64`, `10k`, `1M`, `1G`, `1T`; suffixes are powers of 1000 in either case, as in
/// wrk.
pub fn parse_count(text: &str) -> Result<u64, UnitError> {
    let fail = |fault| UnitError { value: text.to_owned(), fault, want: WANT_COUNT, max: None };
    reject_sign(text).map_err(fail)?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let scale: u64 = match text[digits..].to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        _ => return Err(fail(without_unit_it_is_huge(text))),
    };
    if digits == 0 {
        return Err(fail(UnitFault::Malformed));
    }
    // Only digits are left, so the one way to fail is to be too large.
    let base: u64 = text[..digits].parse().map_err(|_| fail(UnitFault::TooLarge))?;
    base.checked_mul(scale).ok_or_else(|| fail(UnitFault::TooLarge))
}

/// Reads a size in bytes: `100`, `64KiB` (powers of 1024), `1M` or `1MB` (powers of 1000).
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    let fail = |fault| UnitError { value: text.to_owned(), fault, want: WANT_BYTES, max: None };
    reject_sign(text).map_err(fail)?;
    let size: ByteSize = text.parse().map_err(|_| fail(without_unit_it_is_huge(text)))?;
    // The parser saturates instead of failing.
    if size.as_u64() == u64::MAX { Err(fail(UnitFault::TooLarge)) } else { Ok(size.as_u64()) }
}

/// The faults that all quantities share.
pub(super) fn reject_sign(text: &str) -> Result<(), UnitFault> {
    let Some(rest) = text.strip_prefix('-') else {
        return if text.is_empty() { Err(UnitFault::Empty) } else { Ok(()) };
    };
    let is_option = rest.starts_with(|c: char| c == '-' || c.is_ascii_alphabetic());
    let is_number = rest.parse::<f64>().is_ok();
    Err(if is_option && !is_number { UnitFault::NextOption } else { UnitFault::Negative })
}

/// Tells `1e30`, `inf` and forty digits (numbers, but too large) from words.
pub(super) fn without_unit_it_is_huge(text: &str) -> UnitFault {
    match text.parse::<f64>() {
        Ok(number) if number > u64::MAX as f64 => UnitFault::TooLarge,
        _ => {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            if digits > 19 { UnitFault::TooLarge } else { UnitFault::Malformed }
        }
    }
}

/// Seconds written with digits and at most one point, in nanoseconds; exact to the nanosecond,
/// which a detour over floating point would not be.
fn seconds_ns(text: &str) -> Result<u64, UnitFault> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
        return Err(UnitFault::Malformed);
    }
    let whole: u64 = match whole {
        "" => 0,
        digits => digits.parse().map_err(|_| UnitFault::TooLarge)?,
    };
    let mut fraction_ns = 0;
    let mut digit_ns = SECOND_NS;
    for digit in fraction.bytes().take(9) {
        digit_ns /= 10;
        fraction_ns += u64::from(digit - b'0') * digit_ns;
    }
    let whole_ns = whole.checked_mul(SECOND_NS).ok_or(UnitFault::TooLarge)?;
    whole_ns.checked_add(fraction_ns).ok_or(UnitFault::TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX_NS: u64 = crate::limits::DURATION_NS_MAX;

    #[test]
    fn durations_are_read_as_typed() {
        for (text, ns) in [
            ("0", 0),
            ("10", 10 * SECOND_NS),
            ("0.5", SECOND_NS / 2),
            (".5", SECOND_NS / 2),
            ("3.", 3 * SECOND_NS),
            ("0.000000001", 1),
            ("0.1234567899", 123_456_789),
            ("30s", 30 * SECOND_NS),
            ("1.5s", 1_500_000_000),
            ("500ms", SECOND_NS / 2),
            ("250us", 250_000),
            ("250µs", 250_000),
            ("7ns", 7),
            ("2m", 120 * SECOND_NS),
            ("2M", 120 * SECOND_NS),
            ("1h30m", 5400 * SECOND_NS),
            ("1h 30m", 5400 * SECOND_NS),
            ("8784h", MAX_NS),
        ] {
            assert_eq!(parse_duration_ns(text, MAX_NS), Ok(ns), "{text}");
        }
    }

    #[test]
    fn a_wrong_duration_is_named_with_its_fault() {
        use UnitFault::{Empty, Malformed, Negative, NextOption, TooLarge};
        for (text, fault) in [
            ("", Empty),
            ("-5s", Negative),
            ("-1", Negative),
            ("-0.5", Negative),
            ("-inf", Negative),
            ("5s ago", Negative),
            ("-t1", NextOption),
            ("--latency", NextOption),
            ("NaN", Malformed),
            ("nan", Malformed),
            ("inf", TooLarge),
            ("1e30", TooLarge),
            ("1e3", Malformed),
            ("1e30s", Malformed),
            ("99999999999999999999999999", TooLarge),
            ("99999999999999999999999999s", TooLarge),
            ("9000h", TooLarge),
            ("400000000", TooLarge),
            (".", Malformed),
            ("1.2.3", Malformed),
            ("ten", Malformed),
            ("10x", Malformed),
            ("s", Malformed),
            (" ", Malformed),
            ("+5", Malformed),
            ("1,5", Malformed),
        ] {
            let error = parse_duration_ns(text, MAX_NS).expect_err(text);
            assert_eq!(error.fault, fault, "{text}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn counts_are_read_with_powers_of_a_thousand() {
        for (text, count) in [
            ("0", 0),
            ("64", 64),
            ("10k", 10_000),
            ("10K", 10_000),
            ("1M", 1_000_000),
            ("1m", 1_000_000),
            ("2G", 2_000_000_000),
            ("3T", 3_000_000_000_000),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_count(text), Ok(count), "{text}");
        }
    }

    #[test]
    fn a_wrong_count_is_named_with_its_fault() {
        use UnitFault::{Empty, Malformed, Negative, TooLarge};
        for (text, fault) in [
            ("", Empty),
            ("-1", Negative),
            ("k", Malformed),
            ("abc", Malformed),
            ("1.5k", Malformed),
            ("10kk", Malformed),
            ("10 k", Malformed),
            ("NaN", Malformed),
            ("1e30", TooLarge),
            ("18446744073709551616", TooLarge),
            ("18446744073709551615k", TooLarge),
            ("1é", Malformed),
        ] {
            let error = parse_count(text).expect_err(text);
            assert_eq!(error.fault, fault, "{text}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn sizes_are_read_in_both_powers() {
        for (text, bytes) in [
            ("0", 0),
            ("100", 100),
            ("100B", 100),
            ("64KiB", 65_536),
            ("64 KiB", 65_536),
            ("1M", 1_000_000),
            ("1MB", 1_000_000),
            ("1Mi", 1_048_576),
            ("1.5KiB", 1536),
            ("10GiB", 10 << 30),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn a_wrong_size_is_named_with_its_fault() {
        use UnitFault::{Empty, Malformed, Negative, TooLarge};
        for (text, fault) in [
            ("", Empty),
            ("-1", Negative),
            ("-1KiB", Negative),
            ("NaN", Malformed),
            ("KiB", Malformed),
            ("12 apples", Malformed),
            ("1e30", TooLarge),
            ("99999999999999999999", TooLarge),
            ("99999999999EiB", TooLarge),
        ] {
            let error = parse_bytes(text).expect_err(text);
            assert_eq!(error.fault, fault, "{text}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "\\PC{0,24}|[-+0-9.eEkKmMgGsnuiB]{0,24}") {
            let _ = parse_duration_ns(&text, MAX_NS);
            let _ = parse_count(&text);
            let _ = parse_bytes(&text);
        }

        #[test]
        fn whole_seconds_survive_with_and_without_their_unit(seconds in 0u64..31_622_400) {
            let ns = seconds * SECOND_NS;
            prop_assert_eq!(parse_duration_ns(&seconds.to_string(), MAX_NS), Ok(ns));
            prop_assert_eq!(parse_duration_ns(&format!("{seconds}s"), MAX_NS), Ok(ns));
        }
    }
}
