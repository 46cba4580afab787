//! Operations on many rows, over the threads of the caller's pool.
//!
//! Rows are independent, so the bits do not depend on where the work is divided. Sums over rows are
//! divided by columns, or into chunks that depend on shapes alone; such a chunk is a row here. No
//! sum is ever split.

use std::ops::Range;
use std::sync::Mutex;

/// Work that justifies a task, in additions to elements in cache: some three microseconds. An idle
/// thread falls asleep in less than thirty and takes as long to wake, so a serial operation between
/// parallel ones costs twice. With this threshold a full-batch step of the pooled model on two
/// threads went from 0.73 to 0.57 ms.
const TASK: usize = 1 << 16;
/// Work that justifies waking the threads of a pool the caller is not in.
const WAKE: usize = 64 * TASK;

/// The cost of a function such as exp, or of a division, in additions.
pub(crate) const EXP: usize = 5;

/// The cost of such functions over a row of `width` elements: a few cost as much as a vector.
pub(crate) fn exps(width: usize) -> usize {
    EXP * width.max(16)
}

/// Elements of a row where an elementwise operation has no rows: slices are divided at its
/// multiples.
pub(crate) const RUN: usize = 1024;

/// A value that divides by rows.
pub(crate) trait Rows: Send + Sized {
    /// The part of the first `rows` rows and that of the remaining rows.
    fn split(self, rows: usize) -> (Self, Self);
}

/// A slice with the width of its rows; the last row may be shorter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct By<S>(pub(crate) S, pub(crate) usize);

impl<T: Sync> Rows for By<&[T]> {
    #[inline]
    fn split(self, rows: usize) -> (Self, Self) {
        let (first, rest) = self.0.split_at((rows * self.1).min(self.0.len()));
        (By(first, self.1), By(rest, self.1))
    }
}

impl<T: Send> Rows for By<&mut [T]> {
    #[inline]
    fn split(self, rows: usize) -> (Self, Self) {
        let (first, rest) = self.0.split_at_mut((rows * self.1).min(self.0.len()));
        (By(first, self.1), By(rest, self.1))
    }
}

/// A value that every row reads as a whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct All<S>(pub(crate) S);

impl<S: Copy + Send> Rows for All<S> {
    #[inline]
    fn split(self, _: usize) -> (Self, Self) {
        (self, self)
    }
}

/// The index of the first row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct First(pub(crate) usize);

impl Rows for First {
    #[inline]
    fn split(self, rows: usize) -> (Self, Self) {
        (self, First(self.0 + rows))
    }
}

impl<R: Rows> Rows for Option<R> {
    #[inline]
    fn split(self, rows: usize) -> (Self, Self) {
        self.map_or((None, None), |parts| {
            let (first, rest) = parts.split(rows);
            (Some(first), Some(rest))
        })
    }
}

macro_rules! tuple {
    ($($name:ident $first:ident $rest:ident),*) => {
        impl<$($name: Rows),*> Rows for ($($name,)*) {
            #[inline]
            fn split(self, rows: usize) -> (Self, Self) {
                let ($($first,)*) = self;
                $(let ($first, $rest) = $first.split(rows);)*
                (($($first,)*), ($($rest,)*))
            }
        }
    };
}
tuple! { A a x, B b y }
tuple! { A a x, B b y, C c z }
tuple! { A a x, B b y, C c z, D d u }
tuple! { A a x, B b y, C c z, D d u, E e v }

/// Calls `each` on disjoint ranges that together cover all `rows`. `work` is the cost of a row in
/// additions; if the total is small, `each` is called once, on the caller's thread.
#[inline]
pub(crate) fn run<R: Rows>(rows: usize, work: usize, parts: R, each: impl Fn(R) + Sync) {
    let work = rows.saturating_mul(work);
    // Looking up the pool takes as long as a tiny operation.
    if work < 2 * TASK {
        return each(parts);
    }
    share(rows, tasks(work).min(rows), parts, &each);
}

