//! Every bound of the program in one place, with compile-time checks between them.

/// Longest response head accepted, in bytes. Over it a request ends as `limit`.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most header fields in one head or one trailer section.
pub const FIELDS_MAX: usize = 1000;
/// Most interim (1xx) responses before one final response.
pub const INTERIM_MAX: u32 = 32;
/// Longest chunk-size line with its extensions, in bytes.
pub const CHUNK_LINE_BYTES_MAX: usize = 4 * 1024;
/// Chunk framing may cost this many bytes outright, and beyond that this many times the body.
pub const CHUNK_OVERHEAD_FREE_BYTES: u64 = 64 * 1024;
/// Framing bytes allowed per body byte once the free allowance is used up.
pub const CHUNK_OVERHEAD_RATIO: u64 = 16;
/// Longest head the framing memo keeps; longer heads are parsed every time.
pub const MEMO_HEAD_BYTES_MAX: usize = 4 * 1024;
/// Head bytes each connection can hold without allocating.
pub const HEAD_SCRATCH_BYTES: usize = 512;

/// Most connections in one run.
pub const CONNECTIONS_MAX: u32 = 1_000_000;
/// Most worker threads in one run.
pub const THREADS_MAX: u32 = 1024;
/// Deepest pipeline.
pub const PIPELINE_MAX: u32 = 1024;
/// Longest time any flag accepts: a year, in nanoseconds.
pub const DURATION_NS_MAX: u64 = 366 * 24 * 3600 * 1_000_000_000;
/// Largest request body, in bytes; it is held in memory once per worker.
pub const REQUEST_BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The request is laid out repeatedly in the arena up to this many bytes.
pub const ARENA_BYTES_TARGET: usize = 256 * 1024;
/// Requests of several targets are laid out in the order they leave up to this many bytes.
pub const LANE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Scratch buffers of one worker for requests that are written when they leave take no more than
/// this, or one request.
pub const SCRATCH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most different requests in one run.
pub const TARGETS_MAX: usize = 100_000;
/// Most targets for which results are kept one by one; each takes two histograms' memory.
pub const TARGETS_REPORTED_MAX: usize = 1_000;
/// Places in the cycle that weighted targets take turns in, at most.
pub const PATTERN_PLACES_MAX: u64 = 1 << 20;
/// Largest list of requests, in bytes.
pub const URLS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Highest rate of random arrivals, in requests per second: each is drawn, twice, by the loop that
/// also sends it, and a loop that draws all the time is late for everything else.
pub const POISSON_RATE_PER_S_MAX: u64 = 10_000_000;

/// Largest latency a histogram tells apart, in nanoseconds (one hour); longer ones are counted apart.
pub const LATENCY_NS_MAX: u64 = 3600 * 1_000_000_000;
/// Completions handed over by one turn of a backend, at most.
pub const COMPLETIONS_PER_TURN: usize = 256;
/// One look for work takes less than this, in nanoseconds; what took longer was no spinning: the
/// thread had lost its CPU.
pub const SPIN_STEP_NS_MAX: u64 = 2_000;
/// Bytes of one receive buffer.
pub const RECV_BUFFER_BYTES: usize = 16 * 1024;
/// Receive buffers of one backend; a power of two.
pub const RECV_BUFFERS: u16 = 128;
/// A body with at least this many bytes outstanding is discarded in the kernel, not copied.
pub const DISCARD_BYTES_MIN: u64 = 16 * 1024;
/// Bytes asked for when only a head is expected before a body that will be discarded.
pub const HEAD_RECV_BYTES: u32 = 4 * 1024;
/// A discarding receive of much is woken when this many bytes are there, or all if less.
pub const DISCARD_WAKE_BYTES: u32 = 512 * 1024;
/// From this many bytes on it is worth telling the kernel so.
pub const DISCARD_WAKE_BYTES_MIN: u32 = 256 * 1024;
/// Most bytes one discarding receive asks for.
pub const DISCARD_BYTES_MAX: u64 = 1 << 30;
/// Requests outstanding that are charged no more than this fit any socket's send buffer (Linux starts
/// with 46 KiB on an Ethernet path), so their sends need no confirmation.
pub const UNCONFIRMED_SEND_BYTES_MAX: usize = 44 * 1024;

/// Connections of one worker that can be sending what comes before their first request.
pub const PRELUDE_BUFFERS: u16 = 128;
/// Most addresses of this machine that connections come from.
pub const SOURCES_MAX: usize = 65_536;
/// Bytes of one receive buffer over TLS: several of the longest records, so that few come in pieces.
pub const TLS_RECV_BUFFER_BYTES: usize = 64 * 1024;
/// Bytes one connection holds of a record, or of a handshake message, that came in pieces, at most.
pub const TLS_HELD_BYTES_MAX: usize = 96 * 1024;
/// Bytes of one scratch buffer for encrypted sends, at least and at most; what is longer is sent in
/// pieces.
pub const TLS_SEND_BUFFER_BYTES_MIN: usize = 4 * 1024;
/// See above.
pub const TLS_SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Bytes of all scratch buffers of one worker, at most.
pub const TLS_SEND_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Seconds of timeline kept; beyond it neighbours are merged.
pub const TIMELINE_MAX: usize = 4096;
/// Interval histograms in flight between a worker and the reader.
pub const INTERVAL_POOL: usize = 4;

/// Values of a header field that answers are counted by, at most; the others are counted together.
pub const GROUPS_MAX: usize = 64;
/// Bytes of such a value that are told apart.
pub const GROUP_VALUE_BYTES_MAX: usize = 128;
/// Different bodies that a worker tells apart; the others are counted together.
pub const BODIES_MAX: usize = 64;

/// Requests whose stamps the reference server keeps in memory, at most; each takes 32 bytes.
pub const STAMPS_MAX: usize = 64 * 1024 * 1024;
/// Stamps are kept in pieces of this many, so that growing never copies.
pub const STAMPS_PER_PIECE: usize = 64 * 1024;
/// Stamps for which a server has touched the memory before its first request.
pub const STAMPS_RESERVED: usize = 1024 * 1024;

const _: () = assert!(TARGETS_MAX as u64 <= PATTERN_PLACES_MAX);
const _: () = assert!(LANE_BYTES_MAX <= u32::MAX as usize);
const _: () = assert!(ARENA_BYTES_TARGET <= LANE_BYTES_MAX);
const _: () = assert!(GROUPS_MAX < u16::MAX as usize);
const _: () = assert!(STAMPS_MAX.is_multiple_of(STAMPS_PER_PIECE));
const _: () = assert!(STAMPS_RESERVED <= STAMPS_MAX);
const _: () = assert!(RECV_BUFFERS.is_power_of_two());
const _: () = assert!(MEMO_HEAD_BYTES_MAX <= RECV_BUFFER_BYTES);
const _: () = assert!(MEMO_HEAD_BYTES_MAX <= HEAD_BYTES_MAX);
const _: () = assert!(RECV_BUFFER_BYTES <= HEAD_BYTES_MAX);
const _: () = assert!(DISCARD_BYTES_MIN >= HEAD_RECV_BYTES as u64);
const _: () = assert!(CHUNK_LINE_BYTES_MAX <= HEAD_BYTES_MAX);
