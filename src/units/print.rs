//! From integers in base units to text for people.

use jiff::Timestamp;

/// A unit of time that one column of a table is written in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TimeUnit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

impl TimeUnit {
    const ALL: [Self; 4] = [Self::Ns, Self::Us, Self::Ms, Self::S];

    /// The unit in which all of `values_ns` read well together.
    ///
    /// It is the one the largest value asks for, made finer while the smallest (zeros aside) would
    /// show fewer than two digits: a column is compared by eye, so it has one unit.
    pub fn for_column(values_ns: &[u64]) -> Self {
        let largest = values_ns.iter().copied().max().unwrap_or(0);
        let smallest = values_ns.iter().copied().filter(|&ns| ns > 0).min().unwrap_or(0);
        let by_largest = Self::ALL.iter().rposition(|unit| largest >= unit.ns()).unwrap_or(0);
        // Three decimals are printed, so two digits need a hundredth of the unit.
        let by_smallest =
            Self::ALL.iter().rposition(|unit| smallest >= unit.ns() / 100).unwrap_or(0);
        Self::ALL[by_largest.min(by_smallest)]
    }

    /// Nanoseconds in one of this unit.
    pub fn ns(self) -> u64 {
        match self {
            Self::Ns => 1,
            Self::Us => 1_000,
            Self::Ms => 1_000_000,
            Self::S => 1_000_000_000,
        }
    }

    /// The unit's name: `ns`, `µs`, `ms`, `s`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ns => "ns",
            Self::Us => "µs",
            Self::Ms => "ms",
            Self::S => "s",
        }
    }

    /// The number alone, with three decimals (none in nanoseconds), so that points line up.
    pub fn number(self, ns: u64) -> String {
        match self {
            Self::Ns => ns.to_string(),
            _ => {
                let decimals_ns = self.ns() / 1000;
                let thousandths = ns / decimals_ns + u64::from(ns % decimals_ns * 2 >= decimals_ns);
                format!("{}.{:03}", thousandths / 1000, thousandths % 1000)
            }
        }
    }
}

/// A duration alone in a sentence: three digits below a minute (`12.3 µs`, `980 ms`), whole parts
/// above (`2m`, `1h30m`).
pub fn format_duration_ns(ns: u64) -> String {
    const MINUTE_S: u64 = 60;
    const HOUR_S: u64 = 3600;
    // Just below a minute three digits would round up to it.
    if ns < 59_950_000_000 {
        return match ns {
            0 => "0 s".to_owned(),
            1..1_000 => format!("{ns} ns"),
            1_000..999_500 => three_digits(ns as f64 / 1e3, "µs"),
            999_500..999_500_000 => three_digits(ns as f64 / 1e6, "ms"),
            _ => three_digits(ns as f64 / 1e9, "s"),
        };
    }
    let seconds = ns / 1_000_000_000 + u64::from(ns % 1_000_000_000 >= 500_000_000);
    let (hours, minutes) = (seconds / HOUR_S, seconds % HOUR_S / MINUTE_S);
    let mut text = String::new();
    for (amount, unit) in [(hours, "h"), (minutes, "m"), (seconds % MINUTE_S, "s")] {
        if amount > 0 {
            text.push_str(&format!("{amount}{unit}"));
        }
    }
    text
}

