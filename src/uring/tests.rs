//! The contract suite on real sockets, with every feature and with the newer ones masked.

use super::*;
use crate::io::contract::{
    contract_suite,
    peer::{MakeBackend, OverSockets},
};

struct Newest;

impl MakeBackend for Newest {
    type B = Uring;

    fn make(setup: Setup) -> Uring {
        Uring::new(setup, Clock::start()).unwrap()
    }
}

/// What Linux 6.1 has.
struct Oldest;

impl MakeBackend for Oldest {
    type B = Uring;

    fn make(setup: Setup) -> Uring {
        let masked = Masked { abs_timer: true, no_sqarray: true, ring_fd: true };
        Uring::with_masked(setup, Clock::start(), masked).unwrap()
    }
}

/// Looks for work instead of sleeping, after work and before deadlines.
struct Spinning;

impl MakeBackend for Spinning {
    type B = Uring;

    fn make(setup: Setup) -> Uring {
        let spin = Spin { after_work_ns: 200_000, before_deadline_ns: 300_000, ..Spin::NEVER };
        Uring::new(Setup { spin, ..setup }, Clock::start()).unwrap()
    }
}

/// Keeps one timer in the ring instead of one for each wait.
struct Keeping;

impl MakeBackend for Keeping {
    type B = Uring;

    fn make(setup: Setup) -> Uring {
        Uring::new(Setup { keeps_deadline: true, ..setup }, Clock::start()).unwrap()
    }
}

contract_suite!(newest, OverSockets<Newest>);
contract_suite!(oldest, OverSockets<Oldest>);
contract_suite!(spinning, OverSockets<Spinning>);
contract_suite!(keeping, OverSockets<Keeping>);
