//! Laws that methods share.

mod crossing;
mod matryoshka;
mod panels;
mod passes;
mod rules;
mod spans;