/// A size: whole bytes below 1 KiB, three digits above (`1.50 MiB`).
pub fn format_bytes(bytes: u64) -> String {
    scaled(bytes as f64, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

/// A count or a rate: whole below 1000, three digits above (`12.3k`, `1.50M`).
pub fn format_count(count: f64) -> String {
    scaled(count, 1000.0, &["", "k", "M", "G", "T", "P", "E"]).replace(' ', "")
}

/// An exact count with its thousands set apart by commas: `1,234,567`.
pub fn format_grouped(count: u64) -> String {
    group_digits(&count.to_string())
}

/// Digits with a comma before every third from the right.
pub(super) fn group_digits(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A moment in UTC as RFC 3339 writes it, in whole seconds: `2026-01-31T12:00:00Z`. A moment
/// outside the years that form can write (-9999 to 9999) is given as seconds since 1970.
pub fn format_rfc3339(unix_seconds: i64) -> String {
    Timestamp::from_second(unix_seconds)
        .map_or_else(|_| format!("@{unix_seconds}"), |stamp| stamp.to_string())
}

/// `value` divided by `step` until it is below it, with three digits once divided.
fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    if value < 999.5 {
        return format!("{value:.0} {}", units[0]).trim_end().to_owned();
    }
    let mut amount = value;
    let mut index = 0;
    // The limit is where three digits would round up to the next step.
    while amount >= step - 0.5 && index + 1 < units.len() {
        amount /= step;
        index += 1;
    }
    if index == 0 {
        format!("{amount:.0} {}", units[0])
    } else {
        three_digits(amount, units[index])
    }
}

fn three_digits(amount: f64, unit: &str) -> String {
    let decimals = match amount {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{amount:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits_and_round_into_the_next_unit() {
        for (ns, text) in [
            (0, "0 s"),
            (7, "7 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (12_345, "12.3 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (980_000_000, "980 ms"),
            (999_499_999, "999 ms"),
            (999_500_000, "1.00 s"),
            (10_000_000_000, "10.0 s"),
            (59_949_999_999, "59.9 s"),
            (59_950_000_000, "1m"),
            (60_000_000_000, "1m"),
            (90_000_000_000, "1m30s"),
            (5_400_000_000_000, "1h30m"),
            (7_200_000_000_000, "2h"),
        ] {
            assert_eq!(format_duration_ns(ns), text, "{ns}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024_and_say_so() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1_572_864, "1.50 MiB"),
            (1_048_575, "1.00 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(format_bytes(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn counts_are_powers_of_1000() {
        for (count, text) in [
            (0.0, "0"),
            (999.0, "999"),
            (999.9, "1.00k"),
            (1_000.0, "1.00k"),
            (12_345.0, "12.3k"),
            (999_600.0, "1.00M"),
            (2_500_000.0, "2.50M"),
        ] {
            assert_eq!(format_count(count), text, "{count}");
        }
    }

    #[test]
    fn thousands_are_set_apart() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (123_456, "123,456"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(format_grouped(count), text);
        }
    }

    #[test]
    fn a_column_has_one_unit_in_which_its_smallest_value_still_shows() {
        assert_eq!(TimeUnit::for_column(&[]), TimeUnit::Ns);
        assert_eq!(TimeUnit::for_column(&[0, 0]), TimeUnit::Ns);
        assert_eq!(TimeUnit::for_column(&[500, 900]), TimeUnit::Ns);
        assert_eq!(TimeUnit::for_column(&[12_300, 1_200_000_000]), TimeUnit::Ms);
        assert_eq!(TimeUnit::for_column(&[9_000, 1_200_000_000]), TimeUnit::Us);
        assert_eq!(TimeUnit::for_column(&[0, 12_300, 45_000]), TimeUnit::Us);
        assert_eq!(TimeUnit::for_column(&[2_000_000_000, 3_000_000_000]), TimeUnit::S);
    }

    #[test]
    fn numbers_of_a_column_round_to_the_nearest_thousandth() {
        assert_eq!(TimeUnit::Us.number(12_300), "12.300");
        assert_eq!(TimeUnit::Ms.number(12_345_499), "12.345");
        assert_eq!(TimeUnit::Ms.number(12_345_500), "12.346");
        assert_eq!(TimeUnit::S.number(999_999_999), "1.000");
        assert_eq!(TimeUnit::Ns.number(17), "17");
        assert_eq!(TimeUnit::S.number(u64::MAX), "18446744073.710");
    }

    #[test]
    fn stamps_follow_rfc_3339() {
        assert_eq!(format_rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(format_rfc3339(1_709_210_096), "2024-02-29T12:34:56Z");
        assert_eq!(format_rfc3339(i64::MAX), "@9223372036854775807");
    }
}
