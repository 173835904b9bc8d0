//! A certificate's subject and when it is valid, and days for people.
//!
//! Reads as much DER as that takes (RFC 5280 section 4.1) and trusts nothing: what is not as expected
//! gives an empty subject, or no time. Whether a certificate is acceptable is decided elsewhere.

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
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
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

/// What follows the serial number, the signature algorithm and the issuer: validity, then subject.
fn from_validity(certificate: &[u8]) -> Option<&[u8]> {
    let (certificate, _) = expect(SEQUENCE, certificate)?;
    let (mut rest, _) = expect(SEQUENCE, certificate)?;
    if let Some((_, after)) = expect(VERSION, rest) {
        rest = after;
    }
    for _ in 0..3 {
        rest = value(rest)?.2;
    }
    Some(rest)
}

/// From when and until when it is valid, in seconds since 1970; a time before that is 0.
pub(super) fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let (times, _) = expect(SEQUENCE, from_validity(certificate)?)?;
    let (tag, from, times) = value(times)?;
    let (other_tag, until, _) = value(times)?;
    Some((unix_s(tag, from)?, unix_s(other_tag, until)?))
}

/// `YYMMDDHHMMSSZ`, or the same with four digits of the year (RFC 5280 section 4.1.2.5).
fn unix_s(tag: u8, text: &[u8]) -> Option<u64> {
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let number = |digits: &[u8]| {
        digits.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'))
    };
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year = number(&digits[..2]);
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    let two = |at: usize| number(&rest[2 * at..2 * at + 2]);
    let [month, day, hour, minute, second] = [0, 1, 2, 3, 4].map(two);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if year < 1970 {
        return Some(0);
    }
    // Civil to days, by Howard Hinnant: the year begins in March.
    let shifted = if month > 2 { month - 3 } else { month + 9 };
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year;
    Some((days.checked_sub(719_468)?) * 86_400 + hour * 3600 + minute * 60 + second)
}

fn subject_parts(certificate: &[u8]) -> Option<Vec<String>> {
    let (_, _, rest) = value(from_validity(certificate)?)?;
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
    fn times_of_both_forms_are_those_of_the_calendar() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "000228235959Z", Some(951_782_399)),
            (UTC_TIME, "000229000000Z", Some(951_782_400)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "500101000000Z", Some(0)),
            (GENERALIZED_TIME, "20991231235959Z", Some(4_102_444_799)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (GENERALIZED_TIME, "19691231235959Z", Some(0)),
            (GENERALIZED_TIME, "491231235959Z", None),
            (UTC_TIME, "4912312359Z", None),
            (UTC_TIME, "491331235959Z", None),
            (UTC_TIME, "49123123595 Z", None),
            (UTC_TIME, "491231235959", None),
            (SET, "491231235959Z", None),
        ] {
            assert_eq!(unix_s(tag, text.as_bytes()), expected, "{text}");
        }
        for seconds in (0..4_102_444_800).step_by(7_654_321) {
            let text: String = day(seconds).chars().filter(char::is_ascii_digit).collect();
            assert_eq!(unix_s(GENERALIZED_TIME, format!("{text}Z").as_bytes()), Some(seconds));
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_subject() {
        let broken: [&[u8]; 5] =
            [b"", b"0", &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &[0x30, 0x80], &[0x30, 2, 0x30, 9]];
        for bytes in broken {
            assert_eq!((subject(bytes), validity(bytes)), (String::new(), None));
        }
    }
}
