//! Many targets and bodies, from arguments to the plan.

use super::*;
use crate::plan::Targets;
use crate::rng::Rng;

fn targets(line: &[&str]) -> Arc<Targets> {
    job(line).plan.targets.unwrap_or_else(|| panic!("{line:?} sends one request"))
}

fn list(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("urls");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

/// The wire of the only request, as request 0.
fn wire(line: &[&str]) -> String {
    let plan = job(&[line, &[URL]].concat()).plan;
    let mut out = vec![0; plan.request.bytes_max()];
    let bytes = plan.request.write(&mut out, 0, &mut Rng::new(1));
    String::from_utf8(out[..bytes].to_vec()).unwrap()
}

#[test]
fn several_urls_get_equal_shares_of_the_same_request() {
    let line = ["-H", "A: b", "http://127.0.0.1:9/a", "http://127.0.0.1:9/b?c"];
    let targets = targets(&line);
    let names: Vec<_> = targets.list().iter().map(|t| (t.name.as_str(), t.weight)).collect();
    assert_eq!(names, [("GET http://127.0.0.1:9/a", 1), ("GET http://127.0.0.1:9/b?c", 1)]);
    assert_eq!(targets.origins().len(), 1);
    let second = "GET /b?c HTTP/1.1\r\nHost: 127.0.0.1:9\r\nA: b\r\n\r\n";
    assert_eq!(targets.list()[1].request.bytes(), second.as_bytes());
    assert_eq!(job(&line).plan.provenance.url, "http://127.0.0.1:9/a and 1 more");
    assert!(job(&[URL]).plan.targets.is_none());
}

#[test]
fn a_list_gives_each_request_its_weight_method_body_and_headers() {
    let (folder, _) = list("");
    let body = folder.path().join("body");
    std::fs::write(&body, "hello").unwrap();
    let text = format!(
        "# weights\n3 GET http://127.0.0.1:9/a\nPOST http://127.0.0.1:9/b @{} 'X: own'\n\
         {{\"weight\":2,\"url\":\"http://127.0.0.1:8/c\",\"body\":\"hi\",\"headers\":{{\"Y\":\"z\"}}}}\n",
        body.display()
    );
    let (_folder, path) = list(&text);
    let targets = targets(&["--urls", &path, "-H", "x: common", "-H", "Z: all"]);
    let wires: Vec<_> = targets
        .list()
        .iter()
        .map(|t| (t.weight, t.origin, String::from_utf8_lossy(t.request.bytes()).into_owned()))
        .collect();
    let wire = |text: &str| text.to_owned();
    assert_eq!(
        wires,
        [
            (3, 0, wire("GET /a HTTP/1.1\r\nHost: 127.0.0.1:9\r\nx: common\r\nZ: all\r\n\r\n")),
            (
                1,
                0,
                wire(
                    "POST /b HTTP/1.1\r\nHost: 127.0.0.1:9\r\nZ: all\r\nX: own\r\n\
                     Content-Length: 5\r\n\r\nhello"
                )
            ),
            (
                2,
                1,
                wire(
                    "POST /c HTTP/1.1\r\nHost: 127.0.0.1:8\r\nx: common\r\nZ: all\r\nY: z\r\n\
                     Content-Length: 2\r\n\r\nhi"
                )
            ),
        ]
    );
    assert_eq!(targets.origins().len(), 2);
}

#[test]
fn every_server_has_a_connection_of_every_thread() {
    let (_folder, path) = list("http://127.0.0.1:7/\nhttp://127.0.0.1:8/\nhttp://127.0.0.1:9/");
    let plan = job(&["--urls", &path, "-c", "4", "-t", "2"]).plan;
    assert_eq!(plan.shares.len(), 1);
    assert_eq!(plan.addresses.len(), 3);
    let plan = job(&["--urls", &path, "-c", "7", "-t", "2"]).plan;
    assert_eq!(plan.shares.len(), 2);
    for lane in plan.lanes().into_iter().flatten() {
        let mut origins: Vec<u32> = lane.seats.iter().map(|seat| seat.origin).collect();
        origins.sort_unstable();
        origins.dedup();
        assert_eq!(origins, [0, 1, 2]);
    }
}

#[test]
fn bodies_bring_their_type_unless_the_user_does() {
    let head = "POST / HTTP/1.1\r\nHost: 127.0.0.1:9\r\n";
    let form = wire(&["--form", "a=b c", "--form", "d=é"]);
    let form_type = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(form, format!("{head}{form_type}Content-Length: 14\r\n\r\na=b+c&d=%C3%A9"));
    let json = wire(&["--json-body", "{\"a\":1}", "-X", "PUT"]);
    assert!(json.starts_with("PUT / "), "{json}");
    assert!(json.ends_with("Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}"));
    let own = wire(&["--json-body", "[]", "-H", "content-type: application/vnd.x+json"]);
    assert!(own.contains("content-type: application/vnd.x+json\r\nContent-Length"), "{own}");
    assert!(!own.contains("application/json"), "{own}");
    let multipart = wire(&["--multipart", "a=b"]);
    assert!(
        multipart.contains("Content-Type: multipart/form-data; boundary=wring-"),
        "{multipart}"
    );
    let (_folder, path) = list("one\ntwo2\n");
    assert!(wire(&["--body-lines", &path]).ends_with("Content-Length: 3\r\n\r\none"));
    assert!(job(&["--body-lines", &path, URL]).plan.targets.is_some());
}

#[test]
fn placeholders_in_the_path_headers_and_body_make_a_target_that_varies() {
    let line = ["-H", "X-Id: {{rand}}", "-b", "{{uuid}} {{no}}"];
    let filled = wire(&line);
    assert!(filled.contains("Content-Length: 43\r\n") && filled.ends_with(" {{no}}"), "{filled}");
    let varying = job(&["http://127.0.0.1:9/{{seq}}"]);
    assert!(!varying.plan.request.is_constant() && varying.plan.targets.is_some());
    assert!(varying.notes.is_empty(), "{:?}", varying.notes);
    let noted = job(&["-b", "{{no}}", URL]).notes.join("\n");
    assert!(noted.contains("sent as it is"), "{noted}");
}

#[test]
fn what_cannot_be_sent_is_refused_with_its_place() {
    let (_folder, empty) = list("# nothing\n\n");
    let (_folder_2, zero) = list("GET http://127.0.0.1:9/\n0 GET http://127.0.0.1:9/x\n");
    let (_folder_3, path) = list("GET http://127.0.0.1:9/a b\n");
    let (_folder_4, https) = list("\nGET ftp://127.0.0.1/");
    let (_folder_5, host) = list("GET http://127.0.0.1:9/ Host:a Host:b");
    let (_folder_6, body) = list("GET http://127.0.0.1:9/ @/no/such/file");
    let (_folder_7, weights) = list("999983 http://127.0.0.1:9/\n999979 http://127.0.0.1:9/");
    let (_folder_8, two) = list("http://127.0.0.1:9/\nhttp://127.0.0.1:8/");
    let (_folder_10, word) = list("GET http://127.0.0.1:9/\nGET nothing");
    let (folder_11, bytes) = list("");
    std::fs::write(folder_11.path().join("urls"), b"GET http://h/\nGET \xff").unwrap();
    let (_folder_12, proxied) = list("GET http://127.0.0.1:9/ proxy-authorization:x");
    let (_folder_9, good) = list("http://127.0.0.1:9/");
    for (line, words) in [
        (&["--urls", &empty][..], &["lists no request"][..]),
        (&["--urls", &zero], &["urls:2:1: ", "weight of 0"]),
        (&["--urls", &path], &["urls:1:26: ", "'b' is no header"]),
        (&["--urls", &https], &["urls:2:5: ", "scheme"]),
        (&["--urls", &host], &["urls:1:5: ", "Host is given twice"]),
        (&["--urls", &word], &["urls:2:5: ", "'nothing' has no scheme"]),
        (&["--urls", &bytes], &["urls:2:5: ", "not UTF-8"]),
        (&["--urls", &body], &["urls:1:5: ", "/no/such/file"]),
        (&["--urls", &weights], &["1,999,962 requests", "common divisor"]),
        (&["--urls", &two, "-c", "1"], &["-c 1", "2 servers"]),
        (&["--urls", &two, "--resolve", "a:9:127.0.0.1"], &["--resolve a:9", "and others"]),
        (&["--urls", &two, "--connect-to", "127.0.0.1:9"], &["--connect-to", "one server"]),
        (&["--urls", &good, URL], &["--urls", "contradict"]),
        (&["--urls", &good, "-X", "PUT"], &["--urls", "-X", "contradict"]),
        (&["--urls", &good, "-b", "x"], &["--urls", "body", "contradict"]),
        (&["--urls", "/no/such/list"], &["--urls", "/no/such/list"]),
        (&["--urls", &good, "--urls", &zero], &["urls:2:1: ", "weight of 0"]),
        (&["--urls", &zero, "--urls", &good], &["urls:2:1: ", "weight of 0"]),
        (
            &["--urls", &proxied, "--proxy", "http://127.0.0.1:1"],
            &["urls:1:5: ", "for the proxy, not for one target", "-H"],
        ),
        (
            &["--multipart", "a=b", "-H", "content-type: text/plain", URL],
            &["--multipart and -H Content-Type contradict", "-b @FILE"],
        ),
        (&["selftest", "--urls", &good], &["--urls", "self test"]),
        (&["-b", "x", "--form", "a=b", URL], &["-b and --form contradict"]),
        (&["--json-body", "{", URL], &["--json-body", "not JSON"]),
        (&["--json-body", "{\"a\":{{seq}}}", URL], &["--json-body", "in quotes"]),
        (&["--form", "ab", URL], &["--form", "'ab'", "name=value"]),
        (&["--multipart", "a=@/no/such/file", URL], &["--multipart", "/no/such/file"]),
        (&["--body-lines", "/no/such/file", URL], &["--body-lines", "/no/such/file"]),
        (&["--body-lines", "/dev/null", URL], &["--body-lines", "empty"]),
        (&["--body-lines", &good, "-H", "Content-Length: 3", URL], &["Content-Length: 3"]),
        (&[URL, "http://h b/"], &["blank"]),
        (&[URL, "nonsense"], &["'nonsense'"]),
    ] {
        let refused = refusal(line);
        assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{line:?}: {refused:?}");
        for word in words {
            assert!(refused.stderr.contains(word), "{line:?} lacks {word}: {}", refused.stderr);
        }
    }
}

#[test]
fn lists_follow_one_another_and_a_byte_order_mark_is_no_part_of_one() {
    let (_folder, first) = list("\u{feff}2 GET http://127.0.0.1:9/a\r\n");
    let (_folder_2, second) = list("\u{feff}{\"url\":\"http://127.0.0.1:8/b\"}\n# end\n");
    let line = ["--urls", &first, "--urls", &second];
    let targets = targets(&line);
    let names: Vec<_> =
        targets.list().iter().map(|t| (t.name.as_str(), t.weight, t.origin)).collect();
    let expected = [("GET http://127.0.0.1:9/a", 2, 0), ("GET http://127.0.0.1:8/b", 1, 1)];
    assert_eq!(names, expected);
    let shown = job(&line).plan.provenance.url;
    assert_eq!(shown, format!("2 requests of {first} and {second}"));
}

#[test]
fn what_a_proxy_is_told_of_the_user_goes_to_the_proxy_alone() {
    let through = "http://127.0.0.1:1";
    let header = ["-H", "proxy-authorization:  Basic x ", "-H", "A: b"];
    let with = |more: &[&str]| job(&[&header[..], &["--proxy", through], more].concat()).plan;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    // Passed on by the proxy, which takes it out.
    let plan = with(&[URL]);
    let expected = "GET http://127.0.0.1:9/ HTTP/1.1\r\nHost: 127.0.0.1:9\r\nA: b\r\n\
                    Proxy-Authorization: Basic x\r\n\r\n";
    assert_eq!(text(plan.request.bytes()), expected);
    // Through a tunnel.
    for more in [&["--proxy-tunnel", URL][..], &["-k", "https://127.0.0.1:9/"]] {
        let plan = with(more);
        let expected = "GET / HTTP/1.1\r\nHost: 127.0.0.1:9\r\nA: b\r\n\r\n";
        assert_eq!(text(plan.request.bytes()), expected, "{more:?}");
        let prelude = plan.network.prelude.unwrap();
        let mut out = vec![0; prelude.bytes_max()];
        let bytes = prelude.write(0, None, &mut out).unwrap();
        let expected = "CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: 127.0.0.1:9\r\n\
                        Proxy-Authorization: Basic x\r\n\r\n";
        assert_eq!(text(&out[..bytes]), expected, "{more:?}");
        assert!(prelude.has_credentials());
    }
    // Without a proxy it is a header like any other.
    let plan = job(&["-H", "Proxy-Authorization: x", URL]).plan;
    assert!(text(plan.request.bytes()).contains("\r\nProxy-Authorization: x\r\n"));
    for line in [
        &["--proxy", "http://a:SEKRET@127.0.0.1:1", "-H", "Proxy-Authorization: SEKRET", URL][..],
        &["--proxy", through, "-H", "Proxy-Authorization: SEKRET", "-HPROXY-AUTHORIZATION:b", URL],
        &["--proxy", through, "-H", "Proxy-Authorization: a\nSEKRET", URL],
    ] {
        let refused = refusal(line);
        assert_eq!(refused.code, 2, "{line:?}: {}", refused.stderr);
        let stderr = &refused.stderr;
        assert!(stderr.contains("Proxy-Authorization") && !stderr.contains("SEKRET"), "{stderr}");
    }
}
