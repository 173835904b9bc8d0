//! What `wring doctor` prints: text for people, one JSON object for programs.
//!
//! The object has `schema_version` (1; it rises when a field changes its meaning, its type or
//! disappears), `kind` (`wring-doctor`), `version` of wring, `verdict` (`fit`, `reservations` or
//! `unfit`), `sentence`, `took_ns` and `checks`. A check has `group` (`kernel`, `cpu`, `limits`,
//! `network`, `ceiling`), `name`, `verdict` (`ok`, `note`, `unknown`, `warning` or `bad`), `seen`
//! and `why` in words, `change` (a list of what to type, empty when there is nothing to change) and
//! `facts`: values by name with the unit in the name, `null` where they cannot be seen, `"unlimited"`
//! for a limit that is none. Names and facts may be added within a version.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::doctor::{Check, Examination, Fact, Group, Mark};
use crate::units::format_duration_ns;

use super::page::{GREEN, Page, RED, YELLOW};
use super::{escape, json};

/// The version of the JSON object.
pub const SCHEMA_VERSION: u32 = 1;
/// What `kind` says in it.
pub const KIND: &str = "wring-doctor";

/// Longest description shown, in characters.
const SEEN_CHARS_MAX: usize = 600;
/// Lines are broken to end before this column.
const COLUMNS: usize = 100;
/// Widths of the mark and of the name with the blank after each.
const MARK_WIDTH: usize = 8;
const NAME_WIDTH: usize = 20;

const GROUPS: [Group; 5] =
    [Group::Kernel, Group::Cpu, Group::Limits, Group::Network, Group::Ceiling];

/// The text: a line for each check, what to change below those that need it, the verdict last.
pub fn text(examination: &Examination, color: bool) -> Vec<u8> {
    let mut page = Page { text: String::new(), color };
    for group in GROUPS {
        page.heading(heading(group));
        for check in examination.checks.iter().filter(|check| check.group == group) {
            line(check, &mut page);
        }
    }
    // The blank line in front of the first heading.
    page.text.remove(0);
    page.text += "\nverdict: ";
    let (word, rest) = verdict(examination);
    page.colored(color_of(examination.worst()), word);
    page.text += &format!("{rest}\n");
    page.text.into_bytes()
}

/// The object in one line, with a line end.
pub fn json(examination: &Examination) -> Vec<u8> {
    let (word, rest) = verdict(examination);
    let fitness = match examination.worst() {
        Mark::Ok | Mark::Note | Mark::Unknown => "fit",
        Mark::Warning => "reservations",
        Mark::Bad => "unfit",
    };
    json::to_safe_bytes(&Object {
        schema_version: SCHEMA_VERSION,
        kind: KIND,
        version: env!("CARGO_PKG_VERSION"),
        verdict: fitness,
        sentence: format!("{word}{rest}"),
        took_ns: examination.took_ns,
        checks: examination.checks.iter().map(object).collect(),
    })
}

/// In the order in which the object is written.
#[derive(Serialize)]
struct Object<'a> {
    schema_version: u32,
    kind: &'a str,
    version: &'a str,
    verdict: &'a str,
    sentence: String,
    took_ns: u64,
    checks: Vec<ObjectCheck<'a>>,
}

#[derive(Serialize)]
struct ObjectCheck<'a> {
    group: &'a str,
    name: &'a str,
    verdict: &'a str,
    seen: &'a str,
    why: &'a str,
    change: &'a [String],
    facts: Map<String, Value>,
}

fn object(check: &Check) -> ObjectCheck<'_> {
    ObjectCheck {
        group: group_name(check.group),
        name: check.name,
        verdict: mark_name(check.mark),
        seen: &check.seen,
        why: check.why,
        change: &check.change,
        facts: check.facts.iter().map(|(name, fact)| ((*name).to_owned(), value(fact))).collect(),
    }
}

fn value(fact: &Fact) -> Value {
    match fact {
        Fact::Count(count) => json!(count),
        Fact::Number(number) => json!(number),
        Fact::Flag(flag) => json!(flag),
        Fact::Text(text) => json!(text),
        Fact::Unlimited => json!("unlimited"),
        Fact::Unknown => Value::Null,
    }
}

fn heading(group: Group) -> &'static str {
    match group {
        Group::Kernel => "Kernel",
        Group::Cpu => "CPU",
        Group::Limits => "Limits",
        Group::Network => "Network",
        Group::Ceiling => "Ceiling",
    }
}

fn group_name(group: Group) -> &'static str {
    match group {
        Group::Kernel => "kernel",
        Group::Cpu => "cpu",
        Group::Limits => "limits",
        Group::Network => "network",
        Group::Ceiling => "ceiling",
    }
}

