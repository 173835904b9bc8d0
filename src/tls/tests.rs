//! TLS against a server in memory. What rustls itself promises is not tested again; what is tested is
//! how it is driven: bytes in pieces, ends at every byte, keys that change, words for what went wrong.
//!
//! Family G of the fault catalogue; `w` stands for the worker's tests, `b` for the built binary's:
//!
//! - G1 `what_is_wrong_with_a_certificate_is_said`; b `what_is_wrong_with_a_certificate_ends_the_run…`;
//!   w `first_handshakes_that_all_fail_alike_end_the_opening`
//! - G2 `an_end_at_any_byte_of_the_handshake…`; w `g02_…`
//! - G3 `a_close_notify_ends_the_stream_and_a_handshake_at_once`; w `g03_…`
//! - G4 `offers_that_have_nothing_in_common_with_the_server…`, HelloRetryRequest among them
//! - G5 the same for ALPN; w `a_protocol_that_is_not_spoken_fails_the_handshake`. A server that
//!   answers what nobody offered is refused inside rustls.
//! - G6 `a_client_certificate_is_shown_when_demanded…`; b `a_client_certificate_is_shown…`
//! - G7 `pieces_of_any_size…`, `an_answer_split_at_any_byte…`, `records_of_one_byte…`; w `g07_…`
//! - G8 `a_changed_byte_anywhere…`, `a_record_longer_than_allowed…`, `an_alert_says_its_name`; w `g08_…`
//! - G9 `keys_that_change_change_nothing_else`; w `g09_…`
//! - G10 `sessions_are_resumed_if…` with 0, 1, 2 and 255 tickets; w `g10_…`; b `a_new_connection_for…`
//! - G11 w `g11_…`
//! - G12 `a_certificate_with_thousands_of_names…`; more than 64 KiB no server here can send
//! - G13 `a_request_to_renegotiate…`, as far as it can be made without the server's keys
//! - G14 `what_is_no_tls_is_said…`; w `a_plain_server_is_a_fault…`; b `https_on_a_plain_port…`
//! - G15 early data is never offered, so none can be rejected

pub(crate) mod certificates;
pub(crate) mod server;

use super::*;
use crate::outcome::TlsFault;
use certificates::{Authority, Issued, Valid};
use server::{Like, Server, issued_for};

/// What a client like ours asks for, trusting `root`.
pub(crate) fn options(name: &str, root: &Authority) -> Options {
    Options {
        server_name: name.to_owned(),
        trust: Trust::Roots(certificates_from_pem(root.pem().as_bytes()).unwrap()),
        identity: None,
        alpn: vec!["http/1.1".to_owned()],
        version: None,
        ciphers: Vec::new(),
        groups: Vec::new(),
        resumes: true,
    }
}

/// A client and a server with the wire between them.
struct Pair {
    session: Session,
    server: Server,
    /// Plaintext that arrived at the client.
    got: Vec<u8>,
    scratch: Vec<u8>,
    /// Bytes that the server has sent, and the most that one piece of them has.
    sent: usize,
    piece: usize,
    /// The server's bytes end here.
    cut: usize,
}

impl Pair {
    fn new(client: &Client, server: Server) -> Self {
        let mut session = Session::new();
        session.begin(client, 0).unwrap();
        let (got, scratch) = (Vec::new(), vec![0; 64 * 1024]);
        Self { session, server, got, scratch, sent: 0, piece: usize::MAX, cut: usize::MAX }
    }

    fn up(&mut self) {
        let count = self.session.take_outgoing(&mut self.scratch);
        self.server.receive(&self.scratch[..count]);
    }

    fn down(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let bytes = &bytes[..bytes.len().min(self.cut.saturating_sub(self.sent))];
        self.sent += bytes.len();
        for piece in bytes.to_vec().chunks_mut(self.piece) {
            self.session.receive(piece, &mut |plain| {
                self.got.extend_from_slice(plain);
                true
            })?;
        }
        Ok(())
    }

