//! Plans: the operations that a pass has to run, determined once and used at every replay.

use super::chain::dependents;
use super::reuse::{Place, Places};
use super::{Node, Program, Rules, Slot, TapeId, Var, Window};
use crate::gemm::Write;
use crate::tensor::Element;
use std::sync::Arc;

/// The operations that depend on some leaves; see [`Program::plan_forward`].
#[derive(Clone, Debug)]
pub struct ForwardPlan {
    /// The recording it is of.
    pub(super) tape: TapeId,
    /// Operations in their order, and whether each is run; of the others only the memory that they
    /// hand on is of interest.
    pub(super) nodes: Vec<(u32, bool)>,
}

impl ForwardPlan {
    /// The number of operations it runs.
    pub fn len(&self) -> usize {
        self.nodes.iter().filter(|(_, runs)| *runs).count()
    }

    /// Whether it runs no operation.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same pass without the operations that compute `stale`: variables that depend on the
    /// changed leaves but are not read.
    #[must_use]
    pub fn without<T: Element>(mut self, program: &Program<T>, stale: &[Var]) -> ForwardPlan {
        let marks = program.marks(stale);
        for (i, runs) in &mut self.nodes {
            *runs &= !marks[program.nodes[*i as usize].out as usize];
        }
        self.nodes.retain(|&(i, runs)| runs || program.nodes[i as usize].hands_on());
        self
    }

    /// The same pass up to the operation that computes `x`.
    ///
    /// # Panics
    /// If variables of the program share memory.
    #[must_use]
    pub fn until<T: Element>(mut self, program: &Program<T>, x: Var) -> ForwardPlan {
        program.assert_whole();
        let last = program.slot(x);
        let end = self.nodes.iter().position(|&(i, _)| program.nodes[i as usize].out == last);
        self.nodes.truncate(end.map_or(0, |end| end + 1));
        self
    }
}

/// The reverse pass from one output to some leaves; see [`Program::plan_backward`].
#[derive(Clone, Debug)]
pub struct BackwardPlan {
    /// The recording it is of.
    pub(super) tape: TapeId,
    pub(super) output_len: usize,
    /// Where the gradient of the output is stored, if it is requested.
    pub(super) output_place: Option<Place>,
    pub(super) steps: Vec<Step>,
    /// Requested variables that the output does not depend on: their gradient is zero.
    pub(super) unreached: Vec<Place>,
    wanted: Vec<Slot>,
    output_slot: Slot,
    pub(super) rules: Rules,
    /// The epoch of the gradient memory it was made for.
    pub(super) epoch: u32,
    /// Before which steps gradients take over the memory of values that no later step reads.
    pub(super) loans: Vec<Loan>,
}

/// Memory of a variable's values that a gradient takes over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loan {
    /// The index of the step that writes the gradient first.
    pub(super) step: usize,
    pub(super) from: Slot,
    pub(super) to: Place,
}

/// An operation of the reverse pass.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) node: u32,
    /// Where the gradient of its output is; `None` for the gradient that the pass is given.
    pub(super) out: Option<Place>,
    /// How each input's gradient is written; `None` if it is not requested.
    pub(super) targets: Box<[Option<Target>]>,
}

/// How a gradient is written, and where.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) write: Write,
    pub(super) place: Place,
    pub(super) len: usize,
    pub(super) within: Option<Arc<[Window]>>,
}

impl BackwardPlan {
    /// The number of operations it runs.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether it runs no operation.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether it leads from `output`.
    pub fn starts_at<T: Element>(&self, program: &Program<T>, output: Var) -> bool {
        program.slot_of(output) == self.output_slot
    }

    /// The same pass by other [rules](super::rules).
    #[must_use]
    pub fn by(mut self, rules: Rules) -> BackwardPlan {
        self.rules = rules;
        self
    }

    /// The same pass, adding to the gradients of the requested variables instead of replacing them:
    /// for all but the first part of a batch.
    ///
    /// # Panics
    /// If a requested variable is the output, or an operation reads its gradient: only leaves can
    /// accumulate.
    pub fn accumulating<T: Element>(&self, program: &Program<T>) -> BackwardPlan {
        assert!(
            !self.wanted.contains(&self.output_slot),
            "the output's gradient is set, not summed"
        );
        let mut plan = self.clone();
        plan.unreached.clear();
        for step in &mut plan.steps {
            let node = &program.nodes[step.node as usize];
            assert!(!self.wanted.contains(&node.out), "only leaves can accumulate");
            for (target, slot) in step.targets.iter_mut().zip(&node.inputs) {
                if let Some(target) = target
                    && self.wanted.contains(slot)
                {
                    target.write = Write::Add;
                }
            }
        }
        plan
    }
}

