//! Whether plain requests went to a port for TLS, which nobody says in so many words.
//!
//! Servers answer such requests with a 400. Once a run has met nothing else, one look at the port after
//! it finds out: whoever answers the beginning of a handshake with a record of TLS speaks it.

use std::time::Duration;

use crate::plan::Plan;
use crate::result::RunResult;
use crate::sys::{self, Patience, Signals};

/// How long the look may take, together less than the run may last beyond its drain.
const PATIENCE: Patience =
    Patience { connect: Duration::from_millis(500), reply: Duration::from_millis(300) };

/// A ClientHello of TLS 1.2 (RFC 5246 section 7.4.1.2) with five common suites and no extension: what
/// is not accepted of it is answered with an alert, which says as much.
const CLIENT_HELLO: [u8; 60] = [
    22, 3, 1, 0, 55, 1, 0, 0, 51, 3, 3, // record, message and version
    119, 114, 105, 110, 103, 119, 114, 105, 110, 103, 119, 114, 105, 110, 103, 119, // random
    114, 105, 110, 103, 119, 114, 105, 110, 103, 119, 114, 105, 110, 103, 119,
    114, // and more
    0, 0, 12, 0xc0, 0x2b, 0xc0, 0x2f, 0, 0x9c, 0, 0x2f, 0x13, 1, 0, 0xff, 1, 0, // suites
];

/// Looks, if every answer was a 400 to a plain request and nobody wants the run to end.
pub(super) fn speaks_tls(plan: &Plan, result: &RunResult, signals: &Signals) -> bool {
    let is_stopped = || signals.count() > 0;
    let whole = result.total.whole();
    let is_refused = whole.completed > 0 && whole.completed == whole.statuses[400];
    let is_direct = plan.tls.is_none() && plan.network.prelude.is_none();
    let first = plan.addresses.first().and_then(|address| address.inet());
    match first.filter(|_| is_refused && is_direct && !is_stopped()) {
        Some(address) => is_record(&sys::reply(address, &CLIENT_HELLO, PATIENCE, &is_stopped)),
        None => false,
    }
}

/// An alert or a message of a handshake.
fn is_record(reply: &[u8]) -> bool {
    matches!(reply, [21 | 22, 3, _, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lengths_in_the_client_hello_are_right() {
        let (record, message) = (&CLIENT_HELLO[5..], &CLIENT_HELLO[9..]);
        assert_eq!(usize::from(CLIENT_HELLO[4]), record.len());
        assert_eq!(usize::from(CLIENT_HELLO[8]), message.len());
        let suites_at = 2 + 32 + 1;
        assert_eq!(message[suites_at..suites_at + 2], [0, 12]);
        assert_eq!(message[suites_at + 2 + 12..], [1, 0]);
    }

    #[test]
    fn plain_answers_are_no_records() {
        assert!(is_record(&[21, 3, 3, 0, 2, 2, 40]) && is_record(&[22, 3, 3, 0, 122]));
        assert!(!is_record(b"HTTP/1.1 400 Bad Request") && !is_record(b"") && !is_record(&[22]));
    }
}
