//! Requests per time, kept exactly as they were asked for.
//!
//! The idea: a rate is a fraction of two integers, so that a schedule made from it can be exact; it
//! becomes a floating-point number only to be shown.

use super::parse::{UnitError, UnitFault, reject_sign, without_unit_it_is_huge};
use super::print::group_digits;

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;
/// Most digits behind the point of a rate.
const DECIMALS_MAX: usize = 9;

const WANT: &str = "a rate such as 1000, 10k/s, 300/m, 5/ms or 0.1/s (a bare number is per \
                    second; at most 9 decimals, 8 per minute, 6 per hour)";
const MAX: &str = "1G/s (one request every nanosecond)";

/// Requests per time, exact: `count` requests every `per_ns` nanoseconds, in lowest terms, so that
/// equal rates compare equal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    count: u64,
    per_ns: u64,
}

impl Rate {
    /// `count` requests every `per_ns` nanoseconds; `None` when `per_ns` is 0. A count of 0 is a
    /// rate: nothing is sent.
    pub fn new(count: u64, per_ns: u64) -> Option<Self> {
        Self::from_fraction(u128::from(count), u128::from(per_ns))
    }

    /// The fraction in lowest terms, if its terms fit then.
    fn from_fraction(count: u128, per_ns: u128) -> Option<Self> {
        let divisor = if per_ns == 0 { return None } else { gcd(count, per_ns) };
        Some(Self {
            count: u64::try_from(count / divisor).ok()?,
            per_ns: u64::try_from(per_ns / divisor).ok()?,
        })
    }

    /// Requests in `per_ns` nanoseconds, in lowest terms.
    pub fn count(self) -> u64 {
        self.count
    }

    /// Nanoseconds that `count` requests take, in lowest terms; never 0.
    pub fn per_ns(self) -> u64 {
        self.per_ns
    }

    /// Requests per second, rounded to floating point.
    pub fn per_s(self) -> f64 {
        self.count as f64 * SECOND_NS as f64 / self.per_ns as f64
    }

    /// Whether nothing is sent at all.
    pub fn is_zero(self) -> bool {
        self.count == 0
    }
}

/// Reads a rate: `10k/s`, `300/m`, `5/ms`, `0.1/s`, `6/h`; a bare number is per second.
///
/// The number takes `k`, `M` or `G` (powers of 1000) and is kept exactly. Letters are read in
/// either case. At most 9 decimals, or as many as 64 bits keep exactly: 8 per minute and 6 per hour
/// always fit. At most 1e9 requests per second; zero is a rate.
pub fn parse_rate(text: &str) -> Result<Rate, UnitError> {
    let fail = |fault| UnitError::new(text, fault, WANT, Some(MAX.to_owned()));
    reject_sign(text).map_err(fail)?;
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let unit_ns: u64 = match unit.to_ascii_lowercase().as_str() {
        "ns" => 1,
        "us" | "µs" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND_NS,
        "m" | "min" => 60 * SECOND_NS,
        "h" => 3600 * SECOND_NS,
        _ => return Err(fail(UnitFault::Malformed)),
    };
    let (digits, scale) = match number.as_bytes().last() {
        Some(b'k' | b'K') => (&number[..number.len() - 1], 1_000),
        Some(b'm' | b'M') => (&number[..number.len() - 1], 1_000_000),
        Some(b'g' | b'G') => (&number[..number.len() - 1], 1_000_000_000),
        _ => (number, 1),
    };
    let (mantissa, denominator) = decimal(digits).map_err(fail)?;
    // At most 2^64 * 1e9, and 1e9 * 3.6e12: far below 2^128.
    let count = u128::from(mantissa) * scale;
    let per_ns = u128::from(denominator) * u128::from(unit_ns);
    if count > per_ns {
        return Err(fail(UnitFault::TooLarge));
    }
    Rate::from_fraction(count, per_ns).ok_or_else(|| fail(UnitFault::TooFine))
}

