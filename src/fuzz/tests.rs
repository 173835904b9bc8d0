//! The bodies over the stored corpus, over random bytes and over mutations of the corpus.
//!
//! Deterministic: the same inputs in every run. `WRING_FUZZ_SEED` draws others,
//! `WRING_FUZZ_INPUTS` says how many for each body.

use std::path::PathBuf;

use super::{BODIES, run};
use crate::rng::Rng;

/// What protocols and grammars are made of; drawn with more than a chance's share.
const TOKENS: [&[u8]; 40] = [
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b":",
    b": ",
    b",",
    b"/",
    b"0",
    b"-1",
    b"%",
    b"://",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 ",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"204",
    b"304",
    b"Content-Length: ",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST ",
    b"Expect: 100-continue\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b";a=\"b\"",
    b"18446744073709551615",
    b"9223372036854775808",
    b"4294967296",
    b"1e309",
    b"0.000000001",
    b"10k/s",
    b"0->10k:30s",
    b"exp:1ms",
    b"99%:",
    b"http://[::1%25lo]:80/",
    b"--",
    b"-c",
    b"\xff\xfe",
    b"\xe2\x80\xae",
];

/// Tells how to replay the input at hand when a body panics on it.
struct Failing<'d> {
    body: &'d str,
    data: &'d [u8],
}

impl Drop for Failing<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/fuzz/failures");
        let path = folder.join(format!("{}-{:016x}", self.body, fnv(self.data)));
        let written =
            std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&path, self.data));
        eprintln!(
            "fuzz: `{}` broke on {} bytes, kept ({}) as {}; put it into tests/fuzz/corpus/{}/ and \
             run `cargo test --lib fuzz::`",
            self.body,
            self.data.len(),
            if written.is_ok() { "written" } else { "not written" },
            path.display(),
            self.body,
        );
    }
}

fn fnv(bytes: &[u8]) -> u64 {
    crate::result::fnv1a(bytes)
}

fn corpus(body: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(body);
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn hold(body: &str, data: &[u8]) {
    let failing = Failing { body, data };
    run(body, data);
    drop(failing);
}

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |typed| typed.parse().unwrap())
}

fn mutate(data: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    let at = rng.below(data.len() as u64 + 1) as usize;
    match rng.below(6) {
        0 if at < data.len() => data[at] = rng.next_u64() as u8,
        1 if at < data.len() => data[at] ^= 1 << rng.below(8),
        2 => {
            let end = (at + rng.below(16) as usize).min(data.len());
            data.drain(at..end);
        }
        3 => {
            let token = TOKENS[rng.below(TOKENS.len() as u64) as usize];
            data.splice(at..at, token.iter().copied());
        }
        4 => {
            let from = rng.below(other.len() as u64 + 1) as usize;
            data.truncate(at);
            data.extend_from_slice(&other[from..]);
        }
        _ => data.insert(at, rng.next_u64() as u8),
    }
    data.truncate(16_384);
}

/// Replays the corpus, then `inputs` random and mutated inputs.
fn replay(body: &str, inputs: u64) {
    let corpus = corpus(body);
    corpus.iter().for_each(|data| hold(body, data));
    hold(body, b"");
    let mut rng = Rng::new(from_env("WRING_FUZZ_SEED", 1));
    for input in 0..from_env("WRING_FUZZ_INPUTS", inputs) {
        let mut data: Vec<u8> = if input % 8 == 0 {
            (0..rng.below(64)).map(|_| rng.next_u64() as u8).collect()
        } else {
            corpus[rng.below(corpus.len() as u64) as usize].clone()
        };
        let other = &corpus[rng.below(corpus.len() as u64) as usize];
        for _ in 0..1 + rng.below(4) {
            mutate(&mut data, other, &mut rng);
        }
        hold(body, &data);
    }
}

#[test]
fn answers_mean_the_same_in_any_pieces() {
    replay("answers", 400);
}

#[test]
fn chunked_bodies_end_where_they_end_in_any_pieces() {
    replay("chunks", 1000);
}

#[test]
fn a_shared_memo_changes_nothing() {
    replay("memo", 400);
}

#[test]
fn requests_mean_the_same_in_any_pieces() {
    replay("requests", 400);
}

#[test]
fn what_is_serialised_is_read_as_that_many_requests() {
    replay("serialised", 400);
}

#[test]
fn any_command_line_gives_a_job_or_one_message() {
    replay("argv", 100);
}

#[test]
fn any_value_is_read_or_refused_in_one_line() {
    replay("values", 1000);
}

#[test]
fn any_threshold_is_read_or_refused_in_one_line() {
    replay("threshold", 1000);
}

#[test]
fn any_url_is_split_or_refused_in_one_line() {
    replay("url", 300);
}

#[test]
fn any_list_of_requests_is_read_or_its_first_mistake_is_placed() {
    replay("urls", 1000);
}

#[test]
fn any_result_file_is_refused_or_renders() {
    replay("stored", 40);
}

#[test]
fn a_worker_keeps_its_accounts_in_any_world() {
    replay("worlds", 25);
}

#[test]
fn every_body_has_a_target_and_a_corpus() {
    let fuzz = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz");
    let manifest = std::fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for (body, _) in BODIES {
        let target = fuzz.join("fuzz_targets").join(format!("{body}.rs"));
        let text = std::fs::read_to_string(&target).unwrap();
        assert!(text.contains(&format!("run(\"{body}\", data)")), "{}", target.display());
        assert!(manifest.contains(&format!("name = \"{body}\"")), "{body} is not in the manifest");
        assert!(!corpus(body).is_empty());
    }
}
