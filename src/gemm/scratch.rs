//! Memory for packed operands and for sums between passes, kept by each thread across products.

use crate::simd::Element;
use std::any::Any;
use std::cell::RefCell;
use std::mem::take;
use std::ops::{Deref, DerefMut};

thread_local! {
    /// For each element type: the free buffers of this thread, as many as were in use at once.
    static POOL: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of elements, aligned to a cache line; it returns to its thread's pool when dropped.
pub(crate) struct Scratch<T: Element> {
    data: Vec<T>,
    start: usize,
}

impl<T: Element> Scratch<T> {
    /// At least `len` elements of any value. Allocates only if the pool has no buffer this large.
    #[inline(never)]
    pub(crate) fn new(len: usize) -> Self {
        let mut data = POOL.with_borrow_mut(|pool| slot::<T>(pool)?.pop()).unwrap_or_default();
        let line = 64 / size_of::<T>();
        if data.len() < len + line {
            data.resize(len + line, T::ZERO);
        }
        let start = data.as_ptr().align_offset(64);
        Scratch { start: if start < line { start } else { 0 }, data }
    }
}

/// This type's buffers in the pool.
fn slot<T: Element>(pool: &mut [Box<dyn Any>]) -> Option<&mut Vec<Vec<T>>> {
    pool.iter_mut().find_map(|data| data.downcast_mut())
}

impl<T: Element> Drop for Scratch<T> {
    #[inline(never)]
    fn drop(&mut self) {
        let data = take(&mut self.data);
        POOL.with_borrow_mut(|pool| match slot::<T>(pool) {
            Some(slot) => slot.push(data),
            None => pool.push(Box::new(vec![data])),
        });
    }
}

impl<T: Element> Deref for Scratch<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.data[self.start..]
    }
}

impl<T: Element> DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.data[self.start..]
    }
}
