//! House rules as an ordinary test: what rustc and clippy do not hold, this does.
//!
//! Owns the rules. Their data stands where people read it: which room may import which is the
//! table in the header of `src/lib.rs`, which room owns a crate is the comment above it in
//! `Cargo.toml`.
//!
//! The idea: every rule is a pure function over a `Tree` of texts, so that `tests` can show each
//! one a tree that breaks it. Imports, `unsafe`, banned words, effects, headers and orphans fail;
//! sizes only warn.

mod header;
mod tokens;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

use header::{Crate, Room, crates, rooms};
use tokens::{NamedPath, Token, closing, mod_declarations, paths, tokens};

const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;
const PUBLIC_ITEMS_MAX: usize = 12;

/// Files by path from the repository's root, with `/` between the parts.
type Tree = BTreeMap<String, String>;

/// Something to tell: `path:line: what, use this instead`.
#[derive(Debug, Default)]
struct Findings {
    failures: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    fn fail(&mut self, path: &str, line: usize, what: &str) {
        let failure = format!("{path}:{line}: {what}");
        // One line may break one rule twice: `use crate::run::{self, start}`.
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
    }

    fn warn(&mut self, path: &str, line: usize, what: &str) {
        self.warnings.push(format!("{path}:{line}: {what}"));
    }
}

#[test]
fn the_tree_keeps_the_house_rules() {
    let mut tree = Tree::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    read_tree(root, "", &mut tree);
    assert!(tree.len() > 20, "read only {} files under {}", tree.len(), root.display());
    let findings = check(&tree);
    // Written past the test harness's capture: a warning in a passing test is for reading.
    let mut stderr = std::io::stderr().lock();
    for warning in &findings.warnings {
        let _ = writeln!(stderr, "tidy: {warning}");
    }
    assert!(findings.failures.is_empty(), "\n{}\n", findings.failures.join("\n"));
}

/// Reads every text file below `root` that people write.
fn read_tree(root: &Path, relative: &str, tree: &mut Tree) {
    for entry in std::fs::read_dir(root.join(relative)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = if relative.is_empty() { name.clone() } else { format!("{relative}/{name}") };
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            // Build output stands at the root; `src/target` is a room.
            if !matches!(path.as_str(), "target" | ".git") && name != "__pycache__" {
                read_tree(root, &path, tree);
            }
        } else if kind.is_file() && is_written_by_people(&name) {
            // Not UTF-8: no text, so no rule is about it.
            if let Ok(text) = std::fs::read_to_string(entry.path()) {
                tree.insert(path, text);
            }
        }
    }
}

fn is_written_by_people(name: &str) -> bool {
    const EXTENSIONS: [&str; 12] =
        ["rs", "md", "toml", "py", "sh", "lua", "html", "css", "js", "yml", "yaml", "conf"];
    let extension = name.rsplit_once('.').map(|(stem, extension)| (stem.is_empty(), extension));
    match extension {
        None | Some((true, _)) => name != ".git",
        Some((false, extension)) => EXTENSIONS.contains(&extension),
    }
}

/// Every rule over a whole tree.
fn check(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let rooms = rooms(tree.get("src/lib.rs").map_or("", String::as_str), &mut findings);
    let crates = crates(tree.get("Cargo.toml").map_or("", String::as_str), &mut findings);
    check_rooms(tree, &rooms, &crates, &mut findings);
    check_repository_words(tree, &mut findings);
    let files = source_files(tree, &mut findings);
    for file in &files {
        check_imports(file, &rooms, &mut findings);
        check_crates(file, &rooms, &crates, &mut findings);
        check_unsafe(file, &rooms, &mut findings);
        check_words(file, &mut findings);
        check_effects(file, &rooms, &mut findings);
        check_header(file, &mut findings);
        check_sizes(file, &mut findings);
    }
    check_crates_are_used(&files, &crates, &mut findings);
    findings
}

