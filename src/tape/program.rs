//! A recording that can be run: forward, partly forward, and backward.

use super::op::GRADS;
use super::plan::Target;
use super::reuse::{Place, Places};
use super::{
    Backward, BackwardPlan, ForwardPlan, Grad, Ids, IdsInfo, Node, Noise, Passes, Rules, Slot,
    Tape, TapeId, Var, VarInfo, ids_info, info,
};
use crate::gemm::Mat;
use crate::tensor::{Buffer, Element, Shape};
use std::mem::{swap, take};

/// A recorded computation with all its memory.
///
/// Values are valid after [`forward`](Self::forward), gradients after [`backward`](Self::backward).
/// Neither allocates.
pub struct Program<T> {
    tape: TapeId,
    /// Whether values were computed, which gradients are taken from.
    ran: bool,
    pub(super) nodes: Vec<Node<T>>,
    /// The passes it can run; all, unless variables share memory.
    passes: Passes,
    vars: Vec<VarInfo>,
    ids_info: Vec<IdsInfo>,
    noise: Vec<Noise>,
    /// By slot, the number of elements.
    lens: Vec<usize>,
    /// By slot.
    values: Vec<Buffer<T>>,
    /// By place.
    grads: Vec<Buffer<T>>,
    /// Gradient buffers released by dropped plans, kept for reuse.
    spare: Vec<Buffer<T>>,
    /// How often plans were dropped.
    epoch: u32,
    /// The places of the gradients, and which of them may be shared.
    pool: Places,
    /// By slot, the place of a gradient that a plan asks for.
    wanted: Vec<Option<Place>>,
    /// What operations saved for the backward pass.
    saved: Vec<Buffer<T>>,
    ids: Vec<Vec<u32>>,
    /// Gradients while an operation writes them, as many as any operation has inputs.
    in_hand: Vec<Option<Grad<T>>>,
    /// Those of the last reverse pass.
    rules: Rules,
    /// Values whose memory gradients have taken over.
    lent: Vec<(Slot, Place)>,
}

impl<T: Element> Program<T> {
    pub(super) fn new(tape: Tape<T>) -> Self {
        let mut given: Vec<Option<Buffer<T>>> = tape.slots.iter().map(|_| None).collect();
        for (x, values) in tape.given {
            given[info(&tape.vars, tape.id, x).slot as usize] = Some(values);
        }
        let made =
            |(given, &n): (Option<Buffer<T>>, &usize)| given.unwrap_or_else(|| Buffer::zeros(n));
        let values =
            given.into_iter().zip(tape.rooms.as_ref().unwrap_or(&tape.slots)).map(made).collect();
        let mut program = Program {
            tape: tape.id,
            ran: false,
            values,
            grads: vec![],
            spare: vec![],
            epoch: 0,
            pool: Places::default(),
            wanted: vec![None; tape.slots.len()],
            lens: tape.slots,
            saved: tape.saved.iter().map(|&n| Buffer::zeros(n)).collect(),
            ids: tape
                .ids
                .iter()
                .map(|i| match (i.shape.len() as u32, i.counting) {
                    (n, true) => (0..n).collect(),
                    (n, false) => vec![0; n as usize],
                })
                .collect(),
            in_hand: {
                let most = tape.nodes.iter().map(|n| n.inputs.len()).max().unwrap_or(0);
                (0..most.max(GRADS)).map(|_| None).collect()
            },
            nodes: tape.nodes,
            rules: Rules::Plain,
            lent: vec![],
            passes: tape.passes,
            vars: tape.vars,
            ids_info: tape.ids,
            noise: tape.noise,
        };
        program.mute_noise();
        program
    }

    /// The slot of `x`.
    ///
    /// # Panics
    /// If its values are not kept, or it is of another tape.
    #[inline]
    #[track_caller]
    pub(super) fn slot(&self, x: Var) -> Slot {
        let var = info(&self.vars, self.tape, x);
        assert!(var.kept, "{} was not kept", self.describe(x));
        var.slot
    }

