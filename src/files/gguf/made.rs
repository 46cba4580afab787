//! Files in the making, for tests.

/// A file in the making: version 3, `general.alignment` 32.
#[derive(Clone, Default)]
pub(crate) struct Made {
    keys: Vec<u8>,
    many_keys: u64,
    tensors: Vec<u8>,
    many_tensors: u64,
    data: Vec<u8>,
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

impl Made {
    pub(crate) fn key(mut self, key: &str, kind: u32, value: &[u8]) -> Made {
        self.keys.extend([&string(key)[..], &kind.to_le_bytes(), value].concat());
        self.many_keys += 1;
        self
    }

    pub(crate) fn text(self, key: &str, text: &str) -> Made {
        self.key(key, 8, &string(text))
    }

    pub(crate) fn count(self, key: &str, n: u64) -> Made {
        self.key(key, 4, &(n as u32).to_le_bytes())
    }

    pub(crate) fn number(self, key: &str, x: f64) -> Made {
        self.key(key, 6, &(x as f32).to_le_bytes())
    }

    pub(crate) fn flag(self, key: &str, flag: bool) -> Made {
        self.key(key, 7, &[flag.into()])
    }

    /// Appends a tensor whose axes, fastest first, are `sizes`; `code` is how it is stored.
    pub(crate) fn tensor(mut self, name: &str, sizes: &[u64], code: u32, bytes: &[u8]) -> Made {
        let offset = self.data.len() as u64;
        self = self.entry(name, sizes, code, offset);
        self.data.extend(bytes);
        self.data.resize(self.data.len().next_multiple_of(32), 0);
        self
    }

    pub(crate) fn entry(mut self, name: &str, sizes: &[u64], code: u32, offset: u64) -> Made {
        self.tensors.extend(string(name));
        self.tensors.extend((sizes.len() as u32).to_le_bytes());
        sizes.iter().for_each(|size| self.tensors.extend(size.to_le_bytes()));
        self.tensors.extend(code.to_le_bytes());
        self.tensors.extend(offset.to_le_bytes());
        self.many_tensors += 1;
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let counts = [self.many_tensors.to_le_bytes(), self.many_keys.to_le_bytes()].concat();
        let mut all =
            [b"GGUF", &3u32.to_le_bytes()[..], &counts, &self.keys, &self.tensors].concat();
        all.resize(all.len().next_multiple_of(32), 0);
        [all, self.data.clone()].concat()
    }
}
