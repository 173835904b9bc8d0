//! HTTPS by the built binary, against nginx and OpenSSL, on both engines.
#![expect(clippy::unwrap_used, reason = "a test says what it means by failing")]

#[path = "../../src/tls/tests/certificates.rs"]
mod certificates;
#[path = "tls/peers.rs"]
mod peers;

use super::support;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use super::support::scripted::{Script, Scripted};
use super::support::{
    Folder, Nginx, Port, Running, assert_identities_hold, find_program, is_measured, number,
    report_of, said, wring,
};
use certificates::{Authority, Issued, Valid};

const RUN_MAX: Duration = Duration::from_secs(30);
const ENGINES: [&str; 2] = ["uring", "epoll"];

/// Certificates of one authority in a folder.
struct Store {
    folder: Folder,
    root: Authority,
}

impl Store {
    fn new() -> Self {
        let it = Self { folder: Folder::new(), root: Authority::root("Test Root") };
        it.keep("ca.pem", &it.root.pem());
        it
    }

    fn keep(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Files of a certificate and its key.
    fn files(&self, name: &str, issued: &Issued) -> (String, String) {
        let chain = self.keep(&format!("{name}.pem"), &issued.chain);
        (chain, self.keep(&format!("{name}.key"), &issued.key))
    }

    fn ca(&self) -> String {
        self.folder.path().join("ca.pem").to_str().unwrap().to_owned()
    }
}

/// An nginx that also listens with TLS, showing `issued`.
fn nginx(store: &Store, issued: &Issued, more: &str) -> Option<(Nginx, Port)> {
    let port = Port::reserve();
    let (chain, key) = store.files("server", issued);
    let nginx = Nginx::start(&format!(
        "listen {} ssl; ssl_certificate {chain}; ssl_certificate_key {key};
         ssl_protocols TLSv1.2 TLSv1.3; {more} location / {{ return 200 \"ok\"; }}",
        port.address()
    ))?;
    Some((nginx, port))
}

fn refused(output: &Output, words: &str) {
    assert_eq!(output.status.code(), Some(3), "{}", said(output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains(words) && stderr.contains("hint:"), "{words}: {stderr}");
}

#[test]
fn nginx_logs_exactly_the_requests_that_were_completed() {
    for engine in ENGINES {
        for (depth, version) in [("1", "1.3"), ("16", "1.2")] {
            let store = Store::new();
            let issued = store.root.issue(&["localhost", "127.0.0.1"], Valid::Now);
            let Some((nginx, port)) = nginx(&store, &issued, "") else { return };
            let url = format!("https://{}/", port.address());
            let ca = store.ca();
            let output = wring(
                &[
                    "--engine",
                    engine,
                    "-c",
                    "7",
                    "-n",
                    "3000",
                    "-p",
                    depth,
                    "--tls-version",
                    version,
                    "--cacert",
                    &ca,
                    "--json",
                    &url,
                ],
                RUN_MAX,
            );
            assert!(is_measured(&output), "{}", said(&output));
            let report = report_of(&output);
            assert_identities_hold(&report);
            assert_eq!(number(&report, "/requests/completed"), 3000);
            let handshakes = number(&report, "/tls/handshakes_full")
                + number(&report, "/tls/handshakes_resumed");
            assert_eq!(handshakes, number(&report, "/connections/established"));
            let agreed = &report["tls"]["agreed"];
            assert_eq!(agreed["version"], format!("TLS {version}"));
            assert_eq!(agreed["subject"], "CN=wring test, O=Peers");
            assert!(number(&report, "/bytes/tls") > 0);
            assert_eq!(number(&report, "/bytes/body"), 6000);
            assert_eq!(nginx.into_log(), vec!["200 OK"; 3000]);
        }
    }
}

#[test]
fn a_new_connection_for_each_request_is_a_full_or_a_resumed_handshake_each() {
    let store = Store::new();
    let issued = store.root.issue(&["127.0.0.1"], Valid::Now);
    let Some((nginx, port)) = nginx(&store, &issued, "ssl_session_cache shared:a:1m;") else {
        return;
    };
    let (url, ca) = (format!("https://{}/", port.address()), store.ca());
    let common = ["-c", "4", "-t", "1", "-n", "200", "--no-keepalive", "--cacert", &ca, "--json"];
    for engine in ENGINES {
        let full =
            wring(&[&common[..], &["--no-resumption", "--engine", engine, &url]].concat(), RUN_MAX);
        let report = report_of(&full);
        assert_identities_hold(&report);
        assert_eq!(number(&report, "/tls/handshakes_resumed"), 0);
        let resumed = wring(&[&common[..], &["--engine", engine, &url]].concat(), RUN_MAX);
        let report = report_of(&resumed);
        assert!(number(&report, "/tls/handshakes_resumed") > 100, "{}", said(&resumed));
        assert_eq!(number(&report, "/requests/completed"), 200);
    }
    assert_eq!(nginx.into_log(), vec!["200 OK"; 800]);
}

#[test]
fn what_is_wrong_with_a_certificate_ends_the_run_with_three_and_is_said() {
    let store = Store::new();
    let other = Authority::root("Another Root");
    for (issued, words) in [
        (store.root.issue(&["127.0.0.1"], Valid::Past), "has expired: it was valid until 2021"),
        (store.root.issue(&["127.0.0.1"], Valid::Future), "is not yet valid: it is from 2098"),
        (store.root.issue(&["example.com"], Valid::Now), "is not for 127.0.0.1"),
        (other.issue(&["127.0.0.1"], Valid::Now), "unknown issuer"),
    ] {
        let Some((nginx, port)) = nginx(&store, &issued, "") else { return };
        let (url, ca) = (format!("https://{}/", port.address()), store.ca());
        for engine in ENGINES {
            let arguments = ["--engine", engine, "-c", "20", "--cacert", &ca, &url];
            refused(&wring(&arguments, RUN_MAX), words);
        }
        let any = wring(&["-k", "-n", "10", "-c", "1", &url], RUN_MAX);
        assert!(any.status.success(), "{}", said(&any));
        assert_eq!(nginx.into_log(), vec!["200 OK"; 10], "nothing was sent before");
    }
}

#[test]
fn a_client_certificate_is_shown_to_a_server_that_demands_one() {
    let store = Store::new();
    let issued = store.root.issue(&["127.0.0.1"], Valid::Now);
    let ca = store.ca();
    let demands = format!("ssl_client_certificate {ca}; ssl_verify_client on;");
    let Some((_nginx, port)) = nginx(&store, &issued, &demands) else { return };
    let (cert, key) = store.files("client", &store.root.issue(&["client"], Valid::Now));
    let url = format!("https://{}/", port.address());
    let common = ["-n", "50", "-c", "2", "--cacert", &ca, "--json"];
    let shown = wring(&[&common[..], &["--cert", &cert, "--key", &key, &url]].concat(), RUN_MAX);
    assert_eq!(number(&report_of(&shown), "/window/statuses/200"), 50, "{}", said(&shown));
    // nginx lets the handshake through and answers 400.
    let missing = wring(&[&common[..], &[&url]].concat(), RUN_MAX);
    assert_eq!(number(&report_of(&missing), "/window/statuses/400"), 50, "{}", said(&missing));
}

#[test]
fn openssl_is_a_peer_too_and_says_which_cipher_and_group_it_was_offered() {
    let Some(openssl) = find_program("openssl") else { return };
    let store = Store::new();
    let (chain, key) = store.files("server", &store.root.issue(&["localhost"], Valid::Now));
    let port = Port::reserve();
    let mut command = Command::new(openssl);
    command.args(["s_server", "-quiet", "-www", "-accept", &port.address().to_string()]);
    command.args(["-cert", &chain, "-key", &key]).stderr(Stdio::null());
    let server = Running::start(&mut command);
    let url = format!("https://localhost:{}/", port.address().port());
    let ca = store.ca();
    let arguments = [
        "-4",
        "-n",
        "20",
        "-c",
        "2",
        "-t",
        "1",
        "--cacert",
        &ca,
        "--groups",
        "P-256",
        "--ciphers",
        "TLS_CHACHA20_POLY1305_SHA256",
        "--json",
        &url,
    ];
    let mut output = wring(&arguments, RUN_MAX);
    for _ in 0..50 {
        if output.status.success() {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
        output = wring(&arguments, RUN_MAX);
    }
    let report = report_of(&output);
    assert_eq!(number(&report, "/requests/completed"), 20, "{}", said(&output));
    assert_eq!(report["tls"]["agreed"]["cipher"], "TLS_CHACHA20_POLY1305_SHA256");
    assert_eq!(report["tls"]["agreed"]["group"], "secp256r1");
    drop(server);
}

#[test]
fn https_on_a_plain_port_and_the_reverse_are_one_clear_message() {
    let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec();
    let plain = Scripted::start(Script::Answer(answer));
    let store = Store::new();
    let Some((nginx, _port)) = nginx(&store, &store.root.issue(&["x"], Valid::Now), "") else {
        return;
    };
    drop(plain);
    let url = format!("https://{}/", nginx.address);
    refused(&wring(&["-c", "2", "-k", &url], RUN_MAX), "plain HTTP");
    let alert = Scripted::start(Script::Answer(vec![21, 3, 1, 0, 2, 2, 70]));
    let url = format!("http://{}/", alert.address);
    let output = wring(&["-c", "1", "-n", "1", &url], RUN_MAX);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(stdout.contains("the port speaks HTTPS, try https://"), "{}", said(&output));
}

#[test]
fn files_and_names_that_cannot_be_used_are_refused_before_anything_is_sent() {
    let store = Store::new();
    let (cert, _) = store.files("one", &store.root.issue(&["one"], Valid::Now));
    let (_, other) = store.files("other", &store.root.issue(&["other"], Valid::Now));
    let nonsense = store.keep("nonsense.pem", "nothing");
    let protected = store.keep(
        "protected.key",
        "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n\
         AAAA\n-----END EC PRIVATE KEY-----\n",
    );
    let protected_8 = store.keep(
        "protected8.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let url = "https://127.0.0.1:1/";
    for (arguments, words) in [
        (&["--cacert", "/missing.pem"][..], "--cacert: cannot read '/missing.pem'"),
        (&["--cacert", &nonsense], "no certificate can be read"),
        (&["-k", "--cert", &cert, "--key", &other], "does not belong to the certificate"),
        (&["-k", "--cert", &cert], "no private key can be read"),
        (&["-k", "--cert", &cert, "--key", &protected], "a password protects it"),
        (&["-k", "--cert", &cert, "--key", &protected_8], "a password protects it"),
        (&["-k", "--cert", &cert, "--key", "/"], "--key: cannot read '/'"),
        (&["-k", "--key", &other], "--key needs --cert"),
        (&["-k", "--cacert", &cert], "contradict each other"),
        (&["-k", "--sni", "a b"], "--sni"),
        (&["-k", "--ciphers", "RC4"], "--ciphers: 'RC4' is unknown"),
        (&["-k", "--groups", "x448"], "--groups: 'x448' is unknown"),
        (&["-k", "--tls-version", "1.1"], "1.2, 1.3"),
        (&["-k", "--alpn", ","], "--alpn"),
        (
            &["-k", "--tls-version", "1.2", "--groups", "X25519MLKEM768"],
            "nothing to offer: there is no group among them",
        ),
        (
            &["-k", "--tls-version", "1.3", "--ciphers", "ECDHE-RSA-AES128-GCM-SHA256"],
            "nothing to offer",
        ),
    ] {
        let output = wring(&[arguments, &[url]].concat(), RUN_MAX);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}

#[test]
fn without_roots_a_system_verifies_nobody_and_says_so() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wring"));
    command.env("SSL_CERT_FILE", "/missing").env("SSL_CERT_DIR", "/missing");
    let output = support::run(command.arg("https://127.0.0.1:1/"), RUN_MAX);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--cacert"), "{}", said(&output));
}

/// One that serves a connection at a time leaves all others waiting in its backlog, and with them
/// every connection of a second thread.
#[test]
fn a_thread_without_a_connection_does_not_end_the_run_of_another_that_has_one() {
    let Some(openssl) = find_program("openssl") else { return };
    let store = Store::new();
    let (chain, key) = store.files("server", &store.root.issue(&["127.0.0.1"], Valid::Now));
    let port = Port::reserve();
    let mut command = Command::new(openssl);
    command.args(["s_server", "-quiet", "-www", "-accept", &port.address().to_string()]);
    command.args(["-cert", &chain, "-key", &key]).stderr(Stdio::null());
    let server = peers::listening(&mut command, &port);
    let (url, ca) = (format!("https://{}/", port.address()), store.ca());
    let line = ["-t", "2", "-c", "4", "-n", "20", "--cacert", &ca, "--connect-timeout", "300ms"];
    let report = peers::measured(0, &[&line[..], &[&url]].concat());
    assert_eq!(number(&report, "/requests/completed"), 20);
    assert!(number(&report, "/connections/failures/timeout") > 0, "the others waited");
    drop(server);
}

#[test]
fn of_several_servers_the_one_that_cannot_be_verified_is_named_and_no_other() {
    let store = Store::new();
    let (good, good_key) = store.files("good", &store.root.issue(&["127.0.0.1"], Valid::Now));
    let other = Authority::root("Another Root").issue(&["127.0.0.1"], Valid::Now);
    let Some((nginx, bad)) = nginx(&store, &other, "") else { return };
    let port = Port::reserve();
    let Some(_good) = Nginx::start(&format!(
        "listen {} ssl; ssl_certificate {good}; ssl_certificate_key {good_key};
         location / {{ return 200 \"ok\"; }}",
        port.address()
    )) else {
        return;
    };
    let [a, b] = [&port, &bad].map(|port| format!("https://{}", port.address()));
    let ca = store.ca();
    // Whichever is named first, and however many of its connections fail before any other is made.
    for urls in [[&a, &b], [&b, &a]] {
        let line = ["-c", "40", "-d", "200ms", "--cacert", &ca, "--json", urls[0], urls[1]];
        let output = wring(&line, RUN_MAX);
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        let report = report_of(&output);
        assert_identities_hold(&report);
        let text = report["verdict"]["text"].as_str().unwrap();
        assert!(text.contains(&format!("nothing could be measured at {b}: ")), "{text}");
        assert!(text.contains("unknown issuer") && !text.contains(&a), "{text}");
        let at = |server: &str, field: &str| {
            let index = urls.iter().position(|url| *url == server).unwrap();
            number(&report, &format!("/servers/{index}/{field}"))
        };
        assert_eq!((at(&a, "established"), at(&a, "tls/handshakes_full")), (20, 20));
        assert_eq!(
            (at(&b, "established"), at(&b, "failures/tls")),
            (0, at(&b, "tls/faults/unknown_issuer"))
        );
    }
    // Where none of them is reached, each has its own reason.
    let nobody = Port::reserve();
    let plain = format!("http://{}/", nobody.address());
    let output = wring(&["-c", "4", "--cacert", &ca, &b, &plain], RUN_MAX);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains(&format!(
            "{b}: the server's certificate comes from an unknown issuer; {}: ",
            plain.trim_end_matches('/')
        )),
        "{stderr}"
    );
    assert!(stderr.contains("refused\n"), "{stderr}");
    assert_eq!(nginx.into_log(), Vec::<String>::new());
}

#[test]
fn a_servers_own_certificate_may_be_named_and_the_hints_lead_there_and_no_further() {
    let store = Store::new();
    let own = Authority::self_issued(&["127.0.0.1"], Valid::Now);
    let Some((nginx, port)) = nginx(&store, &own, "") else { return };
    let (url, file) = (format!("https://{}/", port.address()), store.keep("own.pem", &own.chain));
    let named = wring(&["-c", "2", "-n", "10", "--cacert", &file, &url], RUN_MAX);
    assert!(is_measured(&named), "{}", said(&named));
    let system = wring(&["-c", "2", &url], RUN_MAX);
    refused(&system, "shows an issuer's certificate as its own");
    let hint = String::from_utf8_lossy(&system.stderr).into_owned();
    assert!(
        hint.contains("--cacert FILE trusts an issuer's certificate, or the server's own"),
        "{hint}"
    );
    let other = wring(&["-c", "2", "--cacert", &store.ca(), &url], RUN_MAX);
    refused(&other, "is in the file of --cacert");
    assert!(!String::from_utf8_lossy(&other.stderr).contains("--cacert FILE"), "{}", said(&other));
    assert_eq!(nginx.into_log(), vec!["200 OK"; 10]);
}
