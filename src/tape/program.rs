//! A recording that can be run: forward, forward in part, and backward.

use super::op::GRADS;
use super::plan::Target;
use super::reuse::{Place, Places};
use super::{
    Backward, BackwardPlan, ForwardPlan, Grad, Ids, IdsInfo, Node, Noise, Slot, Tape, Var, VarInfo,
};
use crate::tensor::{Buffer, Element, Shape};
use std::mem::{swap, take};

/// A recorded computation with all its memory.
///
/// Values hold after [`forward`](Self::forward), gradients after [`backward`](Self::backward).
/// Neither allocates.
pub struct Program<T> {
    pub(super) nodes: Vec<Node<T>>,
    /// Whether memory is shared as only a forward pass allows.
    forward_only: bool,
    vars: Vec<VarInfo>,
    ids_info: Vec<IdsInfo>,
    noise: Vec<Noise>,
    /// By slot.
    values: Vec<Buffer<T>>,
    /// By place.
    grads: Vec<Buffer<T>>,
    /// Buffers of gradients that plans had which are forgotten.
    spare: Vec<Buffer<T>>,
    /// How often plans were forgotten.
    epoch: u32,
    /// The places of the gradients, and which of them may be shared.
    pool: Places,
    /// By slot, the place of a gradient that a plan wants.
    wanted: Vec<Option<Place>>,
    /// What operations leave for the backward pass.
    saved: Vec<Buffer<T>>,
    ids: Vec<Vec<u32>>,
    /// Gradients while an operation writes them.
    in_hand: Vec<Option<Grad<T>>>,
}

impl<T: Element> Program<T> {
    pub(super) fn new(tape: Tape<T>) -> Self {
        let mut given: Vec<Option<Buffer<T>>> = tape.slots.iter().map(|_| None).collect();
        for (x, numbers) in tape.given {
            given[tape.vars[x.0 as usize].slot as usize] = Some(numbers);
        }
        let made =
            |(given, &n): (Option<Buffer<T>>, &usize)| given.unwrap_or_else(|| Buffer::zeros(n));
        let values = given.into_iter().zip(&tape.slots).map(made).collect();
        let mut program = Program {
            values,
            grads: vec![],
            spare: vec![],
            epoch: 0,
            pool: Places::default(),
            wanted: vec![None; tape.slots.len()],
            saved: tape.saved.iter().map(|&n| Buffer::zeros(n)).collect(),
            ids: tape
                .ids
                .iter()
                .map(|i| match (i.shape.len() as u32, i.counting) {
                    (n, true) => (0..n).collect(),
                    (n, false) => vec![0; n as usize],
                })
                .collect(),
            in_hand: Vec::with_capacity(
                tape.nodes.iter().map(|n| n.inputs.len()).max().unwrap_or(0).max(GRADS),
            ),
            nodes: tape.nodes,
            forward_only: tape.forward_only,
            vars: tape.vars,
            ids_info: tape.ids,
            noise: tape.noise,
        };
        program.mute_noise();
        program
    }

    /// Where the numbers of `x` lie.
    ///
    /// # Panics
    /// If they are not kept.
    #[inline]
    #[track_caller]
    pub(super) fn slot(&self, x: Var) -> Slot {
        let var = &self.vars[x.0 as usize];
        assert!(var.kept, "{x:?} of shape {} was not kept", var.shape);
        var.slot
    }

    /// Checks that all is there that plans are made of: variables, and what operations left.
    #[track_caller]
    pub(super) fn assert_whole(&self) {
        assert!(!self.forward_only, "recorded to be run forward only");
    }

    pub(super) fn slots(&self) -> usize {
        self.values.len()
    }

    /// How many numbers each slot holds.
    pub(super) fn lens(&self) -> Vec<usize> {
        self.values.iter().map(|x| x.len()).collect()
    }

    /// The places of gradients, and by slot those that plans want.
    pub(super) fn kept_gradients(&self) -> (Places, Vec<Option<Place>>) {
        (self.pool.clone(), self.wanted.clone())
    }

