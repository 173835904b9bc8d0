//! Text with places that are filled anew for every request, each of a width of its own.
//!
//! The idea: a place is as wide as whatever fills it, so lengths are known once, before the run, and
//! filling is writing digits over digits. `{{seq}}` is the request's number, `{{rand}}` random and
//! `{{uuid}}` a random UUID (RFC 9562 section 5.4).

use crate::rng::Rng;

/// What a place is filled with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fill {
    /// The request's number over all threads, from 0, in 16 decimal digits.
    Seq,
    /// 64 random bits in 16 hexadecimal digits.
    Rand,
    /// A random UUID in its 36 characters.
    Uuid,
}

impl Fill {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Seq, Self::Rand, Self::Uuid];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seq => "{{seq}}",
            Self::Rand => "{{rand}}",
            Self::Uuid => "{{uuid}}",
        }
    }

    /// What stands there before it is filled; as wide as what fills it.
    fn blank(self) -> &'static [u8] {
        match self {
            Self::Seq | Self::Rand => b"0000000000000000",
            Self::Uuid => b"00000000-0000-4000-8000-000000000000",
        }
    }
}

/// One place to fill.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Hole {
    /// Its first byte.
    pub at: u32,
    /// With what.
    pub fill: Fill,
}

/// Bytes with places to fill, in order.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Text {
    bytes: Vec<u8>,
    holes: Vec<Hole>,
    has_unknown: bool,
}

impl Text {
    /// Bytes to be sent as they are, whatever stands in them.
    pub fn verbatim(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), ..Self::default() }
    }

    /// What was typed, with its placeholders made places to fill.
    pub fn typed(typed: &[u8]) -> Self {
        let mut text = Self::default();
        let mut rest = typed;
        while let Some(at) = rest.windows(2).position(|pair| pair == b"{{") {
            let (before, from_braces) = rest.split_at(at);
            text.bytes.extend_from_slice(before);
            let known =
                Fill::ALL.into_iter().find(|f| from_braces.starts_with(f.name().as_bytes()));
            match known {
                Some(fill) => {
                    text.holes.push(Hole { at: text.bytes.len() as u32, fill });
                    text.bytes.extend_from_slice(fill.blank());
                    rest = &from_braces[fill.name().len()..];
                }
                None => {
                    text.has_unknown = true;
                    // One brace on: `{{{seq}}` is a brace and a placeholder.
                    text.bytes.push(b'{');
                    rest = &from_braces[1..];
                }
            }
        }
        text.bytes.extend_from_slice(rest);
        text
    }

    /// Every byte written as `write` does it. What is filled in later stays as it is: it consists of
    /// letters, digits and hyphens.
    pub fn encoded(&self, write: impl Fn(u8, &mut Vec<u8>)) -> Self {
        let mut bytes = Vec::with_capacity(self.bytes.len());
        let mut holes = self.holes.iter().peekable();
        let mut moved = Vec::with_capacity(self.holes.len());
        for (at, &byte) in self.bytes.iter().enumerate() {
            if let Some(hole) = holes.next_if(|hole| hole.at as usize == at) {
                moved.push(Hole { at: bytes.len() as u32, ..*hole });
            }
            write(byte, &mut bytes);
        }
        Self { bytes, holes: moved, has_unknown: self.has_unknown }
    }

    /// Puts `other` behind it.
    pub fn append(&mut self, other: &Self) {
        let before = self.bytes.len() as u32;
        self.bytes.extend_from_slice(&other.bytes);
        self.holes.extend(other.holes.iter().map(|hole| Hole { at: before + hole.at, ..*hole }));
        self.has_unknown |= other.has_unknown;
    }

    /// Puts bytes behind it that are sent as they are.
    pub fn append_bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Its bytes, with noughts where something is to be filled in.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The places to fill, in order.
    pub fn holes(&self) -> &[Hole] {
        &self.holes
    }

    /// Two braces stand in it that begin no placeholder.
    pub fn has_unknown(&self) -> bool {
        self.has_unknown
    }
}

/// Fills the places of `bytes`, `shift` bytes further on than the holes say.
pub(super) fn fill(bytes: &mut [u8], shift: usize, holes: &[Hole], number: u64, rng: &mut Rng) {
    for hole in holes {
        let place = &mut bytes[shift + hole.at as usize..];
        match hole.fill {
            Fill::Seq => decimal(&mut place[..16], number),
            Fill::Rand => hexadecimal(&mut place[..16], rng.next_u64()),
            Fill::Uuid => uuid(&mut place[..36], rng),
        }
    }
}

