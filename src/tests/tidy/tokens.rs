//! Rust source as tokens, so that rules see code and never comments or strings.
//!
//! Owns a lexer just good enough for well-formed sources, the marking of test code, and the paths
//! (`a::b::c`, use trees flattened) that code names. Knows no rule.

/// One token and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// An identifier or keyword, `::`, or one punctuation character; literals are `""`.
    pub(super) text: String,
    /// Line number from 1.
    pub(super) line: usize,
    /// Part of an item that exists only under `cfg(test)`.
    pub(super) test: bool,
}

/// A path that code names: `use a::{b, c::d}` is the two paths `a::b` and `a::c::d`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct NamedPath {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
    pub(super) test: bool,
    /// Inline modules around it, outermost first.
    pub(super) inside: Vec<String>,
}

/// A `mod name;` declaration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct ModDeclaration {
    pub(super) name: String,
    pub(super) test: bool,
    pub(super) inside: Vec<String>,
}

/// All tokens of a source, with test code marked.
pub(super) fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = lex(source);
    mark_tests(&mut tokens);
    tokens
}

fn lex(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let mut out = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let (text, end) = next_token(&chars, at);
        if let Some(text) = text {
            out.push(Token { text, line, test: false });
        }
        line += chars[at..end].iter().filter(|&&c| c == '\n').count();
        at = end;
    }
    out
}

/// The token at `at` (`None` for white space and comments) and where the next one starts.
fn next_token(chars: &[char], at: usize) -> (Option<String>, usize) {
    let peek = |ahead: usize| chars.get(at + ahead).copied().unwrap_or('\0');
    match (peek(0), peek(1)) {
        (c, _) if c.is_whitespace() => (None, at + 1),
        ('/', '/') => (None, find(chars, at, |c| c == '\n')),
        ('/', '*') => (None, block_comment_end(chars, at)),
        ('"', _) => (Some(String::new()), string_end(chars, at + 1)),
        ('\'', '\\') => (Some(String::new()), find(chars, at + 3, |c| c == '\'') + 1),
        ('\'', _) if peek(2) == '\'' => (Some(String::new()), at + 3),
        // A lifetime.
        ('\'', _) => (Some(String::new()), find(chars, at + 1, |c| !is_word(c))),
        (':', ':') => (Some("::".to_owned()), at + 2),
        (c, _) if is_word(c) => word_or_prefixed_literal(chars, at),
        (c, _) => (Some(c.to_string()), at + 1),
    }
}

fn word_or_prefixed_literal(chars: &[char], at: usize) -> (Option<String>, usize) {
    let end = find(chars, at, |c| !is_word(c));
    let word: String = chars[at..end].iter().collect();
    let quote = find(chars, end, |c| c != '#');
    let hashes = quote - end;
    let next = chars.get(quote).copied().unwrap_or('\0');
    match word.as_str() {
        "r" | "br" | "cr" if next == '"' => {
            (Some(String::new()), raw_string_end(chars, quote + 1, hashes))
        }
        "b" | "c" if hashes == 0 && next == '"' => {
            (Some(String::new()), string_end(chars, quote + 1))
        }
        // The quote of a byte literal is lexed as a character literal of its own.
        "b" if hashes == 0 && next == '\'' => (None, end),
        // `r#name` is the identifier `name`.
        "r" if hashes == 1 && is_word(next) => (None, quote),
        _ if word.starts_with(|c: char| c.is_ascii_digit()) => (Some(String::new()), end),
        _ => (Some(word), end),
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn find(chars: &[char], from: usize, wanted: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|&i| wanted(chars[i])).unwrap_or(chars.len())
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], from: usize, hashes: usize) -> usize {
    for at in from..chars.len() {
        let tail = &chars[at + 1..chars.len().min(at + 1 + hashes)];
        if chars[at] == '"' && tail.len() == hashes && tail.iter().all(|&c| c == '#') {
            return at + 1 + hashes;
        }
    }
    chars.len()
}

fn text(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| token.text.as_str())
}

fn texts_are(tokens: &[Token], at: usize, wanted: &[&str]) -> bool {
    wanted.iter().enumerate().all(|(i, w)| text(tokens, at + i) == *w)
}

fn mark_tests(tokens: &mut [Token]) {
    if texts_are(tokens, 0, &["#", "!", "[", "cfg", "(", "test", ")", "]"]) {
        tokens.iter_mut().for_each(|token| token.test = true);
        return;
    }
    let mut at = 0;
    while at < tokens.len() {
        let is_test = [
            &["#", "[", "cfg", "(", "test", ")"][..],
            &["#", "[", "cfg", "(", "all", "(", "test", ","],
            &["#", "[", "test", "]"],
        ]
        .iter()
        .any(|attribute| texts_are(tokens, at, attribute));
        if is_test {
            let end = item_end(tokens, at);
            tokens[at..end].iter_mut().for_each(|token| token.test = true);
            at = end;
        } else {
            at += 1;
        }
    }
}

