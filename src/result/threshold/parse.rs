//! From `failed[timeout]<0.1%` to a threshold, or to a message that names the place.

use std::fmt;

use super::{Comparison, Fraction, Metric, Part, Series, Statistic, Threshold};
use crate::inspect::Check;
use crate::limits::DURATION_NS_MAX;
use crate::outcome::{Cause, ConnectFailure, Failure};
use crate::units::{parse_bytes, parse_count, parse_duration_ns, parse_rate, parse_statuses};

/// Millionths of a per cent in a whole.
pub(super) const PERCENTILE_WHOLE: u64 = 100_000_000;
/// Decimals of a percentile.
const PERCENTILE_DECIMALS: usize = 6;
/// Most decimals of a percentage.
const PERCENT_DECIMALS_MAX: usize = 9;

const KNOWN: &str = "known are p50 to p99.999999, min, mean and max, also of service., lag., late., \
                     connect. or handshake. (lag.p99); rps, transfer, failed, failed[timeout], timeouts, \
                     unanswered, status[5xx|404], checks, checks[body_hash], connect_failed, shed, unsent, sent and held";

/// A threshold that cannot be read. Prints what was typed, the place and what would be right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ThresholdError {
    /// What was typed.
    pub typed: String,
    /// Where it is wrong: the first character is 1.
    pub at: usize,
    what: String,
}

impl fmt::Display for ThresholdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = self.typed.escape_debug();
        write!(f, "'{typed}' is wrong at character {}: {}", self.at, self.what)
    }
}

impl std::error::Error for ThresholdError {}

/// Something wrong at a byte of what was typed.
struct Fault {
    at: usize,
    what: String,
}

impl Fault {
    fn new(at: usize, what: impl Into<String>) -> Self {
        Self { at, what: what.into() }
    }
}

/// A piece of what was typed and where it starts, in bytes.
#[derive(Clone, Copy, Debug)]
struct Piece<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Piece<'t> {
    fn trimmed(text: &'t str, at: usize) -> Self {
        let start = text.trim_start();
        Self { text: start.trim_end(), at: at + text.len() - start.len() }
    }

    fn fault(self, what: impl Into<String>) -> Fault {
        Fault::new(self.at, what)
    }

    /// For a message.
    fn shown(self) -> impl fmt::Display + 't {
        self.text.escape_debug()
    }
}

/// What kind of value a metric has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Time,
    RequestRate,
    ByteRate,
    /// A count, or a percentage of the whole.
    CountOrShare,
    /// A percentage alone.
    Share,
}

impl Threshold {
    /// Reads a threshold: a metric, `<`, `<=`, `>`, `>=` or `=`, and a value, with or without blanks
    /// between them.
    ///
    /// | metric | value |
    /// | --- | --- |
    /// | `p50` … `p99.999999`, `min`, `mean`, `max` of the latency; with `service.`, `lag.`, `late.`, `connect.` or `handshake.` before them those of that series | a time with its unit: `20ms` |
    /// | `rps` | requests per second: `50k`, `50k/s`, `300/m` |
    /// | `transfer` | bytes received per second: `100MiB`, `1GB/s` |
    /// | `failed`, `failed[timeout\|reset]`, `timeouts`, `unanswered`, `shed`, `unsent`, `status[5xx\|404]`, `checks`, `checks[status\|body_bytes\|body_hash]`, `connect_failed`, `connect_failed[refused]` | a count, `10`, or a share, `0.1%` |
    /// | `sent`, `held`: of what a schedule asked for | a share: `99.9%` |
    ///
    /// A comparison that no result could fail or pass (`failed<0`) is refused: it is a mistake.
    pub fn parse(typed: &str) -> Result<Self, ThresholdError> {
        read(typed).map_err(|fault| ThresholdError {
            typed: typed.to_owned(),
            at: typed.get(..fault.at).map_or(1, |before| before.chars().count() + 1),
            what: fault.what,
        })
    }
}

fn read(typed: &str) -> Result<Threshold, Fault> {
    let whole = Piece::trimmed(typed, 0);
    let Some(sign_at) = typed.find(['<', '>', '=']) else {
        return Err(whole.fault(
            "there is no comparison; give a metric, <, <=, >, >= or =, and a value, such as \
             p99<20ms",
        ));
    };
    let sign = match &typed.as_bytes()[sign_at..] {
        [b'<', b'=', ..] => "<=",
        [b'>', b'=', ..] => ">=",
        [b'=', b'=', ..] => "==",
        _ => &typed[sign_at..=sign_at],
    };
    let comparison = match sign {
        "<" => Comparison::Less,
        "<=" => Comparison::LessOrEqual,
        ">" => Comparison::Greater,
        ">=" => Comparison::GreaterOrEqual,
        _ => Comparison::Equal,
    };
    let (metric, kind) = metric(Piece::trimmed(&typed[..sign_at], 0))?;
    let value_at = sign_at + sign.len();
    let value = Piece::trimmed(&typed[value_at..], value_at);
    let (limit, is_share) = limit(value, kind)?;
    refuse_idle(comparison, limit, is_share, value)?;
    let text = typed.split_whitespace().collect();
    Ok(Threshold { text, metric, comparison, limit, is_share })
}

