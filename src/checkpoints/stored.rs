//! How a parameter stands in memory once it is read.

use super::source::Source;
use super::strided::StridedCopy;
use crate::error::Result;
use crate::files::gguf::Plane;
use crate::files::safetensors::PART;
use crate::gemm::{Mat, Scaled, copy_to_panels, panel_columns, panels_len, quant};
use crate::nn::transformer::InPanels;
use crate::simd::{Element, Half};
use crate::tensor::Buffer;

/// How a parameter stands in memory, which depends on how the file has it.
pub(super) enum Stored {
    RowMajor,
    Panels {
        rows: usize,
        cols: usize,
        /// Whether the file has 16 bits an element; then panels have no more.
        narrow: bool,
    },
    Scaled {
        rows: usize,
        cols: usize,
        /// Rows that share scales.
        group: usize,
        scales: Vec<StridedCopy>,
    },
    NarrowTable {
        rows: usize,
        cols: usize,
        format: Half,
    },
    ScaledTable {
        rows: usize,
        cols: usize,
        /// Elements of a row that share scales.
        group: usize,
    },
}

/// What passes through a thread stays allocated: the system would clear its pages each time.
#[derive(Default)]
pub(super) struct Passing<T> {
    rows: Buffer<T>,
    planes: [Vec<f32>; 3],
}

impl Stored {
    /// How a parameter that is copied from `parts` is stored if it may be stored so in panels.
    pub(super) fn of(source: &Source, parts: &[StridedCopy], panels: Option<InPanels>) -> Stored {
        match panels {
            None => Stored::RowMajor,
            Some(InPanels { rows, cols, table: true }) => {
                Stored::table(source, parts, rows, cols).unwrap_or(Stored::RowMajor)
            }
            Some(InPanels { rows, cols, table: false }) => {
                let half =
                    |part: &StridedCopy| part.plus == 0.0 && source.half(&part.tensor).is_some();
                let narrow = parts.iter().all(half);
                let panels = Stored::Panels { rows, cols, narrow };
                Stored::scaled(source, parts, rows, cols).unwrap_or(panels)
            }
        }
    }

    /// A table gains from panels what its elements save there.
    fn table(source: &Source, parts: &[StridedCopy], rows: usize, cols: usize) -> Option<Stored> {
        let [part] = parts else { return None };
        let whole = part.is_whole(&[rows, cols]);
        let format = source.half(&part.tensor).filter(|_| whole);
        let group = source.group(&part.tensor).filter(|&n| whole && cols.is_multiple_of(n));
        match (format, group) {
            (Some(format), _) => Some(Stored::NarrowTable { rows, cols, format }),
            (None, Some(group)) => Some(Stored::ScaledTable { rows, cols, group }),
            (None, None) => None,
        }
    }

    fn scaled(source: &Source, parts: &[StridedCopy], rows: usize, cols: usize) -> Option<Stored> {
        let group = source.group(&parts.first()?.tensor)?;
        let same = parts.iter().all(|part| source.group(&part.tensor) == Some(group));
        let scales = parts.iter().map(|part| part.of_groups(group, cols)).collect::<Option<_>>()?;
        let scaled = Stored::Scaled { rows, cols, group, scales };
        (same && rows.is_multiple_of(group)).then_some(scaled)
    }

    /// The bytes of a parameter of `len` elements.
    pub(super) fn bytes<T: Element>(&self, len: u128) -> u128 {
        match self {
            // Scale and offset.
            Stored::Scaled { group, .. } | Stored::ScaledTable { group, .. } => {
                len + 8 * len / *group as u128
            }
            Stored::Panels { narrow: true, .. } | Stored::NarrowTable { .. } => 2 * len,
            Stored::RowMajor | Stored::Panels { narrow: false, .. } => len * size_of::<T>() as u128,
        }
    }

    /// Whether all of it passes through memory as it is in the file.
    pub(super) fn passes(&self) -> bool {
        matches!(self, Stored::Panels { .. } | Stored::Scaled { .. })
    }

