//! What is left of a run when a worker is lost.

use super::session::tests::{assert_holds, plan_of, serve};
use super::*;
use crate::result::Invalid;

#[test]
fn the_others_parts_of_a_run_add_up_without_a_worker_that_was_lost() {
    let server = serve(0, None);
    let mut plan = plan_of(server.address());
    plan.engine = EngineChoice::Epoll;
    plan.interval_ns = 5_000_000;
    let signals = Signals::default();
    for lost in [0, 1] {
        let Ran { control, seen, mut done, collected } =
            work(&plan, &signals, &mut |_| {}).unwrap();
        let kept = done[1 - lost].outcome.record.whole().completed;
        assert!(kept > 0 && done[lost].outcome.record.whole().completed > 0);
        done.remove(lost);
        let manifest = manifest(&plan, String::new());
        let counted = Some(server.counts().requests);
        let result =
            conclude(&plan, &control, &signals, seen, done, manifest, collected, counted).unwrap();
        assert_holds(&result);
        assert_eq!(result.total.whole().completed, kept);
        // These hold what the lost worker did as well.
        assert_eq!((result.seconds.len(), result.target_requests), (0, None));
        let broke: Vec<bool> = result.workers.iter().map(|worker| worker.broke).collect();
        assert_eq!(broke, [lost == 0, lost == 1]);
        assert!(
            matches!(&result.verdict, Verdict::Invalid(why) if why.contains(&Invalid::WorkerBroke))
        );
        let remark = format!("worker {lost}, which had 2 of the 4 connections, panicked: ");
        assert!(result.remarks.iter().any(|r| r.starts_with(&remark)), "{:?}", result.remarks);
    }
}

#[test]
fn a_run_that_lost_all_its_workers_has_no_result() {
    let server = serve(0, None);
    let mut plan = plan_of(server.address());
    plan.engine = EngineChoice::Epoll;
    let signals = Signals::default();
    let Ran { control, seen, collected, .. } = work(&plan, &signals, &mut |_| {}).unwrap();
    let manifest = manifest(&plan, String::new());
    let result = conclude(&plan, &control, &signals, seen, Vec::new(), manifest, collected, None);
    assert_eq!(result.unwrap_err(), RunError::WorkerLost);
}
