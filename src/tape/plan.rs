//! Which operations a pass has to run: found once, followed at every replay.

use super::reuse::{Place, Places};
use super::{Node, Program, Slot, Var, Window};
use crate::gemm::Write;
use crate::tensor::Element;
use std::sync::Arc;

/// The operations that depend on some leaves; see [`Program::plan_forward`].
#[derive(Clone, Debug)]
pub struct ForwardPlan {
    pub(super) nodes: Vec<u32>,
}

impl ForwardPlan {
    /// How many operations it runs.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it runs none.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The same pass without the operations that compute `stale`: for what nobody will look at,
    /// although it depends on what has changed.
    #[must_use]
    pub fn without<T: Element>(mut self, program: &Program<T>, stale: &[Var]) -> ForwardPlan {
        let marks = program.marks(stale);
        self.nodes.retain(|&i| !marks[program.nodes[i as usize].out as usize]);
        self
    }
}

/// The reverse walk from one output to some leaves; see [`Program::plan_backward`].
#[derive(Clone, Debug)]
pub struct BackwardPlan {
    pub(super) output_len: usize,
    /// Where the gradient of the output is kept, if somebody wants it.
    pub(super) output_place: Option<Place>,
    pub(super) steps: Vec<Step>,
    /// Wanted variables that the output does not depend on: their gradient is zero.
    pub(super) unreached: Vec<Place>,
    wanted: Vec<Slot>,
    output_slot: Slot,
    /// Which memory for gradients it was made for.
    pub(super) epoch: u32,
}

/// One operation of the reverse walk.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) node: u32,
    /// Where the gradient of what it computed lies; `None` for the gradient that the walk is given.
    pub(super) out: Option<Place>,
    /// How each input's gradient is written; `None` where nobody wants it.
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
    /// How many operations it runs.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether it runs none.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The same walk, which adds to the gradients of the wanted variables instead of replacing
    /// them: for the second part of a batch and on.
    ///
    /// # Panics
    /// If a wanted variable is the output, or an operation reads its gradient: only leaves can
    /// collect.
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
    /// The operations that have to run again when only `changed` leaves have changed.
    pub fn plan_forward(&self, changed: &[Var]) -> ForwardPlan {
        self.assert_whole();
        let mut stale = self.marks(changed);
        let mut nodes = vec![];
        for (i, node) in self.nodes.iter().enumerate() {
            if node.inputs.iter().any(|&x| stale[x as usize]) {
                stale[node.out as usize] = true;
                nodes.push(i as u32);
            }
        }
        ForwardPlan { nodes }
    }

    /// The reverse walk that gives the gradient of `output` with respect to the `wanted`
    /// variables, and does no work that none of them needs.
    pub fn plan_backward(&mut self, output: Var, wanted: &[Var]) -> BackwardPlan {
        self.plan(output, wanted, &[], &[])
    }

    /// [`plan_backward`](Self::plan_backward), of some wanted matrices no more than these windows: their
    /// [gradient](Program::grad) is one window after the other, each row after row. Nothing else of it
    /// is computed, and no memory is held for it.
    ///
    /// # Panics
    /// If such a variable is not wanted, is no matrix or vector (which counts as a row), has a window
    /// that leaves it, or goes into an operation that knows no windows.
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

    /// The first operation that can only give the whole gradient of `x`, if there is one: then a plan
    /// cannot want [windows](Self::plan_backward_within) of it.
    pub fn refuses_windows(&self, x: Var) -> Option<&'static str> {
        let slot = self.slot(x);
        let refuses = |node: &&Node<T>| {
            let at = node.inputs.iter().position(|&input| input == slot);
            at.is_some_and(|i| !node.op.takes_windows(i))
        };
        self.nodes.iter().find(refuses).map(|node| node.op.name())
    }

    /// [`plan_backward`](Self::plan_backward) with the variables `fixed` taken for constants: no
    /// gradient flows through them. For values that were put in place of computed ones.
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
        self.assert_whole();
        let output_slot = self.slot(output);
        let fixed = self.marks(fixed);
        // Forward: what lies behind a wanted variable. Backward: what of it leads to the output.
        let mut wants = self.marks(wanted);
        for node in &self.nodes {
            let out = node.out as usize;
            wants[out] |= !fixed[out] && node.inputs.iter().any(|&x| wants[x as usize]);
        }
        let wanted: Vec<Slot> = wanted.iter().map(|&x| self.slot(x)).collect();
        let mut memory = GradientMemory::new(self, &wanted, within);
        // The gradient that is given is read where it is.
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
        let GradientMemory { pool, kept, .. } = memory;
        self.keep_gradients(pool, kept);
        let (output_len, epoch) = (self.lens()[output_slot as usize], self.epoch());
        BackwardPlan { output_len, output_place, steps, unreached, wanted, output_slot, epoch }
    }

    pub(super) fn marks(&self, vars: &[Var]) -> Vec<bool> {
        let mut marks = vec![false; self.slots()];
        for &x in vars {
            marks[self.slot(x) as usize] = true;
        }
        marks
    }
}

/// Where gradients lie in one reverse pass: wanted ones, of this and of earlier plans, in places of
/// their own; the others share places, each from its first contribution until it is passed on.
struct GradientMemory {
    pool: Places,
    /// By slot, the places of wanted gradients.
    kept: Vec<Option<Place>>,
    /// By slot, where the gradient is in this pass; `None` before its first contribution.
    places: Vec<Option<Place>>,
    lens: Vec<usize>,
    /// By slot, what of it is wanted, if not all.
    within: Vec<Option<Arc<[Window]>>>,
}

impl GradientMemory {
    fn new<T: Element>(
        program: &Program<T>,
        wanted: &[Slot],
        windows: &[(Var, Arc<[Window]>)],
    ) -> Self {
        let (mut pool, mut kept) = program.kept_gradients();
        let mut lens = program.lens();
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
