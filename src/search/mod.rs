//! How much a target can carry: which rate to try next, for how long, and what the trials say.
//!
//! Owns two searches: the highest rate that meets an objective (`capacity`), and the fewest
//! connections beyond which a closed loop gains nothing (`ceiling`). Knows neither threads nor the
//! ring nor clocks: whoever drives a search carries out each step it asks for, tells it what came of
//! that and how much time has passed, and asks again.
//!
//! The idea: a trial is evidence, not a verdict. Every rate keeps what all its trials measured, in
//! short batches in order of time; a rate is held or failed when the share of requests that missed
//! the objective lies on one side of what the objective allows by more than chance explains. What
//! chance explains is estimated from the batches themselves, so that requests which queue behind
//! each other, and pauses that hit many at once, count for no more than they tell.
//!
//! The procedure is MLRsearch's (draft-ietf-bmwg-mlrsearch) in its outline: an upper bound first,
//! then bracketing in growing steps, then narrowing with trials that grow as the bracket shrinks;
//! both ends of the bracket must be backed by trials as long as the last ones. Rates are widened
//! from failed ones downwards by doubling steps, and a trial that the generator spoiled is repeated,
//! not counted.
//!
//! Near the limit of a queue what is late comes in bursts, and a question takes the longer the nearer
//! its rate lies to the limit: rates are chosen half of the way to where the limit seems to be, and one
//! that cannot be decided in the time left is given up early. Stretches in which the generator itself
//! sent late are left out of a trial; the rest of it counts.

mod capacity;
mod ceiling;
mod curve;
mod evidence;
mod found;
mod objective;
mod trial;

#[cfg(test)]
mod in_sim;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;

pub use capacity::{Ask, Capacity, Config, Ended, Next, Point, Purpose, Standing};
pub use ceiling::{Ceiling, CeilingAsk, CeilingEnded, CeilingNext, Load};
pub use curve::{CurvePoint, knee};
pub use evidence::{Batch, Finding, judge};
pub use found::{Found, FoundPoint, FoundTrial, Stopped};
pub use objective::Claim;
pub use trial::{Latencies, Trial, limits_ns};
