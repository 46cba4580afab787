//! Reuse of memory: a tensor that is not read again gives its place to the next one.

/// The index of a buffer.
pub(super) type Place = u32;

/// Assigns places while a pass is planned.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// The number of elements of each place.
    room: Vec<usize>,
    /// The free places, in the order of their release.
    free: Vec<Place>,
}

impl Places {
    /// A place that is never shared.
    pub(super) fn own(&mut self, len: usize) -> Place {
        self.room.push(len);
        (self.room.len() - 1) as Place
    }

    /// A place for `len` elements until it is [given back](Self::give_back): the smallest free one
    /// that is large enough, else the largest, which grows.
    pub(super) fn take(&mut self, len: usize) -> Place {
        let room = |&i: &usize| self.room[self.free[i] as usize];
        // Among equal sizes, the most recently released: it is still in cache.
        let fits = (0..self.free.len()).rev().filter(|i| room(i) >= len).min_by_key(room);
        match fits.or_else(|| (0..self.free.len()).max_by_key(room)) {
            Some(i) => {
                let place = self.free.remove(i);
                let room = &mut self.room[place as usize];
                *room = len.max(*room);
                place
            }
            None => self.own(len),
        }
    }

    /// The place gets its memory from elsewhere.
    pub(super) fn give_up(&mut self, place: Place) {
        self.room[place as usize] = 0;
    }

    pub(super) fn give_back(&mut self, place: Place) {
        self.free.push(place);
    }

    /// The number of elements that each place needs.
    pub(super) fn rooms(&self) -> &[usize] {
        &self.room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_that_fits_else_the_largest_grows() {
        let mut places = Places::default();
        let own = places.own(100);
        let [a, b, c] = [10, 30, 20].map(|n| places.take(n));
        [a, b, c].into_iter().for_each(|x| places.give_back(x));
        assert_eq!(places.take(15), c);
        assert_eq!(places.take(50), b);
        assert_eq!(places.take(1), a);
        let d = places.take(1);
        assert!(![own, a, b, c].contains(&d));
        assert_eq!(places.rooms(), [100, 10, 50, 20, 1]);
    }

    #[test]
    fn of_equals_the_warmest() {
        let mut places = Places::default();
        let [a, b, c] = [4, 4, 4].map(|n| places.take(n));
        [b, c, a].into_iter().for_each(|x| places.give_back(x));
        assert_eq!([4; 3].map(|n| places.take(n)), [a, c, b]);
    }
}
