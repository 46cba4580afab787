//! Aligned memory for the elements of a tensor.
//!
//! **Huge pages for what stays**, weights and the panels they are copied into: the first touch of
//! 500 MB takes .11 s instead of .40. For all other memory they changed nothing beyond noise
//! (training steps 0.97 to 1.00 of the time, products 0.99 to 1.01), and softmax took 1.4 times as
//! long, because large buffers then all start at the same set of the cache.

use crate::gemm::{Mat, Scaled, panels_len, to_narrow_panels, to_panels};
use crate::simd::{Element, Half};
use crate::system::ask_for_huge_pages;
use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, OnceLock};

/// A cache line, and the longest vector: a vector that straddles two lines takes twice the time.
const ALIGNMENT: usize = 64;

/// A buffer of elements, aligned to 64 bytes.
///
/// A buffer is owned or [shared](Self::share). Cloning a shared one copies no elements, so several
/// programs can read the same weights; writing to it first makes it an owned copy.
///
/// A large matrix that is multiplied again and again can stand [in panels](Self::in_panels), which
/// products read faster. Whoever asks for its elements as a slice still gets them row by row.
pub struct Buffer<T>(Storage<T>);

enum Storage<T> {
    Owned(Aligned<T>),
    Shared(Arc<Aligned<T>>),
    Panels(Arc<Panels<T>>),
}

/// A `rows` x `cols` matrix in panels, or turned: its transpose in panels.
struct Panels<T> {
    rows: usize,
    cols: usize,
    turned: bool,
    elements: Elements<T>,
    /// Row by row, once somebody has asked for it.
    row_major: OnceLock<Aligned<T>>,
}

enum Elements<T> {
    Whole(Aligned<T>),
    Narrow(Aligned<u16>, Half),
    Scaled(Scaled),
}

struct Aligned<T> {
    /// The elements, from `start` on; those before and after are padding for the alignment.
    data: Vec<T>,
    start: usize,
    len: usize,
}

impl<T> Deref for Aligned<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        &self.data[self.start..][..self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..][..self.len]
    }
}

impl<T: Element> Panels<T> {
    /// Rows and columns of what is in panels.
    fn stored(&self) -> (usize, usize) {
        if self.turned { (self.cols, self.rows) } else { (self.rows, self.cols) }
    }

    fn matrix(&self) -> Mat<'_, T> {
        let (rows, cols) = self.stored();
        let stored = match &self.elements {
            Elements::Whole(elements) => Mat::panels(elements, rows, cols),
            Elements::Narrow(bits, format) => Mat::narrow_panels(bits, *format, rows, cols),
            Elements::Scaled(all) => Mat::scaled(all),
        };
        if self.turned { stored.t() } else { stored }
    }

    /// Cold: inlined, it kept every read of a buffer from being inlined.
    #[cold]
    fn row_major(&self) -> &[T] {
        self.row_major.get_or_init(|| {
            let mut all = Aligned::zeros(self.rows * self.cols);
            self.matrix().copy_to(&mut all);
            all
        })
    }
}

impl<T: Copy + Default> Aligned<T> {
    fn zeros(len: usize) -> Self {
        if len == 0 {
            return Aligned { data: Vec::new(), start: 0, len };
        }
        // The system gives a vector of zeros as untouched pages, so a large buffer costs nothing
        // before it is used.
        let data = vec![T::default(); len + spare::<T>()];
        let start = data.as_ptr().align_offset(ALIGNMENT);
        // There is no such offset only if the size of an element does not divide the alignment.
        Aligned { start: if start <= spare::<T>() { start } else { 0 }, data, len }
    }

    /// Zeros that stay: in huge pages, if the system has any.
    fn lasting(len: usize) -> Self {
        let mut zeros = Aligned::zeros(len);
        ask_for_huge_pages(&mut zeros);
        zeros
    }
}

/// How many elements are allocated in addition, so that an aligned one is among the first.
const fn spare<T>() -> usize {
    ALIGNMENT / size_of::<T>()
}

