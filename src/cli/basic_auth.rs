//! A user and a password on their way into a header (RFC 7617).

/// `Basic …` for `user`, which is `name:password`; or what is wrong with it, without quoting it.
pub(super) fn basic(user: &[u8]) -> Result<String, &'static str> {
    if !user.contains(&b':') {
        return Err("it has no colon; write name:password");
    }
    if user.iter().any(|byte| byte.is_ascii_control()) {
        return Err("it holds a control character");
    }
    Ok(format!("Basic {}", base64(user)))
}

/// The same for the user part of a URL, where `%` and two digits stand for a byte (RFC 3986 section
/// 2.1) and the password may be left out.
pub(super) fn basic_of_userinfo(userinfo: &str) -> Result<String, &'static str> {
    let (name, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let broken = "its user part has a broken %XX";
    let name = percent_decoded(name).ok_or(broken)?;
    let password = percent_decoded(password).ok_or(broken)?;
    if name.contains(&b':') {
        return Err("its user name holds a colon, which no server could tell from the password's");
    }
    basic(&[&name[..], b":", &password].concat())
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => (digit(bytes.next())? * 16 + digit(bytes.next())?) as u8,
            plain => plain,
        });
    }
    Some(decoded)
}

/// RFC 4648 section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let is_padding = place > three.len();
            let letter = ALPHABET[(bits >> (18 - 6 * place) & 63) as usize];
            text.push(if is_padding { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        // RFC 4648 section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn a_user_becomes_the_header_of_the_rfc() {
        // RFC 7617 section 2.
        assert_eq!(basic(b"Aladdin:open sesame").unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(basic("test:123£".as_bytes()).unwrap(), "Basic dGVzdDoxMjPCow==");
        assert_eq!(basic(b"a:"), Ok("Basic YTo=".to_owned()));
        assert!(basic(b"name").unwrap_err().contains("colon"));
        assert!(basic(b"a:b\r\nX: y").unwrap_err().contains("control"));
    }

    #[test]
    fn the_user_part_of_a_url_is_decoded() {
        assert_eq!(basic_of_userinfo("Aladdin:open%20sesame"), basic(b"Aladdin:open sesame"));
        assert_eq!(basic_of_userinfo("a"), basic(b"a:"));
        assert_eq!(basic_of_userinfo("a:b:c%3a"), basic(b"a:b:c:"));
        for wrong in ["a%", "a%2", "a%zz", "a:%g0", "a%3Ab:c", "a:%0d%0a"] {
            assert!(basic_of_userinfo(wrong).is_err(), "{wrong}");
        }
    }
}