    /// The same where only a gradient is asked for.
    #[inline]
    #[track_caller]
    pub(super) fn slot_of(&self, x: Var) -> Slot {
        info(&self.vars, self.tape, x).slot
    }

    /// What panics call `x`: a leaf by its name, another by the operation that computes it.
    fn describe(&self, x: Var) -> String {
        let VarInfo { name, shape, slot, .. } = info(&self.vars, self.tape, x);
        let by = self.nodes.iter().find(|node| node.out == *slot);
        match (name, by) {
            (Some(name), _) => format!("the leaf `{name}` {shape}"),
            (None, Some(node)) => format!("the output of `{}` {shape}", node.op.name()),
            (None, None) => format!("a leaf as {shape}"),
        }
    }

    /// The recording that plans have to be made of.
    pub(super) fn tape(&self) -> TapeId {
        self.tape
    }

    /// Checks that the program can run any pass: no memory is shared.
    #[track_caller]
    pub(super) fn assert_whole(&self) {
        let forward = matches!(self.passes, Passes::Forward | Passes::From(_));
        assert!(!forward, "recorded to be run forward only");
        assert!(self.passes == Passes::All, "recorded for one reverse pass");
    }

    /// Whether it can compute what depends on these slots alone.
    pub(super) fn runs_from(&self, changed: &[Slot]) -> bool {
        match &self.passes {
            Passes::All => true,
            Passes::From(starts) => matches!(changed, [one] if starts.contains(one)),
            Passes::Forward | Passes::Reverse { .. } => false,
        }
    }

    /// By slot, whether its values are needed for the one reverse pass alone, and its rules.
    pub(super) fn reread(&self) -> Option<(&[bool], Rules)> {
        match &self.passes {
            Passes::Reverse { reread, rules, .. } => Some((reread, *rules)),
            _ => None,
        }
    }

    /// Checks that the program can run a reverse pass from `output` to `wanted`.
    #[track_caller]
    pub(super) fn assert_runs(&self, output: Slot, wanted: &[Slot]) {
        match &self.passes {
            Passes::Reverse { output: of, wanted: all, .. } => {
                let mine = *of == output && wanted.iter().all(|x| all.contains(x));
                assert!(mine, "recorded for another reverse pass");
                assert!(self.wanted.iter().all(Option::is_none), "recorded for one plan");
            }
            _ => self.assert_whole(),
        }
    }

    pub(super) fn slots(&self) -> usize {
        self.values.len()
    }

    /// The number of elements of each slot.
    pub(super) fn lens(&self) -> &[usize] {
        &self.lens
    }

    /// The places of gradients, and by slot those that plans ask for.
    pub(super) fn kept_gradients(&self) -> (Places, Vec<Option<Place>>) {
        (self.pool.clone(), self.wanted.clone())
    }

    /// Allocates the gradients of a new plan.
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

    /// Drops all plans of reverse passes and their gradients; the next plan reuses the memory.
    pub fn forget_plans(&mut self) {
        self.epoch += 1;
        self.pool = Places::default();
        self.wanted.fill(None);
        self.spare.append(&mut self.grads);
    }

    /// The shape of `x`.
    ///
    /// # Panics
    /// If `x` is of another tape, as every other function that takes one.
    #[track_caller]
    pub fn shape(&self, x: Var) -> &Shape {
        &info(&self.vars, self.tape, x).shape
    }

    /// The name of `x`, if it is a leaf.
    pub fn name(&self, x: Var) -> Option<&str> {
        info(&self.vars, self.tape, x).name.as_deref()
    }

    /// The names of the recorded operations, in order.
    pub fn operations(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.nodes.iter().map(|n| n.op.name())
    }

    /// The memory of the program, in bytes.
    pub fn bytes(&self) -> usize {
        let elements = |list: &[Buffer<T>]| list.iter().map(|b| b.room()).sum::<usize>();
        let ids: usize = self.ids.iter().map(Vec::len).sum();
        size_of::<T>() * (elements(&self.values) + elements(&self.grads) + elements(&self.saved))
            + size_of::<u32>() * ids
    }

