//! Runs that only a number of requests ends, and servers that cannot be reached.

use super::*;
use crate::plan::{Body, Origin, Target};
use crate::schedule::{Arrivals, Cursor};

const PATIENCE: Patience = Patience { never_reached_ns: SECOND, lost_ns: 3 * SECOND };

fn run(listeners: Vec<Listener>) -> Run {
    let mut run = Run::answering(OK);
    run.addresses = listeners.len() as u32;
    run.model.listeners = listeners;
    (run.connections, run.requests, run.duration_ns) = (4, Some(400), None);
    run.patience = Some(PATIENCE);
    // Whoever waits for ever is found out.
    run.model.end_ns = 60 * SECOND;
    run
}

/// Three requests for the first server, then one for the second.
fn two_servers() -> Arc<Targets> {
    let target = |path: &str, weight, origin| {
        let request = Request::with_placeholders("GET", path, "h", &[], Body::None).unwrap();
        Target { name: path.to_owned(), weight, origin, request }
    };
    let origin =
        |at: u32| Origin { name: format!("http://h{at}"), address_first: at, addresses: 1 };
    let list = vec![target("/a", 3, 0), target("/b", 1, 1)];
    Arc::new(Targets::new(list, vec![origin(0), origin(1)]).unwrap())
}

fn length_ns(outcome: &Outcome) -> u64 {
    outcome.window_end_ns - outcome.window_start_ns
}

#[test]
fn a_server_that_is_never_reached_ends_the_run_when_patience_does() {
    for paced in [false, true] {
        let mut run = run(vec![Listener::Serve, Listener::Refuse]);
        if paced {
            let profile = paced::profile("1000", None);
            let window = Cursor::new(Arc::clone(&profile), Arrivals::Constant, 0, 1, 1, Some(400));
            run.pace = Some(Pace { window, ..paced::pace_of(&profile, Arrivals::Constant, 0, 1) });
        }
        let (outcome, _) = run.mixed(&two_servers());
        assert_eq!(outcome.given_up, Some(1), "paced {paced}");
        assert!(outcome.record.whole().started <= 3);
        let waited_ns = length_ns(&outcome);
        assert!((SECOND..SECOND + SECOND / 2).contains(&waited_ns), "{waited_ns}");
        let [a, b] = &outcome.record.servers[..] else { panic!("two servers") };
        assert!(a.was_reached() && !b.was_reached());
        assert!(b.failed.count(ConnectFailure::Refused) > 3 && a.failed.total() == 0);
    }
}

#[test]
fn a_server_that_went_away_for_good_is_waited_for_longer() {
    for several in [false, true] {
        let goes = Listener::ComesAndGoes { up_ns: 50 * MS, down_ns: 3600 * SECOND };
        let mut run = if several { run(vec![Listener::Serve, goes]) } else { run(vec![goes]) };
        run.model.service = Service::Constant(10 * MS);
        run.model.ending = Ending::AfterAnswers { answers: 3, leftover: Leftover::Swallow };
        let (outcome, _) = if several { run.mixed(&two_servers()) } else { run.run() };
        assert_eq!(outcome.given_up, Some(u32::from(several)));
        let started = outcome.record.whole().started;
        assert!((3..400).contains(&started), "{started}");
        let waited_ns = length_ns(&outcome);
        assert!((3 * SECOND..4 * SECOND).contains(&waited_ns), "{waited_ns}");
    }
}

#[test]
fn a_server_that_comes_back_in_time_gets_all_its_requests() {
    let comes_back = Listener::ComesAndGoes { up_ns: 1500 * MS, down_ns: 2 * SECOND };
    let mut run = run(vec![comes_back]);
    run.model.service = Service::Constant(10 * MS);
    run.model.ending = Ending::AfterAnswers { answers: 3, leftover: Leftover::Swallow };
    run.requests = Some(1000);
    let (outcome, _) = run.run();
    assert_eq!((outcome.given_up, outcome.record.whole().started), (None, 1000));
    assert!(length_ns(&outcome) > 3 * SECOND, "it was away");
}

#[test]
fn a_slow_server_and_one_that_others_reach_are_not_given_up() {
    let mut slow = run(vec![Listener::Serve]);
    slow.model.service = Service::Constant(4 * SECOND);
    (slow.requests, slow.timeout_ns) = (Some(8), 10 * SECOND);
    let (outcome, _) = slow.run();
    assert_eq!((outcome.given_up, completed(&outcome)), (None, 8));

    // This worker reaches nobody for two seconds, and another one does all the time.
    let late = run(vec![Listener::RefuseUntil(5 * SECOND)]);
    let control = Control::default();
    control.start_at(0);
    control.reached(0, 4 * SECOND);
    let (outcome, _) = late.worker().0.run(&control);
    assert_eq!((outcome.given_up, completed(&outcome)), (None, 400));
}

#[test]
fn without_a_bound_a_server_is_waited_for() {
    let mut run = run(vec![Listener::RefuseUntil(50 * SECOND)]);
    run.patience = None;
    let (outcome, _) = run.run();
    assert_eq!((outcome.given_up, completed(&outcome)), (None, 400));
}
