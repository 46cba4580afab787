//! Memory for copies, kept by each thread from one product to the next.

use crate::simd::Element;
use std::any::Any;
use std::cell::RefCell;
use std::mem::take;
use std::ops::{Deref, DerefMut};

thread_local! {
    /// One `Vec<T>` for each type of element this thread has multiplied.
    static POOL: RefCell<Vec<Box<dyn Any>>> = const { RefCell::new(Vec::new()) };
}

/// Numbers to write over, aligned to a cache line; they go back to the thread when dropped.
pub(super) struct Scratch<T: Element> {
    data: Vec<T>,
    start: usize,
}

impl<T: Element> Scratch<T> {
    /// At least `len` numbers of any value. Allocates only if the thread never had so many.
    #[inline(never)]
    pub(super) fn new(len: usize) -> Self {
        let mut data = POOL.with_borrow_mut(|pool| slot::<T>(pool).map(take)).unwrap_or_default();
        let line = 64 / size_of::<T>();
        if data.len() < len + line {
            data.resize(len + line, T::ZERO);
        }
        let start = data.as_ptr().align_offset(64);
        Scratch { start: if start < line { start } else { 0 }, data }
    }
}

/// This type's memory in the pool.
fn slot<T: Element>(pool: &mut [Box<dyn Any>]) -> Option<&mut Vec<T>> {
    pool.iter_mut().find_map(|data| data.downcast_mut())
}

impl<T: Element> Drop for Scratch<T> {
    #[inline(never)]
    fn drop(&mut self) {
        let data = take(&mut self.data);
        POOL.with_borrow_mut(|pool| match slot::<T>(pool) {
            Some(slot) => *slot = data,
            None => pool.push(Box::new(data)),
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
