//! Which operations a pass has to run: found once, followed at every replay.

use super::{Program, Slot, Var};
use crate::gemm::Write;
use crate::tensor::Element;

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
    pub(super) output: Slot,
    pub(super) steps: Vec<Step>,
    /// Wanted variables that the output does not depend on: their gradient is zero.
    pub(super) unreached: Vec<Slot>,
    wanted: Vec<Slot>,
}

/// One operation of the reverse walk.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) node: u32,
    /// How each input's gradient is written; `None` where nobody wants it.
    pub(super) write: Box<[Option<Write>]>,
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
        assert!(!self.wanted.contains(&self.output), "the output's gradient is set, not summed");
        let mut plan = self.clone();
        plan.unreached.clear();
        for step in &mut plan.steps {
            let node = &program.nodes[step.node as usize];
            assert!(!self.wanted.contains(&node.out), "only leaves can accumulate");
            for (write, slot) in step.write.iter_mut().zip(&node.inputs) {
                if write.is_some() && self.wanted.contains(slot) {
                    *write = Some(Write::Add);
                }
            }
        }
        plan
    }
}

impl<T: Element> Program<T> {
    /// The operations that have to run again when only `changed` leaves have changed.
    pub fn plan_forward(&self, changed: &[Var]) -> ForwardPlan {
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
        self.plan_backward_above(output, wanted, &[])
    }

    /// [`plan_backward`](Self::plan_backward) with the variables `fixed` taken for constants: no
    /// gradient flows through them. For values that were put in place of computed ones.
    pub fn plan_backward_above(
        &mut self,
        output: Var,
        wanted: &[Var],
        fixed: &[Var],
    ) -> BackwardPlan {
        let output = self.slot(output);
        let fixed = self.marks(fixed);
        // Forward: what lies behind a wanted variable. Backward: what of it leads to the output.
        let mut wants = self.marks(wanted);
        for node in &self.nodes {
            let out = node.out as usize;
            wants[out] |= !fixed[out] && node.inputs.iter().any(|&x| wants[x as usize]);
        }
        let mut reached = vec![false; wants.len()];
        reached[output as usize] = true;
        let mut steps = vec![];
        for (i, node) in self.nodes.iter().enumerate().rev() {
            let out = node.out as usize;
            if !reached[out] || !wants[out] || fixed[out] {
                continue;
            }
            let mut write = vec![None; node.inputs.len()];
            for (w, &x) in write.iter_mut().zip(&node.inputs) {
                if wants[x as usize] {
                    let first = !std::mem::replace(&mut reached[x as usize], true);
                    *w = Some(if first { Write::Store } else { Write::Add });
                }
            }
            if write.iter().any(Option::is_some) {
                steps.push(Step { node: i as u32, write: write.into() });
            }
        }
        let unreached: Vec<Slot> =
            wanted.iter().map(|&x| self.slot(x)).filter(|&x| !reached[x as usize]).collect();
        for slot in (0..reached.len()).filter(|&s| reached[s]) {
            self.reserve_grad(slot as Slot);
        }
        unreached.iter().for_each(|&slot| self.reserve_grad(slot));
        let wanted = wanted.iter().map(|&x| self.slot(x)).collect();
        BackwardPlan { output, steps, unreached, wanted }
    }

    pub(super) fn marks(&self, vars: &[Var]) -> Vec<bool> {
        let mut marks = vec![false; self.slots()];
        for &x in vars {
            marks[self.slot(x) as usize] = true;
        }
        marks
    }
}
