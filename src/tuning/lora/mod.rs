//! Low-rank adapters: a few trained parameters beside a frozen matrix.
//!
//! For a matrix `W [N_in, N_out]` of a model, an adapter of rank r adds a branch
//!
//! ```text
//! y = x W + bias + scale (x A) B                    A [N_in, r], B [r, N_out]
//! y = x W + bias + scale ((x A) * lambda) B         lambda [r], with gates
//! scale = alpha / r
//! ```
//!
//! The plain ones are LoRA (Hu et al. 2021, arXiv 2106.09685): A starts random and B at zero, so
//! that a fresh adapter changes nothing. The gated ones are the triplets of AdaLoRA (Zhang et al.
//! 2023, arXiv 2303.10512): A and B start random and the gates at zero, and a [`budget`] decides
//! which gates may be nonzero. Ranks can follow a circuit: see [`ranks()`].
//!
//! ```
//! use edgegrad::nn::transformer::{Config, Model};
//! use edgegrad::tuning::Objective;
//! use edgegrad::tuning::lora::{Adapted, Adapters, Kind, Site};
//! let config = Config { vocab: 10, vocab_out: 10, context: 8, layers: 1, d_model: 12, heads: 3,
//!     kv_heads: 3, d_head: 4, d_mlp: 16, ..Config::gpt2_small() };
//! let sites = [(Site::parse("blocks.0.mlp.W_in")?, 2), (Site::parse("blocks.0.attn.W_O")?, 1)];
//! let adapters = Adapters::<f64>::new(&config, &sites, Kind::Plain, 4.0, 0)?;
//! assert_eq!(adapters.parameters(), 2 * (12 + 16) + 12 + 12);
//! let mut stream = Adapted::new(&adapters);
//! let mut o = Objective::record(&config, 1, 3, 0, &mut stream);
//! o.set_weights(&Model::random(&config, 0).weights);
//! stream.set(&mut o.program, &adapters);
//! // The model itself is not trained.
//! let plan = o.program.plan_backward(o.loss, &stream.parameters());
//! # o.set(&[1, 2, 3], &[2, 3, 4], &[1.0; 3]);
//! o.program.forward();
//! o.program.backward(&plan);
//! # Ok::<(), edgegrad::error::Error>(())
//! ```

pub mod budget;
mod file;
mod merge;
mod ranks;
mod site;
mod stream;

#[cfg(test)]
mod tests;

pub use file::Saved;
pub use ranks::{RanksBy, ranks};
pub use site::{Matrix, Site};
pub use stream::{Adapted, AdapterVars};

use crate::error::{Error, Result};
use crate::nn::transformer::Config;
use crate::rng::{Purpose, Rng};
use crate::simd::Element;
use crate::stats::order;
use crate::tensor::Buffer;

/// Whether adapters have gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// LoRA: `(x A) B`, with B = 0 at the start.
    Plain,
    /// AdaLoRA: `((x A) * lambda) B`, with lambda = 0 at the start.
    Gated,
}

/// The low-rank branch beside one matrix `[N_in, N_out]`.
#[derive(Clone, Debug)]
pub struct Adapter<T: Element> {
    /// The matrix.
    pub site: Site,
    /// The rank r.
    pub rank: usize,
    /// The factor on the branch: `alpha / r`.
    pub scale: f64,
    /// `[N_in, r]`.
    pub a: Buffer<T>,
    /// `[r]`, if it is gated.
    pub gates: Option<Buffer<T>>,
    /// `[r, N_out]`.
    pub b: Buffer<T>,
}

impl<T: Element> Adapter<T> {
    /// A fresh one for a matrix `[n_in, n_out]`.
    ///
    /// A is drawn from N(0, 1 / N_in). The paper says only "a random Gaussian"; this variance makes
    /// `x A` as large as the normed `x`, as the model's own matrices do at their initialisation
    /// (the authors' code draws uniformly with a third of it). With gates, B is drawn from N(0, 1 /
    /// N_out): columns of A and rows of B then have unit length and are orthogonal in expectation,
    /// which AdaLoRA's regulariser asks of them. Every matrix has a random stream of its own, so
    /// another site does not change the others.
    fn fresh(
        site: Site,
        rank: usize,
        shape: [usize; 2],
        kind: Kind,
        alpha: f64,
        seed: u64,
    ) -> Self {
        let [n_in, n_out] = shape;
        let mut rng = Rng::new(seed, Purpose::Adapter, site.stage());
        let mut normal = |len: usize, n: usize| {
            let (mut numbers, deviation) = (Buffer::zeros(len), (n as f64).sqrt().recip());
            numbers.fill_with(|| T::from_f64(deviation * rng.normal()));
            numbers
        };
        let a = normal(n_in * rank, n_in);
        let (gates, b) = match kind {
            Kind::Plain => (None, Buffer::zeros(rank * n_out)),
            Kind::Gated => (Some(Buffer::zeros(rank)), normal(rank * n_out, n_out)),
        };
        Adapter { site, rank, scale: alpha / rank as f64, a, gates, b }
    }