/// One source file that a `mod` declaration reaches.
struct Source<'t> {
    path: &'t str,
    room: String,
    text: &'t str,
    tokens: Vec<Token>,
    /// The module's path from the crate's root.
    module: Vec<String>,
}

/// Follows `mod` declarations from the two roots; what they do not reach is an orphan.
fn source_files<'t>(tree: &'t Tree, findings: &mut Findings) -> Vec<Source<'t>> {
    let mut files = Vec::new();
    let mut open = vec![
        ("src/main.rs".to_owned(), Vec::<String>::new(), false),
        ("src/lib.rs".to_owned(), Vec::new(), false),
    ];
    let mut reached = BTreeSet::new();
    while let Some((path, module, test)) = open.pop() {
        let Some((path, text)) = tree.get_key_value(&path) else { continue };
        reached.insert(path.as_str());
        let mut tokens = tokens(text);
        if test {
            tokens.iter_mut().for_each(|token| token.test = true);
        }
        let folder = match path.rsplit_once('/') {
            Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder,
            _ => path.trim_end_matches(".rs"),
        };
        for declaration in mod_declarations(&tokens) {
            let below: Vec<_> =
                declaration.inside.iter().cloned().chain([declaration.name]).collect();
            let stem = format!("{folder}/{}", below.join("/"));
            let module: Vec<_> = module.iter().cloned().chain(below).collect();
            for path in [format!("{stem}.rs"), format!("{stem}/mod.rs")] {
                open.push((path, module.clone(), declaration.test));
            }
        }
        files.push(Source { path, room: room_of(path).to_owned(), text, tokens, module });
    }
    for path in tree.keys().filter(|path| path.starts_with("src/") && path.ends_with(".rs")) {
        if !reached.contains(path.as_str()) {
            findings.fail(path, 1, "no `mod` declaration reaches this file, declare or delete it");
        }
    }
    files
}

/// `src/hist.rs` and `src/hist/merge.rs` are both in the room `hist`.
fn room_of(path: &str) -> &str {
    let inner = path.strip_prefix("src/").unwrap_or(path);
    inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
}

/// The table and the tree name the same rooms; no room imports from its own layer or above.
fn check_rooms(tree: &Tree, rooms: &[Room], crates: &[Crate], findings: &mut Findings) {
    let on_disk: BTreeMap<&str, &str> = tree
        .keys()
        .filter(|path| path.starts_with("src/") && path.ends_with(".rs"))
        .map(|path| (room_of(path), path.as_str()))
        .filter(|(room, _)| !matches!(*room, "lib" | "main" | "tests"))
        .collect();
    for (room, path) in &on_disk {
        if !rooms.iter().any(|known| known.name == *room) {
            let what = format!("room `{room}` is not in the table of src/lib.rs, add its row");
            findings.fail(path, 1, &what);
        }
    }
    for room in rooms {
        if !on_disk.contains_key(room.name.as_str()) {
            let what = format!("room `{}` has no source under src, remove its row", room.name);
            findings.fail("src/lib.rs", room.line, &what);
        }
        for name in &room.may_import {
            let other = rooms.iter().find(|other| other.name == *name);
            let what = match other {
                None => format!("`{name}` is no room, correct the row of `{}`", room.name),
                Some(other) if other.layer >= room.layer && !room.imports_everything => format!(
                    "`{}` imports `{name}`, which is not in a lower layer, move the wall",
                    room.name
                ),
                Some(_) => continue,
            };
            findings.fail("src/lib.rs", room.line, &what);
        }
    }
    for owned in crates {
        for owner in &owned.owners {
            if owner != "main" && !rooms.iter().any(|room| room.name == *owner) {
                let what = format!("`{}` is owned by `{owner}`, which is no room", owned.name);
                findings.fail("Cargo.toml", owned.line, &what);
            }
        }
    }
}

