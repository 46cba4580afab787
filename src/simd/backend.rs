//! The instruction sets, and which of them this process uses.

use std::fmt;
use std::sync::OnceLock;

/// An instruction set for vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// x86-64 with AVX-512F: sixteen `f32` or eight `f64`.
    Avx512,
    /// x86-64 with AVX2 and FMA: eight `f32` or four `f64`.
    Avx2,
    /// AArch64: four `f32` or two `f64`.
    Neon,
    /// What every processor of this architecture has, through the `wide` crate.
    Portable,
    /// One element at a time: the oracle of the others.
    Scalar,
}

impl Backend {
    /// All of them, the best first.
    pub const ALL: [Backend; 5] =
        [Backend::Avx512, Backend::Avx2, Backend::Neon, Backend::Portable, Backend::Scalar];

    /// The name, as `EDGEGRAD_SIMD` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Avx512 => "avx512",
            Backend::Avx2 => "avx2",
            Backend::Neon => "neon",
            Backend::Portable => "portable",
            Backend::Scalar => "scalar",
        }
    }

    /// Whether this processor has it.
    #[inline]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => super::avx512::is_available(),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => super::avx2::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Backend::Avx512 | Backend::Avx2 => false,
            Backend::Neon => cfg!(target_arch = "aarch64"),
            Backend::Portable | Backend::Scalar => true,
        }
    }

    /// Those this processor has, the best first.
    pub fn available() -> impl Iterator<Item = Backend> {
        Backend::ALL.into_iter().filter(|m| m.is_available())
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An `EDGEGRAD_SIMD` that names no backend of this processor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(String);

impl Unavailable {
    /// What can be asked for instead, on one line.
    pub fn help(&self) -> String {
        let names: Vec<_> = Backend::available().map(Backend::name).collect();
        format!("unset it, or name one of {}", names.join(", "))
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Backend::ALL.into_iter().find(|m| m.name() == self.0) {
            Some(lacking) => write!(f, "this processor has no {lacking}"),
            None => write!(f, "`{}` is no instruction set", self.0),
        }
    }
}

/// The backend that `EDGEGRAD_SIMD` names, else the best that this processor has.
///
/// # Errors
/// If it names an unknown backend, or one that this processor lacks.
pub fn asked() -> Result<Backend, Unavailable> {
    match std::env::var_os("EDGEGRAD_SIMD") {
        None => Ok(Backend::available().next().expect("scalar is always there")),
        Some(name) => of_name(&name.to_string_lossy()),
    }
}

/// The backend of this name, if this processor has it.
fn of_name(name: &str) -> Result<Backend, Unavailable> {
    let found = Backend::available().find(|m| m.name() == name);
    found.ok_or_else(|| Unavailable(name.into()))
}

static CHOSEN: OnceLock<Backend> = OnceLock::new();

/// The backend of all kernels of this process, the one that is [`asked`] for.
///
/// # Panics
/// If that one is unavailable.
#[inline]
pub fn backend() -> Backend {
    *CHOSEN.get_or_init(|| asked().unwrap_or_else(|e| panic!("EDGEGRAD_SIMD: {e}; {}", e.help())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_processor_lacks_is_said_with_what_it_has() {
        for lacking in Backend::ALL.into_iter().filter(|m| !m.is_available()) {
            let e = of_name(lacking.name()).expect_err("it is not available");
            assert_eq!(e.to_string(), format!("this processor has no {lacking}"));
            assert!(!e.help().contains(lacking.name()) && e.help().ends_with("portable, scalar"));
        }
        let e = of_name("sse9").expect_err("no such set");
        assert_eq!(e.to_string(), "`sse9` is no instruction set");
        assert_eq!(of_name("scalar"), Ok(Backend::Scalar));
    }
}
