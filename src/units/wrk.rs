//! Quantities exactly as wrk 4 prints them, for the lines that scripts scrape.
//!
//! wrk divides while the amount is at least 0.85 of the next unit, never uses the last unit of its
//! list (so no hours, no petabytes), and leaves rounding to `printf`, which rounds the binary value
//! half to even, as Rust does.

const STEP_SHARE: f64 = 0.85;

/// A latency given in microseconds, as `us`, `ms` (from 850 us), `s` (from 1 s) or `m` (from 51 s);
pub fn format_time_us(microseconds: f64) -> String {
    if microseconds >= 1_000_000.0 {
        format(microseconds / 1_000_000.0, 60.0, &["s", "m"], 2)
    } else {
        format(microseconds, 1000.0, &["us", "ms"], 2)
    }
}

/// The duration in the header, in whole units: 55 s prints `1m`, 100 s prints `2m`.
pub fn format_time_s(seconds: f64) -> String {
    format(seconds, 60.0, &["s", "m"], 0)
}

/// A size or a rate of bytes, in powers of 1024; the caller adds the `B`.
pub fn format_binary(bytes: f64) -> String {
    format(bytes, 1024.0, &["", "K", "M", "G", "T"], 2)
}

/// A count, in powers of 1000.
pub fn format_metric(count: f64) -> String {
    format(count, 1000.0, &["", "k", "M", "G", "T"], 2)
}

fn format(value: f64, step: f64, units: &[&str], decimals: usize) -> String {
    let mut amount = value;
    let mut index = 0;
    while index + 1 < units.len() && amount >= step * STEP_SHARE {
        amount /= step;
        index += 1;
    }
    format!("{amount:.decimals$}{}", units[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_change_unit_at_085_of_the_next() {
        for (microseconds, text) in [
            (0.0, "0.00us"),
            (12.0, "12.00us"),
            (849.99, "849.99us"),
            (850.0, "0.85ms"),
            (1_234.0, "1.23ms"),
            (849_999.0, "850.00ms"),
            (850_000.0, "850.00ms"),
            (999_999.0, "1000.00ms"),
            (1_000_000.0, "1.00s"),
            (50_990_000.0, "50.99s"),
            (51_000_000.0, "0.85m"),
            (3_600_000_000.0, "60.00m"),
        ] {
            assert_eq!(format_time_us(microseconds), text, "{microseconds}");
        }
    }

    #[test]
    fn the_header_duration_is_rounded_to_whole_units() {
        for (seconds, text) in [
            (1.0, "1s"),
            (50.0, "50s"),
            (51.0, "1m"),
            (55.0, "1m"),
            (90.0, "2m"),
            (100.0, "2m"),
            (150.0, "2m"),
            (7200.0, "120m"),
        ] {
            assert_eq!(format_time_s(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn sizes_and_counts_stop_at_tera() {
        assert_eq!(format_binary(0.0), "0.00");
        assert_eq!(format_binary(870.0), "870.00");
        assert_eq!(format_binary(870.4), "0.85K");
        assert_eq!(format_binary(1_048_576.0), "1.00M");
        assert_eq!(format_binary(1024f64.powi(5)), "1024.00T");
        assert_eq!(format_metric(849.0), "849.00");
        assert_eq!(format_metric(850.0), "0.85k");
        assert_eq!(format_metric(12_345.0), "12.35k");
        assert_eq!(format_metric(1e15), "1000.00T");
    }
}
