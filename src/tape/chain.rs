//! Which values a restricted program keeps, and how the others share memory.
//!
//! Values that nobody reads after an operation hand their buffer on: each operation may *inherit*
//! the buffer of a variable that is dead by then. The variables that one buffer passes through form
//! a chain; its first inherits from its last, so the buffer is back where the next pass begins.

use super::reuse::{Place, Places};
use super::{Node, Rules, Slot, Tape, Var, info};
use crate::tensor::Element;

/// The passes that a program can run.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Passes {
    /// All.
    All,
    /// Whole forward passes.
    Forward,
    /// Forward passes, whole or of what depends on one of these slots.
    From(Vec<Slot>),
    /// Whole forward passes, and after each a reverse pass from one slot to some of others by some
    /// rules; by slot, whether its values are needed for that pass alone.
    Reverse { output: Slot, wanted: Vec<Slot>, rules: Rules, reread: Vec<bool> },
}

impl<T: Element> Tape<T> {
    /// Restricts the program to forward passes whose only results are leaves and the variables
    /// `keep`. All other variables share memory, each from when it is computed until it is last
    /// read. [`bytes`](Self::bytes) then gives the reduced size.
    ///
    /// The program panics if asked for another pass or for a variable that is not kept.
    pub fn keep_only(&mut self, keep: &[Var]) {
        let needed = self.needed(keep);
        self.forward_only(&needed);
        self.passes = Passes::Forward;
    }

    /// The same for programs that also compute again what depends on one of the leaves `starts`, by
    /// a [plan](super::Program::plan_forward) from it alone; values that such a pass reads and does
    /// not compute are kept as well.
    pub fn keep_from(&mut self, starts: &[Var], keep: &[Var]) {
        let mut needed = self.needed(keep);
        let starts: Vec<Slot> = starts.iter().map(|&x| info(&self.vars, self.id, x).slot).collect();
        for &start in &starts {
            let mut stale = vec![false; self.slots.len()];
            stale[start as usize] = true;
            let runs = dependents(&self.nodes, &mut stale);
            let run = self.nodes.iter().zip(runs).filter(|(_, runs)| *runs);
            let read = run.flat_map(|(node, _)| node.inputs.iter());
            read.for_each(|&x| needed[x as usize] |= !stale[x as usize]);
        }
        self.forward_only(&needed);
        self.passes = Passes::From(starts);
    }

    /// Lets all variables that are not `needed` share memory, and all that is saved for reverse
    /// passes.
    fn forward_only(&mut self, needed: &[bool]) {
        for node in &mut self.nodes {
            node.saved = 0;
        }
        self.saved = vec![self.saved.iter().copied().max().unwrap_or(0)];
        self.chain(needed);
    }

    /// The same for programs that also run a reverse pass from `output` to variables of `wanted` by
    /// `rules` after each forward pass. What it reads again is kept for it, and lends its memory to
    /// gradients afterwards.
    pub fn keep_for(&mut self, output: Var, wanted: &[Var], rules: Rules, keep: &[Var]) {
        let mut needed = self.needed(keep);
        let slot = |x: Var| info(&self.vars, self.id, x).slot;
        needed[slot(output) as usize] = true;
        let told = needed.clone();
        let (output, wanted) = (slot(output), wanted.iter().map(|&x| slot(x)).collect::<Vec<_>>());
        let steps = steps(&self.nodes, self.slots.len(), output, &wanted);
        for (node, step) in self.nodes.iter_mut().zip(steps) {
            let Some(wants) = step else { continue };
            for (i, &x) in node.inputs.iter().enumerate() {
                needed[x as usize] |= node.op.rereads(i, &wants, rules);
            }
            needed[node.out as usize] |= node.op.rereads_output(rules);
            if node.op.recomputes() {
                node.saves = 0;
                self.saved[node.saved as usize] = 0;
            }
        }
        let reread: Vec<bool> = needed.iter().zip(&told).map(|(&n, &told)| n && !told).collect();
        self.chain(&needed);
        self.vars.iter_mut().for_each(|var| var.kept &= !reread[var.slot as usize]);
        self.passes = Passes::Reverse { output, wanted, rules, reread };
    }