    /// `[N_in, N_out]`, the shape of the matrix it was made for.
    pub fn shape(&self) -> [usize; 2] {
        [self.a.len() / self.rank, self.b.len() / self.rank]
    }

    /// The number of its parameters.
    pub fn parameters(&self) -> usize {
        self.sizes().into_iter().sum()
    }

    /// The numbers of elements of A, the gates (if there are any) and B.
    fn sizes(&self) -> Vec<usize> {
        let gates = self.gates.as_ref().map(|gates| gates.len());
        [Some(self.a.len()), gates, Some(self.b.len())].into_iter().flatten().collect()
    }
}

/// Adapters of one model, at most one for each matrix, in the order of their sites.
#[derive(Clone, Debug)]
pub struct Adapters<T: Element> {
    alpha: f64,
    kind: Kind,
    list: Vec<Adapter<T>>,
}

impl<T: Element> Adapters<T> {
    /// Fresh adapters for a model of the shape `config`: a rank for each site.
    ///
    /// # Errors
    /// If the model has no such matrix, a rank is 0 or larger than its matrix, a site is named
    /// twice, or `alpha` is not a positive number. The place of the error is the matrix.
    pub fn new(
        config: &Config,
        sites: &[(Site, usize)],
        kind: Kind,
        alpha: f64,
        seed: u64,
    ) -> Result<Adapters<T>> {
        check_alpha(alpha)?;
        check_distinct(sites.iter().map(|(site, _)| *site).collect())?;
        let fresh = |&(site, rank): &(Site, usize)| {
            let shape = site.shape(config)?;
            check_rank(site, rank, shape)?;
            Ok(Adapter::fresh(site, rank, shape, kind, alpha, seed))
        };
        let list = sites.iter().map(fresh).collect::<Result<_>>()?;
        Ok(Adapters::sorted(list, kind, alpha))
    }

    /// Adapters of distinct sites, sorted.
    fn sorted(mut list: Vec<Adapter<T>>, kind: Kind, alpha: f64) -> Adapters<T> {
        order::sort_by_key(&mut list, |adapter| adapter.site);
        Adapters { alpha, kind, list }
    }

    /// All of them, in the order of their sites: by layer, then by the order of the computation.
    pub fn list(&self) -> &[Adapter<T>] {
        &self.list
    }

    /// The `alpha` of `scale = alpha / r`.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// Whether they have gates.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The number of their parameters together: what is trained.
    pub fn parameters(&self) -> usize {
        self.list.iter().map(Adapter::parameters).sum()
    }

    /// The sizes of all parameters, for an [optimizer](crate::nn::Optimizer): of each adapter A,
    /// the gates (if there are any) and B, in the order of [`Adapted::parameters`].
    pub fn sizes(&self) -> Vec<usize> {
        self.list.iter().flat_map(Adapter::sizes).collect()
    }

    /// The sum of all ranks: the number of triplets of a column of A, a gate and a row of B.
    pub fn total_rank(&self) -> usize {
        self.list.iter().map(|adapter| adapter.rank).sum()
    }

    /// Checks that they fit a model of this shape, before they are merged or recorded.
    ///
    /// # Errors
    /// If the model has no such matrix, or one of another shape. The place is the matrix.
    pub fn check(&self, config: &Config) -> Result<()> {
        self.list.iter().try_for_each(|adapter| {
            let (site, got, shape) = (adapter.site, adapter.shape(), adapter.site.shape(config)?);
            if got != shape {
                let message = format!("is {shape:?} in the model, {got:?} for its adapter");
                let help = "use the adapters with the model that they were trained on";
                return Err(Error::input(site, message, help));
            }
            check_rank(site, adapter.rank, shape)
        })
    }
}

fn check_alpha(alpha: f64) -> Result<()> {
    if alpha.is_finite() && alpha > 0.0 {
        return Ok(());
    }
    let message = format!("must be a number above 0, got {alpha}");
    Err(Error::input("alpha", message, "once or twice the rank is usual"))
}

fn check_distinct(mut sites: Vec<Site>) -> Result<()> {
    sites.sort();
    match sites.windows(2).find(|two| two[0] == two[1]) {
        None => Ok(()),
        Some(two) => {
            let help = "name each matrix once, with the rank that it shall have";
            Err(Error::input(two[0], "has two adapters", help))
        }
    }
}

fn check_rank(site: Site, rank: usize, [n_in, n_out]: [usize; 2]) -> Result<()> {
    let most = n_in.min(n_out);
    if (1..=most).contains(&rank) {
        return Ok(());
    }
    let message = format!("rank must be from 1 to {most}, got {rank}");
    let help = format!("the matrix is {n_in} by {n_out}; ranks of 4 to 64 are usual");
    Err(Error::input(site, message, help))
}
