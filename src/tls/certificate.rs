//! A certificate's subject, and days for people.
//!
//! Reads as much DER as that takes (RFC 5280 section 4.1) and trusts nothing: what is not as expected
//! gives an empty subject. Whether a certificate is acceptable is decided elsewhere.

/// Attribute types that are shown, by their encoded identifier.
const ATTRIBUTES: [(&[u8], &str); 6] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 6], "C"),
];
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 6;
/// `[0] EXPLICIT`, which holds the version.
const VERSION: u8 = 0xa0;
/// A subject longer than this is cut.
const SUBJECT_CHARS_MAX: usize = 200;

/// One value: its tag, its content, and what follows it.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let len = digits.iter().fold(0_usize, |len, &digit| len << 8 | usize::from(digit));
            (len, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((tag, content, rest))
}

fn expect(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    value(bytes).filter(|(found, _, _)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// `CN=host, O=Organisation`; empty when the subject is, or when it cannot be read.
pub(super) fn subject(certificate: &[u8]) -> String {
    let parts = subject_parts(certificate).unwrap_or_default();
    parts.join(", ").chars().take(SUBJECT_CHARS_MAX).collect()
}

fn subject_parts(certificate: &[u8]) -> Option<Vec<String>> {
    let (certificate, _) = expect(SEQUENCE, certificate)?;
    let (mut rest, _) = expect(SEQUENCE, certificate)?;
    if let Some((_, after)) = expect(VERSION, rest) {
        rest = after;
    }
    // Serial number, signature algorithm, issuer, validity.
    for _ in 0..4 {
        rest = value(rest)?.2;
    }
    let (mut names, _) = expect(SEQUENCE, rest)?;
    let mut parts = Vec::new();
    while !names.is_empty() {
        let (mut set, after) = expect(SET, names)?;
        names = after;
        while !set.is_empty() {
            let (attribute, after) = expect(SEQUENCE, set)?;
            set = after;
            let (id, text) = expect(OBJECT_ID, attribute)?;
            let (_, text, _) = value(text)?;
            if let Some((_, name)) = ATTRIBUTES.iter().find(|(known, _)| *known == id) {
                parts.push(format!("{name}={}", String::from_utf8_lossy(text)));
            }
        }
    }
    Some(parts)
}

/// `2026-11-21 13:00:00 UTC` from seconds since 1970.
pub(super) fn day(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    // Days from civil, by Howard Hinnant: years begin in March, eras have 400 years.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_795_266_000, "2026-11-21 13:00:00 UTC"),
            (4_102_444_799, "2099-12-31 23:59:59 UTC"),
        ] {
            assert_eq!(day(seconds), expected);
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_subject() {
        let broken: [&[u8]; 5] =
            [b"", b"0", &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0x80], &[0x30, 2, 0x30, 9]];
        for bytes in broken {
            assert_eq!(subject(bytes), "");
        }
    }
}