impl<T: Element> Program<T> {
    /// The operations to run again when only `changed` have changed: leaves, or computed variables.
    ///
    /// In a program whose variables share memory, these are all but those that compute `changed`,
    /// unless it was [recorded for it](super::Tape::keep_from).
    ///
    /// # Panics
    /// If the values of one that is computed are not kept.
    pub fn plan_forward(&self, changed: &[Var]) -> ForwardPlan {
        let given: Vec<Slot> = changed.iter().map(|&x| self.slot(x)).collect();
        let tape = self.tape();
        if !self.runs_from(&given) {
            let others = |&(_, node): &(usize, &Node<T>)| !given.contains(&node.out);
            let nodes = self.nodes.iter().enumerate().filter(others);
            return ForwardPlan { tape, nodes: nodes.map(|(i, _)| (i as u32, true)).collect() };
        }
        let runs = dependents(&self.nodes, &mut self.marks(changed)).into_iter().enumerate();
        let nodes = runs.filter(|&(i, runs)| runs || self.nodes[i].hands_on());
        ForwardPlan { tape, nodes: nodes.map(|(i, runs)| (i as u32, runs)).collect() }
    }

    /// The reverse pass for the gradient of `output` with respect to the `wanted` variables; it
    /// runs only operations that some of them need.
    pub fn plan_backward(&mut self, output: Var, wanted: &[Var]) -> BackwardPlan {
        self.plan(output, wanted, &[], &[])
    }

    /// [`plan_backward`](Self::plan_backward), restricted to some windows of some matrices. Their
    /// [gradient](Program::grad) then consists of the windows one after the other, each in
    /// row-major order; no more of it is computed or stored. The alternative, a leaf for each
    /// window, would break up every product of the forward pass.
    ///
    /// # Panics
    /// If such a variable is not in `wanted`, is not a matrix or vector (a vector counts as a row),
    /// has a window that extends beyond it, or is read by an operation that cannot compute windows.
    #[track_caller]
    pub fn plan_backward_within(
        &mut self,
        output: Var,
        wanted: &[Var],
        within: &[(Var, Arc<[Window]>)],
    ) -> BackwardPlan {
        for (x, windows) in within {
            let shape = self.shape(*x);
            let whole = Window::whole(shape.rows(), shape.last());
            assert!(shape.rank() <= 2, "windows of {shape}");
            assert!(windows.iter().all(|w| whole.contains(w)), "{windows:?} of {shape}");
            assert!(wanted.contains(x), "windows of what is not wanted");
            if let Some(name) = self.refuses_windows(*x) {
                panic!("{name} knows no windows");
            }
        }
        self.plan(output, wanted, &[], within)
    }

