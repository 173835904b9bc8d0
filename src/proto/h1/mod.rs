//! HTTP/1.1, the client's side: bytes of a connection in, answers and byte classes out.
//!
//! Owns head parsing, message framing (RFC 9112 section 6.3), the chunked coding and the memo of
//! the last head. Knows nothing of requests but how many are outstanding and whether they are HEAD.
//!
//! The idea: the answers of one server have identical heads, so the last head that was parsed is
//! kept with its framing, and a further answer costs one comparison. Everything else is the slow
//! path, which is the authority: what a stream means is a function of its bytes alone, whichever
//! way it is split and whatever the memo holds.
//!
//! `scan` finds where a head and its lines end, `lines` says which line can be part of no head, `head`
//! says what a whole one means, `fields` reads the three fields that
//! decide it, `methods` knows which requests are HEAD, `chunk` walks a chunked body, `codec` puts them
//! together.

mod chunk;
mod codec;
mod fields;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod head;
mod lines;
mod memo;
mod methods;
mod scan;
#[cfg(test)]
mod tests;

pub use codec::ClientCodec;
pub use memo::Memo;
