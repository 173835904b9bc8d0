//! What a run that was given up did not come to start, by target.

use crate::plan::{Plan, Targets};
use crate::record::Phase;
use crate::result::RunResult;
use crate::units::format_grouped;

/// Targets that are told at most.
const TARGETS_SAID_MAX: usize = 10;

/// Adds remarks to a run that was given up: which requests of which targets were never started.
pub(super) fn tell(plan: &Plan, result: &mut RunResult) {
    let (Some(_), Some(targets)) = (result.given_up, &plan.targets) else { return };
    let wanted = wanted(plan, targets);
    let counted = targets.list().iter().zip(&wanted).zip(&result.total.targets);
    let missing: Vec<String> = counted
        .filter_map(|((target, &wanted), record)| {
            let left = wanted.saturating_sub(record.phase(Phase::Window).started);
            (left > 0).then(|| {
                let (left, wanted) = (format_grouped(left), format_grouped(wanted));
                format!("{}: {left} of {wanted} requests were never started", target.name)
            })
        })
        .collect();
    let more = missing.len().saturating_sub(TARGETS_SAID_MAX);
    result.remarks.extend(missing.into_iter().take(TARGETS_SAID_MAX));
    if more > 0 {
        result.remarks.push(format!("so it was with {more} targets more"));
    }
}

/// How many requests of each target all workers together were to start.
fn wanted(plan: &Plan, targets: &Targets) -> Vec<u64> {
    let mut wanted = vec![0; targets.list().len()];
    for (lane, share) in plan.lanes().iter().flatten().zip(&plan.dealt()) {
        let (requests, cycle) = (share.requests.unwrap_or(0), u64::from(lane.cycle()));
        for place in 0..lane.cycle() {
            // Whole rounds, and one more for the places that the last one comes to.
            let rounds = requests / cycle + u64::from(u64::from(place) < requests % cycle);
            wanted[lane.target_index(place) as usize] += rounds;
        }
    }
    wanted
}
