//! Every rule must fail on a tree that breaks it, and hold its peace on one that does not.

use super::{Findings, Tree, check};

const LIB: &str = "\
//! A small tree.
//!
//! | L | room | owns | may import |
//! | --- | --- | --- | --- |
//! | 0 | `units` | sizes | – |
//! | 0 | `limits` | bounds | – |
//! | 1 | `proto` | codecs | limits |
//! | 4 | `sys` | the system (**unsafe**) | L0 |
//! | 5 | `uring` | the ring (**unsafe**) | sys, limits |
//! | 6 | `run` | threads | uring, sys, L0 |
//! | 10 | `cli` | arguments | everything |
pub mod cli; pub mod limits; pub mod proto; pub mod run; pub mod sys; pub mod units; pub mod uring;
#[cfg(test)]
mod tests;
";

const MANIFEST: &str = "\
[package]
name = \"made-up\"
# An ordinary comment.
[dependencies]
# room `sys`. It also serves the other rooms that may use `unsafe`.
libc = \"0.2\"
# room `uring`. The ring.
io-uring = { version = \"0.7\" }
# rooms `cli`, `run`. Two crates of one kind
# under one comment.
clap = \"4\"
clap_complete = \"4\"
# the binary. Its allocator.
mimalloc = \"0.1\"

[dev-dependencies]
proptest = \"1\"
";

const PLAIN: &str = "//! A room.\n";

/// A tree that keeps every rule, with some files replaced.
fn tree(changes: &[(&str, &str)]) -> Tree {
    let mut tree: Tree = [
        ("Cargo.toml", MANIFEST),
        ("src/lib.rs", LIB),
        ("src/main.rs", "//! Main.\nuse mimalloc::MiMalloc;\nfn main() { wring::cli::main() }\n"),
        ("src/cli/mod.rs", "//! Cli.\nuse clap::Parser as _;\nuse clap_complete::Shell as _;\n"),
        ("src/limits.rs", PLAIN),
        ("src/proto/mod.rs", "//! Codecs.\npub mod h1;\n"),
        ("src/proto/h1/mod.rs", "//! One codec.\nuse crate::limits::HEAD_BYTES_MAX;\n"),
        ("src/run.rs", PLAIN),
        ("src/sys/mod.rs", "//! Sys.\nfn f() { unsafe { libc::getpid() } }\n"),
        ("src/tests/mod.rs", "//! Tests.\n"),
        ("src/units.rs", PLAIN),
        ("src/uring.rs", "//! Ring.\nuse io_uring::IoUring;\nuse libc;\nuse crate::sys::x;\n"),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .into();
    tree.extend(changes.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())));
    tree
}

fn found(path: &str, text: &str) -> Findings {
    check(&tree(&[(path, text)]))
}

/// Exactly one failure, at this place and about this.
#[track_caller]
fn fails(path: &str, text: &str, place: &str, about: &str) {
    let failures = found(path, text).failures;
    assert_eq!(failures.len(), 1, "{failures:#?}");
    let failure = &failures[0];
    assert!(failure.starts_with(&format!("{place}: ")), "{failure} is not at {place}");
    assert!(failure.contains(about), "{failure} says nothing of {about}");
}