    /// Exchanges bytes until neither side has any.
    fn settle(&mut self) -> Result<(), Fault> {
        loop {
            self.up();
            let bytes = self.server.outgoing();
            if bytes.is_empty() || self.sent >= self.cut {
                return Ok(());
            }
            self.down(&bytes)?;
        }
    }

    fn send(&mut self, plain: &[u8]) {
        let written = self.session.encrypt(plain, &mut self.scratch).unwrap();
        self.server.receive(&self.scratch[..written]);
    }

    /// A request and its answer of `len` bytes.
    fn exchange(&mut self, len: usize) -> Result<(), Fault> {
        self.got.clear();
        self.server.read.clear();
        self.send(b"request");
        assert_eq!(self.server.read, b"request");
        let answer: Vec<u8> = (0..len).map(|index| index as u8).collect();
        self.server.write(&answer);
        self.settle()?;
        assert_eq!(self.got, answer, "{len} bytes in pieces of {}", self.piece);
        Ok(())
    }
}

fn pair(like: &Like) -> Pair {
    let (root, issued) = issued_for("localhost");
    let client = Settings::new(options("localhost", &root)).unwrap().client();
    Pair::new(&client, Server::new(&like.config(&issued)))
}

fn established(like: &Like) -> Pair {
    let mut pair = pair(like);
    pair.settle().unwrap();
    assert!(pair.session.is_established());
    pair
}

/// What becomes of a handshake with a server that shows `issued`.
fn fault(options: Options, like: &Like, issued: &Issued) -> Fault {
    let client = Settings::new(options).unwrap().client();
    let mut pair = Pair::new(&client, Server::new(&like.config(issued)));
    let outcome = pair.settle().and_then(|()| pair.settle());
    let fault = outcome.expect_err("the handshake fails");
    assert!(!pair.session.is_established() || fault.cause == TlsFault::Alert);
    // Whoever is refused is told why.
    pair.up();
    fault
}

const BOTH: [u16; 2] = [12, 13];

#[test]
fn a_handshake_says_what_was_agreed_on() {
    for version in BOTH {
        let pair = established(&Like { version, ..Like::default() });
        let facts = pair.session.facts();
        assert_eq!(facts.version, format!("TLS 1.{}", version - 10));
        assert!(facts.cipher.starts_with("TLS_"), "{facts:?}");
        assert_eq!((facts.group.as_str(), facts.alpn.as_str()), ("x25519", "http/1.1"));
        assert_eq!(facts.subject, "CN=wring test, O=Peers");
        assert!(!pair.session.is_resumed());
    }
}

#[test]
fn pieces_of_any_size_give_the_same_handshake_and_the_same_plaintext() {
    for version in BOTH {
        for piece in (1..=40).chain([333, 1400, 5000]) {
            let mut pair = pair(&Like { version, ..Like::default() });
            pair.piece = piece;
            pair.settle().unwrap();
            assert!(pair.session.is_established(), "pieces of {piece}");
            pair.exchange(300).unwrap();
        }
    }
}

#[test]
fn an_answer_split_at_any_byte_is_the_same() {
    let mut pair = established(&Like::default());
    for split in 1..120 {
        pair.server.write(b"one answer in one record");
        pair.server.write(b"and another");
        let mut bytes = pair.server.outgoing();
        pair.got.clear();
        let split = split.min(bytes.len());
        let (first, second) = bytes.split_at_mut(split);
        for part in [first, second] {
            let got = &mut pair.got;
            let take = &mut |plain: &[u8]| {
                got.extend_from_slice(plain);
                true
            };
            pair.session.receive(part, take).unwrap();
        }
        assert_eq!(pair.got, b"one answer in one recordand another", "split at {split}");
    }
}

#[test]
fn records_of_one_byte_make_whole_messages() {
    // The smallest that rustls's server writes has 27 bytes of content.
    for version in BOTH {
        let mut pair = established(&Like { version, fragment: Some(32), ..Like::default() });
        pair.piece = 1;
        pair.exchange(500).unwrap();
        for byte in b"single" {
            pair.server.write(&[*byte]);
        }
        pair.got.clear();
        pair.settle().unwrap();
        assert_eq!(pair.got, b"single");
    }
}

