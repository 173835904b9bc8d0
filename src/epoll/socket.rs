//! One slot's socket: what is in flight in it, and what is known of its readiness.

use std::os::fd::OwnedFd;

use crate::io::{Confirm, Token};

/// A slot; empty while `fd` is `None`.
#[derive(Debug, Default)]
pub(super) struct Socket {
    pub(super) fd: Option<OwnedFd>,
    /// Counts the sockets the slot has held, so that a late event is told from a current one.
    pub(super) life: u32,
    /// Made elsewhere: closing our descriptor does not end the watching.
    pub(super) is_adopted: bool,
    pub(super) connect: Option<Token>,
    pub(super) send: Option<Sending>,
    pub(super) recv: Option<Receiving>,
    /// Receiving may bring something. Cleared when it brought nothing, or less than it could.
    pub(super) is_readable: bool,
    /// Sending may be taken. Cleared when it was not.
    pub(super) is_writable: bool,
    /// The end of the stream or an error is behind the bytes, if there are any.
    pub(super) has_ended: bool,
    /// The error that a look behind the bytes took from the socket, for the next receive.
    pub(super) errno: Option<i32>,
    /// What the socket's low-water mark was raised to; 0 while it is a new socket's.
    pub(super) low_water_bytes: u32,
    /// Stands in the queue of those to be looked after.
    pub(super) is_queued: bool,
    /// The address its attempt went to.
    pub(super) address_index: u32,
    /// Its attempt was refused.
    pub(super) is_refused: bool,
    /// The socket of a refused attempt, for the slot's next one, and the address it was made for. The
    /// slot is empty while there is one.
    pub(super) spare: Option<(OwnedFd, u32)>,
}

impl Socket {
    /// Whether looking after it would get anything done.
    pub(super) fn can_go_on(&self) -> bool {
        if self.connect.is_some() {
            return self.is_writable;
        }
        (self.send.is_some() && self.is_writable) || (self.recv.is_some() && self.is_readable)
    }

    /// A socket takes the slot.
    pub(super) fn occupy(&mut self, fd: OwnedFd, is_adopted: bool) {
        debug_assert!(self.fd.is_none(), "the slot is in use");
        let (life, is_queued) = (self.life, self.is_queued);
        *self = Self { fd: Some(fd), life, is_adopted, is_queued, ..Self::default() };
    }

    /// Empties the slot and gives what was in it.
    pub(super) fn vacate(&mut self) -> Self {
        let (life, is_queued) = (self.life.wrapping_add(1), self.is_queued);
        std::mem::replace(self, Self { life, is_queued, ..Self::default() })
    }

    /// What the poller knows the socket by.
    pub(super) fn key(&self, slot: u32) -> u64 {
        u64::from(self.life) << 32 | u64::from(slot)
    }
}

/// A send in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    pub(super) token: Token,
    pub(super) from: Source,
    pub(super) len: u32,
    pub(super) sent: u32,
    pub(super) confirm: Confirm,
}

/// Where a send's bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// From this byte of the arena on.
    Arena(u32),
    /// In this scratch buffer.
    Scratch(u16),
}

/// A receive in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receiving {
    pub(super) token: Token,
    pub(super) want: Want,
}

/// What a receive is to bring; lengths in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Want {
    Stream,
    Once(usize),
    Discard(usize),
}
