//! One connection's requests: bytes in, runs of answers out.
//!
//! Owns the framing of a request stream and the decision what answers it. Knows no sockets, clocks
//! or engines: both engines hand it what they read and send what it says.
//!
//! The idea: a load generator repeats itself. The last head and what it asks for are kept in a
//! memo; bytes equal to it need no parsing, and a read full of equal requests costs one comparison
//! of the read with itself, shifted by one request. The memo is exact, since a head is a pure
//! function of its bytes.

use crate::limits;

use super::answers::{Answer, Persistence};
use super::chunked::Chunked;
use super::head::{self, Body, Request, Scan};

/// The last head parsed, shared by all connections of a thread.
#[derive(Debug, Default)]
pub(super) struct Memo {
    head: Vec<u8>,
    request: Option<Request>,
}

impl Memo {
    fn store(&mut self, head: &[u8], request: Request) {
        if head.len() <= limits::MEMO_HEAD_BYTES_MAX {
            self.head.clear();
            self.head.extend_from_slice(head);
            self.request = Some(request);
        }
    }

    /// What the bytes ask for when `held` and they begin with the head in the memo, and how many of
    /// the bytes belong to it.
    fn recall(&self, held: &[u8], bytes: &[u8]) -> Option<(Request, usize)> {
        let request = self.request?;
        // Asked only when the bytes could complete the head, so a trickle is not compared anew with
        // every byte.
        let needed = self.head.len().checked_sub(held.len())?;
        let is_same = bytes.len() >= needed
            && bytes[..needed] == self.head[held.len()..]
            && held == &self.head[..held.len()];
        is_same.then_some((request, needed))
    }
}

/// Equal answers in a row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Run {
    pub(super) answer: Answer,
    pub(super) count: u32,
}

/// What one read calls for.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// To be sent, in this order.
    pub(super) runs: Vec<Run>,
    /// Requests completed that are counted.
    pub(super) requests: u64,
    /// Requests that broke the grammar or a limit.
    pub(super) malformed: u64,
    /// The connection ends once the runs are sent.
    pub(super) closes: bool,
}

impl Replies {
    /// Empty again, keeping its memory.
    pub(super) fn clear(&mut self) {
        self.runs.clear();
        self.requests = 0;
        self.malformed = 0;
        self.closes = false;
    }

    fn push(&mut self, answer: Answer, count: u32) {
        match self.runs.last_mut() {
            Some(last) if last.answer == answer => last.count += count,
            _ => self.runs.push(Run { answer, count }),
        }
    }
}

/// Where the stream stands.
#[derive(Debug)]
enum State {
    Head,
    Length { left: u64, request: Request },
    Chunked { chunked: Chunked, request: Request },
}

/// The requests of one connection.
#[derive(Debug)]
pub(super) struct Session {
    state: State,
    /// The beginning of a head whose end is still to come.
    held: Vec<u8>,
    scan: Scan,
    /// Answers until the server closes; `None` for no end.
    answers_left: Option<u32>,
    /// Whether the answer before that says so.
    announces_close: bool,
}

impl Session {
    /// `close_after`: close after this many answers, announced in the answer only when it is 1.
    pub(super) fn new(close_after: Option<u32>) -> Self {
        Self {
            state: State::Head,
            held: Vec::new(),
            scan: Scan::default(),
            answers_left: close_after,
            announces_close: close_after == Some(1),
        }
    }

    /// Reads on. After `Replies::closes` nothing more may be handed in.
    pub(super) fn receive(&mut self, memo: &mut Memo, mut bytes: &[u8], replies: &mut Replies) {
        while !bytes.is_empty() && !replies.closes {
            let taken = match &mut self.state {
                State::Head => self.take_head(memo, bytes, replies),
                State::Length { left, request } => {
                    let taken = (*left).min(bytes.len() as u64) as usize;
                    *left -= taken as u64;
                    if *left == 0 {
                        let request = *request;
                        self.complete(request, 1, replies);
                    }
                    taken
                }
                State::Chunked { chunked, request } => match chunked.find_end(bytes) {
                    Ok(Some(taken)) => {
                        let request = *request;
                        self.complete(request, 1, replies);
                        taken
                    }
                    Ok(None) => bytes.len(),
                    Err(_) => Self::refuse(Answer::MALFORMED, replies),
                },
            };
            bytes = &bytes[taken..];
        }
    }

