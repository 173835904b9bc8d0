//! The contract suite on real sockets, with every feature and with the newer ones masked.

use super::*;
use crate::io::OpKind;
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
        let masked =
            Masked { abs_timer: true, no_sqarray: true, ring_fd: true, ..Masked::default() };
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

/// Queues so short that both overflow in every larger case.
struct Tiny;

impl MakeBackend for Tiny {
    type B = Uring;

    fn make(setup: Setup) -> Uring {
        let masked = Masked { entries_max: Some(8), ..Masked::default() };
        Uring::with_masked(setup, Clock::start(), masked).unwrap()
    }
}

/// Every second call to the kernel does nothing.
struct Refused;

impl MakeBackend for Refused {
    type B = Uring;

    fn make(setup: Setup) -> Uring {
        let masked = Masked { enter: true, ..Masked::default() };
        Uring::with_masked(setup, Clock::start(), masked).unwrap()
    }
}

contract_suite!(newest, OverSockets<Newest>);
contract_suite!(oldest, OverSockets<Oldest>);
contract_suite!(spinning, OverSockets<Spinning>);
contract_suite!(keeping, OverSockets<Keeping>);
contract_suite!(tiny, OverSockets<Tiny>);
contract_suite!(refused, OverSockets<Refused>);

/// Attempts to a port that nobody listens on any more, and to the same one once somebody does again.
#[test]
fn a_refused_attempt_leaves_its_socket_to_the_next() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let setup = crate::io::contract::small();
    let mut uring = Newest::make(Setup { addresses: vec![address.into()], ..setup });
    let mut done = Completions::with_capacity(8);
    let mut attempt = |uring: &mut Uring, generation: u32| {
        let token = Token::new(OpKind::Connect, generation, 0);
        uring.push(Op::Connect { slot: Slot(0), address_index: 0 }, token).unwrap();
        done.items.clear();
        while done.items.is_empty() {
            uring.turn(u64::MAX, &mut done).unwrap();
        }
        assert_eq!((done.items.len(), done.items[0].token), (1, token));
        let fd = uring.sockets[0].fd.as_ref().unwrap().as_raw_fd();
        (done.items[0].result, fd)
    };
    let close = |uring: &mut Uring| {
        let close = Op::Close { slot: Slot(0), kind: CloseKind::Orderly };
        uring.push(close, Token::new(OpKind::Recv, 0, 0)).unwrap();
    };
    let (result, first) = attempt(&mut uring, 0);
    assert_eq!(result, Err(IoError::Refused));
    for generation in 1..4 {
        close(&mut uring);
        assert_eq!(attempt(&mut uring, generation), (Err(IoError::Refused), first));
    }
    close(&mut uring);
    let listener = std::net::TcpListener::bind(address).unwrap();
    assert_eq!(attempt(&mut uring, 4), (Ok(0), first));
    let fd = uring.sockets[0].fd.as_ref().unwrap().try_clone().unwrap();
    assert!(std::net::TcpStream::from(fd).nodelay().unwrap(), "its options are lost");
    // One that was connected is closed as ever.
    close(&mut uring);
    uring.turn(0, &mut done).unwrap();
    assert!(uring.sockets[0].fd.is_none());
    let (mut peer, _) = listener.accept().unwrap();
    assert_eq!(std::io::Read::read(&mut peer, &mut [0; 1]).unwrap(), 0);
}

/// A thread has sixteen places for registered rings.
#[test]
fn rings_that_come_to_nothing_leave_the_threads_table_to_others() {
    for _ in 0..20 {
        // More descriptors than any process may have.
        let setup = Setup { slots: 1 << 28, ..crate::io::contract::small() };
        let refused = Uring::try_new(setup, Clock::start(), Masked::default()).unwrap_err();
        assert_eq!(refused.step, "io_uring_register of descriptors");
    }
    let uring = Newest::make(crate::io::contract::small());
    assert!(uring.description().contains("registered_ring_fd"), "{}", uring.description());
}