    /// Makes room for the gradients of a new plan.
    pub(super) fn keep_gradients(&mut self, pool: Places, wanted: Vec<Option<Place>>) {
        self.grads.resize_with(pool.rooms().len(), Buffer::default);
        for (grad, &room) in self.grads.iter_mut().zip(pool.rooms()) {
            if grad.room() < room {
                let fits = |b: &Buffer<T>| (room..=room + room / 8).contains(&b.room());
                *grad = match self.spare.iter().position(fits) {
                    Some(i) => self.spare.swap_remove(i),
                    None => Buffer::zeros(room),
                };
                grad.set_len(room);
            }
        }
        self.spare.clear();
        (self.pool, self.wanted) = (pool, wanted);
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Forgets all plans of reverse passes, and the gradients they want; what memory the next plan can
    /// use goes over to it.
    pub fn forget_plans(&mut self) {
        self.epoch += 1;
        self.pool = Places::default();
        self.wanted.fill(None);
        self.spare.append(&mut self.grads);
    }

    /// The shape of `x`.
    pub fn shape(&self, x: Var) -> &Shape {
        &self.vars[x.0 as usize].shape
    }

    /// The name `x` was given, if it is a leaf.
    pub fn name(&self, x: Var) -> Option<&str> {
        self.vars[x.0 as usize].name.as_deref()
    }

    /// The names of the recorded operations, in order.
    pub fn operations(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.nodes.iter().map(|n| n.op.name())
    }

    /// The memory it holds, in bytes.
    pub fn bytes(&self) -> usize {
        let numbers = |list: &[Buffer<T>]| list.iter().map(|b| b.room()).sum::<usize>();
        let ids: usize = self.ids.iter().map(Vec::len).sum();
        size_of::<T>() * (numbers(&self.values) + numbers(&self.grads) + numbers(&self.saved))
            + size_of::<u32>() * ids
    }

    /// The numbers of `x`.
    #[inline]
    pub fn value(&self, x: Var) -> &[T] {
        &self.values[self.slot(x) as usize]
    }

    /// The numbers of `x`, to be changed: those of a leaf, or those of a computed variable before a
    /// [`forward_from`](Self::forward_from) that starts behind it.
    #[inline]
    pub fn value_mut(&mut self, x: Var) -> &mut [T] {
        let slot = self.slot(x);
        &mut self.values[slot as usize]
    }

    /// Sets the leaf `x`.
    ///
    /// # Panics
    /// If the length differs.
    #[track_caller]
    pub fn set(&mut self, x: Var, numbers: &[T]) {
        let shape = self.shape(x);
        assert_eq!(numbers.len(), shape.len(), "set {:?} of shape {shape}", self.name(x));
        self.value_mut(x).copy_from_slice(numbers);
    }

    /// Sets the leaf `x` to a buffer, without a copy: [shared](Buffer::share) weights serve any
    /// number of programs.
    ///
    /// # Panics
    /// If the length differs.
    #[track_caller]
    pub fn set_buffer(&mut self, x: Var, numbers: Buffer<T>) {
        let shape = self.shape(x);
        assert_eq!(numbers.len(), shape.len(), "set {:?} of shape {shape}", self.name(x));
        let slot = self.slot(x);
        self.values[slot as usize] = numbers;
    }

    /// Sets whole numbers by `fill`, which has to overwrite all of them.
    ///
    /// # Panics
    /// If one is not below the limit given when they were recorded: operations index with them.
    #[track_caller]
    pub fn fill_ids(&mut self, ids: Ids, fill: impl FnOnce(&mut [u32])) {
        let limit = self.ids_info[ids.0 as usize].limit;
        let list = &mut self.ids[ids.0 as usize];
        fill(list);
        // A maximum over all rather than a search for the first: it vectorises.
        let largest = list.iter().copied().max().unwrap_or(0);
        assert!((largest as usize) < limit.max(1), "id {largest} of at most {limit}");
    }

    /// Sets whole numbers.
    ///
    /// # Panics
    /// If the length differs or one is out of range.
    #[track_caller]
    pub fn set_ids(&mut self, ids: Ids, numbers: &[u32]) {
        self.fill_ids(ids, |list| list.copy_from_slice(numbers));
    }

    /// Draws every [noise](Tape::noise) leaf anew from numbers in [0, 1).
    pub fn draw_noise(&mut self, mut uniform: impl FnMut() -> f64) {
        for Noise { var, keep } in &self.noise {
            let slot = self.vars[var.0 as usize].slot;
            let factor = T::from_f64(1.0 / keep);
            for x in self.values[slot as usize].iter_mut() {
                *x = if uniform() < *keep { factor } else { T::ZERO };
            }
        }
    }

    /// Sets every [noise](Tape::noise) leaf to 1: nothing is dropped.
    pub fn mute_noise(&mut self) {
        for Noise { var, .. } in &self.noise {
            let slot = self.vars[var.0 as usize].slot;
            self.values[slot as usize].fill(T::ONE);
        }
    }

    /// Computes everything from the leaves.
    pub fn forward(&mut self) {
        for node in &self.nodes {
            node.forward(&mut self.values, &self.ids, &mut self.saved);
        }
    }

    /// Computes again what depends on the leaves that `plan` was made for; the rest is as the last
    /// pass left it.
    pub fn forward_from(&mut self, plan: &ForwardPlan) {
        for &i in &plan.nodes {
            self.nodes[i as usize].forward(&mut self.values, &self.ids, &mut self.saved);
        }
    }

    /// Takes over what `longer` has computed, and computes the rest.
    ///
    /// `longer` is the same recording up to where it ends, for a batch of which this one has the
    /// first examples; every tensor it computes has the batch as its first axis. Nothing is copied:
    /// computed variables change hands, so `longer` has to [take them back](Self::exchange) before
    /// it runs again.
    pub fn continue_from(&mut self, longer: &mut Program<T>) {
        self.exchange(longer);
        let shared = longer.nodes.len();
        for (i, node) in self.nodes.iter().enumerate() {
            // An operation may leave nothing for the backward pass where there is much to leave.
            if i >= shared || longer.nodes[i].saves < node.saves {
                node.forward(&mut self.values, &self.ids, &mut self.saved);
            } else {
                self.values[node.out as usize].set_len(node.len);
                self.saved[node.saved as usize].set_len(node.saves);
            }
        }
    }

    /// Exchanges the memory of the variables that both compute, of which one program has recorded
    /// more than the other: after [`continue_from`](Self::continue_from) both are as before.
    pub fn exchange(&mut self, other: &mut Program<T>) {
        for (a, b) in self.nodes.iter().zip(&other.nodes) {
            let same = (a.op.name(), a.out, a.saved) == (b.op.name(), b.out, b.saved);
            assert!(same, "recordings of different models");
            swap(&mut self.values[a.out as usize], &mut other.values[b.out as usize]);
            if (a.saves == 0) == (b.saves == 0) {
                swap(&mut self.saved[a.saved as usize], &mut other.saved[b.saved as usize]);
            }
        }
    }

    /// The gradient of the plan's output, a single number, with respect to what the plan wants.
    ///
    /// # Panics
    /// If the output is not a single number.
    #[track_caller]
    pub fn backward(&mut self, plan: &BackwardPlan) {
        self.backward_from(plan, &[T::ONE]);
    }

    /// The gradient of `<weights, output>`. The weights are read where they are; many of them are
    /// read faster from a [`Buffer`], which is aligned.
    ///
    /// # Panics
    /// If there is not one weight for each number of the output.
    #[track_caller]
    pub fn backward_from(&mut self, plan: &BackwardPlan, weights: &[T]) {
        assert_eq!(plan.epoch, self.epoch, "a plan that was forgotten");
        assert_eq!(weights.len(), plan.output_len, "weights of the output");
        if let Some(place) = plan.output_place {
            self.grads[place as usize].set_len(weights.len());
            self.grads[place as usize].copy_from_slice(weights);
        }
        for &place in &plan.unreached {
            self.grads[place as usize].fill(T::ZERO);
        }
        for step in &plan.steps {
            let node = &self.nodes[step.node as usize];
            // Gradients leave the list while they are written; no two of a node share a place.
            for target in &step.targets {
                let grad = target.as_ref().map(|target| {
                    let Target { write, place, len, .. } = *target;
                    let mut data = take(&mut self.grads[place as usize]);
                    data.set_len(len);
                    Grad { data, write, within: target.within.clone() }
                });
                self.in_hand.push(grad);
            }
            while self.in_hand.len() < GRADS {
                self.in_hand.push(None);
            }
            node.op.backward(Backward {
                values: &self.values,
                all_ids: &self.ids,
                inputs: &node.inputs,
                ids: &node.ids,
                out: node.out,
                grad_out: step.out.map_or(weights, |place| &self.grads[place as usize]),
                saved: &self.saved[node.saved as usize],
                grads: &mut self.in_hand,
            });
            for (grad, target) in self.in_hand.drain(..).zip(&step.targets) {
                if let (Some(grad), Some(target)) = (grad, target) {
                    self.grads[target.place as usize] = grad.data;
                }
            }
        }
    }

    /// What the operation of this name that computed `x` left for the reverse pass.
    ///
    /// # Panics
    /// If another operation did, or `x` is a leaf, or the program was recorded to be run forward
    /// only: then operations share that memory.
    #[track_caller]
    pub fn left_by(&self, operation: &str, x: Var) -> &[T] {
        self.assert_whole();
        let slot = self.slot(x);
        let node = self.nodes.iter().find(|node| node.out == slot && node.op.name() == operation);
        let node = node.unwrap_or_else(|| panic!("{x:?} was not computed by `{operation}`"));
        &self.saved[node.saved as usize]
    }

    /// The gradient with respect to `x`, as the last reverse pass left it.
    ///
    /// # Panics
    /// If no plan wants it.
    #[inline]
    #[track_caller]
    pub fn grad(&self, x: Var) -> &[T] {
        &self.grads[self.wanted_place(x)]
    }

    /// The numbers of the leaf `x` beside their gradient, for an optimiser.
    ///
    /// # Panics
    /// If no plan wants the gradient.
    #[inline]
    #[track_caller]
    pub fn value_and_grad_mut(&mut self, x: Var) -> (&mut [T], &mut [T]) {
        let (slot, place) = (self.slot(x) as usize, self.wanted_place(x));
        (&mut self.values[slot], &mut self.grads[place])
    }

    #[inline]
    #[track_caller]
    fn wanted_place(&self, x: Var) -> usize {
        let place = self.wanted[self.slot(x) as usize];
        place.unwrap_or_else(|| panic!("no plan wants the gradient of {x:?}")) as usize
    }
}
