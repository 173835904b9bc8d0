//! A time that varies: `1ms`, `exp:1ms`, or a mixture such as `99%:0,1%:100ms`.
//!
//! Owns the text form and its meaning as data; drawing from it is its user's business.

use std::fmt;

use super::{UnitError, parse_duration_ns};

const WANT: &str = "a time such as 1ms, exp:1ms for an exponential one with that mean, or a \
                    mixture such as 99%:0,1%:100ms";

/// How long one thing may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Shape {
    /// Always this long, in nanoseconds.
    Constant(u64),
    /// Exponentially distributed with this mean, in nanoseconds.
    Exponential(u64),
}

/// One part of a mixture.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part {
    /// How often, in parts of `Distribution::WHOLE`.
    pub weight: u64,
    /// How long then.
    pub shape: Shape,
}

/// A time that varies. The weights of its parts, at least one, sum to `WHOLE`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Distribution {
    parts: Vec<Part>,
}

impl Distribution {
    /// 100 %.
    pub const WHOLE: u64 = 1_000_000_000;

    /// Always `ns`.
    pub fn constant(ns: u64) -> Self {
        Self { parts: vec![Part { weight: Self::WHOLE, shape: Shape::Constant(ns) }] }
    }

    /// The parts, in the order in which they were written.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The one time it always gives; `None` when it varies.
    pub fn constant_ns(&self) -> Option<u64> {
        match self.parts[..] {
            [Part { shape: Shape::Constant(ns), .. }] => Some(ns),
            _ => None,
        }
    }
}

/// What is wrong with a distribution.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DistributionFault {
    /// Nothing was given.
    Empty,
    /// A time in it cannot be read.
    Time(UnitError),
    /// A part of a mixture has no weight, or not one from 0 % to 100 %.
    Weight,
    /// The weights sum to something else than 100 %; this much, in parts of `WHOLE`.
    Sum(u64),
}

/// A distribution that could not be read. Prints what was typed and what would be right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DistributionError {
    /// What was typed; of a mixture the part that is wrong, unless it is their sum.
    pub value: String,
    /// What is wrong with it.
    pub fault: DistributionFault,
}

impl fmt::Display for DistributionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.escape_debug();
        match &self.fault {
            DistributionFault::Empty => write!(f, "the value is empty; give {WANT}"),
            DistributionFault::Time(error) => write!(f, "in '{value}': {error}"),
            DistributionFault::Weight => write!(
                f,
                "'{value}' has no weight from 0% to 100% (with 7 decimals at most) before its \
                 time; give {WANT}"
            ),
            DistributionFault::Sum(sum) => {
                let percent = *sum as f64 / (Distribution::WHOLE / 100) as f64;
                write!(f, "'{value}': the weights sum to {percent}%; they must sum to 100%")
            }
        }
    }
}

impl std::error::Error for DistributionError {}

/// Reads a distribution: `TIME`, `exp:MEAN`, or `WEIGHT%:` before one of these, several of them
/// separated by commas. No time may exceed `max_ns`, nor a mean.
pub fn parse_distribution(text: &str, max_ns: u64) -> Result<Distribution, DistributionError> {
    let fail = |value: &str, fault| DistributionError { value: value.to_owned(), fault };
    if text.is_empty() {
        return Err(fail(text, DistributionFault::Empty));
    }
    let shape = |value: &str, time: &str| {
        let (is_exponential, time) =
            time.strip_prefix("exp:").map_or((false, time), |mean| (true, mean));
        let ns = parse_duration_ns(time, max_ns)
            .map_err(|error| fail(value, DistributionFault::Time(error)))?;
        Ok(if is_exponential { Shape::Exponential(ns) } else { Shape::Constant(ns) })
    };
    if !text.contains(['%', ',']) {
        let part = Part { weight: Distribution::WHOLE, shape: shape(text, text)? };
        return Ok(Distribution { parts: vec![part] });
    }
    let mut parts = Vec::new();
    for typed in text.split(',').map(str::trim) {
        let (percent, time) =
            typed.split_once("%:").ok_or_else(|| fail(typed, DistributionFault::Weight))?;
        let weight = weight(percent).ok_or_else(|| fail(typed, DistributionFault::Weight))?;
        parts.push(Part { weight, shape: shape(typed, time)? });
    }
    // Each weight is at most WHOLE, and there are fewer of them than bytes were typed.
    let sum = parts.iter().map(|part| part.weight).sum();
    if sum == Distribution::WHOLE {
        Ok(Distribution { parts })
    } else {
        Err(fail(text, DistributionFault::Sum(sum)))
    }
}