impl<T: Element> Buffer<T> {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Buffer(Storage::Owned(Aligned::zeros(len)))
    }

    /// `len` zeros for numbers that stay until the program ends, such as weights: in huge pages, if
    /// the system has any.
    pub(crate) fn lasting(len: usize) -> Self {
        Buffer(Storage::Owned(Aligned::lasting(len)))
    }

    /// The same elements, to be cloned without a copy.
    #[must_use]
    pub fn share(self) -> Self {
        match self.0 {
            Storage::Owned(elements) => Buffer(Storage::Shared(Arc::new(elements))),
            shared => Buffer(shared),
        }
    }

    /// Row by row, what `f` makes of each element.
    pub(crate) fn map<U: Element>(&self, f: impl Fn(T) -> U) -> Buffer<U> {
        let mut all = Buffer::zeros(self.len());
        match &self.0 {
            // Not the copy that a panel keeps for those who ask again.
            Storage::Panels(panels) => {
                let (rows, cols, matrix) = (panels.rows, panels.cols, panels.matrix());
                let each = (0..rows).flat_map(|i| (0..cols).map(move |j| (i, j)));
                all.iter_mut().zip(each).for_each(|(to, (i, j))| *to = f(matrix.get(i, j)));
            }
            _ => all.iter_mut().zip(&**self).for_each(|(to, &x)| *to = f(x)),
        }
        all
    }

    /// Its memory, and where in it the elements are, for what takes over vectors; a shared buffer
    /// is copied.
    pub fn into_parts(mut self) -> (Vec<T>, Range<usize>) {
        // Makes it its own.
        let _: &mut [T] = &mut self;
        match self.0 {
            Storage::Owned(Aligned { data, start, len }) => (data, start..start + len),
            _ => unreachable!("made our own above"),
        }
    }

    /// The same `rows` x `cols` matrix in [panels](Mat::panels), shared: [of 16
    /// bits](Mat::narrow_panels) an element where these hold all of them, as those of a model that
    /// was saved so.
    ///
    /// # Panics
    /// If it has another number of elements.
    #[must_use]
    #[track_caller]
    pub fn in_panels(&self, rows: usize, cols: usize) -> Self {
        assert_eq!(self.len(), rows * cols, "elements of a {rows} x {cols} matrix");
        let (from, len) = (self.matrix(rows, cols), panels_len::<T>(rows, cols));
        let elements = match Half::that_holds(self) {
            Some(format) => {
                let mut bits = Aligned::lasting(len);
                to_narrow_panels(from, format, &mut bits);
                Elements::Narrow(bits, format)
            }
            None => {
                let mut elements = Aligned::lasting(len);
                to_panels(from, &mut elements);
                Elements::Whole(elements)
            }
        };
        Buffer::of_panels([rows, cols], false, elements)
    }

    /// The same `rows` x `cols` matrix with its transpose in panels of 16 bits an element, shared:
    /// for a table, of which rows are looked up and whose transpose multiplies. `None` if 16 bits
    /// do not hold all elements: then nothing is gained.
    ///
    /// # Panics
    /// If it has another number of elements.
    #[must_use]
    #[track_caller]
    pub(crate) fn turned_in_panels(&self, rows: usize, cols: usize) -> Option<Self> {
        let (from, format) = (self.matrix(rows, cols).t(), Half::that_holds(self)?);
        let mut bits = Aligned::lasting(panels_len::<T>(cols, rows));
        to_narrow_panels(from, format, &mut bits);
        Some(Buffer::of_panels([rows, cols], true, Elements::Narrow(bits, format)))
    }

    /// A table of 16 bits an element, as [`turned_in_panels`](Buffer::turned_in_panels) makes one:
    /// `fill` writes the panels of its transpose.
    ///
    /// # Errors
    /// Those of `fill`.
    pub(crate) fn narrow_table<E>(
        [rows, cols]: [usize; 2],
        format: Half,
        fill: impl FnOnce(&mut [u16]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut bits = Aligned::lasting(panels_len::<T>(cols, rows));
        fill(&mut bits)?;
        Ok(Buffer::of_panels([rows, cols], true, Elements::Narrow(bits, format)))
    }

    /// A matrix of scaled integers in panels, shared; or turned, the transpose of one.
    pub(crate) fn scaled(all: Scaled, turned: bool) -> Self {
        let [rows, cols, _] = all.shape();
        let shape = if turned { [cols, rows] } else { [rows, cols] };
        Buffer::of_panels(shape, turned, Elements::Scaled(all))
    }

    fn of_panels([rows, cols]: [usize; 2], turned: bool, elements: Elements<T>) -> Self {
        let row_major = OnceLock::new();
        Buffer(Storage::Panels(Arc::new(Panels { rows, cols, turned, elements, row_major })))
    }

    /// Whether it is a matrix in panels.
    #[cfg(test)]
    pub(crate) fn stands_in_panels(&self) -> bool {
        matches!(self.0, Storage::Panels(_))
    }

    /// The elements as a `rows` x `cols` matrix, in panels if they stand in these.
    ///
    /// # Panics
    /// If there are fewer.
    #[inline]
    #[must_use]
    #[track_caller]
    pub fn matrix(&self, rows: usize, cols: usize) -> Mat<'_, T> {
        match &self.0 {
            Storage::Panels(panels) if [panels.rows, panels.cols] == [rows, cols] => {
                panels.matrix()
            }
            _ => Mat::new(self, rows, cols),
        }
    }

    /// How many elements there are.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Storage::Owned(elements) => elements.len,
            Storage::Shared(elements) => elements.len,
            Storage::Panels(panels) => panels.rows * panels.cols,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether its elements take 16 bits.
    #[cfg(test)]
    pub(crate) fn is_narrow(&self) -> bool {
        matches!(&self.0, Storage::Panels(p) if matches!(p.elements, Elements::Narrow(..)))
    }

    /// Whether its elements are integers with scales.
    #[cfg(test)]
    pub(crate) fn is_scaled(&self) -> bool {
        matches!(&self.0, Storage::Panels(p) if matches!(p.elements, Elements::Scaled(_)))
    }

    /// How many elements fit in its memory.
    pub(crate) fn room(&self) -> usize {
        match &self.0 {
            Storage::Owned(elements) => elements.data.len().saturating_sub(spare::<T>()),
            Storage::Shared(elements) => elements.len,
            Storage::Panels(panels) => {
                let again = panels.row_major.get().map_or(0, |all| all.len);
                let elements = match &panels.elements {
                    Elements::Whole(elements) => elements.len,
                    Elements::Narrow(bits, _) => bits.len,
                    Elements::Scaled(_) => {
                        let (rows, cols) = panels.stored();
                        panels_len::<T>(rows, cols)
                    }
                };
                elements + again
            }
        }
    }

    /// Sets its length to `len`; new elements have any value that the memory holds.
    ///
    /// # Panics
    /// If `len` elements do not fit, or the buffer is shared.
    #[inline]
    pub(crate) fn set_len(&mut self, len: usize) {
        match &mut self.0 {
            Storage::Owned(elements) => {
                assert!(len <= elements.data.len() - elements.start, "{len} elements do not fit");
                elements.len = len;
            }
            _ => unreachable!("shared buffers keep their length"),
        }
    }

    /// Replaces shared elements by an owned copy.
    #[cold]
    fn own(&mut self) {
        let mut copy = Aligned::zeros(self.len());
        copy.copy_from_slice(self);
        self.0 = Storage::Owned(copy);
    }
}

