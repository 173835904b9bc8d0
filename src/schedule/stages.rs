//! Linear ramps and flat stages, and where on them the integral of the rate reaches a value.
//!
//! All rates are brought to a common denominator `b`, so that stage `i` runs from `a0 / b` to
//! `a1 / b` requests per nanosecond. Its area `(a0 + a1) * L / 2b` is then a whole number in units
//! of `1 / 2b` requests, and so is every request's place on the axis. Within a stage the area up to
//! `t` is `2 * a0 * t + (a1 - a0) * t^2 / L` such units, which never decreases on `0..=L`.

use super::ScheduleError;
use crate::units::Rate;

/// A part of a schedule in which the rate runs in a straight line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stage {
    /// Rate at its beginning.
    pub from: Rate,
    /// Rate at its end.
    pub to: Rate,
    /// How long it takes, in nanoseconds.
    pub length_ns: u64,
}

/// Binary digits by which the axis is finer than the rates need, so that random places on it are
/// finer than any clock: one unit is at most `2^-20` of the shortest gap.
const FINER_BITS: u32 = 20;
/// Places on the axis stay below `2^126`, so that sums and differences of two have room.
const AXIS_BITS: u32 = 126;

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Stages {
    segments: Vec<Segment>,
    /// Units of the axis in one request: `2 * b`.
    per_request: u128,
    /// Units of all stages together.
    area: u128,
    length_ns: u64,
    rate_start: Rate,
    rate_max: Rate,
}

/// One stage on the common denominator.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Segment {
    start_ns: u64,
    length_ns: u64,
    /// Numerators of the rate at both ends.
    from: u128,
    to: u128,
    /// Units of all stages before this one, and with it.
    area_start: u128,
    area_end: u128,
}

impl Stages {
    pub(super) fn new(stages: &[Stage]) -> Result<Self, ScheduleError> {
        let (rate_start, rate_max) = check_rates(stages)?;
        let mut denominator = 1_u128;
        let mut length_ns = 0_u64;
        for (index, stage) in stages.iter().enumerate() {
            let too_fine = ScheduleError::TooFine { stage: index + 1 };
            let widened = lcm(denominator, stage.from.per_ns())
                .and_then(|b| lcm(b, stage.to.per_ns()))
                .zip(length_ns.checked_add(stage.length_ns))
                .filter(|&(b, length_ns)| axis_bits(b, length_ns) <= AXIS_BITS);
            (denominator, length_ns) = widened.ok_or(too_fine)?;
        }
        let spare_bits = AXIS_BITS - axis_bits(denominator, length_ns);
        denominator <<= spare_bits.min(FINER_BITS);

        let mut segments = Vec::with_capacity(stages.len());
        let (mut start_ns, mut area) = (0, 0);
        for stage in stages {
            let numerator =
                |rate: Rate| denominator / u128::from(rate.per_ns()) * u128::from(rate.count());
            let (from, to) = (numerator(stage.from), numerator(stage.to));
            // Rates are at most 1, so the sum of all areas is at most `2 * b * length`.
            let area_end = area + (from + to) * u128::from(stage.length_ns);
            let length_ns = stage.length_ns;
            segments.push(Segment { start_ns, length_ns, from, to, area_start: area, area_end });
            start_ns += length_ns;
            area = area_end;
        }
        let per_request = 2 * denominator;
        if area < per_request {
            return Err(ScheduleError::NothingDue { rate: None, length_ns: Some(length_ns) });
        }
        Ok(Self { segments, per_request, area, length_ns, rate_start, rate_max })
    }

    pub(super) fn length_ns(&self) -> u64 {
        self.length_ns
    }

    pub(super) fn total(&self) -> u64 {
        // At most one request a nanosecond: the total is at most the length.
        (self.area / self.per_request) as u64
    }

    pub(super) fn rate_start(&self) -> Rate {
        self.rate_start
    }

    pub(super) fn rate_max(&self) -> Rate {
        self.rate_max
    }

    /// Units of the axis in one request.
    pub(super) fn per_request(&self) -> u128 {
        self.per_request
    }

    pub(super) fn time_ns(&self, index: u64) -> Option<u64> {
        // With a whole request left, and a nanosecond at least for each, rounding up cannot reach
        // the end.
        let place = u128::from(index).checked_mul(self.per_request)?;
        let is_due = self.area.checked_sub(place).is_some_and(|left| left >= self.per_request);
        if is_due { self.time_of_place(place) } else { None }
    }

    /// When the integral goes beyond `place`, in whole nanoseconds, rounded up; `None` if it never
    /// does.
    pub(super) fn time_of_place(&self, place: u128) -> Option<u64> {
        // A pause has no area, so no place is in it.
        let at = self.segments.partition_point(|segment| segment.area_end <= place);
        let segment = self.segments.get(at)?;
        Some(segment.start_ns + segment.time_of(place - segment.area_start))
    }