fn check_imports(file: &Source<'_>, rooms: &[Room], findings: &mut Findings) {
    for path in paths(&file.tokens).iter().filter(|path| !path.test) {
        let Some(wanted) = room_named(file, path) else { continue };
        if wanted == file.room {
            continue;
        }
        let room = rooms.iter().find(|room| room.name == file.room);
        let allowed: &[String] = room.map_or(&[], |room| &room.may_import);
        let what = if file.room == "main" && wanted == "cli" {
            continue;
        } else if !rooms.iter().any(|room| room.name == wanted) {
            format!("`crate::{wanted}` is no room, name the room that owns it")
        } else if allowed.contains(&wanted) {
            continue;
        } else {
            let allowed =
                if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") };
            format!(
                "`{}` imports `{wanted}`, it may import {allowed} (table in src/lib.rs): \
                 pass the value in, or move the code to a room that may",
                file.room
            )
        };
        findings.fail(file.path, path.line, &what);
    }
}

/// The room a path leads to, however it is spelled: `crate::room`, `super::room`, `wring::room`.
fn room_named(file: &Source<'_>, path: &NamedPath) -> Option<String> {
    let mut segments = path.segments.iter().map(String::as_str).peekable();
    let mut base: Vec<&str> = file.module.iter().chain(&path.inside).map(String::as_str).collect();
    match segments.next()? {
        "crate" => base.clear(),
        "wring" if file.room == "main" => base.clear(),
        "super" => {
            base.pop();
            while segments.next_if_eq(&"super").is_some() {
                base.pop();
            }
        }
        _ => return None,
    }
    // A path without a further segment names the module itself; the root's name is `self`.
    let first = base.first().copied().or_else(|| segments.next()).unwrap_or("self");
    Some(first.to_owned())
}

fn check_crates(file: &Source<'_>, rooms: &[Room], crates: &[Crate], findings: &mut Findings) {
    let is_unsafe_room = rooms.iter().any(|room| room.name == file.room && room.may_be_unsafe);
    for path in paths(&file.tokens).iter().filter(|path| !path.test) {
        let Some(owned) = crates.iter().find(|known| known.ident == path.segments[0]) else {
            continue;
        };
        let what = if owned.is_dev {
            format!("`{}` is for tests only, move it to a test module", owned.name)
        } else if owned.owners.contains(&file.room) || (owned.serves_unsafe_rooms && is_unsafe_room)
        {
            continue;
        } else {
            let owners = owned.owners.join("`, `");
            format!("`{}` belongs to `{owners}` (Cargo.toml), ask that room for it", owned.name)
        };
        findings.fail(file.path, path.line, &what);
    }
}

