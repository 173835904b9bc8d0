//! How often each value of one header field was met.
//!
//! The idea: a value is looked up once, when its head is parsed, and gets a small number. Whoever
//! finds the same head again knows the number already, so a run of equal heads costs one addition.

use super::{Counts, add, total};
use crate::limits::{GROUP_VALUE_BYTES_MAX, GROUPS_MAX};

/// Number of the answers without the field.
const WITHOUT: u16 = 0;
/// Number of the answers whose value found no place.
const OTHER: u16 = GROUPS_MAX as u16 + 1;

/// How often one value was met.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GroupCount {
    /// The value. Bytes that are no UTF-8 are written as `\xff`; one that was cut ends in `…`.
    pub value: String,
    /// Answers with it.
    pub counts: Counts,
}

/// How often each value was met.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Groups {
    /// Values that were told apart.
    pub values: Vec<GroupCount>,
    /// Answers without the field.
    pub without: Counts,
    /// Answers with other values.
    pub other: Counts,
}

impl Groups {
    /// All answers.
    pub fn all(&self) -> Counts {
        let mut all = self.without;
        add(&mut all, &self.other);
        self.values.iter().for_each(|group| add(&mut all, &group.counts));
        all
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for theirs in &other.values {
            match self.values.iter_mut().find(|group| group.value == theirs.value) {
                Some(mine) => add(&mut mine.counts, &theirs.counts),
                None => self.values.push(theirs.clone()),
            }
        }
        add(&mut self.without, &other.without);
        add(&mut self.other, &other.other);
    }

    /// The most frequent values first; those beyond the bound count as other.
    pub(super) fn condense(&mut self) {
        self.values.sort_by(|a, b| {
            total(&b.counts).cmp(&total(&a.counts)).then_with(|| a.value.cmp(&b.value))
        });
        for group in self.values.split_off(self.values.len().min(GROUPS_MAX)) {
            add(&mut self.other, &group.counts);
        }
    }
}

/// A field's value, cut where it is longer than is told apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Value {
    bytes: [u8; GROUP_VALUE_BYTES_MAX],
    len: usize,
    is_cut: bool,
}

impl Value {
    const EMPTY: Self = Self { bytes: [0; GROUP_VALUE_BYTES_MAX], len: 0, is_cut: false };

    fn push(&mut self, bytes: &[u8]) {
        let room = GROUP_VALUE_BYTES_MAX - self.len;
        let taken = bytes.len().min(room);
        self.bytes[self.len..self.len + taken].copy_from_slice(&bytes[..taken]);
        self.len += taken;
        self.is_cut |= taken < bytes.len();
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for chunk in self.bytes().utf8_chunks() {
            f.write_str(chunk.valid())?;
            write!(f, "{}", chunk.invalid().escape_ascii())?;
        }
        f.write_str(if self.is_cut { "…" } else { "" })
    }
}

/// The table of one worker; never allocates after `new`.
#[derive(Debug)]
pub(super) struct GroupTable {
    name: Vec<u8>,
    values: Vec<Value>,
    counts: Box<[Counts]>,
}

impl GroupTable {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            values: Vec::with_capacity(GROUPS_MAX),
            counts: vec![Counts::default(); usize::from(OTHER) + 1].into_boxed_slice(),
        }
    }

    /// The number of the value in `head`, a whole head that was parsed without a fault.
    pub(super) fn label(&mut self, head: &[u8]) -> u16 {
        let Some(value) = field_value(head, &self.name) else { return WITHOUT };
        let known = self.values.iter().position(|known| *known == value);
        let place = match known {
            Some(place) => place,
            None if self.values.len() < GROUPS_MAX => {
                self.values.push(value);
                self.values.len() - 1
            }
            None => return OTHER,
        };
        place as u16 + 1
    }

    pub(super) fn count(&mut self, label: u16, count: u64, phase: usize) {
        self.counts[usize::from(label.min(OTHER))][phase] += count;
    }

    pub(super) fn into_groups(self) -> Groups {
        let values = self.values.iter().zip(&self.counts[1..]);
        Groups {
            values: values
                .map(|(value, &counts)| GroupCount { value: value.to_string(), counts })
                .collect(),
            without: self.counts[usize::from(WITHOUT)],
            other: self.counts[usize::from(OTHER)],
        }
    }
}

