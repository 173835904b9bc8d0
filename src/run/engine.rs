//! Which backend a run uses, decided once before any worker starts.

use std::net::IpAddr;
use std::sync::Arc;

use super::{RunError, ensure_descriptors};
use crate::epoll::Epoll;
use crate::io::{Backend, Setup, Spin};
use crate::limits;
use crate::plan::{EngineChoice, Lane, Plan, Prelude, Share};
use crate::sys::Clock;
use crate::uring::{self, SetupError, Uring};

/// A backend that a worker can be compiled for.
pub(super) trait Engine: Backend + Sized + 'static {
    /// One for the calling thread.
    fn make(setup: Setup, clock: Clock) -> Result<Self, RunError>;
}

impl Engine for Uring {
    fn make(setup: Setup, clock: Clock) -> Result<Self, RunError> {
        Self::new(setup, clock).map_err(RunError::Backend)
    }
}

impl Engine for Epoll {
    fn make(setup: Setup, clock: Clock) -> Result<Self, RunError> {
        Self::new(setup, clock).map_err(RunError::Epoll)
    }
}

/// Replaces `EngineChoice::Auto` by what works here, and refuses `EngineChoice::Uring` where it
/// does not. Answers with why not io_uring if that was wanted and is not used; the plan's notes
/// then say so too.
pub fn settle(plan: &mut Plan) -> Result<Option<SetupError>, RunError> {
    settle_together(std::slice::from_mut(plan))
}

/// The same for plans that are carried out at the same time: the rings of all of them must fit, and
/// all of them use the same. They differ in nothing that has to do with it.
pub fn settle_together(plans: &mut [Plan]) -> Result<Option<SetupError>, RunError> {
    let Some(wanted) = plans.first().map(|plan| plan.engine) else { return Ok(None) };
    // A ring's table may not be larger than the limit, and all need their descriptors together.
    ensure_descriptors(plans)?;
    if wanted == EngineChoice::Epoll {
        return Ok(None);
    }
    let arena: Arc<[u8]> = Arc::from([]);
    let shares = plans.iter().flat_map(|plan| plan.shares.iter().map(move |share| (plan, share)));
    let setups = shares.map(|(plan, share)| setup(plan, share, Arc::clone(&arena)));
    match (uring::probe(setups), wanted) {
        (Ok(()), _) => {
            plans.iter_mut().for_each(|plan| plan.engine = EngineChoice::Uring);
            Ok(None)
        }
        (Err(refused), EngineChoice::Auto) => {
            for plan in plans {
                plan.engine = EngineChoice::Epoll;
                plan.provenance.notes.push(format!("{refused}; epoll is used instead"));
            }
            Ok(Some(refused))
        }
        (Err(refused), _) => Err(RunError::Backend(refused)),
    }
}

/// What the backend of one worker needs. It spins only if its worker says so.
pub(super) fn setup(plan: &Plan, share: &Share, arena: Arc<[u8]>) -> Setup {
    let prelude_bytes = plan.network.prelude.as_ref().map_or(0, Prelude::bytes_max);
    let batch_bytes = plan.depth as usize * plan.request.bytes().len();
    let (mut send_buffers, mut send_buffer_bytes) =
        (if prelude_bytes > 0 { limits::PRELUDE_BUFFERS } else { 0 }, prelude_bytes);
    if let Some(tls) = &plan.tls {
        send_buffer_bytes = tls.send_buffer_bytes(batch_bytes).max(prelude_bytes);
        send_buffers = tls.send_buffers(share.connections, send_buffer_bytes);
    }
    Setup {
        slots: share.connections,
        arena,
        addresses: plan.addresses.clone(),
        sources: rotated(&plan.network.sources, share.connection_first as usize),
        tcp_congestion: plan.tcp_congestion.clone(),
        recv_buffer_bytes: match plan.tls {
            Some(_) => limits::TLS_RECV_BUFFER_BYTES,
            None => limits::RECV_BUFFER_BYTES,
        },
        recv_buffers: limits::RECV_BUFFERS,
        send_buffers,
        send_buffer_bytes,
        spin: Spin::NEVER,
        keeps_deadline: plan.pacing.is_some(),
    }
}

/// The same addresses, beginning with another one in each worker, so that few connections on many
/// workers use many of them.
fn rotated(sources: &[IpAddr], first: usize) -> Vec<IpAddr> {
    let mut sources = sources.to_vec();
    if !sources.is_empty() {
        let first = first % sources.len();
        sources.rotate_left(first);
    }
    sources
}

/// The same for a worker that goes through a lane, which has scratch for it.
pub(super) fn setup_of_lane(plan: &Plan, share: &Share, lane: &Lane) -> Setup {
    let (scratch_bytes, buffers) = lane.scratch(share.connections);
    let setup = setup(plan, share, Arc::clone(&lane.arena));
    Setup {
        send_buffers: setup.send_buffers.saturating_add(buffers),
        send_buffer_bytes: setup.send_buffer_bytes.max(scratch_bytes),
        ..setup
    }
}