fn check_crates_are_used(files: &[Source<'_>], crates: &[Crate], findings: &mut Findings) {
    let named: BTreeSet<String> = files
        .iter()
        .flat_map(|file| paths(&file.tokens))
        .map(|path| path.segments[0].clone())
        .collect();
    for owned in crates.iter().filter(|owned| !owned.is_dev && !named.contains(&owned.ident)) {
        let what = format!("nothing names `{}`, remove it", owned.name);
        findings.warn("Cargo.toml", owned.line, &what);
    }
}

/// Test code is held to this too: what needs `unsafe` in a test is a helper of `sys` or `uring`.
fn check_unsafe(file: &Source<'_>, rooms: &[Room], findings: &mut Findings) {
    if rooms.iter().any(|room| room.name == file.room && room.may_be_unsafe) {
        return;
    }
    let allowed: Vec<_> =
        rooms.iter().filter(|room| room.may_be_unsafe).map(|room| room.name.as_str()).collect();
    for token in file.tokens.iter().filter(|token| token.text == "unsafe") {
        let what =
            format!("`unsafe` in `{}`, use a safe function of {}", file.room, allowed.join(", "));
        findings.fail(file.path, token.line, &what);
    }
}

fn check_words(file: &Source<'_>, findings: &mut Findings) {
    const PRINT: &str = "return the bytes, or hand them to `cli` or `live`";
    const MACROS: [(&str, &str, &[&str]); 7] = [
        ("dbg", "a test that shows the value", &[]),
        ("todo", "finish it, or leave the feature out", &[]),
        ("unimplemented", "finish it, or leave the feature out", &[]),
        ("println", PRINT, &["cli", "live"]),
        ("print", PRINT, &["cli", "live"]),
        ("eprintln", PRINT, &["cli", "live"]),
        ("eprint", PRINT, &["cli", "live"]),
    ];
    for (at, token) in file.tokens.iter().enumerate() {
        let texts = |from: usize, wanted: &[&str]| {
            wanted
                .iter()
                .enumerate()
                .all(|(i, w)| file.tokens.get(from + i).is_some_and(|token| token.text == **w))
        };
        if texts(at, &["#", "[", "ignore"]) {
            let what = "`#[ignore]`, make the test quick and steady, or delete it";
            findings.fail(file.path, token.line, what);
        }
        let banned = MACROS.iter().find(|(word, ..)| *word == token.text);
        let Some((word, instead, rooms)) = banned.filter(|_| texts(at + 1, &["!"])) else {
            continue;
        };
        if !token.test && !rooms.contains(&file.room.as_str()) {
            findings.fail(file.path, token.line, &format!("`{word}!`, use this: {instead}"));
        }
    }
    // The rules have to name the words they ban.
    if file.room == "tests" {
        return;
    }
    for (index, line) in file.text.lines().enumerate() {
        for word in ["FIXME", "XXX"] {
            let is_whole = |part: &str| !part.starts_with(|c: char| c.is_alphanumeric());
            if line.split_once(word).is_some_and(|(_, after)| is_whole(after)) {
                findings.fail(file.path, index + 1, &format!("`{word}`, do it or say why not"));
            }
        }
    }
}

/// Rooms below `run`, and `report`, are functions of their arguments: only a few rooms touch the
/// operating system.
fn check_effects(file: &Source<'_>, rooms: &[Room], findings: &mut Findings) {
    const EFFECTS: [(&[&str], &str); 14] = [
        (&["std", "time", "Instant"], "take `now_ns` as an argument"),
        (&["std", "time", "SystemTime"], "take the time as an argument"),
        (&["std", "thread"], "let `run` start threads and wait"),
        (&["std", "env"], "let `cli` read the environment"),
        (&["std", "fs"], "let `cli` read and write files"),
        (&["std", "process"], "return an error, `cli` chooses the exit code"),
        (&["std", "sync", "Mutex"], "own the value, or move it"),
        (&["std", "sync", "RwLock"], "own the value, or move it"),
        (&["std", "sync", "Condvar"], "own the value, or move it"),
        (&["std", "net", "TcpStream"], "use the `Backend`"),
        (&["std", "net", "TcpListener"], "use the `Backend`"),
        (&["std", "io", "stdin"], "let `cli` read it"),
        (&["std", "io", "stdout"], "return the bytes"),
        (&["std", "io", "stderr"], "return the bytes"),
    ];
    let Some(room) = rooms.iter().find(|room| room.name == file.room) else { return };
    let below_run = rooms.iter().find(|room| room.name == "run").map_or(0, |run| run.layer);
    let is_pure = room.name == "report" || (room.layer < below_run && !room.may_be_unsafe);
    if !is_pure {
        return;
    }
    for path in paths(&file.tokens).iter().filter(|path| !path.test) {
        let segments: Vec<_> = path.segments.iter().map(String::as_str).collect();
        let found = EFFECTS.iter().find(|(effect, _)| {
            segments.starts_with(effect) || segments.ends_with(&[effect[effect.len() - 1], "now"])
        });
        if let Some((effect, instead)) = found {
            let what = format!("`{}` in `{}`, {instead}", effect.join("::"), room.name);
            findings.fail(file.path, path.line, &what);
        }
    }
}

fn check_header(file: &Source<'_>, findings: &mut Findings) {
    if !file.text.starts_with("//!") {
        let what = "no `//!` header, say what the module owns, must not know, and its one idea";
        findings.fail(file.path, 1, what);
    }
}

fn check_sizes(file: &Source<'_>, findings: &mut Findings) {
    let line_count = file.text.lines().count();
    if line_count > FILE_LINES_MAX {
        let what =
            format!("{line_count} lines, more than {FILE_LINES_MAX}: two ideas in one file?");
        findings.warn(file.path, 1, &what);
    }
    for (index, line) in file.text.lines().enumerate() {
        // The rows of the import table cannot be broken.
        let columns = line.chars().count();
        if columns > COLUMNS_MAX && !line.starts_with("//! |") {
            let what = format!("{columns} columns, more than {COLUMNS_MAX}");
            findings.warn(file.path, index + 1, &what);
        }
    }
    for (name, line, lines) in functions(&file.tokens) {
        if lines > FUNCTION_LINES_MAX {
            let what = format!("`{name}` has {lines} lines, more than {FUNCTION_LINES_MAX}");
            findings.warn(file.path, line, &what);
        }
    }
    let is_door = file.module.len() == 1 && file.room != "tests";
    let count = public_items(&file.tokens);
    if is_door && count > PUBLIC_ITEMS_MAX {
        let what = format!("{count} public items, more than {PUBLIC_ITEMS_MAX}: a wide door");
        findings.warn(file.path, 1, &what);
    }
}

/// Name, first line and number of lines of every function with a body, outside tests.
fn functions(tokens: &[Token]) -> Vec<(&str, usize, usize)> {
    let text = |at: usize| tokens.get(at).map_or("", |token: &Token| token.text.as_str());
    let mut out = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let is_function = token.text == "fn" && !token.test && text(at + 1) != "(";
        if !is_function {
            continue;
        }
        let mut end = at + 1;
        while !matches!(text(end), "{" | ";" | "}" | "") || text(end - 1) == "[" {
            end = if matches!(text(end), "(" | "[") { closing(tokens, end) + 1 } else { end + 1 };
            if end >= tokens.len() {
                break;
            }
        }
        if text(end) == "{" {
            let last = tokens[closing(tokens, end)].line;
            out.push((text(at + 1), token.line, last + 1 - token.line));
        }
    }
    out
}

