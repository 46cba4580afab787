//! How the tensors of GGUF files differ from Hugging Face's.

/// How a tensor is stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// As Hugging Face has it.
    Same,
    /// Rows of heads: the two that rotate together are neighbours, not half a head apart.
    Neighbours { heads: usize },
    /// `[out, in]`, not `[in, out]`.
    Transposed,
    /// With 1 added.
    PlusOne,
    /// Rows: all queries, all keys, all values, not by key-value head.
    Side { heads: usize, kv_heads: usize },
}

impl Layout {
    /// Hugging Face's shape of a tensor that is stored as `shape`.
    pub(super) fn shape(self, shape: &[usize]) -> Vec<usize> {
        let mut shape = shape.to_vec();
        if self == Layout::Transposed {
            shape.reverse();
        }
        shape
    }

    /// The elements in Hugging Face's layout, of a tensor that is stored as `shape`, row-major; the
    /// error says what is wrong with that.
    pub(super) fn undo(self, shape: &[usize], elements: Vec<f32>) -> Result<Vec<f32>, String> {
        let rows = shape.first().copied().unwrap_or(1);
        let width = elements.len() / rows.max(1);
        match self {
            Layout::Same => Ok(elements),
            Layout::PlusOne => Ok(elements.into_iter().map(|x| x - 1.0).collect()),
            Layout::Transposed if shape.len() == 2 => {
                let at = |i: usize| elements[i % rows * width + i / rows];
                Ok((0..elements.len()).map(at).collect())
            }
            Layout::Transposed => Err(format!("expected two axes, got {shape:?}")),
            Layout::Neighbours { heads } => {
                if !rows.is_multiple_of(2 * heads) {
                    return Err(format!("{rows} rows are no {heads} heads of even width"));
                }
                let half = rows / heads / 2;
                let order = (0..rows).map(|row| {
                    let (head, part, i) = (row / (2 * half), row / half % 2, row % half);
                    head * 2 * half + 2 * i + part
                });
                Ok(reordered(order, width, &elements))
            }
            Layout::Side { heads, kv_heads } => {
                if !heads.is_multiple_of(kv_heads) || !rows.is_multiple_of(heads + 2 * kv_heads) {
                    return Err(format!("{rows} rows are no {heads} queries and {kv_heads} keys"));
                }
                let (group, k) = (heads / kv_heads, rows / (heads + 2 * kv_heads));
                let head = |kv: usize, i: usize| match i {
                    _ if i < group => kv * group + i,
                    _ => heads + (i - group) * kv_heads + kv,
                };
                let order = (0..rows).map(|row| {
                    let at = row / k;
                    head(at / (group + 2), at % (group + 2)) * k + row % k
                });
                Ok(reordered(order, width, &elements))
            }
        }
    }
}

/// The rows of a matrix in another order.
fn reordered(order: impl Iterator<Item = usize>, width: usize, elements: &[f32]) -> Vec<f32> {
    order.flat_map(|row| &elements[row * width..][..width]).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tensor whose elements are their own indices, after `layout` is undone.
    fn undone(layout: Layout, shape: &[usize]) -> Vec<f32> {
        let elements = (0..shape.iter().product()).map(|i: usize| i as f32).collect();
        layout.undo(shape, elements).unwrap()
    }

    #[test]
    fn rows_go_where_they_were() {
        // Two heads of four rows of one element: pairs (0, 1), (2, 3) become halves.
        let heads = Layout::Neighbours { heads: 2 };
        assert_eq!(undone(heads, &[8, 1]), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
        assert_eq!(undone(Layout::Transposed, &[2, 3]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(Layout::Transposed.shape(&[2, 3]), [3, 2]);
        assert_eq!(undone(Layout::PlusOne, &[2]), [-1.0, 0.0]);
        // Queries 0 to 3, keys 4 and 5, values 6 and 7: two queries, a key and a value each.
        let side = Layout::Side { heads: 4, kv_heads: 2 };
        assert_eq!(undone(side, &[8]), [0.0, 1.0, 4.0, 6.0, 2.0, 3.0, 5.0, 7.0]);
        assert_eq!(undone(side, &[16])[..6], [0.0, 1.0, 2.0, 3.0, 8.0, 9.0]);
        for (layout, shape) in [(heads, 6), (side, 9), (Layout::Transposed, 4)] {
            assert!(layout.undo(&[shape], vec![0.0; shape]).is_err(), "{layout:?}");
        }
    }
}