/// Refuses what is true or false of every result.
fn refuse_idle(
    comparison: Comparison,
    limit: Fraction,
    is_share: bool,
    value: Piece<'_>,
) -> Result<(), Fault> {
    let is_none = limit.number == 0;
    // Sent and held may be more than all that was asked for, counted parts may not.
    let is_over = is_share && limit.compare(Fraction::whole(1_u32)).is_gt();
    match comparison {
        _ if is_over => Err(value.fault(format!("'{}' is more than the whole", value.shown()))),
        Comparison::Less if is_none => {
            Err(value.fault("nothing is less than 0; write = for none at all"))
        }
        Comparison::GreaterOrEqual if is_none => {
            Err(value
                .fault("everything is at least 0, so this always holds; write > or leave it out"))
        }
        _ => Ok(()),
    }
}

fn metric(typed: Piece<'_>) -> Result<(Metric, Kind), Fault> {
    if typed.text.is_empty() {
        return Err(typed.fault(format!("the metric is missing; {KNOWN}")));
    }
    let (name, list) = match typed.text.split_once('[') {
        None => (typed.text, None),
        Some((name, rest)) => {
            let at = typed.at + name.len() + 1;
            let Some(list) = rest.strip_suffix(']') else {
                return Err(Fault::new(
                    typed.at + typed.text.len(),
                    format!("the list of {}[ has no end; close it with ]", name.escape_debug()),
                ));
            };
            (name.trim_end(), Some(Piece { text: list, at }))
        }
    };
    let part = |part| Ok((Metric::Part(part), Kind::CountOrShare));
    let share = |part| Ok((Metric::Part(part), Kind::Share));
    let unlisted = match (name, list) {
        ("failed", list) => return part(Part::Failed(causes::<Failure>(list)?)),
        ("checks", list) => return part(Part::Checks(causes::<Check>(list)?)),
        ("connect_failed", list) => {
            return part(Part::ConnectFailed(causes::<ConnectFailure>(list)?));
        }
        ("status", Some(list)) => {
            let set = parse_statuses(list.text, '|')
                .map_err(|error| Fault::new(list.at + error.at, error.to_string()))?;
            return part(Part::Status(set));
        }
        ("status", None) => {
            return Err(typed.fault("status needs the codes to count, such as status[5xx|404]"));
        }
        (name, Some(list)) => {
            return Err(Fault::new(
                list.at - 1,
                format!(
                    "'{}' takes no list; failed[…], connect_failed[…], checks[…] and status[…] do",
                    name.escape_debug()
                ),
            ));
        }
        (name, None) => name,
    };
    match unlisted {
        "timeouts" => part(Part::Failed(1 << Failure::Timeout.index())),
        "unanswered" => part(Part::Unanswered),
        "shed" => part(Part::Shed),
        "unsent" => part(Part::Unsent),
        "sent" => share(Part::Sent),
        "held" => share(Part::Held),
        "rps" => Ok((Metric::Requests, Kind::RequestRate)),
        "transfer" => Ok((Metric::Transfer, Kind::ByteRate)),
        _ => time(typed).map(|metric| (metric, Kind::Time)),
    }
}

/// `p99`, `service.p99.9`, `connect.max`.
fn time(typed: Piece<'_>) -> Result<Metric, Fault> {
    const SERIES: [(&str, Series); 6] = [
        ("latency.", Series::Latency),
        ("service.", Series::Service),
        ("lag.", Series::Lag),
        ("late.", Series::Late),
        ("connect.", Series::Connect),
        ("handshake.", Series::Handshake),
    ];
    let unknown = || typed.fault(format!("there is no metric '{}'; {KNOWN}", typed.shown()));
    let named = SERIES.iter().find_map(|(prefix, series)| {
        let rest = typed.text.strip_prefix(prefix)?;
        Some((Piece { text: rest, at: typed.at + prefix.len() }, *series))
    });
    let (name, series) = named.unwrap_or((typed, Series::Latency));
    let statistic = match name.text {
        "min" => Statistic::Min,
        "mean" | "avg" => Statistic::Mean,
        "max" => Statistic::Max,
        text => {
            let digits = text.strip_prefix('p').ok_or_else(unknown)?;
            if !digits.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(unknown());
            }
            Statistic::Percentile(percentile(Piece { text: digits, at: name.at + 1 })?)
        }
    };
    Ok(Metric::Time(series, statistic))
}