/// The last digits of `number`, as many as there is room for.
fn decimal(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn hexadecimal(place: &mut [u8], mut bits: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(bits & 15) as usize];
        bits >>= 4;
    }
}

fn uuid(place: &mut [u8], rng: &mut Rng) {
    let mut bytes = [0; 32];
    hexadecimal(&mut bytes[..16], rng.next_u64());
    hexadecimal(&mut bytes[16..], rng.next_u64());
    // The version, and the variant in the two highest bits of its byte (RFC 9562 section 5.4).
    bytes[12] = b'4';
    let variant = (bytes[16] as char).to_digit(16).unwrap_or(0) & 3;
    bytes[16] = b"89ab"[variant as usize];
    let mut digits = bytes.iter();
    for (at, character) in place.iter_mut().enumerate() {
        *character = match at {
            8 | 13 | 18 | 23 => b'-',
            _ => digits.next().copied().unwrap_or(b'0'),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn filled(typed: &str, number: u64, rng: &mut Rng) -> String {
        let text = Text::typed(typed.as_bytes());
        let mut bytes = text.bytes().to_vec();
        fill(&mut bytes, 0, text.holes(), number, rng);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn known_names_are_filled_and_everything_else_is_sent_as_typed() {
        let mut rng = Rng::new(1);
        for (typed, sent) in [
            ("/a/{{seq}}?b={{seq}}", "/a/0000000000000042?b=0000000000000042"),
            ("{{seq}}{{seq}}", "00000000000000420000000000000042"),
            ("{{{seq}}}", "{0000000000000042}"),
            ("{{Seq}} {{ seq }} {{", "{{Seq}} {{ seq }} {{"),
            ("{{{{{", "{{{{{"),
            ("{{seq", "{{seq"),
            ("plain", "plain"),
            ("", ""),
        ] {
            assert_eq!(filled(typed, 42, &mut rng), sent, "{typed}");
        }
        for (typed, has_unknown) in [("{{seq}}", false), ("{{id}}", true), ("{ {seq}}", false)] {
            assert_eq!(Text::typed(typed.as_bytes()).has_unknown(), has_unknown, "{typed}");
        }
    }

    #[test]
    fn every_filling_is_as_wide_as_the_one_before() {
        let mut rng = Rng::new(7);
        let typed = "{{seq}}-{{rand}}-{{uuid}}";
        for number in [0, 9, 10_u64.pow(15), 10_u64.pow(16) - 1, u64::MAX] {
            assert_eq!(filled(typed, number, &mut rng).len(), 16 + 1 + 16 + 1 + 36);
        }
        assert_eq!(filled("{{seq}}", 10_u64.pow(16) + 3, &mut rng), "0000000000000003");
    }

    #[test]
    fn random_fillings_differ_and_a_seed_repeats_them() {
        let draw = |seed| {
            let mut rng = Rng::new(seed);
            (0..1000).map(|_| filled("{{rand}}{{uuid}}", 0, &mut rng)).collect::<Vec<_>>()
        };
        let all = draw(1);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 1000);
        assert_eq!(all, draw(1));
        assert_ne!(all, draw(2));
    }

    #[test]
    fn a_uuid_is_of_version_4() {
        let mut rng = Rng::new(3);
        for _ in 0..1000 {
            let uuid = filled("{{uuid}}", 0, &mut rng);
            for (at, c) in uuid.chars().enumerate() {
                match at {
                    8 | 13 | 18 | 23 => assert_eq!(c, '-', "{uuid}"),
                    14 => assert_eq!(c, '4', "{uuid}"),
                    19 => assert!("89ab".contains(c), "{uuid}"),
                    _ => assert!(c.is_ascii_hexdigit() && !c.is_ascii_uppercase(), "{uuid}"),
                }
            }
            assert_eq!(uuid.len(), 36);
        }
    }

    #[test]
    fn texts_put_together_keep_their_places() {
        let mut text = Text::typed(b"a{{seq}}");
        text.append_bytes(b"{{seq}}");
        text.append(&Text::typed(b"b{{seq}}"));
        let mut bytes = text.bytes().to_vec();
        fill(&mut bytes, 0, text.holes(), 5, &mut Rng::new(0));
        assert_eq!(bytes, b"a0000000000000005{{seq}}b0000000000000005");
    }
}
