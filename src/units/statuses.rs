//! Sets of HTTP status codes, as people write them: `200,3xx,404-410`.

use std::fmt;

/// Smallest status of a final answer (RFC 9110 section 15).
const STATUS_MIN: u16 = 200;
/// Largest status that is accepted at all.
const STATUS_MAX: u16 = 999;

/// A set of status codes of final answers, 200 to 999.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StatusSet {
    bits: [u64; 16],
}

impl StatusSet {
    /// Whether `status` is in it.
    pub fn contains(&self, status: u16) -> bool {
        let (word, bit) = (usize::from(status / 64), status % 64);
        self.bits.get(word).is_some_and(|bits| bits >> bit & 1 == 1)
    }

    fn insert(&mut self, from: u16, to: u16) {
        for status in from..=to {
            self.bits[usize::from(status / 64)] |= 1 << (status % 64);
        }
    }
}

impl fmt::Display for StatusSet {
    /// In ascending order, whole classes as such: `200,3xx,404-410`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        let mut status = STATUS_MIN;
        while status <= STATUS_MAX {
            if !self.contains(status) {
                status += 1;
                continue;
            }
            let is_class = |from: u16| (from..from + 100).all(|code| self.contains(code));
            f.write_str(separator)?;
            separator = ",";
            if status.is_multiple_of(100) && is_class(status) {
                write!(f, "{}xx", status / 100)?;
                status += 100;
                continue;
            }
            let is_next =
                |code: u16| self.contains(code) && !(code.is_multiple_of(100) && is_class(code));
            let last = (status..STATUS_MAX).find(|&code| !is_next(code + 1)).unwrap_or(STATUS_MAX);
            write!(f, "{status}")?;
            if last > status {
                write!(f, "-{last}")?;
            }
            status = last + 1;
        }
        Ok(())
    }
}

/// A part of a list that is no status. Prints it and what would be right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StatusSetError {
    /// The part as typed.
    pub part: String,
    /// Where it starts in the list, in bytes.
    pub at: usize,
}

impl fmt::Display for StatusSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part.as_str() {
            "" => write!(f, "a status is missing")?,
            part => write!(f, "'{}' is no status of an answer", part.escape_debug())?,
        }
        write!(
            f,
            "; give codes from {STATUS_MIN} to {STATUS_MAX}, classes or ranges, such as 200, "
        )?;
        write!(f, "2xx or 200-204")
    }
}

impl std::error::Error for StatusSetError {}

/// Reads a list of codes (`404`), classes (`5xx`) and ranges (`200-204`, both ends included), which
/// `separator` separates. Blanks around the parts are allowed; the list must not be empty.
pub fn parse_statuses(text: &str, separator: char) -> Result<StatusSet, StatusSetError> {
    let mut set = StatusSet::default();
    let mut at = 0;
    for typed in text.split(separator) {
        let part = typed.trim();
        let blanks = typed.len() - typed.trim_start().len();
        let (from, to) =
            range(part).ok_or_else(|| StatusSetError { part: part.to_owned(), at: at + blanks })?;
        set.insert(from, to);
        at += typed.len() + separator.len_utf8();
    }
    Ok(set)
}

/// First and last status of one part.
fn range(part: &str) -> Option<(u16, u16)> {
    if let [class @ b'2'..=b'9', b'x' | b'X', b'x' | b'X'] = part.as_bytes() {
        let first = u16::from(class - b'0') * 100;
        return Some((first, first + 99));
    }
    let (from, to) = part.split_once('-').unwrap_or((part, part));
    let (from, to) = (code(from.trim())?, code(to.trim())?);
    (from <= to).then_some((from, to))
}

fn code(text: &str) -> Option<u16> {
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    let status = if is_code { text.parse().ok()? } else { return None };
    (STATUS_MIN..=STATUS_MAX).contains(&status).then_some(status)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_classes_and_ranges_are_read_and_printed_in_order() {
        for (typed, printed) in [
            ("200", "200"),
            ("2xx", "2xx"),
            ("5XX,200", "200,5xx"),
            ("200-299", "2xx"),
            ("200 , 201-204", "200-204"),
            ("404, 3xx ,200", "200,3xx,404"),
            ("250-350", "250-350"),
            ("250-400", "250-299,3xx,400"),
            ("200-999", "2xx,3xx,4xx,5xx,6xx,7xx,8xx,9xx"),
            ("998-999", "998-999"),
        ] {
            assert_eq!(parse_statuses(typed, ',').unwrap().to_string(), printed, "{typed}");
        }
        let set = parse_statuses("2xx|404", '|').unwrap();
        assert!(set.contains(200) && set.contains(299) && set.contains(404));
        assert!(!set.contains(199) && !set.contains(300) && !set.contains(u16::MAX));
    }

    #[test]
    fn what_is_no_status_is_named_with_its_place() {
        for (typed, part, at) in [
            ("", "", 0),
            ("200,", "", 4),
            ("200,,404", "", 4),
            ("200, 2x", "2x", 5),
            ("1xx", "1xx", 0),
            ("100", "100", 0),
            ("0200", "0200", 0),
            ("+20", "+20", 0),
            ("299-200", "299-200", 0),
            ("200-", "200-", 0),
            ("200-2xx", "200-2xx", 0),
            ("ok", "ok", 0),
            ("1000", "1000", 0),
            ("200|404", "200|404", 0),
        ] {
            let error = parse_statuses(typed, ',').unwrap_err();
            assert_eq!((error.part.as_str(), error.at), (part, at), "{typed}");
            assert!(error.to_string().contains("such as 200, 2xx or 200-204"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_as_the_same_set(
            ranges in proptest::collection::vec((200_u16..1000, 0_u16..300), 1..6),
        ) {
            let mut set = StatusSet::default();
            for (from, more) in ranges {
                set.insert(from, (from + more).min(STATUS_MAX));
            }
            prop_assert_eq!(parse_statuses(&set.to_string(), ','), Ok(set));
        }
    }
}
