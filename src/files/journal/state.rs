//! Values as bytes, bit by bit: little-endian, lists after their length.

/// A value that a journal can keep. [`take`](Self::take) gives back what [`put`](Self::put) was
/// given, NaN and signs of zero included.
pub trait State: Sized {
    /// Appends the value to `to`.
    fn put(&self, to: &mut Vec<u8>);

    /// Takes a value from the start of `from`; `None` if there is none.
    fn take(from: &mut &[u8]) -> Option<Self>;
}

/// The value that `bytes` hold and nothing else.
pub(super) fn read<S: State>(mut bytes: &[u8]) -> Option<S> {
    let state = S::take(&mut bytes)?;
    bytes.is_empty().then_some(state)
}

macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl State for $number {
            fn put(&self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(<$number>::from_le_bytes(*bytes))
            }
        }
    )+};
}

numbers!(u8, u64, f32, f64);

impl State for usize {
    fn put(&self, to: &mut Vec<u8>) {
        (*self as u64).put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        u64::take(from)?.try_into().ok()
    }
}

impl State for bool {
    fn put(&self, to: &mut Vec<u8>) {
        u8::from(*self).put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl State for String {
    fn put(&self, to: &mut Vec<u8>) {
        self.len().put(to);
        to.extend(self.as_bytes());
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let length = usize::take(from)?;
        let (text, rest) = from.split_at_checked(length)?;
        *from = rest;
        String::from_utf8(text.into()).ok()
    }
}

impl<S: State> State for Vec<S> {
    fn put(&self, to: &mut Vec<u8>) {
        self.len().put(to);
        self.iter().for_each(|value| value.put(to));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let count = usize::take(from)?;
        // Every value takes a byte at least: a length that cannot be takes no memory.
        let mut values = Vec::with_capacity(count.min(from.len() / size_of::<S>().max(1)));
        for _ in 0..count {
            values.push(S::take(from)?);
        }
        Some(values)
    }
}

impl<S: State, const N: usize> State for [S; N] {
    fn put(&self, to: &mut Vec<u8>) {
        self.iter().for_each(|value| value.put(to));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let values: Option<Vec<S>> = (0..N).map(|_| S::take(from)).collect();
        values?.try_into().ok()
    }
}

impl<S: State> State for Option<S> {
    fn put(&self, to: &mut Vec<u8>) {
        self.is_some().put(to);
        self.iter().for_each(|value| value.put(to));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match bool::take(from)? {
            true => Some(Some(S::take(from)?)),
            false => Some(None),
        }
    }
}

macro_rules! tuples {
    ($(($($name:ident $at:tt),+)),+) => {$(
        impl<$($name: State),+> State for ($($name,)+) {
            fn put(&self, to: &mut Vec<u8>) {
                $(self.$at.put(to);)+
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                Some(($($name::take(from)?,)+))
            }
        }
    )+};
}

tuples!((A 0, B 1), (A 0, B 1, C 2), (A 0, B 1, C 2, D 3), (A 0, B 1, C 2, D 3, E 4));

/// Makes a struct a [`State`]: its fields, one after the other.
macro_rules! kept {
    ($name:ident { $($field:ident),+ $(,)? }) => {
        impl $crate::files::journal::State for $name {
            fn put(&self, to: &mut Vec<u8>) {
                $(self.$field.put(to);)+
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                Some($name { $($field: $crate::files::journal::State::take(from)?),+ })
            }
        }
    };
}
pub(crate) use kept;
