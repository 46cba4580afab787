//! Laws that methods share.

mod crossing;
mod matryoshka;
mod passes;
mod rules;
mod spans;