    pub(super) fn rate_per_s_at(&self, t_ns: u64) -> f64 {
        let Some(segment) = self.segment_at(t_ns) else { return 0.0 };
        let share = (t_ns - segment.start_ns) as f64 / segment.length_ns as f64;
        let (from, to) = (segment.from as f64, segment.to as f64);
        (from + (to - from) * share) / (self.per_request as f64 / 2.0) * 1e9
    }

    pub(super) fn integral(&self, t_ns: u64) -> f64 {
        let place = match self.segment_at(t_ns) {
            None => self.area as f64,
            Some(segment) => {
                let t = (t_ns - segment.start_ns) as f64;
                let (from, to) = (segment.from as f64, segment.to as f64);
                let slope = (to - from) / segment.length_ns as f64;
                segment.area_start as f64 + (2.0 * from + slope * t) * t
            }
        };
        place / self.per_request as f64
    }

    fn segment_at(&self, t_ns: u64) -> Option<&Segment> {
        let at = self.segments.partition_point(|s| s.start_ns + s.length_ns <= t_ns);
        self.segments.get(at)
    }
}

impl Segment {
    /// The smallest time since this stage's start at which its area has reached `units`, which is
    /// less than the whole area.
    fn time_of(&self, units: u128) -> u64 {
        if self.from == self.to {
            // The rate is not zero, or there would be no area.
            return units.div_ceil(2 * self.from) as u64;
        }
        // Floating point comes close, the exact predicate decides: widen to a bracket, then halve.
        // The predicate never turns back, false at `low` (or `low` is 0) and true at `high`.
        let estimate = self.estimate(units);
        let (mut low, mut high) = (estimate, estimate);
        let mut step = 1;
        if self.has_reached(estimate, units) {
            while low > 0 && self.has_reached(low, units) {
                high = low;
                low = low.saturating_sub(step);
                step *= 2;
            }
            if low == 0 && self.has_reached(0, units) {
                return 0;
            }
        } else {
            while !self.has_reached(high, units) {
                low = high;
                high = (high + step).min(self.length_ns);
                step *= 2;
            }
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.has_reached(middle, units) { high = middle } else { low = middle }
        }
        high
    }

    /// Near the root of `slope * t^2 + 2 * a0 * t = units`, in the form that does not cancel.
    fn estimate(&self, units: u128) -> u64 {
        let (from, units) = (self.from as f64, units as f64);
        let slope = (self.to as f64 - from) / self.length_ns as f64;
        let root = units / (from + (from * from + slope * units).max(0.0).sqrt());
        // Not a number only for 0 / 0, which becomes 0.
        (root as u64).min(self.length_ns)
    }

    /// Whether the area up to `t_ns`, at most the stage's length, is at least `units`.
    fn has_reached(&self, t_ns: u64, units: u128) -> bool {
        let t = u128::from(t_ns);
        let length = u128::from(self.length_ns);
        let linear = 2 * self.from * t;
        if self.to >= self.from {
            // linear + rise * t^2 / length >= units
            match units.checked_sub(linear) {
                None => true,
                Some(missing) => wide(self.to - self.from, t * t) >= wide(length, missing),
            }
        } else {
            // linear - fall * t^2 / length >= units
            match linear.checked_sub(units) {
                None => false,
                Some(spare) => wide(self.from - self.to, t * t) <= wide(length, spare),
            }
        }
    }
}

/// The product in full: high and low half, which compare as one number.
fn wide(a: u128, b: u128) -> (u128, u128) {
    let (low, high) = a.carrying_mul(b, 0);
    (high, low)
}

/// The first and the highest rate, if every stage can be followed.
fn check_rates(stages: &[Stage]) -> Result<(Rate, Rate), ScheduleError> {
    let first = stages.first().ok_or(ScheduleError::NoStages)?;
    let mut rate_max = first.from;
    for (index, stage) in stages.iter().enumerate() {
        if stage.length_ns == 0 {
            return Err(ScheduleError::EmptyStage { stage: index + 1 });
        }
        for rate in [stage.from, stage.to] {
            if rate.count() > rate.per_ns() {
                return Err(ScheduleError::TooFast { stage: Some(index + 1), rate });
            }
            let is_higher = u128::from(rate.count()) * u128::from(rate_max.per_ns())
                > u128::from(rate_max.count()) * u128::from(rate.per_ns());
            if is_higher {
                rate_max = rate;
            }
        }
    }
    Ok((first.from, rate_max))
}

/// Bits that hold every place on an axis with this denominator, for rates up to 1.
fn axis_bits(denominator: u128, length_ns: u64) -> u32 {
    let bits = |number: u128| u128::BITS - number.leading_zeros();
    1 + bits(denominator) + bits(u128::from(length_ns))
}

fn lcm(a: u128, b: u64) -> Option<u128> {
    let b = u128::from(b);
    let (mut divisor, mut rest) = (a, b);
    while rest != 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    (a / divisor).checked_mul(b)
}
