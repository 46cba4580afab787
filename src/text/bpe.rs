//! Byte-pair encoding: neighbours are merged until none can be.
//!
//! Of all neighbours that a vocabulary can merge, those of least rank are merged first, and of
//! equal ranks the leftmost. A vocabulary of merges ranks them by their place in its list, one of
//! sentencepiece by the score of what they make, the highest first.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// What merges neighbours.
#[derive(Clone, Debug)]
pub(super) enum Merges {
    /// By two ids: the rank, and the id of what they make.
    Listed(HashMap<(u32, u32), (u32, u32)>),
    /// By the text that two neighbours make: the score of each id; tokens that merging must not
    /// make are NaN.
    Scored(Vec<f32>),
}

/// A vocabulary that merges neighbours.
#[derive(Clone, Debug)]
pub(super) struct Bpe {
    pub(super) vocab: HashMap<String, u32>,
    pub(super) merges: Merges,
    /// Whether a piece that is a token as a whole is that token, whatever the merges say.
    pub(super) ignore_merges: bool,
    /// The tokens of single bytes, for characters that are no token.
    pub(super) bytes: Option<Box<[u32; 256]>>,
    /// The token of what is none.
    pub(super) unknown: Option<u32>,
    /// Whether neighbours that are unknown are one token.
    pub(super) fuse_unknown: bool,
}

impl Bpe {
    /// Appends the tokens of a piece of text.
    pub(super) fn encode(&self, piece: &str, out: &mut Vec<u32>) {
        if self.ignore_merges
            && let Some(&id) = self.vocab.get(piece)
        {
            return out.push(id);
        }
        match &self.merges {
            Merges::Listed(merges) => {
                let mut ids = vec![];
                self.characters(piece, &mut ids);
                out.extend(merge(&ids, |a, b| merges.get(&(a, b)).copied()));
            }
            Merges::Scored(scores) => {
                let characters: Vec<(usize, usize)> =
                    piece.char_indices().map(|(at, c)| (at, at + c.len_utf8())).collect();
                let join = |a: (usize, usize), b: (usize, usize)| {
                    let score = scores[*self.vocab.get(&piece[a.0..b.1])? as usize];
                    // Through `total_cmp`'s order of the bits; `+ 0.0` makes zeros equal.
                    (!score.is_nan()).then(|| (Reverse(in_order(score + 0.0)), (a.0, b.1)))
                };
                for (start, end) in merge(&characters, join) {
                    match self.vocab.get(&piece[start..end]) {
                        Some(&id) if !scores[id as usize].is_nan() => out.push(id),
                        _ => self.characters(&piece[start..end], out),
                    }
                }
            }
        }
    }

    /// Appends the tokens of the characters of `piece`; those that are none become bytes, or
    /// unknown.
    fn characters(&self, piece: &str, out: &mut Vec<u32>) {
        let mut after_unknown = false;
        let mut buffer = [0; 4];
        for c in piece.chars() {
            let c = &*c.encode_utf8(&mut buffer);
            if let Some(&id) = self.vocab.get(c).filter(|&&id| self.may_stand(id)) {
                out.push(id);
                after_unknown = false;
            } else if let Some(bytes) = &self.bytes {
                out.extend(c.bytes().map(|byte| bytes[usize::from(byte)]));
                after_unknown = false;
            } else if let Some(unknown) = self.unknown {
                if !(after_unknown && self.fuse_unknown) {
                    out.push(unknown);
                }
                after_unknown = true;
            }
        }
    }

    fn may_stand(&self, id: u32) -> bool {
        match &self.merges {
            Merges::Listed(_) => true,
            Merges::Scored(scores) => !scores[id as usize].is_nan(),
        }
    }
}

/// The tokens of all 256 bytes, if there is one for each.
pub(super) fn byte_tokens(token: impl Fn(u8) -> Option<u32>) -> Option<Box<[u32; 256]>> {
    let tokens: Option<Vec<u32>> = (0..=255).map(token).collect();
    tokens.and_then(|tokens| <Box<[u32; 256]>>::try_from(tokens).ok())
}

/// A number that is ordered as `x` is.
fn in_order(x: f32) -> i32 {
    let bits = x.to_bits() as i32;
    bits ^ (((bits >> 31) as u32) >> 1) as i32
}

