//! Family F of the fault catalogue, and bodies that are not what they were, from outside.

use super::support;
use std::fs;
use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use super::support::faults::{
    HANG, RUN_MAX, assert_within, at, await_that, command, in_namespaces, is_root, on_every_engine,
    skip, sound,
};
use super::support::scripted::{Script, Scripted};
use super::support::serve::Serve;
use super::support::{Folder, Running, said};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// With `$1` instead of a file of the system's, named `$2`.
const REPLACE: &str = "mount --bind \"$1\" \"$2\"; shift 2; exec \"$0\" \"$@\"";

/// wring with `text` in place of the system's file.
fn replacing(folder: &Folder, file: &str, text: &str, line: &[&str]) -> std::process::Command {
    let ours = folder.path().join("replaced");
    fs::write(&ours, text).expect("our folder");
    let replaced = [ours.to_str().expect("UTF-8"), file];
    in_namespaces(&["-m"], REPLACE, &[&replaced[..], line].concat())
}

#[test]
fn f1_a_resolver_that_never_answers_or_fails_is_told_within_five_seconds() {
    if !is_root("f1") {
        return;
    }
    // Addresses of this machine that nobody else uses, not even another run of this test; names are
    // asked for on port 53 alone.
    let [high, low] = [std::process::id() >> 8 & 0xff, std::process::id() & 0xff];
    let (silent, failing) = (format!("127.83.{high}.{low}:53"), format!("127.84.{high}.{low}:53"));
    let (Ok(_held), Ok(failing_socket)) = (UdpSocket::bind(&silent), UdpSocket::bind(&failing))
    else {
        return skip("f1", "no server of names may be put on this machine's port 53");
    };
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((count, from)) = failing_socket.recv_from(&mut question) {
            if let Some(flags) = question.get_mut(2..4) {
                // An answer, SERVFAIL (RFC 1035 section 4.1.1).
                flags.copy_from_slice(&[0x81, 0x82]);
            }
            let _ = failing_socket.send_to(&question[..count], from);
        }
    });
    on_every_engine(|engine| {
        for (resolver, words) in [(&silent, "resolver"), (&failing, "name resolution")] {
            let folder = Folder::new();
            // The system's resolver itself would wait for a minute.
            let address = resolver.trim_end_matches(":53");
            let text = format!("nameserver {address}\noptions timeout:30 attempts:2\n");
            let line = ["http://wring.example:8080/", "--engine", engine, "-d", "1s"];
            let began = Instant::now();
            let output = Running::start(&mut replacing(&folder, "/etc/resolv.conf", &text, &line))
                .finish(RUN_MAX);
            assert_within(began, Duration::from_secs(5), resolver);
            assert_eq!(output.status.code(), Some(3), "{}", said(&output));
            assert!(said(&output).contains("wring.example"), "{}", said(&output));
            assert!(said(&output).contains(words), "{resolver}: {}", said(&output));
        }
    });
}

#[test]
fn f3_a_dead_first_address_is_left_for_the_living_and_shown() {
    if !is_root("f3") {
        return;
    }
    on_every_engine(|engine| {
        let serve = Serve::start(&[]);
        let folder = Folder::new();
        let url = format!("http://two.example:{}/", serve.address.port());
        let hosts = "127.83.71.9 two.example\n127.0.0.1 two.example\n";
        let line = [&*url, "--engine", engine, "-c", "8", "-n", "400", "--json"];
        let output =
            Running::start(&mut replacing(&folder, "/etc/hosts", hosts, &line)).finish(RUN_MAX);
        let report = sound(&output, &[0]);
        assert_eq!(at(&report, "/requests/completed"), 400);
        assert_eq!(at(&report, "/connections/open_at_start"), 8, "{report}");
        assert!(at(&report, "/connections/failures/refused") >= 4, "{report}");
        assert_eq!(report["asked"]["addresses"].as_array().map(Vec::len), Some(2));
    });
}

#[test]
fn f6_a_name_that_changes_during_the_run_stays_what_it_was() {
    if !is_root("f6") {
        return;
    }
    on_every_engine(|engine| {
        let script = Script::AnswerAndClose(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_vec(),
        );
        let server = Scripted::start(script);
        let folder = Folder::new();
        let url = format!("http://one.example:{}/", server.address.port());
        let line = [&*url, "--engine", engine, "-c", "2", "-d", "2s", "--json"];
        let hosts = "127.0.0.1 one.example\n";
        let running = Running::start(&mut replacing(&folder, "/etc/hosts", hosts, &line));
        server.await_requests(1);
        fs::write(folder.path().join("replaced"), "127.83.71.9 one.example\n").expect("ours");
        server.await_requests(server.requests() + 10);
        let report = sound(&running.finish(RUN_MAX), &[0]);
        assert_eq!(at(&report, "/connections/failures/refused"), 0, "{report}");
    });
}

#[test]
fn f4_an_address_with_a_scope_is_reached_and_the_scope_stays_here() {
    if !is_root("f4") {
        return;
    }
    if fs::metadata("/proc/net/if_inet6").is_err() {
        return skip("f4", "this kernel has no IPv6");
    }
    on_every_engine(|engine| {
        let folder = Folder::new();
        let log = folder.path().join("log");
        let script = "
ip link set lo up
ip -6 addr add fe80::2/64 dev lo nodad
\"$0\" serve --listen '[::]:8080' --threads 1 >/dev/null 2>\"$1\" &
until grep -q listening \"$1\"; do sleep 0.01; done
exec \"$0\" 'http://[fe80::2%lo]:8080/' --engine \"$2\" --json -c 3 -n 30";
        let arguments = [log.to_str().expect("UTF-8"), engine];
        let output =
            Running::start(&mut in_namespaces(&["-n"], script, &arguments)).finish(RUN_MAX);
        let report = sound(&output, &[0]);
        assert_eq!(at(&report, "/requests/completed"), 30);
        assert_eq!(report["target_on_this_machine"], true, "{report}");
        // GET / HTTP/1.1, Host: [fe80::2]:8080, an empty line: no scope.
        let bytes = "GET / HTTP/1.1\r\nHost: [fe80::2]:8080\r\n\r\n".len() as u64;
        assert_eq!(at(&report, "/asked/request_bytes"), bytes);
    });
}