#[test]
fn long_answers_come_whole_through_pieces_that_cut_every_record() {
    for version in BOTH {
        let mut pair = established(&Like { version, ..Like::default() });
        for piece in [1000, 16 * 1024, 16_406, 64 * 1024] {
            pair.piece = piece;
            pair.exchange(200_000).unwrap();
        }
        assert!(pair.session.held_bytes() <= crate::limits::TLS_HELD_BYTES_MAX);
    }
}

#[test]
fn an_end_at_any_byte_of_the_handshake_leaves_it_undone() {
    let like = Like { tickets: 0, ..Like::default() };
    let mut whole = pair(&like);
    whole.settle().unwrap();
    for cut in 0..whole.sent {
        let mut pair = pair(&like);
        pair.cut = cut;
        // Certificates differ in length by some bytes from one to the next.
        let near_the_end = cut + 16 > whole.sent;
        pair.settle().unwrap();
        assert!(near_the_end || !pair.session.is_established(), "{cut} of {} bytes", whole.sent);
    }
}

#[test]
fn a_batch_is_one_record_as_long_as_it_fits_one() {
    for version in BOTH {
        let mut pair = established(&Like { version, ..Like::default() });
        let batch = vec![b'x'; 16 * 1024];
        let mut out = vec![0; buffer_bytes_for(batch.len())];
        let written = pair.session.encrypt(&batch, &mut out).unwrap();
        assert!(written <= batch.len() + RECORD_OVERHEAD_BYTES, "{written}");
        let length = usize::from(u16::from_be_bytes([out[3], out[4]]));
        assert_eq!(length + 5, written, "one record");
        pair.server.receive(&out[..written]);
        assert_eq!(pair.server.read, batch);
    }
}

#[test]
fn a_buffer_takes_what_is_said_to_fit_and_what_does_not_is_said_not_to() {
    for version in BOTH {
        let mut pair = established(&Like { version, ..Like::default() });
        for buffer_bytes in [200, 4096, 16 * 1024, 16_500, 40_000, 64 * 1024] {
            let fits = plain_bytes_max(buffer_bytes);
            assert!(buffer_bytes_for(fits) <= buffer_bytes, "{buffer_bytes}");
            let (plain, mut out) = (vec![7; fits], vec![0; buffer_bytes]);
            let written = pair.session.encrypt(&plain, &mut out).unwrap();
            pair.server.read.clear();
            pair.server.receive(&out[..written]);
            assert_eq!(pair.server.read, plain);
        }
    }
}

#[test]
fn keys_that_change_change_nothing_else() {
    let mut pair = established(&Like::default());
    for _ in 0..20 {
        pair.server.conn.refresh_traffic_keys().unwrap();
        pair.exchange(1000).unwrap();
        // The server asked for new keys from us as well; they come before the next request.
        pair.exchange(1000).unwrap();
    }
}

#[test]
fn sessions_are_resumed_if_the_server_gives_tickets_and_we_may() {
    for version in BOTH {
        for (tickets, resumes) in [(0, true), (1, true), (2, true), (255, true), (2, false)] {
            let (root, issued) = issued_for("localhost");
            let mut options = options("localhost", &root);
            options.resumes = resumes;
            let client = Settings::new(options).unwrap().client();
            let config = Like { version, tickets, ..Like::default() }.config(&issued);
            for number in 0..3 {
                let mut pair = Pair::new(&client, Server::new(&config));
                pair.settle().unwrap();
                pair.exchange(10).unwrap();
                let expected = number > 0 && resumes && tickets > 0;
                assert_eq!(
                    pair.session.is_resumed(),
                    expected,
                    "connection {number}, 1.{}, {tickets} tickets",
                    version - 10
                );
            }
        }
    }
}