fn mark_name(mark: Mark) -> &'static str {
    match mark {
        Mark::Ok => "ok",
        Mark::Note => "note",
        Mark::Unknown => "unknown",
        Mark::Warning => "warning",
        Mark::Bad => "bad",
    }
}

/// How the mark looks in text: what needs attention is in capitals, so that it stands out without
/// colour too.
fn mark_word(mark: Mark) -> &'static str {
    match mark {
        Mark::Warning => "WARN",
        Mark::Bad => "BAD",
        mark => mark_name(mark),
    }
}

fn color_of(mark: Mark) -> &'static str {
    match mark {
        Mark::Ok | Mark::Note | Mark::Unknown => GREEN,
        Mark::Warning => YELLOW,
        Mark::Bad => RED,
    }
}

fn line(check: &Check, page: &mut Page) {
    let word = mark_word(check.mark);
    page.text += "  ";
    match check.mark {
        Mark::Note | Mark::Unknown => page.text += word,
        mark => page.colored(color_of(mark), word),
    }
    let gap = MARK_WIDTH.saturating_sub(word.len());
    let name = check.name;
    let _ = write!(page.text, "{:gap$}{name:<NAME_WIDTH$}", "");
    let indent = 2 + MARK_WIDTH + NAME_WIDTH;
    wrapped(&escape(&check.seen, SEEN_CHARS_MAX), indent, page);
    if matches!(check.mark, Mark::Ok | Mark::Unknown) {
        return;
    }
    let label = |label: &str, text: &str, page: &mut Page| {
        let _ = write!(page.text, "{:indent$}{label}", "");
        wrapped(text, indent + label.len(), page);
    };
    label("why: ", check.why, page);
    for change in &check.change {
        // A command is to be copied in one piece, so it is not broken.
        let _ = writeln!(page.text, "{:indent$}change: {}", "", escape(change, SEEN_CHARS_MAX));
    }
}

/// `text` broken between words, where the first line starts at column `indent` and so do the rest.
fn wrapped(text: &str, indent: usize, page: &mut Page) {
    let mut column = indent;
    for (index, word) in text.split(' ').enumerate() {
        let width = word.chars().count();
        if index > 0 && column + 1 + width > COLUMNS {
            let _ = write!(page.text, "\n{:indent$}", "");
            column = indent;
        } else if index > 0 {
            page.text.push(' ');
            column += 1;
        }
        page.text += word;
        column += width;
    }
    page.text.push('\n');
}

