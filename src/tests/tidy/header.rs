//! The rules' data, read from where people read it.
//!
//! Owns the parsing of the room table in the header of `src/lib.rs` and of the owner comments in
//! `Cargo.toml`. A row or a comment that cannot be read is a failure, never skipped.

use super::Findings;

/// One row of the table in `src/lib.rs`.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: String,
    pub(super) layer: u32,
    pub(super) may_import: Vec<String>,
    pub(super) imports_everything: bool,
    pub(super) may_be_unsafe: bool,
    /// Where the row stands.
    pub(super) line: usize,
}

/// One dependency and the comment above it.
#[derive(Debug)]
pub(super) struct Crate {
    pub(super) name: String,
    /// The name as code spells it.
    pub(super) ident: String,
    /// Rooms, or `main` for the binary.
    pub(super) owners: Vec<String>,
    /// Its comment says that it `serves the other rooms that may use unsafe`.
    pub(super) serves_unsafe_rooms: bool,
    pub(super) is_dev: bool,
    /// Where the dependency stands.
    pub(super) line: usize,
}

/// Rows of the form `//! | layer | room | owns | may import |`.
pub(super) fn rooms(lib: &str, findings: &mut Findings) -> Vec<Room> {
    let mut rooms: Vec<Room> = Vec::new();
    for (index, line) in lib.lines().enumerate() {
        let Some(row) = line.strip_prefix("//! |") else { continue };
        let cells: Vec<_> =
            row.trim_end().trim_end_matches('|').split('|').map(str::trim).collect();
        let is_title = cells[0] == "L" || cells[0].starts_with("--");
        if is_title {
            continue;
        }
        let row = match cells[..] {
            [layer, name, owns, imports] => row_of(layer, name, owns, imports, index + 1),
            _ => None,
        };
        let Some(row) = row else {
            findings.fail(
                "src/lib.rs",
                index + 1,
                "unreadable row, use `| L | room | owns | may import |`",
            );
            continue;
        };
        if rooms.iter().any(|known| known.name == row.name) {
            findings.fail("src/lib.rs", index + 1, &format!("`{}` has two rows", row.name));
        }
        rooms.push(row);
    }
    if rooms.is_empty() {
        findings.fail("src/lib.rs", 1, "no table of rooms in the header");
    }
    expand(&mut rooms);
    rooms
}

fn row_of(layer: &str, name: &str, owns: &str, imports: &str, line: usize) -> Option<Room> {
    let name = name.strip_prefix('`')?.strip_suffix('`')?.to_owned();
    let imports_everything = imports == "everything";
    let may_import = match imports {
        "–" | "everything" => Vec::new(),
        list => list.split(',').map(|name| name.trim().to_owned()).collect(),
    };
    let may_be_unsafe = owns.contains("(**unsafe**)");
    let layer = layer.parse().ok()?;
    Some(Room { name, layer, may_import, imports_everything, may_be_unsafe, line })
}

/// `L0` stands for the rooms of layer 0, `everything` for all.
fn expand(rooms: &mut [Room]) {
    let all: Vec<(u32, String)> =
        rooms.iter().map(|room| (room.layer, room.name.clone())).collect();
    for room in rooms {
        if room.imports_everything {
            room.may_import = all.iter().map(|(_, name)| name.clone()).collect();
        } else if room.may_import.iter().any(|name| name == "L0") {
            room.may_import.retain(|name| name != "L0");
            let layer_0 = all.iter().filter(|(layer, _)| *layer == 0).map(|(_, name)| name.clone());
            room.may_import.extend(layer_0);
        }
    }
}

/// Dependencies under comments that begin with "room `x`.", "rooms `x`, `y`." or "the binary.". A
/// comment holds for all dependencies up to the next comment or empty line.
pub(super) fn crates(manifest: &str, findings: &mut Findings) -> Vec<Crate> {
    let mut crates = Vec::new();
    let mut section = String::new();
    let mut comment = String::new();
    let mut comment_is_open = false;
    for (index, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(text) = line.strip_prefix('#') {
            if !comment_is_open {
                comment.clear();
            }
            comment_is_open = true;
            comment.push_str(text.trim());
            comment.push(' ');
            continue;
        }
        comment_is_open = false;
        if line.is_empty() {
            comment.clear();
        } else if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
            comment.clear();
            if section.contains("dependencies.") {
                findings.fail("Cargo.toml", index + 1, "a dependency as a section, use one line");
            }
        } else if section.ends_with("dependencies")
            && let Some((name, _)) = line.split_once('=')
            && name.trim().chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        {
            let is_dev = section.ends_with("dev-dependencies");
            crates.push(dependency(name.trim(), &comment, is_dev, index + 1, findings));
        }
    }
    crates
}

fn dependency(
    name: &str,
    comment: &str,
    is_dev: bool,
    line: usize,
    findings: &mut Findings,
) -> Crate {
    let first = comment.split('.').next().unwrap_or("");
    let owners = if first.starts_with("room") {
        first.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    } else if first == "the binary" {
        vec!["main".to_owned()]
    } else {
        Vec::new()
    };
    if owners.is_empty() && !is_dev {
        let what = format!("`{name}` has no owner, put \"# room `x`. Why.\" above it");
        findings.fail("Cargo.toml", line, &what);
    }
    Crate {
        name: name.to_owned(),
        ident: name.replace('-', "_"),
        owners,
        serves_unsafe_rooms: comment.contains("serves the other rooms that may use `unsafe`"),
        is_dev,
        line,
    }
}