#[test]
fn a_lease_comes_back_once_whatever_has_been_sent_in_its_slot_since() {
    let mut sockets = vec![Socket::default(), Socket::default()];
    let mut before = Vec::new();
    let [old, new] = [1, 2].map(|generation| Token::new(OpKind::Send, generation, 0));
    for (token, buffer) in [(old, 7), (new, 9)] {
        before.extend(sockets[0].leased.replace((token.bits(), buffer)));
    }
    assert_eq!(take_leased(&mut sockets, &mut before, old), Some(7));
    assert_eq!(take_leased(&mut sockets, &mut before, old), None);
    assert_eq!(take_leased(&mut sockets, &mut before, new), Some(9));
    assert_eq!(take_leased(&mut sockets, &mut before, new), None);
    let elsewhere = Token::new(OpKind::Send, 2, 5);
    assert_eq!(take_leased(&mut sockets, &mut before, elsewhere), None);
}

/// Reads many connections whose peers all send at once.
struct Reader {
    uring: Uring,
    done: Completions,
    /// Bytes still to come, by slot.
    left: Vec<usize>,
    /// Slots whose stream ended before the peer did.
    again: VecDeque<u32>,
    ended: usize,
    overflows: u32,
}

impl Reader {
    fn turn(&mut self, until_ns: u64) {
        self.uring.turn(until_ns, &mut self.done).unwrap();
        self.overflows += u32::from(self.uring.ring.inner.submission().cq_overflow());
        for Completion { token, result, lease, more, .. } in self.done.items.drain(..) {
            let count = result.unwrap() as usize;
            match lease {
                Some(lease) => {
                    self.left[token.index() as usize] -= count;
                    self.uring.recycle(lease);
                    // An overflow ends a stream, as the end of the buffers does.
                    self.again.extend((!more).then_some(token.index()));
                }
                None => self.ended += usize::from(token.kind() == OpKind::Recv),
            }
        }
    }

    fn push(&mut self, mut op: Op, token: Token) {
        while let Err(QueueFull(back)) = self.uring.push(op, token) {
            op = back;
            self.turn(0);
        }
    }

    fn read(&mut self, slot: u32) {
        self.push(Op::RecvStream { slot: Slot(slot) }, Token::new(OpKind::Recv, 0, slot));
    }
}

#[test]
fn completions_that_find_their_queue_full_are_all_delivered() {
    const SLOTS: u32 = 64;
    const BYTES: usize = 1000;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup {
        slots: SLOTS,
        addresses: vec![listener.local_addr().unwrap().into()],
        recv_buffers: 256,
        ..crate::io::contract::small()
    };
    let mut reader = Reader {
        uring: Tiny::make(setup),
        done: Completions::with_capacity(64),
        left: vec![BYTES; SLOTS as usize],
        again: VecDeque::new(),
        ended: 0,
        overflows: 0,
    };
    for slot in 0..SLOTS {
        let connect = Op::Connect { slot: Slot(slot), address_index: 0 };
        reader.push(connect, Token::new(OpKind::Connect, 0, slot));
    }
    reader.turn(0);
    let peers: Vec<_> = (0..SLOTS).map(|_| listener.accept().unwrap().0).collect();
    (0..SLOTS).for_each(|slot| reader.read(slot));
    reader.turn(0);
    for mut peer in peers {
        std::io::Write::write_all(&mut peer, &[7; BYTES]).unwrap();
    }
    let give_up_ns = reader.uring.now_ns() + 60_000_000_000;
    while reader.ended < SLOTS as usize {
        reader.turn(give_up_ns);
        while let Some(slot) = reader.again.pop_front() {
            reader.read(slot);
        }
        assert!(reader.uring.now_ns() < give_up_ns, "left: {:?}", reader.left);
    }
    assert!(reader.overflows > 0, "the queue never overflowed");
    assert_eq!(reader.left, [0; SLOTS as usize]);
}