/// Percents with at most seven decimals, in parts of `WHOLE`: exact, so that sums are.
fn weight(percent: &str) -> Option<u64> {
    const DECIMALS: usize = 7;
    let (whole, decimals) = percent.split_once('.').unwrap_or((percent, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let has_digits = !whole.is_empty() || !decimals.is_empty();
    let is_short = whole.len() <= 3 && decimals.len() <= DECIMALS;
    if !has_digits || !is_short || !all_digits(whole) || !all_digits(decimals) {
        return None;
    }
    let weight = format!("{whole}{decimals:0<DECIMALS$}").parse().ok()?;
    (weight <= Distribution::WHOLE).then_some(weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX_NS: u64 = 3_600_000_000_000;

    fn parts(text: &str) -> Vec<(u64, Shape)> {
        let distribution = parse_distribution(text, MAX_NS).unwrap();
        distribution.parts().iter().map(|part| (part.weight, part.shape)).collect()
    }

    #[test]
    fn every_form_is_read_as_typed() {
        use Shape::{Constant, Exponential};
        assert_eq!(parts("1ms"), [(1_000_000_000, Constant(1_000_000))]);
        assert_eq!(parts("0"), [(1_000_000_000, Constant(0))]);
        assert_eq!(parts("exp:2us"), [(1_000_000_000, Exponential(2_000))]);
        assert_eq!(parts("100%:7ns"), [(1_000_000_000, Constant(7))]);
        assert_eq!(
            parts("99%:0,1%:100ms"),
            [(990_000_000, Constant(0)), (10_000_000, Constant(100_000_000))]
        );
        assert_eq!(
            parts("0.0000001%:exp:1s, 99.9999999%:5us"),
            [(1, Exponential(1_000_000_000)), (999_999_999, Constant(5_000))]
        );
        assert_eq!(parts(".5%:1s,99.5%:0,0%:2s").len(), 3);
    }

    #[test]
    fn only_what_never_varies_is_constant() {
        let constant_ns = |text| parse_distribution(text, MAX_NS).unwrap().constant_ns();
        assert_eq!(constant_ns("5us"), Some(5_000));
        assert_eq!(constant_ns("100%:5us"), Some(5_000));
        assert_eq!(constant_ns("exp:5us"), None);
        assert_eq!(constant_ns("50%:5us,50%:6us"), None);
        assert_eq!(Distribution::constant(9).constant_ns(), Some(9));
    }

    #[test]
    fn a_wrong_distribution_is_named_with_what_is_wrong() {
        for (text, words) in [
            ("", &["empty", "exp:1ms"][..]),
            ("soon", &["'soon'"]),
            ("-1s", &["'-1s'", "negative"]),
            ("exp:", &["'exp:'"]),
            ("exp:-1ms", &["'-1ms'", "negative"]),
            ("normal:1ms", &["'normal:1ms'"]),
            ("2h", &["'2h'", "too large"]),
            ("99%:0,2%:1ms", &["'99%:0,2%:1ms'", "101%"]),
            ("50%:1ms", &["50%", "100%"]),
            ("99%:0,1ms", &["'1ms'", "weight"]),
            ("1ms,2ms", &["'1ms'", "weight"]),
            ("101%:0", &["'101%:0'", "weight"]),
            ("-1%:0,101%:0", &["'-1%:0'", "weight"]),
            ("1.00000001%:0,99%:0", &["'1.00000001%:0'", "7 decimals"]),
            ("%:0", &["'%:0'", "weight"]),
            (".%:0", &["'.%:0'", "weight"]),
            ("1e1%:0", &["weight"]),
            ("50%:0,", &["''", "weight"]),
            ("50%0,50%:1", &["'50%0'", "weight"]),
        ] {
            let message = parse_distribution(text, MAX_NS).expect_err(text).to_string();
            for word in words {
                assert!(message.contains(word), "{text}: {message}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,24}|[-0-9.,%:exp msu]{0,32}") {
            if let Ok(distribution) = parse_distribution(&text, MAX_NS) {
                let sum: u64 = distribution.parts().iter().map(|part| part.weight).sum();
                prop_assert_eq!(sum, Distribution::WHOLE);
            }
        }

        #[test]
        fn weights_are_exact(first in 0..=Distribution::WHOLE, ns in 0..MAX_NS) {
            let one = Distribution::WHOLE / 100;
            let percent = |weight: u64| format!("{}.{:07}", weight / one, weight % one);
            let rest = Distribution::WHOLE - first;
            let text = format!("{}%:{ns}ns,{}%:exp:{ns}ns", percent(first), percent(rest));
            let read = parse_distribution(&text, MAX_NS).unwrap();
            let expected = [
                Part { weight: first, shape: Shape::Constant(ns) },
                Part { weight: rest, shape: Shape::Exponential(ns) },
            ];
            prop_assert_eq!(read.parts(), expected);
        }
    }
}
