//! Laws that methods share.

mod matryoshka;
mod passes;
mod rules;
mod spans;
