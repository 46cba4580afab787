//! The stream of a model with adapters.

use super::{Adapter, Adapters, Site};
use crate::nn::stream::{AfterNorm, Read, Stream, Sum, Written};
use crate::ops;
use crate::simd::Element;
use crate::tape::{Program, Tape, Var};
use crate::tensor::Buffer;

/// The variables of one adapter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdapterVars {
    /// `[N_in, r]`.
    pub a: Var,
    /// `[r]`, if it is gated.
    pub gates: Option<Var>,
    /// `[r, N_out]`.
    pub b: Var,
}

impl AdapterVars {
    fn list(self) -> impl Iterator<Item = Var> {
        [Some(self.a), self.gates, Some(self.b)].into_iter().flatten()
    }
}

/// The plain stream with a low-rank branch beside every matrix that has an adapter.
///
/// A and B are leaves of their own. A reverse pass to [those](Self::parameters) alone neither
/// computes the gradient of the matrix nor allocates memory for it.
#[derive(Clone, Debug)]
pub struct Adapted {
    sum: Sum,
    plans: Vec<Branch>,
    /// By adapter; `None` until its part has been recorded.
    vars: Vec<Option<AdapterVars>>,
}

/// What has to be recorded for an adapter.
#[derive(Clone, Debug)]
struct Branch {
    site: Site,
    rank: usize,
    scale: f64,
    gated: bool,
    shape: [usize; 2],
}

impl Adapted {
    /// A stream for one recording of a model with these adapters. It does not copy their weights:
    /// [`set`](Self::set) does.
    pub fn new<T: Element>(adapters: &Adapters<T>) -> Adapted {
        let plan = |x: &Adapter<T>| {
            let (gated, shape) = (x.gates.is_some(), x.shape());
            Branch { site: x.site, rank: x.rank, scale: x.scale, gated, shape }
        };
        let plans: Vec<Branch> = adapters.list().iter().map(plan).collect();
        Adapted { sum: Sum::default(), vars: vec![None; plans.len()], plans }
    }

    /// The variables of each adapter, in the order of [`Adapters::list`].
    ///
    /// # Panics
    /// If the recorded model lacks the matrix of one; [`Adapters::check`] finds that before.
    #[track_caller]
    pub fn vars(&self) -> Vec<AdapterVars> {
        let pairs = self.vars.iter().zip(&self.plans);
        pairs
            .map(|(x, plan)| x.unwrap_or_else(|| panic!("{} was not recorded", plan.site)))
            .collect()
    }

    /// All variables, in the order of [`Adapters::sizes`]: those that training needs gradients of.
    ///
    /// # Panics
    /// As [`vars`](Self::vars).
    #[track_caller]
    pub fn parameters(&self) -> Vec<Var> {
        self.vars().into_iter().flat_map(AdapterVars::list).collect()
    }

    /// Sets A, gates and B of a program; [shared](Buffer::share) ones are not copied.
    ///
    /// # Panics
    /// If the program is that of other adapters.
    #[track_caller]
    pub fn set<T: Element>(&self, program: &mut Program<T>, adapters: &Adapters<T>) {
        let vars = self.vars();
        assert_eq!(vars.len(), adapters.list().len(), "adapters");
        for (x, adapter) in vars.iter().zip(adapters.list()) {
            program.set_buffer(x.a, adapter.a.clone());
            program.set_buffer(x.b, adapter.b.clone());
            assert_eq!(x.gates.is_some(), adapter.gates.is_some(), "gates of {}", adapter.site);
            if let (Some(x), Some(gates)) = (x.gates, &adapter.gates) {
                program.set_buffer(x, gates.clone());
            }
        }
    }

    /// Copies the adapters' current weights from a program.
    ///
    /// # Panics
    /// If the program is that of other adapters.
    #[track_caller]
    pub fn fetch<T: Element>(&self, program: &Program<T>, adapters: &mut Adapters<T>) {
        let vars = self.vars();
        assert_eq!(vars.len(), adapters.list.len(), "adapters");
        let fetch = |x: Var, to: &mut Buffer<T>| {
            assert_eq!(program.value(x).len(), to.len(), "numbers of {:?}", program.name(x));
            *to = Buffer::from(program.value(x));
        };
        for (x, adapter) in vars.iter().zip(&mut adapters.list) {
            fetch(x.a, &mut adapter.a);
            fetch(x.b, &mut adapter.b);
            assert_eq!(x.gates.is_some(), adapter.gates.is_some(), "gates of {}", adapter.site);
            if let (Some(x), Some(gates)) = (x.gates, &mut adapter.gates) {
                fetch(x, gates);
            }
        }
    }

    /// Records `scale (x A) * lambda`: `[B, T, N_in] -> [B, T, r]`, and returns B as well; `None`
    /// if the matrix has no adapter.
    #[track_caller]
    fn branch<T: Element>(
        &mut self,
        tape: &mut Tape<T>,
        site: Option<Site>,
        x: Var,
    ) -> Option<(Var, Var)> {
        let i = self.plans.iter().position(|plan| Some(plan.site) == site)?;
        let &Branch { site, rank, scale, gated, shape: [n_in, n_out] } = &self.plans[i];
        assert!(self.vars[i].is_none(), "{site} was recorded twice with one stream");
        let a = tape.leaf(&format!("{site}.A"), [n_in, rank]);
        let gates = gated.then(|| tape.leaf(&format!("{site}.lambda"), [rank]));
        let b = tape.leaf(&format!("{site}.B"), [rank, n_out]);
        self.vars[i] = Some(AdapterVars { a, gates, b });
        let mut low = ops::project(tape, x, a, None);
        if let Some(gates) = gates {
            low = ops::mul(tape, low, gates);
        }
        // The factor is applied to r elements rather than to N_out.
        Some((if scale == 1.0 { low } else { ops::scale(tape, low, scale) }, b))
    }
}

impl<T: Element> Stream<T> for Adapted {
    fn write(&mut self, tape: &mut Tape<T>, written: Written) {
        let Written { by, z, norm, .. } = written;
        let Some(AfterNorm { norm, gain }) = norm else {
            self.sum.add(tape, written);
            if let Some((low, b)) = self.branch(tape, Site::of_writer(by), z) {
                self.sum.add(tape, Written { by, z: low, w: Some(b), bias: None, norm: None });
            }
            return;
        };
        let mut added = written.before_norm(tape);
        if let Some((low, b)) = self.branch(tape, Site::of_writer(by), z) {
            let more = ops::project(tape, low, b, None);
            added = ops::add(tape, added, more);
        }
        let normed = norm.record(tape, added, Some(gain), None);
        self.sum.put(tape, normed);
    }

    fn read(&mut self, tape: &mut Tape<T>, read: Read) -> Var {
        let (normed, y) = self.sum.reads(tape, &read);
        match self.branch(tape, Site::of_reader(read.by), normed) {
            Some((low, b)) => {
                let more = ops::project(tape, low, b, None);
                ops::add(tape, y, more)
            }
            None => y,
        }
    }
}