/// A number of digits with at most one point, as an exact fraction.
fn decimal(text: &str) -> Result<(u64, u64), UnitFault> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    if !is_number || (whole.is_empty() && fraction.is_empty()) {
        return Err(without_unit_it_is_huge(text));
    }
    if fraction.len() > DECIMALS_MAX {
        return Err(UnitFault::TooFine);
    }
    // Only digits are left, so the one way to fail is to be too large.
    let mantissa = format!("{whole}{fraction}").parse().map_err(|_| UnitFault::TooLarge)?;
    Ok((mantissa, 10_u64.pow(fraction.len() as u32)))
}

/// A rate for people: `10,000/s`, `333.5/s`, `0.1/s`; per minute or hour where only that is exact
/// (`100/min`, `6/h`). With a `~` in front the number is rounded: no unit makes it exact.
pub fn format_rate(rate: Rate) -> String {
    for (unit, unit_ns) in [("s", SECOND_NS), ("min", 60 * SECOND_NS), ("h", 3600 * SECOND_NS)] {
        if let Some(number) = exact_decimal(rate, unit_ns) {
            return format!("{number}/{unit}");
        }
    }
    let per_s = rate.per_s();
    // Three digits that say something, however small the rate.
    let decimals = if per_s >= 1.0 { 3 } else { 2 + (-per_s.log10()).ceil() as usize };
    let number = format!("{per_s:.decimals$}");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, "0"));
    format!("~{}.{fraction}/s", group_digits(whole))
}

