//! Tests of the whole tree, and what tests of several rooms share.

#[path = "../../tests/catalogue/mod.rs"]
pub(crate) mod catalogue;
mod tidy;