#[test]
fn each_worker_remembers_its_own_sessions() {
    let (root, issued) = issued_for("localhost");
    let settings = Settings::new(options("localhost", &root)).unwrap();
    let config = Like::default().config(&issued);
    for _ in 0..2 {
        let mut pair = Pair::new(&settings.client(), Server::new(&config));
        pair.settle().unwrap();
        assert!(!pair.session.is_resumed());
    }
}

#[test]
fn what_is_wrong_with_a_certificate_is_said() {
    let root = Authority::root("Test Root");
    let other = Authority::root("Another Root");
    let like = Like::default();
    for (names, valid, host, cause, words) in [
        (&["localhost"][..], Valid::Past, "localhost", TlsFault::Expired, "valid until 2021-02-03"),
        (
            &["localhost"],
            Valid::Future,
            "localhost",
            TlsFault::NotYetValid,
            "it is from 2098-04-05",
        ),
        (&["localhost"], Valid::Now, "example.com", TlsFault::WrongName, "not for example.com"),
        (&["localhost"], Valid::Now, "127.0.0.1", TlsFault::WrongName, "not for 127.0.0.1"),
        (&[], Valid::Now, "localhost", TlsFault::WrongName, "names no host"),
    ] {
        let fault = fault(options(host, &root), &like, &root.issue(names, valid));
        assert_eq!(fault.cause, cause, "{fault:?}");
        assert!(fault.text.contains(words), "{fault:?}");
    }
    let issued = other.issue(&["localhost"], Valid::Now);
    for issued in [issued, Authority::nobody(&["localhost"])] {
        let fault = fault(options("localhost", &root), &like, &issued);
        assert_eq!(fault.cause, TlsFault::UnknownIssuer, "{fault:?}");
    }
}

/// What becomes of a server that shows `shown` where the trusted file holds `file`.
fn shown_to(file: &str, name: &str, shown: &Issued) -> Result<(), Fault> {
    let trust = Trust::Roots(certificates_from_pem(file.as_bytes()).unwrap());
    let root = Authority::root("Test Root");
    let client = Settings::new(Options { trust, ..options(name, &root) }).unwrap().client();
    let mut pair = Pair::new(&client, Server::new(&Like::default().config(shown)));
    pair.settle()?;
    assert!(pair.session.is_established());
    Ok(())
}

#[test]
fn a_server_s_own_certificate_is_trusted_where_the_file_names_it_and_no_further() {
    let root = Authority::root("Test Root");
    let leaf = root.issue(&["localhost"], Valid::Now);
    for own in [
        // As openssl req -x509 makes them, an issuer's; and one that is none.
        Authority::self_issued(&["localhost"], Valid::Now),
        Authority::nobody(&["localhost"]),
        leaf.clone(),
    ] {
        shown_to(&own.chain, "localhost", &own).unwrap();
        let both = format!("{}{}", root.pem(), own.chain);
        shown_to(&both, "localhost", &own).unwrap();
        let fault = shown_to(&own.chain, "example.com", &own).unwrap_err();
        assert_eq!(fault.cause, TlsFault::WrongName, "{fault:?}");
        assert!(fault.text.ends_with("is not for example.com: it is for localhost"), "{fault:?}");
    }
    for (valid, cause) in [(Valid::Past, TlsFault::Expired), (Valid::Future, TlsFault::NotYetValid)]
    {
        let own = Authority::self_issued(&["localhost"], valid);
        let fault = shown_to(&own.chain, "localhost", &own).unwrap_err();
        assert_eq!(fault.cause, cause, "{fault:?}");
    }
    // Another one by the same name is not that one.
    let [own, other] = [(); 2].map(|()| Authority::self_issued(&["localhost"], Valid::Now));
    let fault = shown_to(&own.chain, "localhost", &other).unwrap_err();
    assert_eq!(fault.cause, TlsFault::UnknownIssuer, "{fault:?}");
    assert!(fault.text.contains("shows an issuer's certificate"), "{fault:?}");
    let fault = shown_to(&leaf.chain, "localhost", &root.issue(&["localhost"], Valid::Now));
    assert_eq!(fault.unwrap_err().cause, TlsFault::UnknownIssuer);
}