    /// By slot, whether its values are needed to the end of a forward pass: leaves and `keep`.
    fn needed(&self, keep: &[Var]) -> Vec<bool> {
        assert!(self.passes == Passes::All, "what is kept is said once");
        let mut needed = vec![true; self.slots.len()];
        self.nodes.iter().for_each(|node| needed[node.out as usize] = false);
        keep.iter().for_each(|&x| needed[info(&self.vars, self.id, x).slot as usize] = true);
        needed
    }

    /// Lets all variables that are not `needed` share memory.
    fn chain(&mut self, needed: &[bool]) {
        // When each slot is last read.
        let mut last = vec![0; self.slots.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            node.inputs.iter().chain([&node.out]).for_each(|&x| last[x as usize] = i);
        }
        let mut places = Places::default();
        let mut at: Vec<Option<Place>> = vec![None; self.slots.len()];
        // By place, the node that takes it first and the slot that holds it last.
        let mut chains: Vec<(usize, Slot)> = vec![];
        for i in 0..self.nodes.len() {
            let node = &mut self.nodes[i];
            if !needed[node.out as usize] {
                let place = places.take(node.len);
                at[node.out as usize] = Some(place);
                match chains.get_mut(place as usize) {
                    Some((_, holder)) => node.inherits = Some(std::mem::replace(holder, node.out)),
                    None => chains.push((i, node.out)),
                }
            }
            let mut over: Vec<Slot> = [&node.inputs[..], &[node.out]].concat();
            over.retain(|&x| last[x as usize] == i);
            over.into_iter().filter_map(|x| at[x as usize]).for_each(|p| places.give_back(p));
        }
        let own = |(&n, place): (&usize, &Option<Place>)| if place.is_some() { 0 } else { n };
        let mut rooms: Vec<usize> = self.slots.iter().zip(&at).map(own).collect();
        for ((first, holder), &room) in chains.into_iter().zip(places.rooms()) {
            let first = &mut self.nodes[first];
            first.inherits = (first.out != holder).then_some(holder);
            rooms[holder as usize] = room;
        }
        self.rooms = Some(rooms);
        self.vars.iter_mut().for_each(|var| var.kept = needed[var.slot as usize]);
    }
}

/// For each operation, whether it reads `stale` slots, to which what it computes is then added.
pub(super) fn dependents<T>(nodes: &[Node<T>], stale: &mut [bool]) -> Vec<bool> {
    let one = |node: &Node<T>| {
        let reads = node.inputs.iter().any(|&x| stale[x as usize]);
        stale[node.out as usize] |= reads;
        reads
    };
    nodes.iter().map(one).collect()
}

/// For each operation, which of its inputs' gradients the reverse pass from `output` to `wanted`
/// computes; `None` if it does not run the operation.
fn steps<T>(
    nodes: &[Node<T>],
    slots: usize,
    output: Slot,
    wanted: &[Slot],
) -> Vec<Option<Vec<bool>>> {
    let mut wants = vec![false; slots];
    wanted.iter().for_each(|&x| wants[x as usize] = true);
    for node in nodes {
        wants[node.out as usize] |= node.inputs.iter().any(|&x| wants[x as usize]);
    }
    let mut reached = vec![false; slots];
    reached[output as usize] = true;
    let mut steps = vec![None; nodes.len()];
    for (node, step) in nodes.iter().zip(&mut steps).rev() {
        let of: Vec<bool> = node.inputs.iter().map(|&x| wants[x as usize]).collect();
        if reached[node.out as usize] && of.contains(&true) {
            for (&x, &wants) in node.inputs.iter().zip(&of) {
                reached[x as usize] |= wants;
            }
            *step = Some(of);
        }
    }
    steps
}
