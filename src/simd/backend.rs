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

static CHOSEN: OnceLock<Backend> = OnceLock::new();

/// The backend of all kernels of this process: the one that the environment variable
/// `EDGEGRAD_SIMD` names, else the best this processor has.
///
/// # Panics
/// If `EDGEGRAD_SIMD` names an unknown backend, or one that this processor lacks.
#[inline]
pub fn backend() -> Backend {
    *CHOSEN.get_or_init(|| match std::env::var("EDGEGRAD_SIMD") {
        Err(_) => Backend::available().next().expect("scalar is always there"),
        Ok(name) => Backend::available().find(|m| m.name() == name).unwrap_or_else(|| {
            let known: Vec<_> = Backend::available().map(Backend::name).collect();
            panic!("EDGEGRAD_SIMD={name}: this processor has {}", known.join(", "))
        }),
    })
}