    /// Reads a head, or a whole run of equal ones; says how many bytes it took.
    fn take_head(&mut self, memo: &mut Memo, bytes: &[u8], replies: &mut Replies) -> usize {
        if let Some((request, taken)) = memo.recall(&self.held, bytes) {
            let is_run = self.held.is_empty() && request.body == Body::Empty;
            self.held.clear();
            self.scan = Scan::default();
            if is_run && request.answer.persistence != Persistence::Close {
                let repeats = repeats(bytes, taken);
                let count = self.answers_left.map_or(repeats, |left| repeats.min(left));
                self.complete(request, count, replies);
                return taken * count as usize;
            }
            self.begin(request, bytes.len() == taken, replies);
            return taken;
        }
        let end = self.scan.find_end(bytes);
        let taken = end.unwrap_or(bytes.len());
        if self.held.len() + taken > limits::HEAD_BYTES_MAX {
            return Self::refuse(Answer::HEAD_TOO_LARGE, replies);
        }
        if end.is_none() {
            self.held.extend_from_slice(bytes);
            return taken;
        }
        let parsed = if self.held.is_empty() {
            parse_into(memo, &bytes[..taken])
        } else {
            self.held.extend_from_slice(&bytes[..taken]);
            let parsed = parse_into(memo, &self.held);
            self.held.clear();
            parsed
        };
        match parsed {
            Ok(request) => {
                self.begin(request, bytes.len() == taken, replies);
                taken
            }
            Err(_) => Self::refuse(Answer::MALFORMED, replies),
        }
    }

    /// A head is read; its body comes next, and has not begun to come when `is_last`.
    fn begin(&mut self, request: Request, is_last: bool, replies: &mut Replies) {
        self.state = match request.body {
            Body::Empty => return self.complete(request, 1, replies),
            Body::Length(left) => State::Length { left, request },
            Body::Chunked => State::Chunked { chunked: Chunked::new(), request },
        };
        // RFC 9110 section 10.1.1: needless once body bytes have arrived.
        if request.expects_continue && is_last {
            replies.push(Answer::CONTINUE, 1);
        }
    }

    /// `count` equal requests are fully received.
    fn complete(&mut self, request: Request, count: u32, replies: &mut Replies) {
        self.state = State::Head;
        let mut answer = request.answer;
        if let Some(left) = &mut self.answers_left {
            *left -= count;
            replies.closes |= *left == 0;
            if self.announces_close {
                answer.persistence = Persistence::Close;
            }
        }
        replies.closes |= answer.persistence == Persistence::Close;
        if answer.is_counted() {
            replies.requests += u64::from(count);
        }
        replies.push(answer, count);
    }

    /// Nothing after a malformed request can be told apart, so the connection ends.
    fn refuse(answer: Answer, replies: &mut Replies) -> usize {
        replies.malformed += 1;
        replies.push(answer, 1);
        replies.closes = true;
        0
    }
}

fn parse_into(memo: &mut Memo, head: &[u8]) -> Result<Request, head::Malformed> {
    let request = head::parse(head)?;
    memo.store(head, request);
    Ok(request)
}

/// How many times the first `one` bytes stand in a row at the start of `bytes`.
fn repeats(bytes: &[u8], one: usize) -> u32 {
    let most = bytes.len() / one;
    let all = &bytes[..most * one];
    if all[one..] == all[..all.len() - one] {
        return most as u32;
    }
    all.chunks_exact(one).take_while(|chunk| *chunk == &all[..one]).count() as u32
}

#[cfg(test)]
mod tests;
