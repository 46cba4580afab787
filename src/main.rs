//! The command line of edgegrad.
fn main() {}
