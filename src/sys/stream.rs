//! Whether a stream takes bytes now.
#![expect(unsafe_code, reason = "the standard library cannot ask before it writes")]

use std::os::fd::{AsFd, AsRawFd};

/// Waits until `stream` takes a few bytes (a pipe: `PIPE_BUF`, 4 KiB), or has an error to tell to
/// whoever writes. False when it did not within `patience_ms`.
pub fn is_writable_within(stream: impl AsFd, patience_ms: u16) -> bool {
    let fd = stream.as_fd().as_raw_fd();
    let mut asked = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: `asked` is one valid entry during the call.
    let count = unsafe { libc::poll(&raw mut asked, 1, patience_ms.into()) };
    count > 0
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn a_pipe_takes_bytes_until_it_is_full_and_again_once_it_is_read() {
        let (mut reader, mut writer) = std::io::pipe().unwrap();
        let mut written = 0;
        while is_writable_within(&writer, 0) {
            writer.write_all(&[b'.'; 4096]).unwrap();
            written += 4096;
        }
        assert!(written >= 4096);
        reader.read_exact(&mut vec![0; written]).unwrap();
        assert!(is_writable_within(&writer, 0));
        drop(reader);
        assert!(is_writable_within(&writer, 0), "the write tells that nobody reads");
    }
}
