//! Text and tokens: what a model's ids are called, and the ids of a text.
//!
//! [`Words`] are for display. With the feature `text`, a `Tokenizer` makes ids of text exactly as
//! the reference libraries do, from the `tokenizer.json` of a folder or from a GGUF file:
//!
//! ```text
//! text -> special and added tokens are cut out -> the rest is normalised -> cut into pieces
//!      -> each piece is encoded by byte-pair merges -> ids -> ids that stand around a whole text
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "text")]
mod added;
#[cfg(feature = "text")]
mod bpe;
#[cfg(feature = "text")]
mod gguf;
#[cfg(feature = "text")]
mod huggingface;
#[cfg(feature = "text")]
mod normalize;
#[cfg(feature = "text")]
mod split;
#[cfg(feature = "text")]
mod tokenizer;
mod words;
#[cfg(feature = "text")]
mod written;

#[cfg(feature = "text")]
pub use tokenizer::{LazyTokenizer, Tokenizer};
pub use words::Words;
#[cfg(feature = "text")]
pub use written::tokenizer_json;