/// Merges neighbours among `symbols` as `join` says: the rank of two, and what they make.
fn merge<S: Copy + PartialEq, R: Ord + Copy>(
    symbols: &[S],
    join: impl Fn(S, S) -> Option<(R, S)>,
) -> Vec<S> {
    // A list with links: each symbol that is left, the index before it and the one after it.
    let mut left: Vec<Option<S>> = symbols.iter().copied().map(Some).collect();
    let mut before: Vec<usize> = (0..symbols.len()).map(|i| i.wrapping_sub(1)).collect();
    let mut after: Vec<usize> = (1..=symbols.len()).collect();
    // The least rank first, then the leftmost; with the index of both and what stood there.
    let mut heap = BinaryHeap::new();
    let mut kept: Vec<(usize, S, S, S)> = vec![];
    let offer = |heap: &mut BinaryHeap<_>, kept: &mut Vec<_>, i: usize, j: usize, a, b| {
        if let Some((rank, made)) = join(a, b) {
            heap.push(Reverse((rank, i, kept.len())));
            kept.push((j, a, b, made));
        }
    };
    for (i, pair) in symbols.windows(2).enumerate() {
        offer(&mut heap, &mut kept, i, i + 1, pair[0], pair[1]);
    }
    while let Some(Reverse((_, i, entry))) = heap.pop() {
        let (j, a, b, made) = kept[entry];
        // One of them may have been merged with another since.
        if left[i] != Some(a) || left[j] != Some(b) || after[i] != j {
            continue;
        }
        left[i] = Some(made);
        left[j] = None;
        let next = after[j];
        after[i] = next;
        if let Some(Some(symbol)) = left.get(next) {
            before[next] = i;
            offer(&mut heap, &mut kept, i, next, made, *symbol);
        }
        let previous = before[i];
        if let Some(Some(symbol)) = left.get(previous) {
            offer(&mut heap, &mut kept, previous, i, *symbol, made);
        }
    }
    left.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition: all neighbours looked at anew for each merge.
    fn by_definition(mut ids: Vec<u32>, join: impl Fn(u32, u32) -> Option<(u32, u32)>) -> Vec<u32> {
        loop {
            let pairs = ids.windows(2).enumerate();
            let best = pairs.filter_map(|(i, p)| Some((join(p[0], p[1])?.0, i))).min();
            let Some((_, i)) = best else { return ids };
            let (_, made) = join(ids[i], ids[i + 1]).expect("it was found");
            ids.splice(i..i + 2, [made]);
        }
    }

    proptest! {
        #[test]
        fn the_list_with_links_merges_as_the_definition(
            ids in prop::collection::vec(0u32..4, 0..40),
            rules in prop::collection::vec((0u32..12, 0u32..12), 0..16),
        ) {
            let mut merges = HashMap::new();
            for (rank, &pair) in rules.iter().enumerate() {
                merges.entry(pair).or_insert((rank as u32, 4 + rank as u32));
            }
            let join = |a, b| merges.get(&(a, b)).copied();
            prop_assert_eq!(merge(&ids, join), by_definition(ids, join));
        }
    }

    fn scored(pieces: &[(&str, f32)]) -> Bpe {
        let vocab = pieces.iter().zip(0..).map(|((piece, _), id)| (piece.to_string(), id));
        Bpe {
            vocab: vocab.collect(),
            merges: Merges::Scored(pieces.iter().map(|(_, score)| *score).collect()),
            ignore_merges: false,
            bytes: None,
            unknown: Some(0),
            fuse_unknown: false,
        }
    }

    #[test]
    fn the_highest_score_is_merged_first_then_the_leftmost() {
        let bpe = scored(&[
            ("?", f32::NAN),
            ("a", -9.0),
            ("b", -9.0),
            ("ab", -1.0),
            ("ba", -2.0),
            ("aa", -1.0),
        ]);
        let ids = |text: &str| {
            let mut out = vec![];
            bpe.encode(text, &mut out);
            out
        };
        assert_eq!(ids("aba"), [3, 1]);
        assert_eq!(ids("bab"), [2, 3]);
        assert_eq!(ids("aaa"), [5, 1]);
        // What is no token is unknown; so is the unknown token's own text.
        assert_eq!(ids("ax?b"), [1, 0, 0, 2]);
        assert!(ids("").is_empty());
        let orders = [f32::MIN, -1.0, -0.0 + 0.0, 0.5, 3.0];
        assert!(orders.windows(2).all(|w| in_order(w[0]) < in_order(w[1])));
    }
}
