//! What comes first on a connection: a PROXY header, or the way through a proxy.
//!
//! The prelude is a part of the attempt: it counts against the connect timeout, its bytes are no
//! request's and no answer's, and where it fails, so does the attempt. When it is through, the
//! connection is ready, as one without a prelude is at once.

use crate::io::{Backend, Completion, IoError, Op, OpKind, Slot};
use crate::limits;
use crate::outcome::ConnectFailure;
use crate::plan::Prelude;
use crate::proto::{Tunnel, TunnelAnswer};

use super::{Conn, Context, Pumped, State, connect_failure};

/// How far a prelude is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// It is to be sent.
    Send,
    /// It is being sent.
    Sending,
    /// Its answer is to be received.
    Recv(TunnelAnswer),
    /// Its answer is being received.
    Receiving(TunnelAnswer),
}

impl Step {
    /// Something is to be pushed.
    pub(super) fn is_wish(self) -> bool {
        matches!(self, Self::Send | Self::Recv(_))
    }
}

impl Conn {
    /// Pushes the prelude's next operation.
    pub(super) fn pump_prelude<B: Backend>(&mut self, ctx: &mut Context<'_, B>) -> Pumped {
        let Some(prelude) = &ctx.shape.prelude else { return Pumped::Done };
        let (op, kind, step) = match self.prelude {
            Step::Sending | Step::Receiving(_) => return Pumped::Done,
            Step::Recv(answer) => {
                let bytes_max = limits::HEAD_RECV_BYTES;
                let op = Op::RecvOnce { slot: Slot(self.index), bytes_max };
                (op, OpKind::Recv, Step::Receiving(answer))
            }
            Step::Send => {
                let Some(mut lease) = ctx.backend.lease_send() else { return Pumped::QueueFull };
                let near = ctx.backend.local_address(Slot(self.index));
                let out = ctx.backend.send_bytes_mut(&mut lease);
                let Some(len) = prelude.write(self.address_index, near, out) else {
                    ctx.backend.return_send(lease);
                    self.attempt_failed(ConnectFailure::Local, ctx);
                    return Pumped::Done;
                };
                let op = Op::SendLeased { slot: Slot(self.index), lease, len: len as u32 };
                (op, OpKind::Send, Step::Sending)
            }
        };
        match ctx.backend.push(op, self.token(kind)) {
            Ok(()) => {
                self.prelude = step;
                Pumped::Done
            }
            Err(refused) => {
                if let Op::SendLeased { lease, .. } = refused.0 {
                    ctx.backend.return_send(lease);
                }
                Pumped::QueueFull
            }
        }
    }

    /// One of its operations has ended.
    pub(super) fn prelude_completed<B: Backend>(
        &mut self,
        completion: Completion,
        ctx: &mut Context<'_, B>,
    ) {
        let State::Prelude { since_ns } = self.state else { return };
        match (self.prelude, completion.result) {
            (Step::Sending, Ok(_)) => {
                if ctx.shape.prelude.as_ref().is_some_and(Prelude::is_answered) {
                    self.prelude = Step::Recv(TunnelAnswer::default());
                    self.pump(ctx);
                } else {
                    self.ready(since_ns, ctx);
                }
            }
            (Step::Receiving(answer), Err(IoError::NoBuffers)) => {
                self.prelude = Step::Recv(answer);
                self.pump(ctx);
            }
            (Step::Receiving(mut answer), Ok(1..)) => {
                let Some(lease) = completion.lease else { return };
                let bytes = lease.len();
                let verdict = answer.receive(ctx.backend.bytes(&lease));
                ctx.backend.recycle(lease);
                match verdict {
                    Ok(Tunnel::Unfinished) => {
                        self.prelude = Step::Recv(answer);
                        self.pump(ctx);
                    }
                    // Nobody behind the tunnel was asked anything yet.
                    Ok(Tunnel::Open { used }) if used == bytes => self.ready(since_ns, ctx),
                    Ok(Tunnel::Refused { status }) => {
                        ctx.recorder.connections_mut().proxy_status = status;
                        self.attempt_failed(ConnectFailure::Proxy, ctx);
                    }
                    Ok(Tunnel::Open { .. }) | Err(_) => {
                        self.attempt_failed(ConnectFailure::Proxy, ctx);
                    }
                }
            }
            (Step::Receiving(_), Ok(0)) => self.attempt_failed(ConnectFailure::Proxy, ctx),
            (_, Err(error)) => self.attempt_failed(connect_failure(error), ctx),
            (Step::Send | Step::Recv(_), Ok(_)) => {}
        }
    }
}