/// [`run`] with one row at a time: for rows that are chunks of something.
#[inline]
pub(crate) fn each<R: Rows>(rows: usize, work: usize, parts: R, each: impl Fn(R) + Sync) {
    run(rows, work, (parts, Count(rows)), |(mut parts, Count(rows))| {
        for _ in 0..rows {
            let (one, rest) = parts.split(1);
            each(one);
            parts = rest;
        }
    });
}

/// The number of rows.
struct Count(usize);

impl Rows for Count {
    #[inline]
    fn split(self, rows: usize) -> (Self, Self) {
        (Count(rows), Count(self.0 - rows))
    }
}

/// The number of tasks for `work`: two for each thread, so that a slow thread delays the others by
/// little.
fn tasks(work: usize) -> usize {
    let threads = match rayon::current_thread_index() {
        None if work < WAKE => 1,
        _ => rayon::current_num_threads(),
    };
    if threads == 1 { 1 } else { (work / TASK).min(2 * threads) }
}

/// The most tasks of an operation: two for each of 32 threads.
const MOST: usize = 64;

/// Deals the rows out to `tasks` tasks, at most [`MOST`]. All parts are dealt before the first task
/// begins, and none on the heap: a recursion that splits them as it forks is compiled for each
/// kernel anew, with two jobs of the pool each: 8 % of the code of the library.
fn share<R: Rows>(rows: usize, tasks: usize, mut parts: R, each: &(dyn Fn(R) + Sync)) {
    if tasks < 2 {
        return each(parts);
    }
    let mut dealt = [const { Mutex::new(None) }; MOST];
    let tasks = tasks.min(MOST);
    for (task, slot) in dealt[..tasks].iter_mut().enumerate() {
        let (own, rest) = parts.split(rows * (task + 1) / tasks - rows * task / tasks);
        *slot.get_mut().expect("no task has begun") = Some(own);
        parts = rest;
    }
    fork(0..tasks, &|task| {
        let own = dealt[task].lock().expect("one task takes it").take();
        each(own.expect("every task runs once"));
    });
}

/// Runs these tasks on the threads of the caller's pool.
fn fork(tasks: Range<usize>, run: &(dyn Fn(usize) + Sync)) {
    if tasks.len() < 2 {
        return run(tasks.start);
    }
    let middle = tasks.start + tasks.len() / 2;
    rayon::join(|| fork(tasks.start..middle, run), || fork(middle..tasks.end, run));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Every row is seen once, with its own parts, however many tasks there are.
    #[test]
    fn rows_keep_their_parts() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        for (rows, work) in [(0, 9), (1, usize::MAX), (2, TASK), (1000, 1), (1001, TASK)] {
            // The last row of `x` is an element short.
            let x: Vec<u32> = (0..3 * rows as u32).skip(1).map(|i| i - 1).collect();
            let mut seen = vec![0u32; rows];
            let calls = AtomicUsize::new(0);
            let run_all = |seen: &mut [u32]| {
                let parts = (By(&x[..], 3), Some(By(seen, 1)), First(0));
                run(rows, work, parts, |(x, seen, first)| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    let seen = seen.expect("was there").0;
                    assert_eq!(x.0.chunks(3).len(), seen.len());
                    for (i, (x, seen)) in x.0.chunks(3).zip(seen).enumerate() {
                        assert_eq!(x[0] as usize, 3 * (first.0 + i));
                        *seen += 1;
                    }
                });
            };
            pool.install(|| run_all(&mut seen));
            assert!(seen.iter().all(|&n| n == 1), "{seen:?}");
            let several = calls.load(Ordering::Relaxed) > 1;
            assert_eq!(several, rows > 1 && work >= TASK, "{rows} rows");
            run_all(&mut seen);
            assert!(seen.iter().all(|&n| n == 2), "{seen:?}");
            pool.install(|| {
                let parts = By(&mut seen[..], 1);
                each(rows, work, parts, |seen| seen.0.iter_mut().for_each(|n| *n += 1));
            });
            assert!(seen.iter().all(|&n| n == 3), "{seen:?}");
        }
    }
}