#[test]
fn f7_names_of_every_kind_end_in_an_answer_or_in_words() {
    on_every_engine(|engine| {
        let server = Scripted::start(Script::Answer(ANSWER.to_vec()));
        let port = server.address.port();
        let long = format!("http://{}.invalid:{port}/", "a".repeat(300));
        let label = format!("http://{}invalid:{port}/", "abc.".repeat(70));
        let idn = format!("http://m\u{fc}nchen.invalid:{port}/");
        for url in [&long, &label, &idn] {
            let began = Instant::now();
            let output = Running::start(&mut command(engine, url, &["-n", "1"])).finish(RUN_MAX);
            assert_within(began, Duration::from_secs(5), url);
            assert!(matches!(output.status.code(), Some(2 | 3)), "{url}: {}", said(&output));
            assert_eq!(output.stderr.iter().filter(|&&byte| byte == 0x1b).count(), 0);
        }
        // Whether a trailing dot is known is the resolver's business.
        let dotted = format!("http://localhost.:{port}/");
        let output =
            Running::start(&mut command(engine, &dotted, &["-n", "2", "-c", "2"])).finish(RUN_MAX);
        if output.status.success() {
            assert_eq!(at(&sound(&output, &[0]), "/requests/completed"), 2);
        } else {
            assert_eq!(output.status.code(), Some(3), "{}", said(&output));
            assert!(said(&output).contains("'localhost.'"), "{}", said(&output));
        }
    });
}

#[test]
fn k5_a_body_is_read_once_and_its_size_is_bounded() {
    on_every_engine(|engine| {
        let folder = Folder::new();
        let path = folder.path().join("body");
        let body = format!("@{}", path.display());
        let server = Scripted::start(Script::Answer(ANSWER.to_vec()));
        let run = |line: &[&str]| {
            Running::start(&mut command(engine, &server.url(), &[&["-b", &body], line].concat()))
        };
        fs::write(&path, "").expect("ours");
        let report = sound(&run(&["-n", "3", "-c", "1"]).finish(RUN_MAX), &[0]);
        assert_eq!(at(&report, "/requests/completed"), 3);
        // Ten gigabytes that take no room: refused, at once, in little memory.
        let file = fs::File::create(&path).and_then(|file| file.set_len(10 << 30));
        file.expect("a sparse file");
        let began = Instant::now();
        let output = run(&["-n", "3"]).finish(RUN_MAX);
        assert_within(began, Duration::from_secs(1), "the refusal");
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains("too large"), "{}", said(&output));
        // What changes on disk does not change what is sent.
        fs::write(&path, "first").expect("ours");
        let before = server.requests();
        let running = run(&["-d", "700ms", "-c", "1"]);
        await_that("requests", HANG, || server.requests() > before);
        fs::write(&path, "other bytes").expect("ours");
        sound(&running.finish(RUN_MAX), &[0]);
        let received = server.received().concat();
        let has = |bytes: &[u8]| received.windows(bytes.len()).any(|window| window == bytes);
        assert!(has(b"first") && !has(b"other"), "the body changed");
    });
}

#[test]
fn k7_a_list_of_requests_that_is_wrong_is_told_with_its_place() {
    let server = Scripted::start(Script::Answer(ANSWER.to_vec()));
    let folder = Folder::new();
    let path = folder.path().join("list");
    let url = server.url();
    let deep = format!("{{\"url\":{}", "[".repeat(100_000));
    let lists: [(Vec<u8>, &str); 9] = [
        (format!("{url}\n  {{\"url\":\"{url}\",\"wait\":1}}").into(), ":2:"),
        (format!("{{\"url\":\"{url}\",\"wait\":1}}").into(), "unknown field `wait`"),
        (format!("{url}\n\n{{\"url\":\"{url}\",").into(), ":3:"),
        (deep.into(), ":1:7: invalid type: sequence"),
        (format!("{url}\n{url} X:y z").into(), "'z' is no header"),
        ([url.as_bytes(), b"\nhttp://127.0.0.1:1/\xff\xfe\n"].concat(), ":2:20: this is not UTF-8"),
        (format!("{url}\n{url}a\0b").into(), "control character"),
        (format!("{url}\n").repeat(1_000_000).into(), ":100001:1: at most 100000 requests"),
        ("x".repeat(65 << 20).into(), "at most"),
    ];
    for (list, words) in lists {
        fs::write(&path, list).expect("our folder");
        let began = Instant::now();
        let line = ["--urls", path.to_str().expect("UTF-8"), "-n", "1"];
        let output = support::wring(&line, RUN_MAX);
        assert_within(began, Duration::from_secs(2), words);
        assert_eq!(output.status.code(), Some(2), "{words}: {}", said(&output));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(words) && stderr.contains("list"), "{words}: {stderr}");
        assert!(stderr.lines().count() <= 2 && stderr.len() < 1000, "{words}: {stderr}");
    }
    assert_eq!(server.requests(), 0);
}