/// Where the item (or field, or match arm) that begins with attributes at `at` ends.
fn item_end(tokens: &[Token], mut at: usize) -> usize {
    while text(tokens, at) == "#" {
        at = closing(tokens, at + 1) + 1;
    }
    let is_item = matches!(
        text(tokens, at),
        "pub"
            | "fn"
            | "mod"
            | "use"
            | "struct"
            | "enum"
            | "impl"
            | "const"
            | "static"
            | "type"
            | "trait"
            | "async"
            | "unsafe"
            | "extern"
            | "macro_rules"
            | "let"
    );
    let is_use = text(tokens, at) == "use"
        || (text(tokens, at) == "pub" && tokens[at..].iter().take(5).any(|t| t.text == "use"));
    while at < tokens.len() {
        match text(tokens, at) {
            ";" => return at + 1,
            "," if !is_item => return at + 1,
            "{" if !is_use => return closing(tokens, at) + 1,
            "{" | "(" | "[" => at = closing(tokens, at) + 1,
            "}" | ")" | "]" => return at,
            _ => at += 1,
        }
    }
    tokens.len()
}

/// The bracket that closes the one at `open`.
pub(super) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for at in open..tokens.len() {
        match text(tokens, at) {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    tokens.len().saturating_sub(1)
}

/// Follows the inline modules (`mod name { … }`) while tokens are walked in order.
#[derive(Default)]
struct Inside {
    depth: usize,
    modules: Vec<(usize, String)>,
}

impl Inside {
    fn step(&mut self, tokens: &[Token], at: usize) {
        match text(tokens, at) {
            "{" => {
                self.depth += 1;
                if at >= 2 && text(tokens, at - 2) == "mod" {
                    self.modules.push((self.depth, text(tokens, at - 1).to_owned()));
                }
            }
            "}" => {
                self.modules.retain(|(depth, _)| *depth != self.depth);
                self.depth = self.depth.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn names(&self) -> Vec<String> {
        self.modules.iter().map(|(_, name)| name.clone()).collect()
    }
}

/// Every `mod name;`.
pub(super) fn mod_declarations(tokens: &[Token]) -> Vec<ModDeclaration> {
    let mut inside = Inside::default();
    let mut out = Vec::new();
    for at in 0..tokens.len() {
        inside.step(tokens, at);
        if text(tokens, at) == "mod" && text(tokens, at + 2) == ";" {
            let name = text(tokens, at + 1).to_owned();
            out.push(ModDeclaration { name, test: tokens[at].test, inside: inside.names() });
        }
    }
    out
}

/// Every path of two or more segments, and every path in a `use`, whatever its length.
pub(super) fn paths(tokens: &[Token]) -> Vec<NamedPath> {
    let mut inside = Inside::default();
    let mut out = Vec::new();
    let (mut at, mut in_use) = (0, false);
    while at < tokens.len() {
        let word = text(tokens, at);
        match word {
            "use" => in_use = text(tokens, at + 1) != "<",
            ";" => in_use = false,
            _ => {}
        }
        if word == "use" || word == "as" || !starts_path(tokens, at) {
            inside.step(tokens, at);
            // The new name after `as` in a `use` names nothing; a type after `as` in code does.
            at += if word == "as" && in_use { 2 } else { 1 };
            continue;
        }
        let before = out.len();
        let end = path_tree(tokens, at, &[], &mut out);
        if !in_use {
            let mut index = 0;
            out.retain(|path| {
                index += 1;
                index <= before || path.segments.len() > 1
            });
        }
        out[before..].iter_mut().for_each(|path| path.inside = inside.names());
        at = end;
    }
    out
}

fn starts_path(tokens: &[Token], at: usize) -> bool {
    text(tokens, at).starts_with(is_word)
}

/// Reads `a::b::{c, d::e}` from `at`; returns where it ends.
fn path_tree(tokens: &[Token], at: usize, prefix: &[String], out: &mut Vec<NamedPath>) -> usize {
    let mut segments = prefix.to_vec();
    segments.push(text(tokens, at).to_owned());
    let mut end = at + 1;
    while text(tokens, end) == "::" {
        let next = text(tokens, end + 1);
        if next == "{" {
            return group(tokens, end + 1, &segments, out);
        }
        if next != "*" && !next.starts_with(is_word) {
            break;
        }
        segments.push(next.to_owned());
        end += 2;
    }
    let (line, test) = (tokens[at].line, tokens[at].test);
    out.push(NamedPath { segments, line, test, inside: Vec::new() });
    end
}

fn group(tokens: &[Token], open: usize, prefix: &[String], out: &mut Vec<NamedPath>) -> usize {
    let close = closing(tokens, open);
    let mut at = open + 1;
    while at < close {
        at = match text(tokens, at) {
            "as" => at + 2,
            "*" => path_tree(tokens, at, prefix, out),
            _ if starts_path(tokens, at) => path_tree(tokens, at, prefix, out),
            _ => at + 1,
        };
    }
    close + 1
}
