//! Making text from outside safe to show.

/// `text` with control, C1, bidi and invisible formatting characters written as `\u{…}`, cut after
/// `chars_max` characters (a cut is marked with `…`).
///
/// For everything that somebody else wrote: URLs, options, names from the network. A terminal then
/// shows what is there, and nothing that is there can move the cursor or turn the line around.
pub fn escape(text: &str, chars_max: usize) -> String {
    let mut safe = String::with_capacity(text.len().min(chars_max));
    for (index, c) in text.chars().enumerate() {
        if index == chars_max {
            safe.push('…');
            break;
        }
        if is_unsafe(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Characters that change how others are shown, or show nothing themselves.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero width, line and paragraph separators, bidi embeddings and isolates.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Byte order mark, interlinear annotations, tags.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moves_or_turns_a_terminal_is_written_out() {
        assert_eq!(escape("a\x1b[2Jb\r\n", 99), "a\\u{1b}[2Jb\\u{d}\\u{a}");
        assert_eq!(escape("\u{9b}31m\u{7f}", 99), "\\u{9b}31m\\u{7f}");
        assert_eq!(escape("x\u{202e}y\u{2066}z", 99), "x\\u{202e}y\\u{2066}z");
        assert_eq!(escape("häß → 例", 99), "häß → 例");
    }

    #[test]
    fn long_text_is_cut_and_marked() {
        assert_eq!(escape("abcdef", 3), "abc…");
        assert_eq!(escape("abc", 3), "abc");
        assert_eq!(escape(&"é".repeat(1000), 10).chars().count(), 11);
    }
}
