//! Laws that methods share.

mod rules;
