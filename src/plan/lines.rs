//! Bodies that take turns, one a line of a text.
//!
//! The idea: the text is held once, whatever number of workers reads it, with the places of its
//! lines beside it.

use super::placeholder::{self, Hole, Text};
use crate::rng::Rng;

/// The lines of a text, without their ends; never none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lines {
    bytes: Vec<u8>,
    /// Behind the last byte of each line, and behind the last of its holes.
    ends: Vec<(u32, u32)>,
    /// Counted from the start of their line.
    holes: Vec<Hole>,
    longest_bytes: usize,
    has_unknown: bool,
}

impl Lines {
    /// The lines of `text`, which end in LF or CR LF; the end of the last may be missing. `None`
    /// for an empty text. At most 4 GiB.
    pub fn new(text: &[u8]) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let mut lines = Self {
            bytes: Vec::with_capacity(text.len()),
            ends: Vec::new(),
            holes: Vec::new(),
            longest_bytes: 0,
            has_unknown: false,
        };
        for line in text.split(|&byte| byte == b'\n') {
            let line = Text::typed(line.strip_suffix(b"\r").unwrap_or(line));
            lines.bytes.extend_from_slice(line.bytes());
            lines.holes.extend_from_slice(line.holes());
            lines.ends.push((lines.bytes.len() as u32, lines.holes.len() as u32));
            lines.longest_bytes = lines.longest_bytes.max(line.bytes().len());
            lines.has_unknown |= line.has_unknown();
        }
        Some(lines)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// Something is filled in in some line.
    pub fn has_holes(&self) -> bool {
        !self.holes.is_empty()
    }

    /// Two braces stand in some line that begin no placeholder.
    pub fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    /// Length of the longest, in bytes.
    pub fn longest_bytes(&self) -> usize {
        self.longest_bytes
    }

    /// Writes the length of the line for request `number`, the end of a head and the line itself to
    /// the front of `out`; gives how many bytes that were.
    pub(super) fn write(&self, out: &mut [u8], number: u64, rng: &mut Rng) -> usize {
        let line = (number % self.ends.len() as u64) as usize;
        let (start, first_hole) = line.checked_sub(1).map_or((0, 0), |before| self.ends[before]);
        let (end, last_hole) = self.ends[line];
        let bytes = &self.bytes[start as usize..end as usize];
        let mut at = write_decimal(out, bytes.len());
        out[at..at + 4].copy_from_slice(b"\r\n\r\n");
        at += 4;
        out[at..at + bytes.len()].copy_from_slice(bytes);
        let holes = &self.holes[first_hole as usize..last_hole as usize];
        placeholder::fill(out, at, holes, number, rng);
        at + bytes.len()
    }
}

/// Writes `number` without leading noughts; gives its width.
fn write_decimal(out: &mut [u8], mut number: usize) -> usize {
    let mut digits = [0; 20];
    let mut width = 0;
    loop {
        width += 1;
        digits[20 - width] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out[..width].copy_from_slice(&digits[20 - width..]);
    width
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(lines: &Lines, number: u64) -> String {
        let mut out = vec![0; 24 + lines.longest_bytes()];
        let bytes = lines.write(&mut out, number, &mut Rng::new(0));
        String::from_utf8(out[..bytes].to_vec()).unwrap()
    }

    #[test]
    fn a_line_ends_in_lf_or_cr_lf_and_the_last_end_may_be_missing() {
        for text in ["a\nbb", "a\nbb\n", "a\r\nbb\r\n", "a\r\nbb"] {
            let lines = Lines::new(text.as_bytes()).unwrap();
            assert_eq!((lines.count(), lines.longest_bytes()), (2, 2), "{text:?}");
            assert_eq!(written(&lines, 0), "1\r\n\r\na");
            assert_eq!(written(&lines, 3), "2\r\n\r\nbb");
        }
        let lines = Lines::new(b"\n\nx").unwrap();
        assert_eq!(lines.count(), 3);
        assert_eq!(
            (written(&lines, 1), written(&lines, 2)),
            ("0\r\n\r\n".into(), "1\r\n\r\nx".into())
        );
        assert_eq!(Lines::new(b"\n").unwrap().count(), 1);
        assert_eq!(Lines::new(b""), None);
    }

    #[test]
    fn lengths_have_as_many_digits_as_they_need() {
        for bytes in [9, 10, 99, 100, 12_345] {
            let lines = Lines::new(&vec![b'x'; bytes]).unwrap();
            assert!(written(&lines, 0).starts_with(&format!("{bytes}\r\n\r\nx")));
        }
    }

    #[test]
    fn each_line_has_its_own_placeholders() {
        let lines = Lines::new(b"{{seq}}\nx\n<{{seq}}>").unwrap();
        assert_eq!(written(&lines, 0), "16\r\n\r\n0000000000000000");
        assert_eq!(written(&lines, 1), "1\r\n\r\nx");
        assert_eq!(written(&lines, 5), "18\r\n\r\n<0000000000000005>");
    }
}
