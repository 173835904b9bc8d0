//! The suite on the simulation: in a world without faults, and in worlds where much goes wrong.

use super::{Fixture, contract_suite};
use crate::io::{Backend, Completions, Setup};
use crate::rng::Rng;
use crate::sim::{Faults, Listener, Model, PeerSeen, Sim};

/// The simulation with the faults of a seed; none for seed 0.
struct Simulated<const SEED: u64>(Sim);

impl<const SEED: u64> Fixture for Simulated<SEED> {
    type B = Sim;

    fn start(mut setup: Setup, listeners: Vec<Listener>) -> Self {
        setup.addresses = vec![([192, 0, 2, 1], 80).into(); listeners.len()];
        let faults = match SEED {
            0 => Faults::none(),
            seed => Faults::swarm(&mut Rng::new(seed)),
        };
        let scripted = Model::scripted(listeners);
        Self(Sim::new(setup, Model { seed: SEED, faults, queue_ops: 256, ..scripted }))
    }

    fn backend(&mut self) -> &mut Sim {
        &mut self.0
    }

    fn seen(mut self) -> Vec<PeerSeen> {
        let mut done = Completions::with_capacity(8);
        for _ in 0..10_000 {
            if self.0.seen().iter().all(|peer| peer.end.is_some()) {
                assert_eq!((self.0.open_slots(), self.0.leases_out()), (0, 0));
                return self.0.seen().to_vec();
            }
            let until_ns = self.0.now_ns() + 1_000_000;
            self.0.turn(until_ns, &mut done).unwrap();
        }
        panic!("a peer never ends: {:?}", self.0.seen());
    }
}

contract_suite!(without_faults, Simulated<0>);
contract_suite!(with_faults_of_seed_1, Simulated<1>);
contract_suite!(with_faults_of_seed_2, Simulated<2>);
contract_suite!(with_faults_of_seed_3, Simulated<3>);