#[track_caller]
fn passes(path: &str, text: &str) {
    let failures = found(path, text).failures;
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn a_tree_that_keeps_every_rule_passes_without_a_warning() {
    let findings = check(&tree(&[]));
    assert!(findings.failures.is_empty(), "{:#?}", findings.failures);
    assert!(findings.warnings.is_empty(), "{:#?}", findings.warnings);
}

#[test]
fn every_spelling_of_a_forbidden_import_fails_at_its_line() {
    for source in [
        "use crate::run::start;",
        "use crate::{limits, run};",
        "use crate::{\n    limits::A,\n    run::{self, start},\n};",
        "fn f() { crate::run::start() }",
        "type T = Vec<crate::run::Start>;",
        "use super::super::run::start;",
        "use super::super::{limits, run};",
        "mod inner { use super::super::super::run; }",
        "use crate::run as limits;",
        "macro_rules! m { () => { $crate::run::start() } }",
        "#[cfg(not(test))]\nuse crate::run;",
        "#[cfg(test)]\nmod tests { use crate::cli; }\nuse crate::run;",
        "#[cfg(test)]\nuse crate::{cli, sys};\nuse crate::run;",
        "#[test]\nfn t() { crate::cli::x() }\nuse crate::run;",
        "const A: char = '\"'; use crate::run; const B: char = '\"';",
        "const A: &str = r#\"\"#; use crate::run; const B: &[u8] = b\"\\\"\"; fn f<'a>() {}",
        "/* /* */ */ use crate::run;",
    ] {
        let text = format!("//! One codec.\n{source}\n");
        let line = 2 + source.lines().position(|line| line.contains("run")).unwrap();
        fails("src/proto/h1/mod.rs", &text, &format!("src/proto/h1/mod.rs:{line}"), "`run`");
    }
}

#[test]
fn what_only_looks_like_a_forbidden_import_passes() {
    for source in [
        "// use crate::run::start;",
        "/// See [`crate::run`].\nfn f() {}",
        "const A: &str = \"crate::run\";",
        "const A: &str = r#\" \" crate::run \"#;",
        "use crate::{limits, limits::run as limited};",
        "pub(crate) fn run() {}",
        "use crate::proto::run;",
        "use super::run;",
        "mod run { fn f() {} } fn g() { run::f() }",
        "#[cfg(test)]\nmod tests { use crate::run; }",
        "#[cfg(test)]\nuse crate::{\n    run,\n};",
        "struct S { #[cfg(test)] field: crate::run::R, other: u8 }",
        "fn f(x: impl Fn() + use<'_>) { run::g() }",
    ] {
        passes("src/proto/h1/mod.rs", &format!("//! One codec.\n{source}\n"));
    }
}

#[test]
fn a_file_declared_under_cfg_test_may_import_anything_and_so_may_the_files_below_it() {
    let mut tree = tree(&[
        ("src/proto/h1/mod.rs", "//! One codec.\n#[cfg(test)]\nmod tests;\n"),
        (
            "src/proto/h1/tests.rs",
            "//! T.\nmod deep;\nuse crate::run::x;\nuse proptest::prelude;\n",
        ),
        ("src/proto/h1/tests/deep.rs", "//! T.\nuse crate::cli::x;\nfn f() { println!() }\n"),
    ]);
    let failures = check(&tree).failures;
    assert!(failures.is_empty(), "{failures:#?}");
    tree.insert("src/proto/h1/mod.rs".to_owned(), "//! One codec.\nmod tests;\n".to_owned());
    assert_eq!(check(&tree).failures.len(), 4);
}

#[test]
fn the_binary_imports_the_command_line_alone() {
    let text = "//! Main.\nfn main() { wring::run::start() }\nuse mimalloc::MiMalloc;\n";
    fails("src/main.rs", text, "src/main.rs:2", "`run`");
}

#[test]
fn names_that_are_no_room_fail() {
    let text = "//! Run.\nuse crate::{self as root};\n";
    fails("src/run.rs", text, "src/run.rs:2", "self");
    fails("src/run.rs", "//! Run.\nuse super::*;\n", "src/run.rs:2", "*");
    fails("src/run.rs", "//! Run.\nuse crate::Thing;\n", "src/run.rs:2", "Thing");
}

#[test]
fn the_table_and_the_rooms_must_agree() {
    let lib = |from: &str, to: &str| LIB.replace(from, to);
    let row = "//! | 0 | `units` | sizes | – |\n";
    let without = lib(row, "");
    fails("src/lib.rs", &without, "src/units.rs:1", "not in the table");
    let with_ghost = lib(row, &format!("{row}//! | 0 | `ghost` | no | – |\n"));
    fails("src/lib.rs", &with_ghost, "src/lib.rs:6", "`ghost` has no source");
    let upwards = lib("codecs | limits", "codecs | limits, sys");
    fails("src/lib.rs", &upwards, "src/lib.rs:7", "not in a lower layer");
    let unknown = lib("codecs | limits", "codecs | limits, nowhere");
    fails("src/lib.rs", &unknown, "src/lib.rs:7", "`nowhere` is no room");
    let unreadable = lib(row, &format!("{row}//! | x | `tests` | no | – |\n"));
    fails("src/lib.rs", &unreadable, "src/lib.rs:6", "unreadable row");
    let twice = lib(row, &format!("{row}{row}"));
    fails("src/lib.rs", &twice, "src/lib.rs:6", "two rows");
}

#[test]
fn a_crate_is_named_in_its_owning_room_alone() {
    let fails = |path: &str, source: &str, about: &str| {
        fails(path, &format!("//! Room.\n{source}\n"), &format!("{path}:2"), about);
    };
    fails("src/run.rs", "use io_uring::IoUring;", "`io-uring` belongs to `uring`");
    fails("src/run.rs", "fn f() { io_uring::x() }", "`io-uring` belongs to `uring`");
    fails("src/run.rs", "use {io_uring as ring};", "`io-uring` belongs to `uring`");
    fails("src/run.rs", "#[derive(::libc::Debug)] struct S;", "`libc` belongs to `sys`");
    fails("src/run.rs", "use proptest::prelude::*;", "for tests only");
    fails("src/limits.rs", "use clap::Parser;", "belongs to `cli`, `run`");
    passes("src/run.rs", "//! Room.\nuse clap::Parser;\n");
    passes("src/run.rs", "//! Room.\nuse std::{fmt, x::libc as y};\nfn f(libc: u8) { libc; }\n");
}

#[test]
fn every_dependency_has_an_owner_that_is_a_room() {
    let ownerless = MANIFEST.replace("# room `sys`. It", "# Rooms. It");
    let failures = found("Cargo.toml", &ownerless).failures;
    assert!(failures[0].starts_with("Cargo.toml:6: `libc` has no owner"), "{failures:#?}");
    let strange = MANIFEST.replace("# room `uring`.", "# rooms `uring`, `attic`.");
    fails("Cargo.toml", &strange, "Cargo.toml:8", "`attic`, which is no room");
    let sectioned = format!("{MANIFEST}[dependencies.http]\nversion = \"1\"\n");
    fails("Cargo.toml", &sectioned, "Cargo.toml:18", "use one line");
}

#[test]
fn a_dependency_that_nothing_names_is_a_warning() {
    let findings = found("src/cli/mod.rs", "//! Cli.\nuse clap::Parser as _;\n");
    assert!(findings.failures.is_empty());
    assert!(findings.warnings[0].contains("nothing names `clap_complete`"));
}

#[test]
fn unsafe_outside_its_rooms_fails_in_tests_too() {
    let text = "//! Run.\nfn f() {\n    unsafe { g() }\n}\n";
    fails("src/run.rs", text, "src/run.rs:3", "`unsafe` in `run`, use a safe function of sys");
    let text = "//! Run.\n#[cfg(test)]\nunsafe impl Send for T {}\n";
    fails("src/run.rs", text, "src/run.rs:3", "`unsafe`");
    passes("src/run.rs", "//! Run.\n// unsafe\nconst A: &str = \"unsafe\"; // unsafe_code\n");
}

#[test]
fn banned_words_fail_outside_tests_and_the_rooms_that_may_print() {
    for word in ["dbg", "todo", "unimplemented", "println", "print", "eprintln", "eprint"] {
        let text = format!("//! Run.\nfn f() {{ {word}!(\"x\") }}\n");
        fails("src/run.rs", &text, "src/run.rs:2", &format!("`{word}!`"));
        passes("src/run.rs", &format!("//! Run.\n#[test]\nfn f() {{ {word}!(\"x\") }}\n"));
        passes("src/run.rs", &format!("//! Run.\n// {word}!\nfn {word}() {{ 1 != 2 }}\n"));
    }
    passes("src/cli/mod.rs", "//! Cli.\nfn f() { println!(\"x\"); eprintln!(\"x\") }\n");
    fails("src/cli/mod.rs", "//! Cli.\nfn f() { todo!() }\n", "src/cli/mod.rs:2", "`todo!`");
    fails("src/run.rs", "//! Run.\n// FIXME later\n", "src/run.rs:2", "`FIXME`");
    fails("src/run.rs", "//! Run.\n// XXX: later\n", "src/run.rs:2", "`XXX`");
    let ignored = "//! Run.\n#[cfg(test)]\nmod tests {\n#[ignore = \"slow\"]\nfn t() {}\n}\n";
    fails("src/run.rs", ignored, "src/run.rs:4", "`#[ignore]`");
}

#[test]
fn rooms_below_run_touch_neither_clock_nor_thread_nor_file() {
    for source in [
        "use std::time::Instant;",
        "use std::{fmt, time::{Duration, SystemTime}};",
        "use std::time;\nfn f() { time::Instant::now() }",
        "fn f() { std::thread::sleep(d) }",
        "fn f() { std::env::var(\"HOME\") }",
        "use std::fs::File;",
        "use std::sync::{Arc, Mutex};",
        "use std::net::{SocketAddr, TcpStream};",
    ] {
        let failures = found("src/limits.rs", &format!("//! Room.\n{source}\n")).failures;
        assert_eq!(failures.len(), 1, "{source}: {failures:#?}");
        passes("src/run.rs", &format!("//! Room.\n{source}\n"));
        passes("src/sys/mod.rs", &format!("//! Room.\n{source}\nuse libc::x;\n"));
    }
    passes("src/limits.rs", "//! Room.\nuse std::{net::SocketAddr, time::Duration, sync::Arc};\n");
    passes("src/limits.rs", "//! Room.\nconst V: &str = env!(\"CARGO_PKG_VERSION\");\n");
}

#[test]
fn a_file_without_a_header_and_a_file_nobody_declares_fail() {
    fails("src/run.rs", "// A room.\n//! Late.\n", "src/run.rs:1", "no `//!` header");
    fails("src/proto/h2.rs", PLAIN, "src/proto/h2.rs:1", "no `mod` declaration reaches this file");
    passes("src/proto/mod.rs", "//! Codecs.\npub mod h1;\nmod inner { mod deep; }\n");
}

#[test]
fn text_that_points_outside_the_repository_fails_in_any_file() {
    let outside = format!("See {}/design.md\n", concat!("../", "shared"));
    fails("README.md", &outside, "README.md:1", "say here what it says");
    let ticket = format!("# One\n# {}2\n", concat!("Issue", " #"));
    fails("scripts/check", &ticket, "scripts/check:2", "say the reason itself");
    passes("README.md", "A shared/ folder, and the issue # sign.\n");
}

#[test]
fn sizes_warn_and_do_not_fail() {
    let long_function =
        format!("//! Run.\nfn short() {{}}\nfn long() {{\n{}}}\n", "f();\n".repeat(70));
    let long_line = format!("//! Run.\n// {}\n", "a".repeat(98));
    let long_file = format!("//! Run.\n{}", "\n".repeat(800));
    let wide_door = format!("//! Run.\n{}", "pub fn f() {}\npub const A: u8 = 1;\n".repeat(13));
    for (text, about) in [
        (&long_function, "src/run.rs:3: `long` has 72 lines"),
        (&long_line, "src/run.rs:2: 101 columns"),
        (&long_file, "src/run.rs:1: 801 lines"),
        (&wide_door, "src/run.rs:1: 13 public items"),
    ] {
        let findings = found("src/run.rs", text);
        assert!(findings.failures.is_empty(), "{:#?}", findings.failures);
        assert_eq!(findings.warnings.len(), 1, "{:#?}", findings.warnings);
        assert!(findings.warnings[0].starts_with(about), "{:#?}", findings.warnings);
    }
}
