//! Result files, from anywhere.

use super::input::Input;
use crate::report::fuzz::{self, Buckets};

/// The reader of result files: any file, or a sound one around any histogram.
pub(super) fn file(data: &[u8]) {
    let mut input = Input::new(data);
    // A file begins with its brace; the other inputs are histograms.
    if data.first() == Some(&b'{') {
        return fuzz::a_file_is_refused_or_renders(data);
    }
    let _kind = input.byte();
    let (min, max, overflow) = (input.long(), input.long(), input.long());
    fuzz::a_histogram_is_refused_or_renders(Buckets { v2: input.rest(), min, max, overflow });
}