#[test]
fn a_long_chain_is_followed_to_a_root_that_is_trusted() {
    let root = Authority::root("Test Root");
    let deep = root.below("one").below("two").below("three").below("four");
    let issued = deep.issue(&["localhost"], Valid::Now);
    let client = Settings::new(options("localhost", &root)).unwrap().client();
    let mut pair = Pair::new(&client, Server::new(&Like::default().config(&issued)));
    pair.settle().unwrap();
    assert!(pair.session.is_established());
}

#[test]
fn a_certificate_with_thousands_of_names_costs_a_bounded_buffer() {
    let root = Authority::root("Test Root");
    let names: Vec<String> = (0..2_500).map(|index| format!("host-{index}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let issued = root.issue(&names, Valid::Now);
    let client = Settings::new(options("localhost", &root)).unwrap().client();
    let mut pair = Pair::new(&client, Server::new(&Like::default().config(&issued)));
    pair.piece = 1400;
    let fault = pair.settle().expect_err("more than a handshake message can hold, or another name");
    assert!(pair.session.held_bytes() <= crate::limits::TLS_HELD_BYTES_MAX, "{fault:?}");
}

#[test]
fn anybody_is_accepted_when_that_is_asked_for() {
    let root = Authority::root("Test Root");
    for valid in [Valid::Past, Valid::Now, Valid::Future] {
        for version in BOTH {
            let issued = root.issue(&["elsewhere"], valid);
            let asked = Options { trust: Trust::Anybody, ..options("localhost", &root) };
            let client = Settings::new(asked).unwrap().client();
            let like = Like { version, ..Like::default() };
            let mut pair = Pair::new(&client, Server::new(&like.config(&issued)));
            pair.settle().unwrap();
            pair.exchange(100).unwrap();
        }
    }
}

#[test]
fn a_client_certificate_is_shown_when_demanded_and_missed_when_not_there() {
    let (root, issued) = issued_for("localhost");
    let own = root.issue(&["client"], Valid::Now);
    for version in BOTH {
        let like = Like { version, demands: Some(root.pem()), ..Like::default() };
        let identity = identity_from_pem(own.chain.as_bytes(), own.key.as_bytes()).unwrap();
        let asked = Options { identity: Some(identity), ..options("localhost", &root) };
        let client = Settings::new(asked).unwrap().client();
        let mut pair = Pair::new(&client, Server::new(&like.config(&issued)));
        pair.settle().unwrap();
        pair.exchange(100).unwrap();
        let fault = fault(options("localhost", &root), &like, &issued);
        assert_eq!(fault.cause, TlsFault::Alert, "{fault:?}");
    }
}

#[test]
fn offers_that_have_nothing_in_common_with_the_server_fail_with_that_reason() {
    let (root, issued) = issued_for("localhost");
    let asked = || options("localhost", &root);
    let only_12 = Options { version: Some(Version::Tls12), ..asked() };
    let p256 = Options { groups: vec![Group::parse("P-256").unwrap()], ..asked() };
    let p384 = Options { groups: vec![Group::parse("secp384r1").unwrap()], ..asked() };
    let h2 = Options { alpn: vec!["h2".to_owned()], ..asked() };
    let one_group = Like { groups: Some(1), ..Like::default() };
    for (asked, like, causes) in [
        (only_12, Like::default(), [TlsFault::Alert, TlsFault::NothingInCommon]),
        (p384, one_group.clone(), [TlsFault::Alert, TlsFault::NothingInCommon]),
        (h2, Like::default(), [TlsFault::Alert, TlsFault::Alpn]),
    ] {
        let fault = fault(asked, &like, &issued);
        assert!(causes.contains(&fault.cause), "{fault:?}");
        assert!(fault.text.len() > 30, "{fault:?}");
    }
    // One group both have, but not the one the client guessed: HelloRetryRequest.
    let both = Options {
        groups: ["x25519", "P-256"].map(|name| Group::parse(name).unwrap()).to_vec(),
        ..asked()
    };
    for asked in [p256, both] {
        let client = Settings::new(asked).unwrap().client();
        let mut pair = Pair::new(&client, Server::new(&one_group.config(&issued)));
        pair.settle().unwrap();
        assert_eq!(pair.session.facts().group, "secp256r1");
    }
}

#[test]
fn what_is_no_tls_is_said_in_one_sentence_at_every_split() {
    let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
    for piece in 1..answer.len() {
        let mut pair = pair(&Like::default());
        pair.piece = piece;
        let fault = pair.down(answer).unwrap_err();
        assert_eq!(fault.cause, TlsFault::NotTls, "{fault:?}");
        assert!(fault.text.contains("plain HTTP"), "pieces of {piece}: {fault:?}");
    }
    let mut pair = pair(&Like::default());
    let fault = pair.down(b"220 mail.example ESMTP\r\n").unwrap_err();
    assert_eq!(fault.cause, TlsFault::NotTls);
}

#[test]
fn a_changed_byte_anywhere_in_a_record_is_a_fault() {
    for version in BOTH {
        for index in 0..40 {
            let mut pair = established(&Like { version, tickets: 0, ..Like::default() });
            pair.server.write(b"eleven bytes and more");
            let mut bytes = pair.server.outgoing();
            // A longer record than was sent is waited for; what follows then does not fit.
            bytes.extend_from_slice(&[0; 70_000]);
            // Nobody looks at the second half of the version (RFC 8446 section 5.1).
            if index == 2 {
                continue;
            }
            bytes[index] ^= 0x41;
            let fault = pair.down(&bytes).expect_err("a changed record");
            assert!(matches!(fault.cause, TlsFault::Protocol | TlsFault::Alert), "{fault:?}");
            assert_eq!(pair.got, b"", "byte {index}");
        }
    }
}

#[test]
fn a_record_longer_than_allowed_is_a_fault_before_it_is_held() {
    let mut pair = established(&Like::default());
    let fault = pair.down(&[23, 3, 3, 0xff, 0xff, 1, 2, 3]).unwrap_err();
    assert_eq!(fault.cause, TlsFault::Protocol, "{fault:?}");
    let mut pair = established(&Like::default());
    pair.piece = 1;
    assert!(pair.down(&[23, 3, 3, 0xff, 0xff]).is_err());
}

#[test]
fn a_close_notify_ends_the_stream_and_a_handshake_at_once() {
    let mut pair = established(&Like::default());
    pair.server.write(b"last words");
    pair.server.conn.send_close_notify();
    pair.settle().unwrap();
    assert_eq!(pair.got, b"last words");
    assert!(pair.session.is_closed_by_peer());
    // Bytes after it belong to nobody.
    pair.down(&[1; 500]).unwrap();

    // Before there are keys anybody can write it, and nothing will follow all the same.
    let (one, other) = ([21, 3, 3, 0, 2, 1, 0], [21, 3, 3, 0, 2, 1, 90]);
    for (bytes, piece) in [
        (one.to_vec(), usize::MAX),
        (one.to_vec(), 1),
        (one.repeat(3), usize::MAX),
        ([other, one].concat(), usize::MAX),
        ([other, one].concat(), 9),
    ] {
        let mut early = pair_in_handshake();
        early.piece = piece;
        let fault = early.down(&bytes).unwrap_err();
        assert_eq!(fault.cause, TlsFault::Closed, "{bytes:?}: {fault:?}");
        assert!(!early.session.is_established());
    }
    // Another warning ends nothing; many of them mean harm.
    let mut early = pair_in_handshake();
    early.down(&other).unwrap();
    assert_eq!(early.down(&other.repeat(20)).unwrap_err().cause, TlsFault::Protocol);
}

fn pair_in_handshake() -> Pair {
    let mut pair = pair(&Like::default());
    pair.up();
    pair
}

#[test]
fn an_alert_says_its_name() {
    let mut pair = pair_in_handshake();
    let fault = pair.down(&[21, 3, 3, 0, 2, 2, 40]).unwrap_err();
    assert_eq!(fault.cause, TlsFault::Alert);
    assert!(fault.text.contains("the alert 'handshake failure': it accepts none"), "{fault:?}");
    let mut pair = pair_in_handshake();
    let fault = pair.down(&[21, 3, 3, 0, 2, 2, 200]).unwrap_err();
    assert!(fault.text.contains("the alert number 200"), "{fault:?}");
}

#[test]
fn a_request_to_renegotiate_that_anybody_could_make_is_a_fault() {
    // HelloRequest cannot be sent by rustls's server; over TLS 1.2 it is a handshake record with four
    // zero bytes, which only the holder of the keys can make. An unencrypted one is a broken record.
    let mut pair = established(&Like { version: 12, tickets: 0, ..Like::default() });
    assert!(pair.down(&[22, 3, 3, 0, 4, 0, 0, 0, 0]).is_err());
}

#[test]
fn our_end_is_told_to_the_server() {
    for version in BOTH {
        let mut pair = established(&Like { version, ..Like::default() });
        let mut out = [0; 128];
        let written = pair.session.close_notify(&mut out);
        pair.server.receive(&out[..written]);
        let state = pair.server.conn.process_new_packets().unwrap();
        assert!(state.peer_has_closed());
    }
}

#[test]
fn settings_that_cannot_work_are_refused_with_the_reason() {
    let (root, issued) = issued_for("localhost");
    let other = root.issue(&["client"], Valid::Now);
    let refused = |options: Options| Settings::new(options).expect_err("refused");
    let asked = || options("localhost", &root);
    assert!(matches!(
        refused(Options { server_name: "a b".to_owned(), ..asked() }),
        SettingsError::Name(_)
    ));
    let mixed = identity_from_pem(issued.chain.as_bytes(), other.key.as_bytes()).unwrap();
    assert_eq!(refused(Options { identity: Some(mixed), ..asked() }), SettingsError::KeyMismatch);
    let only_12 = vec![Cipher::parse("ECDHE-RSA-AES128-GCM-SHA256").unwrap()];
    assert!(matches!(
        refused(Options { ciphers: only_12, version: Some(Version::Tls13), ..asked() }),
        SettingsError::NothingToOffer(_)
    ));
    let post_quantum = || vec![Group::parse("X25519MLKEM768").unwrap()];
    let of_12 = Options { groups: post_quantum(), version: Some(Version::Tls12), ..asked() };
    let error = refused(of_12).to_string();
    assert!(error.ends_with("there is no group among them for the version asked for"), "{error}");
    let suite = || vec![Cipher::parse("ECDHE-RSA-AES128-GCM-SHA256").unwrap()];
    let crossed = Options { groups: post_quantum(), ciphers: suite(), ..asked() };
    assert!(matches!(refused(crossed), SettingsError::NothingToOffer(_)));
    Settings::new(Options { groups: post_quantum(), ..asked() }).unwrap();
    assert!(matches!(certificates_from_pem(b"nonsense"), Err(SettingsError::Certificate(_))));
    let no_key = identity_from_pem(issued.chain.as_bytes(), issued.chain.as_bytes());
    assert!(matches!(no_key, Err(SettingsError::Key(_))));
}

#[test]
fn every_name_of_a_cipher_or_a_group_is_understood() {
    for name in Cipher::names() {
        assert!(Cipher::parse(&name.to_lowercase()).is_some(), "{name}");
    }
    for name in Group::names() {
        assert!(Group::parse(name).is_some(), "{name}");
    }
    for nonsense in ["", "RC4", "TLS_"] {
        assert!(Cipher::parse(nonsense).is_none() && Group::parse(nonsense).is_none());
    }
}
