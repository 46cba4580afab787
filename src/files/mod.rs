//! Files: written whole or not at all, read with errors that name what is wrong.
#![forbid(unsafe_code)]

pub mod atomic;
pub mod json;
pub mod lines;
pub mod safetensors;