    /// The first operation that can only give the whole gradient of `x`, if there is one: then a
    /// plan cannot ask for [windows](Self::plan_backward_within) of it.
    pub fn refuses_windows(&self, x: Var) -> Option<&'static str> {
        let slot = self.slot(x);
        let refuses = |node: &&Node<T>| {
            let at = node.inputs.iter().position(|&input| input == slot);
            at.is_some_and(|i| !node.op.takes_windows(i))
        };
        self.nodes.iter().find(refuses).map(|node| node.op.name())
    }

    /// [`plan_backward`](Self::plan_backward) with the variables `fixed` as constants: no gradient
    /// flows through them. For values patched over computed ones.
    pub fn plan_backward_above(
        &mut self,
        output: Var,
        wanted: &[Var],
        fixed: &[Var],
    ) -> BackwardPlan {
        self.plan(output, wanted, fixed, &[])
    }

    fn plan(
        &mut self,
        output: Var,
        wanted: &[Var],
        fixed: &[Var],
        within: &[(Var, Arc<[Window]>)],
    ) -> BackwardPlan {
        let output_slot = self.slot_of(output);
        let list: Vec<Slot> = wanted.iter().map(|&x| self.slot_of(x)).collect();
        match (fixed, within) {
            ([], []) => self.assert_runs(output_slot, &list),
            _ => self.assert_whole(),
        }
        let fixed = self.marks(fixed);
        // Forward: what depends on a wanted variable. Backward: what of that the output depends on.
        let mut wants = self.marks(wanted);
        for node in &self.nodes {
            let out = node.out as usize;
            wants[out] |= !fixed[out] && node.inputs.iter().any(|&x| wants[x as usize]);
        }
        let wanted = list;
        let mut memory = GradientMemory::new(self, &wanted, within);
        // The given gradient is read in place.
        let output_place = memory.kept[output_slot as usize];
        memory.places[output_slot as usize] = output_place;
        let mut steps = vec![];
        for (i, node) in self.nodes.iter().enumerate().rev() {
            let out = node.out as usize;
            let place = memory.places[out];
            if place.is_none() && node.out != output_slot {
                continue;
            }
            if wants[out] && !fixed[out] && node.inputs.iter().any(|&x| wants[x as usize]) {
                let target = |&x: &Slot| wants[x as usize].then(|| memory.target(x));
                let targets = node.inputs.iter().map(target).collect();
                steps.push(Step { node: i as u32, out: place, targets });
            }
            memory.release(node.out);
        }
        let lone = wanted.iter().filter(|&&x| memory.places[x as usize].is_none());
        let unreached = lone.map(|&x| memory.kept[x as usize].expect("wanted")).collect();
        let loans = self.loans(&steps, &memory);
        let GradientMemory { mut pool, kept, .. } = memory;
        loans.iter().for_each(|loan| pool.give_up(loan.to));
        self.keep_gradients(pool, kept);
        let (output_len, epoch) = (self.lens()[output_slot as usize], self.epoch());
        let rules = Rules::Plain;
        BackwardPlan {
            tape: self.tape(),
            output_len,
            output_place,
            steps,
            unreached,
            wanted,
            output_slot,
            rules,
            epoch,
            loans,
        }
    }

    /// Which requested gradients of a program with one reverse pass take over the memory of which
    /// values: each the smallest that is large enough and that no step from its first on reads.
    fn loans(&self, steps: &[Step], memory: &GradientMemory) -> Vec<Loan> {
        let Some((reread, rules)) = self.reread() else { return vec![] };
        let mut last = vec![0; reread.len()];
        for (i, step) in steps.iter().enumerate() {
            let node = &self.nodes[step.node as usize];
            let wants: Vec<bool> = step.targets.iter().map(Option::is_some).collect();
            let of = |&(at, _): &(usize, &Slot)| node.op.rereads(at, &wants, rules);
            let inputs = node.inputs.iter().enumerate().filter(of).map(|(_, &x)| x);
            let out = node.op.rereads_output(rules).then_some(node.out);
            inputs.chain(out).for_each(|x| last[x as usize] = i);
        }
        let requested: Vec<Place> = memory.kept.iter().copied().flatten().collect();
        let (mut free, mut loans) = (reread.to_vec(), vec![]);
        for (step, at) in steps.iter().enumerate() {
            for target in at.targets.iter().flatten().filter(|t| t.write == Write::Store) {
                let fits = |&x: &usize| free[x] && last[x] < step && self.lens()[x] >= target.len;
                if let (true, Some(from)) = (
                    requested.contains(&target.place),
                    (0..free.len()).filter(fits).min_by_key(|&x| self.lens()[x]),
                ) {
                    free[from] = false;
                    loans.push(Loan { step, from: from as Slot, to: target.place });
                }
            }
        }
        loans
    }

    pub(super) fn marks(&self, vars: &[Var]) -> Vec<bool> {
        let mut marks = vec![false; self.slots()];
        for &x in vars {
            marks[self.slot_of(x) as usize] = true;
        }
        marks
    }
}

/// Where gradients are in one reverse pass. Requested ones, of this and of earlier plans, have
/// places of their own; the others share places, each from its first contribution until it is
/// passed on.
struct GradientMemory {
    pool: Places,
    /// By slot, the places of requested gradients.
    kept: Vec<Option<Place>>,
    /// By slot, where the gradient is in this pass; `None` before its first contribution.
    places: Vec<Option<Place>>,
    lens: Vec<usize>,
    /// By slot, the requested windows, if not all of it.
    within: Vec<Option<Arc<[Window]>>>,
}

impl GradientMemory {
    fn new<T: Element>(
        program: &Program<T>,
        wanted: &[Slot],
        windows: &[(Var, Arc<[Window]>)],
    ) -> Self {
        let (mut pool, mut kept) = program.kept_gradients();
        let mut lens = program.lens().to_vec();
        let mut within = vec![None; lens.len()];
        for (x, windows) in windows {
            let slot = program.slot(*x) as usize;
            lens[slot] = windows.iter().map(Window::len).sum();
            let known = kept[slot].is_some();
            assert!(!known, "a plan wants all of the gradient: forget it before");
            within[slot] = Some(windows.clone());
        }
        for &x in wanted {
            kept[x as usize].get_or_insert_with(|| pool.own(lens[x as usize]));
        }
        GradientMemory { places: vec![None; kept.len()], pool, kept, lens, within }
    }

    /// How to write the next contribution to the gradient of `x`.
    fn target(&mut self, x: Slot) -> Target {
        let len = self.lens[x as usize];
        let at = &mut self.places[x as usize];
        let write = if at.is_none() { Write::Store } else { Write::Add };
        let place =
            *at.get_or_insert_with(|| self.kept[x as usize].unwrap_or_else(|| self.pool.take(len)));
        Target { write, place, len, within: self.within[x as usize].clone() }
    }

    /// The gradient of `x` has been passed on.
    fn release(&mut self, x: Slot) {
        if let (None, Some(place)) = (self.kept[x as usize], self.places[x as usize]) {
            self.pool.give_back(place);
        }
    }
}