fn percentile(typed: Piece<'_>) -> Result<u64, Fault> {
    let wrong = || {
        typed.fault(format!(
            "'{}' is no percentile; give one above 0 and below 100 with at most \
             {PERCENTILE_DECIMALS} decimals, such as p99.9 (p0 is min, p100 is max)",
            typed.shown()
        ))
    };
    let (number, decimals) = decimal(typed.text, PERCENTILE_DECIMALS).ok_or_else(wrong)?;
    let scale = 10_u64.pow((PERCENTILE_DECIMALS - decimals) as u32);
    let millionths = u64::try_from(number).ok().and_then(|number| number.checked_mul(scale));
    millionths.filter(|millionths| (1..PERCENTILE_WHOLE).contains(millionths)).ok_or_else(wrong)
}

/// Digits with at most one point: the digits as a number, and how many stand behind the point.
fn decimal(text: &str, decimals_max: usize) -> Option<(u128, usize)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = [whole, fraction].iter().all(|p| p.bytes().all(|b| b.is_ascii_digit()));
    if !is_number || whole.is_empty() || whole.len() > 18 || fraction.len() > decimals_max {
        return None;
    }
    let number = format!("{whole}{fraction}").parse().ok()?;
    Some((number, fraction.len()))
}

/// The bits of the names in `list`; all of them without one.
fn causes<C: Cause>(list: Option<Piece<'_>>) -> Result<u32, Fault> {
    let Some(list) = list else { return Ok((1 << C::ALL.len()) - 1) };
    let (mut bits, mut at) = (0, list.at);
    for part in list.text.split('|') {
        let name = Piece::trimmed(part, at);
        let cause = C::ALL.iter().find(|cause| cause.name() == name.text).ok_or_else(|| {
            let known: Vec<&str> = C::ALL.iter().map(|cause| cause.name()).collect();
            let shown = name.shown();
            name.fault(format!("there is no '{shown}' here; known are {}", known.join(", ")))
        })?;
        bits |= 1 << cause.index();
        at += part.len() + 1;
    }
    Ok(bits)
}

fn limit(value: Piece<'_>, kind: Kind) -> Result<(Fraction, bool), Fault> {
    let want = match kind {
        Kind::Time => "a time such as 20ms",
        Kind::RequestRate => "a rate such as 50k or 300/m",
        Kind::ByteRate => "a size per second such as 100MiB",
        Kind::CountOrShare => "a count such as 10 or a share such as 0.1%",
        Kind::Share => "a share such as 99.9%",
    };
    if value.text.is_empty() {
        return Err(value.fault(format!("the value is missing; give {want}")));
    }
    let wrong = |error: &dyn fmt::Display| value.fault(error.to_string());
    let limit = match kind {
        Kind::Time => {
            if value.text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
                let shown = value.shown();
                return Err(value
                    .fault(format!("'{shown}' has no unit; give {want} (ns, us, ms, s, m or h)")));
            }
            let ns = parse_duration_ns(value.text, DURATION_NS_MAX).map_err(|e| wrong(&e))?;
            Fraction::whole(ns)
        }
        Kind::RequestRate => {
            let rate = parse_rate(value.text).map_err(|e| wrong(&e))?;
            let number = u128::from(rate.count()) * 1_000_000_000;
            Fraction { number, over: rate.per_ns().into() }
        }
        Kind::ByteRate => {
            let bytes = value.text.strip_suffix("/s").unwrap_or(value.text).trim_end();
            Fraction::whole(parse_bytes(bytes).map_err(|e| wrong(&e))?)
        }
        Kind::CountOrShare | Kind::Share if value.text.ends_with('%') => {
            return percent(value, want).map(|limit| (limit, true));
        }
        Kind::CountOrShare => {
            let count = parse_count(value.text).map_err(|_| {
                let shown = value.shown();
                value.fault(format!("'{shown}' is neither a count nor a share; give {want}"))
            })?;
            Fraction::whole(count)
        }
        Kind::Share => {
            let shown = value.shown();
            return Err(value.fault(format!("'{shown}' is no share; give {want}")));
        }
    };
    Ok((limit, false))
}

fn percent(value: Piece<'_>, want: &str) -> Result<Fraction, Fault> {
    let digits = value.text.trim_end_matches('%').trim_end();
    let is_one_sign = value.text.matches('%').count() == 1;
    let read = decimal(digits, PERCENT_DECIMALS_MAX).filter(|_| is_one_sign);
    let (number, decimals) = read.ok_or_else(|| {
        value.fault(format!(
            "'{}' is no share; give {want}, with at most {PERCENT_DECIMALS_MAX} decimals",
            value.shown()
        ))
    })?;
    Ok(Fraction { number, over: 100 * 10_u128.pow(decimals as u32) })
}
