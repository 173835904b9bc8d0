//! The last head that was parsed, with what it meant.
//!
//! The idea: a head ends itself, so bytes that start with a known head mean exactly what it meant,
//! provided the request was of the same sort. Heads that meant more than framing (interim
//! responses, anything noticed) are never kept, so a hit has no side effect to repeat.

use super::super::{Answer, Flow};
use super::head::{Body, Head};
use crate::limits::MEMO_HEAD_BYTES_MAX;

/// Longer answers are not compared body and all: their heads are the smaller part.
const ALIKE_BYTES_MAX: usize = 1024;

/// One per worker, shared by its connections. Does not allocate after `new`.
#[derive(Debug)]
pub struct Memo {
    /// Empty when nothing is known.
    text: Vec<u8>,
    head: Head,
    head_request: bool,
    head_bytes_max: usize,
}

/// A known answer that is whole at the start of some bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) head: Head,
    pub(super) count: u32,
    pub(super) head_bytes: usize,
    pub(super) body_bytes: usize,
}

impl Memo {
    /// An empty memo with room for a head of `limits::MEMO_HEAD_BYTES_MAX` bytes.
    pub fn new() -> Self {
        Self::with_room(MEMO_HEAD_BYTES_MAX)
    }

    fn with_room(head_bytes_max: usize) -> Self {
        let head = Head {
            answer: Answer::default(),
            body: Body::ToClose,
            flow: Flow::Close,
            notices: Default::default(),
        };
        let text = Vec::with_capacity(head_bytes_max);
        Self { text, head, head_request: false, head_bytes_max }
    }

    /// A memo that remembers nothing: every head is parsed.
    #[cfg(any(test, fuzzing))]
    pub(super) fn disabled() -> Self {
        Self::with_room(0)
    }

    /// Remembers nothing from here on, until the next head is kept.
    pub fn forget(&mut self) {
        self.text.clear();
    }

    /// The known head at the start of `bytes`, and its length.
    pub(super) fn recall(&self, bytes: &[u8], head_request: bool) -> Option<(Head, usize)> {
        let is_known = !self.text.is_empty()
            && self.head_request == head_request
            && bytes.starts_with(&self.text);
        is_known.then_some((self.head, self.text.len()))
    }

    /// How many times in a row, at most `count_max`, `bytes` repeat the known head with a whole
    /// body of known length. After an answer that ends the connection there is no other.
    pub(super) fn run(&self, bytes: &[u8], head_request: bool, count_max: u32) -> Option<Run> {
        let Body::Sized(body_bytes) = self.head.body else { return None };
        let head_bytes = self.text.len();
        let body_bytes = usize::try_from(body_bytes).ok()?;
        let answer_bytes = head_bytes.checked_add(body_bytes)?;
        if head_bytes == 0 || self.head_request != head_request {
            return None;
        }
        let count_max = if self.head.flow == Flow::Keep { count_max } else { count_max.min(1) };
        let alike = answers_alike(bytes, answer_bytes, count_max);
        if alike > 0 && bytes[..head_bytes] == *self.text {
            return Some(Run { head: self.head, count: alike, head_bytes, body_bytes });
        }
        let mut count = 0;
        let mut rest = bytes;
        while count < count_max
            && let Some((answer, after)) = rest.split_at_checked(answer_bytes)
            && answer[..head_bytes] == *self.text
        {
            count += 1;
            rest = after;
        }
        (count > 0).then_some(Run { head: self.head, count, head_bytes, body_bytes })
    }

    /// Keeps a head that was just parsed, if it may be kept.
    pub(super) fn keep(&mut self, text: &[u8], head: &Head, head_request: bool) {
        let fits = text.len() <= self.head_bytes_max;
        if !fits || head.is_interim() || !head.notices.is_empty() {
            return;
        }
        self.text.clear();
        self.text.extend_from_slice(text);
        self.head = *head;
        self.head_request = head_request;
    }
}

/// How many whole answers of `answer_bytes`, at most `count_max`, stand at the start of `bytes`, if
/// there are several, they are short, and all are the same to the byte; else 0. Comparing the batch
/// with itself, one answer on, costs one call for all of them; bodies that differ show at once.
fn answers_alike(bytes: &[u8], answer_bytes: usize, count_max: u32) -> u32 {
    if answer_bytes > ALIKE_BYTES_MAX || bytes.len() < 2 * answer_bytes || count_max < 2 {
        return 0;
    }
    let count = (bytes.len() / answer_bytes).min(count_max as usize);
    let all_bytes = count * answer_bytes;
    let alike = bytes[answer_bytes..all_bytes] == bytes[..all_bytes - answer_bytes];
    if alike { count as u32 } else { 0 }
}

impl Default for Memo {
    fn default() -> Self {
        Self::new()
    }
}