    /// The elements of `x`, in row-major order of its [`shape`](Self::shape).
    #[inline]
    #[track_caller]
    pub fn value(&self, x: Var) -> &[T] {
        &self.values[self.slot(x) as usize]
    }

    /// The elements of `x`, taken out of a program that is not run again.
    #[track_caller]
    pub fn take(&mut self, x: Var) -> Buffer<T> {
        let slot = self.slot(x);
        take(&mut self.values[slot as usize])
    }

    /// The elements of `x` as a matrix, for products: in the order that its buffer has.
    ///
    /// # Panics
    /// If there are fewer elements.
    #[inline]
    #[track_caller]
    pub fn matrix(&self, x: Var, rows: usize, cols: usize) -> Mat<'_, T> {
        self.values[self.slot(x) as usize].matrix(rows, cols)
    }

    /// The elements of `x`, mutably: of a leaf, or of a computed variable before a
    /// [`forward_from`](Self::forward_from) that starts after it.
    #[inline]
    #[track_caller]
    pub fn value_mut(&mut self, x: Var) -> &mut [T] {
        let slot = self.slot(x);
        &mut self.values[slot as usize]
    }

    /// Sets the leaf `x` to `values`, in row-major order.
    ///
    /// # Panics
    /// If the length differs.
    #[track_caller]
    pub fn set(&mut self, x: Var, values: &[T]) {
        let shape = self.shape(x);
        assert_eq!(values.len(), shape.len(), "set {}", self.describe(x));
        self.value_mut(x).copy_from_slice(values);
    }

    /// Sets the leaf `x` to a buffer, in row-major order, without a copy: [shared](Buffer::share)
    /// weights serve any number of programs.
    ///
    /// # Panics
    /// If the length differs.
    #[track_caller]
    pub fn set_buffer(&mut self, x: Var, values: Buffer<T>) {
        let shape = self.shape(x);
        assert_eq!(values.len(), shape.len(), "set {}", self.describe(x));
        let slot = self.slot(x);
        self.values[slot as usize] = values;
    }

    /// Sets ids by `fill`, which must overwrite all of them.
    ///
    /// # Panics
    /// If one is not below the limit given when they were recorded: operations use them as indices.
    #[track_caller]
    pub fn fill_ids(&mut self, ids: Ids, fill: impl FnOnce(&mut [u32])) {
        let limit = ids_info(&self.ids_info, self.tape, ids).limit;
        let list = &mut self.ids[ids.at as usize];
        fill(list);
        refuse_beyond(list, limit);
    }

    /// Sets ids to `values`, in row-major order.
    ///
    /// # Panics
    /// If the length differs or an id is not below the limit.
    #[track_caller]
    pub fn set_ids(&mut self, ids: Ids, values: &[u32]) {
        self.fill_ids(ids, |list| list.copy_from_slice(values));
    }

    /// Draws every [noise](Tape::noise) leaf from `uniform`, which returns values in [0, 1).
    pub fn draw_noise(&mut self, mut uniform: impl FnMut() -> f64) {
        for Noise { var, keep } in &self.noise {
            let slot = info(&self.vars, self.tape, *var).slot;
            let factor = T::from_f64(1.0 / keep);
            for x in self.values[slot as usize].iter_mut() {
                *x = if uniform() < *keep { factor } else { T::ZERO };
            }
        }
    }

    /// Sets every [noise](Tape::noise) leaf to 1: nothing is dropped.
    pub fn mute_noise(&mut self) {
        for Noise { var, .. } in &self.noise {
            let slot = info(&self.vars, self.tape, *var).slot;
            self.values[slot as usize].fill(T::ONE);
        }
    }

    /// Computes all variables from the leaves.
    pub fn forward(&mut self) {
        self.take_back();
        for node in &self.nodes {
            node.forward(&mut self.values, &self.ids, &mut self.saved);
        }
    }

    /// Computes again what depends on the leaves that `plan` was made for; all else keeps the
    /// values of the last pass.
    ///
    /// # Panics
    /// If the plan is another program's.
    #[track_caller]
    pub fn forward_from(&mut self, plan: &ForwardPlan) {
        assert_eq!(plan.tape, self.tape, "the plan of another program");
        self.take_back();
        for &(i, runs) in &plan.nodes {
            let node = &self.nodes[i as usize];
            match runs {
                true => node.forward(&mut self.values, &self.ids, &mut self.saved),
                false => node.hand_on(&mut self.values),
            }
        }
    }

    /// Begins a forward pass: gradients give memory of values back.
    fn take_back(&mut self) {
        self.ran = true;
        for (slot, place) in self.lent.drain(..) {
            swap(&mut self.values[slot as usize], &mut self.grads[place as usize]);
        }
    }

    /// Takes over what `longer` has computed, and computes the rest.
    ///
    /// `longer` is the same recording up to its own end, for a batch whose first examples are the
    /// batch of this one; every tensor it computes has the batch as its first axis. Nothing is
    /// copied: the programs swap the memory of computed variables, so `longer` must [take it
    /// back](Self::exchange) before it runs again. Clean and corrupted sequences run as one batch
    /// this way, and the reverse pass covers the clean ones alone, at half the cost of one over
    /// both.
    pub fn continue_from(&mut self, longer: &mut Program<T>) {
        self.exchange(longer);
        self.ran = true;
        let shared = longer.nodes.len();
        for (i, node) in self.nodes.iter().enumerate() {
            // A large operation may save nothing for the backward pass.
            if i >= shared || longer.nodes[i].saves < node.saves {
                node.forward(&mut self.values, &self.ids, &mut self.saved);
            } else {
                self.values[node.out as usize].set_len(node.len);
                self.saved[node.saved as usize].set_len(node.saves);
            }
        }
    }

    /// Swaps the memory of the variables that both programs compute, one of which has recorded more
    /// than the other: after [`continue_from`](Self::continue_from) this restores both.
    pub fn exchange(&mut self, other: &mut Program<T>) {
        self.assert_whole();
        other.assert_whole();
        for (a, b) in self.nodes.iter().zip(&other.nodes) {
            let same = (a.op.name(), a.out, a.saved) == (b.op.name(), b.out, b.saved);
            assert!(same, "recordings of different models");
            swap(&mut self.values[a.out as usize], &mut other.values[b.out as usize]);
            if (a.saves == 0) == (b.saves == 0) {
                swap(&mut self.saved[a.saved as usize], &mut other.saved[b.saved as usize]);
            }
        }
    }

    /// Computes the gradient of the plan's output, a scalar, with respect to the plan's variables.
    ///
    /// # Panics
    /// If the output is not a scalar, and as [`backward_from`](Self::backward_from).
    #[track_caller]
    pub fn backward(&mut self, plan: &BackwardPlan) {
        self.backward_from(plan, &[T::ONE]);
    }

    /// Computes the gradient of `<weights, output>`, weights in row-major order of the output. The
    /// weights are read in place; many of them are read faster from a [`Buffer`], which is aligned.
    ///
    /// # Panics
    /// If there is not one weight for each element of the output, the plan is another program's, or
    /// nothing was computed yet.
    #[track_caller]
    pub fn backward_from(&mut self, plan: &BackwardPlan, weights: &[T]) {
        assert_eq!(plan.tape, self.tape, "the plan of another program");
        if let (false, Some(step)) = (self.ran, plan.steps.first()) {
            let operation = self.nodes[step.node as usize].op.name();
            panic!("backward before forward: `{operation}` has computed nothing yet");
        }
        assert_eq!(plan.epoch, self.epoch, "a plan that was forgotten");
        if let Passes::Reverse { rules, .. } = &self.passes {
            assert_eq!(plan.rules, *rules, "recorded for a reverse pass by other rules");
        }
        assert_eq!(weights.len(), plan.output_len, "weights of the output");
        self.rules = plan.rules;
        // Of a program for one reverse pass, values are gone after it.
        self.ran = self.passes == Passes::All;
        if let Some(place) = plan.output_place {
            self.grads[place as usize].set_len(weights.len());
            self.grads[place as usize].copy_from_slice(weights);
        }
        for &place in &plan.unreached {
            self.grads[place as usize].fill(T::ZERO);
        }
        let mut loans = plan.loans.iter().peekable();
        for (i, step) in plan.steps.iter().enumerate() {
            while let Some(loan) = loans.next_if(|loan| loan.step == i) {
                let (slot, place) = (loan.from, loan.to);
                swap(&mut self.values[slot as usize], &mut self.grads[place as usize]);
                self.lent.push((slot, place));
            }
            let node = &self.nodes[step.node as usize];
            // Gradients are taken out of the list while they are written; no two of a node share a
            // place.
            for (hand, target) in self.in_hand.iter_mut().zip(&step.targets) {
                *hand = target.as_ref().map(|target| {
                    let Target { write, place, len, .. } = *target;
                    let mut data = take(&mut self.grads[place as usize]);
                    data.set_len(len);
                    Grad { data, write, within: target.within.clone() }
                });
            }
            node.op.backward(Backward {
                values: &self.values,
                all_ids: &self.ids,
                inputs: &node.inputs,
                ids: &node.ids,
                out: node.out,
                rules: plan.rules,
                grad_out: step.out.map_or(weights, |place| &self.grads[place as usize]),
                saved: &self.saved[node.saved as usize],
                grads: &mut self.in_hand,
            });
            for (hand, target) in self.in_hand.iter_mut().zip(&step.targets) {
                if let (Some(grad), Some(target)) = (hand.take(), target) {
                    self.grads[target.place as usize] = grad.data;
                }
            }
        }
    }

    /// The [rules](super::rules) of the last reverse pass.
    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// What the operation of this name that computed `x` saved for the reverse pass.
    ///
    /// # Panics
    /// If another operation computed `x`, `x` is a leaf, or the program only runs forward: then
    /// operations share that memory.
    #[track_caller]
    pub fn left_by(&self, operation: &str, x: Var) -> &[T] {
        self.assert_whole();
        let slot = self.slot(x);
        let node = self.nodes.iter().find(|node| node.out == slot && node.op.name() == operation);
        let node = node
            .unwrap_or_else(|| panic!("{} was not computed by `{operation}`", self.describe(x)));
        &self.saved[node.saved as usize]
    }

    /// The gradient with respect to `x` from the last reverse pass, in row-major order, or its
    /// windows one after the other.
    ///
    /// # Panics
    /// If no plan asks for it.
    #[inline]
    #[track_caller]
    pub fn grad(&self, x: Var) -> &[T] {
        &self.grads[self.wanted_place(x)]
    }

    /// The elements of the leaf `x` and their gradient, for an optimizer.
    ///
    /// # Panics
    /// If no plan asks for the gradient.
    #[inline]
    #[track_caller]
    pub fn value_and_grad_mut(&mut self, x: Var) -> (&mut [T], &mut [T]) {
        let (slot, place) = (self.slot(x) as usize, self.wanted_place(x));
        (&mut self.values[slot], &mut self.grads[place])
    }

    #[inline]
    #[track_caller]
    fn wanted_place(&self, x: Var) -> usize {
        let place = self.wanted[self.slot_of(x) as usize];
        place.unwrap_or_else(|| panic!("no plan wants the gradient of {}", self.describe(x)))
            as usize
    }
}

/// Panics if one of the ids `list` is not below `limit`; apart, because who fills them is compiled
/// with each way to do so.
#[track_caller]
fn refuse_beyond(list: &[u32], limit: usize) {
    // The maximum of all instead of a search for the first: it vectorises.
    let largest = list.iter().copied().max().unwrap_or(0);
    assert!((largest as usize) < limit.max(1), "id {largest} of at most {limit}");
}