/// The value of the field `name`, compared without case; `None` when the head has none. Several
/// such fields are one list (RFC 9110 section 5.3), a folded line is one blank (RFC 9112 section
/// 5.2).
fn field_value(head: &[u8], name: &[u8]) -> Option<Value> {
    let mut value = Value::EMPTY;
    let (mut is_found, mut is_inside) = (false, false);
    for line in head.split(|&byte| byte == b'\n').skip(1) {
        if let [b' ' | b'\t', ..] = line {
            if is_inside {
                value.push(b" ");
                value.push(line.trim_ascii());
            }
            continue;
        }
        is_inside = false;
        let Some((field, rest)) = line.split_at_checked(name.len()) else { continue };
        if let [b':', rest @ ..] = rest
            && field.eq_ignore_ascii_case(name)
        {
            if is_found {
                value.push(b", ");
            }
            value.push(rest.trim_ascii());
            (is_found, is_inside) = (true, true);
        }
    }
    is_found.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(head: &str, name: &str) -> Option<String> {
        field_value(head.as_bytes(), name.as_bytes()).map(|value| value.to_string())
    }

    #[test]
    fn a_value_is_found_whatever_its_case_blanks_and_folds() {
        let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        for (fields, value) in [
            ("X-Backend: a\r\n", Some("a")),
            ("x-backend:a\r\n", Some("a")),
            ("X-BACKEND: \t a b \t\r\n", Some("a b")),
            ("X-Backend:\r\n", Some("")),
            ("A: X-Backend: no\r\nX-Backend: yes\r\n", Some("yes")),
            ("X-Backend-Id: a\r\n", None),
            ("Y-X-Backend: a\r\n", None),
            ("", None),
            ("X-Backend: a\r\nB: c\r\nX-Backend: b\r\n", Some("a, b")),
            ("X-Backend: a\r\n b\r\n\tc\r\nB: x\r\n y\r\n", Some("a b c")),
            ("X-Backend: a\nB: c\n", Some("a")),
        ] {
            assert_eq!(shown(&head(fields), "X-Backend").as_deref(), value, "{fields:?}");
        }
        assert_eq!(
            shown("X-Backend: no\r\n\r\n", "X-Backend"),
            None,
            "the status line is no field"
        );
        assert_eq!(shown("HTTP/1.1 200 X-Backend: no\r\n\r\n", "X-Backend"), None);
    }

    #[test]
    fn a_value_is_bounded_and_its_bytes_can_be_printed() {
        let field = |value: &[u8]| [b"HTTP/1.1 200 OK\r\nX: ", value, b"\r\n\r\n"].concat();
        let value = |bytes: &[u8]| field_value(&field(bytes), b"X").unwrap().to_string();
        assert_eq!(value(b"\xff\xc3\xa4"), "\\xff\u{e4}");
        let full = vec![b'x'; GROUP_VALUE_BYTES_MAX];
        assert_eq!(value(&full), "x".repeat(GROUP_VALUE_BYTES_MAX));
        let longer = [&full[..], b"y"].concat();
        assert_eq!(value(&longer), format!("{}…", "x".repeat(GROUP_VALUE_BYTES_MAX)));
    }

    #[test]
    fn no_more_values_than_there_are_places_are_told_apart() {
        let mut table = GroupTable::new("x");
        let head = |value: usize| format!("HTTP/1.1 200 OK\r\nX: v{value}\r\n\r\n").into_bytes();
        for round in 0..2 {
            for value in 0..GROUPS_MAX + 9 {
                let label = table.label(&head(value));
                let expected = (value + 1).min(usize::from(OTHER));
                assert_eq!(usize::from(label), expected, "round {round}");
                table.count(label, 1, 2);
            }
        }
        let without = table.label(b"HTTP/1.1 200 OK\r\n\r\n");
        table.count(without, 5, 2);
        let groups = table.into_groups();
        assert_eq!(groups.values.len(), GROUPS_MAX);
        assert!(groups.values.iter().all(|group| group.counts == [0, 0, 2, 0]));
        assert_eq!((groups.without, groups.other), ([0, 0, 5, 0], [0, 0, 18, 0]));
        assert_eq!(groups.all(), [0, 0, 2 * (GROUPS_MAX as u64 + 9) + 5, 0]);
    }
}