/// The verdict's word and the rest of its sentence.
fn verdict(examination: &Examination) -> (&'static str, String) {
    let (bad, warnings) = (examination.names(Mark::Bad), examination.names(Mark::Warning));
    let unknown = examination.names(Mark::Unknown).len();
    let (word, mut rest) = match (bad.is_empty(), warnings.is_empty()) {
        (false, true) => ("not fit to measure", format!(": {}", bad.join(", "))),
        (false, false) => (
            "not fit to measure",
            format!(": {}; with reservations: {}", bad.join(", "), warnings.join(", ")),
        ),
        (true, false) => ("fit to measure with reservations", format!(": {}", warnings.join(", "))),
        (true, true) if unknown > 0 => ("fit to measure", ", as far as can be seen".to_owned()),
        (true, true) => ("fit to measure", String::new()),
    };
    match unknown {
        0 => {}
        1 => rest += "; one check was not made",
        count => rest += &format!("; {count} checks were not made"),
    }
    rest += &format!(" (examined for {})", format_duration_ns(examination.took_ns));
    (word, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(group: Group, name: &'static str, mark: Mark) -> Check {
        Check {
            group,
            name,
            mark,
            seen: "seen".to_owned(),
            why: "because",
            change: vec!["sysctl -w a=1".to_owned()],
            facts: vec![
                ("count", Fact::Count(7)),
                ("share", Fact::Number(0.5)),
                ("on", Fact::Flag(true)),
                ("name", Fact::Text("a\u{1b}b".to_owned())),
                ("limit", Fact::Unlimited),
                ("hidden", Fact::Unknown),
            ],
        }
    }

    fn shown(checks: Vec<Check>) -> String {
        String::from_utf8(text(&Examination { checks, took_ns: 2_000_000 }, false)).unwrap()
    }

    #[test]
    fn only_what_is_not_ok_says_why_and_what_to_change() {
        let checks = vec![
            check(Group::Kernel, "kernel", Mark::Ok),
            check(Group::Cpu, "clock", Mark::Bad),
            check(Group::Cpu, "quota", Mark::Warning),
            check(Group::Limits, "memory", Mark::Note),
            check(Group::Network, "ports", Mark::Unknown),
        ];
        let expected = "\
Kernel
  ok      kernel              seen

CPU
  BAD     clock               seen
                              why: because
                              change: sysctl -w a=1
  WARN    quota               seen
                              why: because
                              change: sysctl -w a=1

Limits
  note    memory              seen
                              why: because
                              change: sysctl -w a=1

Network
  unknown ports               seen

Ceiling

verdict: not fit to measure: clock; with reservations: quota; one check was not made \
                        (examined for 2.00 ms)
";
        assert_eq!(shown(checks), expected);
    }

    #[test]
    fn the_verdict_follows_the_worst_mark() {
        let of = |mark| {
            let text = shown(vec![check(Group::Cpu, "clock", mark)]);
            text.lines().last().unwrap().to_owned()
        };
        assert_eq!(of(Mark::Ok), "verdict: fit to measure (examined for 2.00 ms)");
        assert_eq!(of(Mark::Note), "verdict: fit to measure (examined for 2.00 ms)");
        let unknown = "verdict: fit to measure, as far as can be seen; one check was not made (";
        assert!(of(Mark::Unknown).starts_with(unknown), "{}", of(Mark::Unknown));
        assert!(of(Mark::Warning).starts_with("verdict: fit to measure with reservations: clock"));
        assert!(of(Mark::Bad).starts_with("verdict: not fit to measure: clock ("));
    }

    #[test]
    fn colour_adds_escapes_and_nothing_else() {
        let marks = [Mark::Ok, Mark::Note, Mark::Unknown, Mark::Warning, Mark::Bad];
        let checks = marks.map(|mark| check(Group::Cpu, "clock", mark)).to_vec();
        let examination = Examination { checks, took_ns: 1 };
        let colored = String::from_utf8(text(&examination, true)).unwrap();
        let mut plain = colored.clone();
        for escape in ["\x1b[1m", "\x1b[0m", RED, GREEN, YELLOW] {
            plain = plain.replace(escape, "");
        }
        assert_ne!(colored, plain);
        assert_eq!(plain.as_bytes(), text(&examination, false));
    }

    #[test]
    fn names_that_others_wrote_cannot_move_the_terminal_and_reach_programs_whole() {
        let mut hostile = check(Group::Cpu, "other load", Mark::Note);
        hostile.seen = "busy: \x1b[2J\u{202e}evil".to_owned();
        let shown = shown(vec![hostile.clone()]);
        assert!(shown.contains("busy: \\u{1b}[2J\\u{202e}evil"), "{shown}");
        let bytes = json(&Examination { checks: vec![hostile], took_ns: 1 });
        assert!(!bytes.contains(&0x1b));
        assert!(!String::from_utf8(bytes.clone()).unwrap().contains('\u{202e}'));
        let object: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(object["checks"][0]["seen"], "busy: \x1b[2J\u{202e}evil");
    }

    #[test]
    fn the_object_holds_every_check_with_its_values() {
        let checks = vec![check(Group::Limits, "open files", Mark::Warning)];
        let bytes = json(&Examination { checks, took_ns: 5 });
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1);
        let object: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((&object["schema_version"], &object["took_ns"]), (&json!(1), &json!(5)));
        assert_eq!((&object["kind"], &object["verdict"]), (&json!(KIND), &json!("reservations")));
        let check = &object["checks"][0];
        assert_eq!((&check["group"], &check["verdict"]), (&json!("limits"), &json!("warning")));
        assert_eq!(check["change"], json!(["sysctl -w a=1"]));
        let facts = json!({
            "count": 7, "share": 0.5, "on": true, "name": "a\u{1b}b", "limit": "unlimited",
            "hidden": null,
        });
        assert_eq!(check["facts"], facts);
    }

    #[test]
    fn long_descriptions_are_broken_between_words_and_commands_are_not() {
        let mut long = check(Group::Cpu, "clock", Mark::Warning);
        long.seen = "word ".repeat(40).trim_end().to_owned();
        long.change = vec!["echo ".to_owned() + &"x".repeat(120)];
        let shown = shown(vec![long]);
        let (commands, others): (Vec<&str>, Vec<&str>) =
            shown.lines().partition(|line| line.contains("change: "));
        assert!(others.iter().all(|line| line.chars().count() <= COLUMNS), "{shown}");
        assert_eq!(commands.len(), 1);
        assert_eq!(shown.matches("word").count(), 40);
    }
}