/// The rate per `unit_ns` in digits, if 9 decimals are enough.
fn exact_decimal(rate: Rate, unit_ns: u64) -> Option<String> {
    const BILLIONTHS: u128 = 10_u128.pow(DECIMALS_MAX as u32);
    let scaled =
        u128::from(rate.count).checked_mul(u128::from(unit_ns))?.checked_mul(BILLIONTHS)?;
    let per_ns = u128::from(rate.per_ns);
    if !scaled.is_multiple_of(per_ns) {
        return None;
    }
    let billionths = scaled / per_ns;
    let whole = group_digits(&(billionths / BILLIONTHS).to_string());
    let fraction = format!("{:09}", billionths % BILLIONTHS);
    match fraction.trim_end_matches('0') {
        "" => Some(whole),
        digits => Some(format!("{whole}.{digits}")),
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(count: u64, per_ns: u64) -> Rate {
        Rate::new(count, per_ns).unwrap()
    }

    #[test]
    fn rates_are_kept_exactly_and_in_lowest_terms() {
        let hour_ns = 3600 * SECOND_NS;
        for (text, count, per_ns) in [
            ("0", 0, 1),
            ("0/s", 0, 1),
            ("0.0k/h", 0, 77),
            ("1000", 1, 1_000_000),
            ("10k", 1, 100_000),
            ("10k/s", 1, 100_000),
            ("10K/S", 1, 100_000),
            ("1m", 1, 1000),
            ("1M/s", 1, 1000),
            ("1G", 1, 1),
            ("1000000000/s", 1, 1),
            ("1/ns", 1, 1),
            ("5/ms", 1, 200_000),
            ("0.25/us", 1, 4000),
            ("0.25/µs", 1, 4000),
            ("300/m", 1, SECOND_NS / 5),
            ("300/min", 1, SECOND_NS / 5),
            ("6/h", 1, hour_ns / 6),
            ("7/h", 7, hour_ns),
            ("0.1", 1, 10 * SECOND_NS),
            (".1/s", 1, 10 * SECOND_NS),
            ("3.", 3, SECOND_NS),
            ("333.5/s", 667, 2 * SECOND_NS),
            ("1.5k", 3, 2_000_000),
            ("0.000000001/s", 1, SECOND_NS * SECOND_NS),
        ] {
            assert_eq!(parse_rate(text), Ok(rate(count, per_ns)), "{text}");
        }
        let reduced = rate(600, 900);
        assert_eq!((reduced.count(), reduced.per_ns()), (2, 3));
        assert_eq!((rate(0, 900).count(), rate(0, 900).per_ns()), (0, 1));
        assert_eq!(Rate::new(5, 0), None);
        assert!(rate(0, 5).is_zero() && !rate(1, u64::MAX).is_zero());
        assert_eq!(rate(1, 100_000).per_s(), 10_000.0);
    }

    #[test]
    fn a_wrong_rate_is_named_with_its_fault() {
        use UnitFault::{Empty, Malformed, Negative, NextOption, TooFine, TooLarge};
        for (text, fault) in [
            ("", Empty),
            ("-1", Negative),
            ("-0.1/s", Negative),
            ("-inf", Negative),
            ("-t1", NextOption),
            ("--threads=1", NextOption),
            ("NaN", Malformed),
            ("nan/s", Malformed),
            ("inf", TooLarge),
            ("inf/s", TooLarge),
            ("1e30", TooLarge),
            ("1e30/s", TooLarge),
            ("1e3", Malformed),
            ("1.1G", TooLarge),
            ("1000000001/s", TooLarge),
            ("2/ns", TooLarge),
            ("99999999999999999999999", TooLarge),
            ("0.0000000001", TooFine),
            ("0.000000001/h", TooFine),
            ("0.0000001/h", TooFine),
            ("1857.043252313/m", TooFine),
            ("/s", Malformed),
            ("/", Malformed),
            ("5/", Malformed),
            ("5/d", Malformed),
            ("5//s", Malformed),
            ("5/s/s", Malformed),
            ("k", Malformed),
            ("k/s", Malformed),
            ("10kk", Malformed),
            ("10 k", Malformed),
            ("1.2.3", Malformed),
            (".", Malformed),
            (".k", Malformed),
            ("+5", Malformed),
            ("1,5", Malformed),
            ("10,000/s", Malformed),
            ("10rps", Malformed),
            ("5é", Malformed),
        ] {
            let error = parse_rate(text).expect_err(text);
            assert_eq!(error.fault, fault, "{text}");
            let message = error.to_string();
            assert!(message.contains(text), "{message}");
            assert!(message.contains("/s"), "says what would be right: {message}");
        }
    }

    #[test]
    fn rates_are_printed_plainly_where_they_are_exact() {
        for (text, printed) in [
            ("0", "0/s"),
            ("10k", "10,000/s"),
            ("1G", "1,000,000,000/s"),
            ("333.5", "333.5/s"),
            ("0.1/s", "0.1/s"),
            ("300/m", "5/s"),
            ("100/m", "100/min"),
            ("6/h", "0.1/min"),
            ("7/h", "7/h"),
            ("0.000000001", "0.000000001/s"),
            ("5/ms", "5,000/s"),
        ] {
            assert_eq!(format_rate(parse_rate(text).unwrap()), printed, "{text}");
        }
        assert_eq!(format_rate(rate(7, 11)), "~636,363,636.364/s");
        assert_eq!(format_rate(rate(1, 7_000_000_000_000)), "~0.000143/s");
        assert_eq!(format_rate(rate(u64::MAX, 1)), "18,446,744,073,709,551,615,000,000,000/s");
        assert!(format_rate(rate(1, u64::MAX)).starts_with("~0.0000000000542"));
    }

    proptest! {
        #[test]
        fn as_many_decimals_as_the_message_names_are_kept(
            whole in 0..10_u64, fraction in 0..1_000_000_000_u64, unit in 0..3_usize
        ) {
            let (unit, decimals) = [("s", 9), ("m", 8), ("h", 6)][unit];
            let fraction = &format!("{fraction:09}")[..decimals];
            for scale in ["", "k"] {
                let text = format!("{whole}.{fraction}{scale}/{unit}");
                prop_assert!(parse_rate(&text).is_ok(), "{}", text);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,24}|[-+0-9.,/eEkKmMgGsnuihd]{0,24}") {
            let _ = parse_rate(&text);
        }

        #[test]
        fn no_rate_makes_the_printer_panic(count: u64, per_ns in 1..=u64::MAX) {
            prop_assert!(!format_rate(rate(count, per_ns)).is_empty());
        }

        #[test]
        fn what_is_printed_reads_as_the_same_rate(
            text in "[0-9]{1,6}(\\.[0-9]{1,9})?[k]?/(s|m|h|ms)"
        ) {
            // Commas group digits for the eye; typed, they could mean a decimal point.
            if let Ok(rate) = parse_rate(&text) {
                prop_assert_eq!(parse_rate(&format_rate(rate).replace(',', "")), Ok(rate));
            }
        }
    }
}
