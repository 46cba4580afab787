//! Laws that methods share.

mod matryoshka;
mod rules;