    /// Reads a parameter of `len` elements, which is copied from `parts`.
    ///
    /// # Errors
    /// If elements are damaged or not finite.
    pub(super) fn read<T: Element>(
        &self,
        source: &Source,
        parts: &[StridedCopy],
        len: usize,
        passing: &mut Passing<T>,
    ) -> Result<Buffer<T>> {
        let width = panel_columns::<T>();
        match *self {
            Stored::RowMajor => {
                let mut ours = Buffer::lasting(len);
                fill(source, Plane::Elements, parts, &mut ours).map(|()| ours.share())
            }
            Stored::Panels { rows, cols, .. } => {
                let all = &mut passing.rows;
                if all.room() < len {
                    *all = Buffer::zeros(len);
                }
                all.set_len(len);
                fill(source, Plane::Elements, parts, all).map(|()| all.in_panels(rows, cols))
            }
            Stored::Scaled { rows, cols, group, ref scales } => {
                let [quants, factors, offsets] = &mut passing.planes;
                let plane = |plane, parts: &[StridedCopy], rows, numbers: &mut Vec<f32>| {
                    numbers.resize(rows * cols, 0.0);
                    fill(source, plane, parts, numbers)
                };
                plane(Plane::Quants, parts, rows, quants)?;
                plane(Plane::Scales, scales, rows / group, factors)?;
                plane(Plane::Offsets, scales, rows / group, offsets)?;
                let all = Scaled::new::<T>([rows, cols, group], quants, factors, offsets);
                Ok(Buffer::scaled(all, false))
            }
            Stored::NarrowTable { rows, cols, format } => {
                Buffer::narrow_table([rows, cols], format, |bits| {
                    let shape = [rows, cols];
                    turn(source, Plane::Elements, &parts[0], shape, width, bits, |x: T| {
                        format.of(x)
                    })
                })
            }
            Stored::ScaledTable { rows, cols, group } => {
                let groups = cols / group;
                let mut quants = vec![0; panels_len::<T>(cols, rows)];
                let [mut factors, mut offsets] =
                    [(); 2].map(|()| vec![0.0; panels_len::<T>(groups, rows)]);
                let part = &parts[0];
                turn(source, Plane::Quants, part, [rows, cols], width, &mut quants, quant)?;
                turn(source, Plane::Scales, part, [rows, groups], width, &mut factors, |x| x)?;
                turn(source, Plane::Offsets, part, [rows, groups], width, &mut offsets, |x| x)?;
                let all = Scaled::of_panels::<T>([cols, rows, group], quants, factors, offsets);
                Ok(Buffer::scaled(all, true))
            }
        }
    }
}

/// Reads what a parameter is copied from.
fn fill<T: Element>(
    source: &Source,
    plane: Plane,
    parts: &[StridedCopy],
    ours: &mut [T],
) -> Result<()> {
    // What the file does not have is zero.
    if parts.iter().map(StridedCopy::len).sum::<usize>() < ours.len() {
        ours.fill(T::ZERO);
    }
    parts.iter().try_for_each(|part| part.read(source, plane, ours))
}

/// Reads a plane of a table, `[rows, cols]`, and puts its transpose into panels of `width` columns:
/// some rows of the file, which are whole panels, at a time.
fn turn<T: Element, E: Copy + Default>(
    source: &Source,
    plane: Plane,
    part: &StridedCopy,
    [rows, cols]: [usize; 2],
    width: usize,
    to: &mut [E],
    number: impl Fn(T) -> E,
) -> Result<()> {
    let step = (PART / cols).next_multiple_of(width).max(width) * cols;
    source.each_part(&part.tensor, plane, &[rows, cols], step, |first, some: &[T]| {
        let from = Mat::new(some, some.len() / cols, cols).t();
        let len = some.len().next_multiple_of(width * cols);
        copy_to_panels(from, width, &mut to[first..][..len], &number);
    })
}
