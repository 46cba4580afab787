//! Laws that operations share.

mod compositions;
mod threads;