/// `pub` items outside braces, constants aside: those of a room's root are its door.
fn public_items(tokens: &[Token]) -> usize {
    let (mut depth, mut count) = (0_usize, 0);
    for pair in tokens.windows(2) {
        match pair[0].text.as_str() {
            "{" => depth += 1,
            "}" => depth = depth.saturating_sub(1),
            "pub" if depth == 0 && !matches!(pair[1].text.as_str(), "(" | "const") => count += 1,
            _ => {}
        }
    }
    count
}

/// A clone must explain itself: nothing may point at what only its authors can read.
fn check_repository_words(tree: &Tree, findings: &mut Findings) {
    const OUTSIDE: &str = concat!("../", "shared");
    const TICKET: &str = concat!("issue", " #");
    for (path, text) in tree {
        for (index, line) in text.lines().enumerate() {
            if line.contains(OUTSIDE) {
                let what = format!("`{OUTSIDE}` is not in the repository, say here what it says");
                findings.fail(path, index + 1, &what);
            }
            let lower = line.to_lowercase();
            let is_ticket =
                |at: usize| lower[at + TICKET.len()..].starts_with(|c: char| c.is_ascii_digit());
            if lower.match_indices(TICKET).any(|(at, _)| is_ticket(at)) {
                let what = format!("`{TICKET}…`, say the reason itself");
                findings.fail(path, index + 1, &what);
            }
        }
    }
}