impl<T: Element> From<&[T]> for Buffer<T> {
    fn from(elements: &[T]) -> Self {
        let mut buffer = Buffer::zeros(elements.len());
        buffer.copy_from_slice(elements);
        buffer
    }
}

/// Shares a shared buffer and copies an owned one.
impl<T: Element> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        match &self.0 {
            Storage::Owned(_) => Buffer::from(&**self),
            Storage::Shared(elements) => Buffer(Storage::Shared(elements.clone())),
            Storage::Panels(panels) => Buffer(Storage::Panels(panels.clone())),
        }
    }
}

impl<T> Default for Buffer<T> {
    fn default() -> Self {
        Buffer(Storage::Owned(Aligned { data: Vec::new(), start: 0, len: 0 }))
    }
}

impl<T: Element> Deref for Buffer<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Storage::Owned(elements) => elements,
            Storage::Shared(elements) => elements,
            Storage::Panels(panels) => panels.row_major(),
        }
    }
}

impl<T: Element> DerefMut for Buffer<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        if !matches!(self.0, Storage::Owned(_)) {
            self.own();
        }
        match &mut self.0 {
            Storage::Owned(elements) => elements,
            _ => unreachable!("made our own above"),
        }
    }
}

/// By elements.
impl<T: Element> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = f.debug_tuple("Buffer");
        match &self.0 {
            Storage::Owned(elements) => buffer.field(&&**elements),
            Storage::Shared(elements) => buffer.field(&&***elements),
            Storage::Panels(panels) => {
                buffer.field(&[panels.rows, panels.cols]);
                match &panels.elements {
                    Elements::Whole(elements) => buffer.field(&&**elements),
                    Elements::Narrow(bits, format) => buffer.field(format).field(&&**bits),
                    Elements::Scaled(all) => buffer.field(all),
                }
            }
        };
        buffer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Dual;

    fn check<T: Element>() {
        for len in [0, 1, 2, 16, 17, 1000, 100_000] {
            let mut buffer = Buffer::<T>::zeros(len);
            assert!(buffer.len() == len && buffer.iter().all(|&x| x == T::ZERO));
            assert!(len == 0 || (buffer.as_ptr() as usize).is_multiple_of(64), "{len}");
            buffer.fill(T::ONE);
            assert!(buffer.iter().all(|&x| x == T::ONE));
        }
    }

    #[test]
    fn shared_numbers_are_copied_when_written() {
        let one = Buffer::<f32>::from(&[1.0, 2.0][..]).share();
        let mut two = one.clone();
        assert_eq!(one.as_ptr(), two.as_ptr());
        two[0] = 3.0;
        assert_eq!((&*one, &*two), (&[1.0, 2.0][..], &[3.0, 2.0][..]));
        assert_ne!(one.clone().share().as_ptr(), two.clone().as_ptr());
    }

    /// A matrix in panels is the same list of elements, and is copied row by row when written.
    #[test]
    fn a_matrix_in_panels_is_the_same_to_whoever_reads_a_slice() {
        let numbers: Vec<f32> = (0..3 * 37).map(|i| i as f32 - 50.5).collect();
        let plain = Buffer::from(&numbers[..]);
        let mut panels = plain.in_panels(3, 37);
        assert_eq!((panels.len(), panels.room()), (3 * 37, 3 * 48));
        assert!(panels.is_narrow() && !plain.is_narrow());
        let wide = Buffer::from(&[1.0, f32::EPSILON + 1.0][..]);
        assert!(!wide.in_panels(1, 2).is_narrow() && wide.turned_in_panels(1, 2).is_none());
        let turned = plain.turned_in_panels(3, 37).expect("16 bits hold them");
        assert!(turned.is_narrow() && turned.len() == 3 * 37);
        let mut room = vec![];
        assert_eq!(turned.matrix(3, 37).row(2, &mut room), &numbers[2 * 37..]);
        assert_eq!(turned.room(), 37 * 16);
        assert_eq!(turned.map(|x| x)[..], numbers[..]);
        assert_eq!((&*turned, turned.room()), (&numbers[..], 37 * 16 + 3 * 37));
        let again = panels.clone();
        assert_eq!(&*again, &numbers[..]);
        // Kept by all that share it.
        assert_eq!((panels.room(), panels.as_ptr()), (3 * 48 + 3 * 37, again.as_ptr()));
        assert_eq!(&*again.in_panels(37, 3), &numbers[..]);
        panels[2] = 7.0;
        assert_eq!((panels[2], panels[3], again[2]), (7.0, numbers[3], numbers[2]));
    }

    #[test]
    fn aligned_zeros() {
        check::<f32>();
        check::<f64>();
        check::<Dual<f64>>();
    }
}
