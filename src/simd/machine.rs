//! Which lanes this process uses.

use std::fmt;
use std::sync::OnceLock;

/// A set of vector instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// x86-64 with AVX-512F: sixteen `f32` or eight `f64`.
    Avx512,
    /// x86-64 with AVX2 and FMA: eight `f32` or four `f64`.
    Avx2,
    /// What every processor of this architecture has, through the `wide` crate.
    Portable,
    /// One number at a time: the oracle of the others.
    Scalar,
}

impl Machine {
    /// All of them, the best first.
    pub const ALL: [Machine; 4] =
        [Machine::Avx512, Machine::Avx2, Machine::Portable, Machine::Scalar];

    /// The name, as `EDGEGRAD_SIMD` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Machine::Avx512 => "avx512",
            Machine::Avx2 => "avx2",
            Machine::Portable => "portable",
            Machine::Scalar => "scalar",
        }
    }

    /// Whether this processor has it.
    #[inline]
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Machine::Avx512 => super::avx512::is_available(),
            #[cfg(target_arch = "x86_64")]
            Machine::Avx2 => super::avx2::is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Machine::Avx512 | Machine::Avx2 => false,
            Machine::Portable | Machine::Scalar => true,
        }
    }

    /// Those this processor has, the best first.
    pub fn available() -> impl Iterator<Item = Machine> {
        Machine::ALL.into_iter().filter(|m| m.is_available())
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

static CHOSEN: OnceLock<Machine> = OnceLock::new();

/// The machine all kernels of this process use: what the environment variable `EDGEGRAD_SIMD`
/// names, else the best this processor has.
///
/// # Panics
/// If `EDGEGRAD_SIMD` names none, or one this processor lacks.
#[inline]
pub fn machine() -> Machine {
    *CHOSEN.get_or_init(|| match std::env::var("EDGEGRAD_SIMD") {
        Err(_) => Machine::available().next().expect("scalar is always there"),
        Ok(name) => Machine::available().find(|m| m.name() == name).unwrap_or_else(|| {
            let known: Vec<_> = Machine::available().map(Machine::name).collect();
            panic!("EDGEGRAD_SIMD={name}: this processor has {}", known.join(", "))
        }),
    })
}
