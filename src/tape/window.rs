//! Windows of a matrix.

use std::cmp::Ordering;
use std::ops::Range;

/// A window of a matrix: a range of rows and a range of columns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Its rows.
    pub rows: Range<usize>,
    /// Its columns.
    pub columns: Range<usize>,
}

/// By first row, then by first column.
impl Ord for Window {
    fn cmp(&self, other: &Window) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Window {
    fn partial_cmp(&self, other: &Window) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Window {
    /// All of a matrix `[rows, columns]`.
    pub fn whole(rows: usize, columns: usize) -> Window {
        Window { rows: 0..rows, columns: 0..columns }
    }

    fn key(&self) -> [usize; 4] {
        [self.rows.start, self.columns.start, self.rows.end, self.columns.end]
    }

    /// The number of its elements.
    pub fn len(&self) -> usize {
        self.rows.len() * self.columns.len()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `other` lies within it.
    pub fn contains(&self, other: &Window) -> bool {
        let within = |a: &Range<usize>, b: &Range<usize>| a.start <= b.start && b.end <= a.end;
        within(&self.rows, &other.rows) && within(&self.columns, &other.columns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops;
    use crate::tape::gradcheck::Points;
    use crate::tape::{Program, Tape, Var};
    use std::sync::Arc;

    const ROWS: usize = 37;
    const IN: usize = 12;
    const OUT: usize = 20;

    /// `sum(tanh(x w) w')`: `w [12, 20]` is read as stored, and transposed by another operation.
    fn program() -> (Program<f64>, Var, Var, Var) {
        let (mut tape, mut points) = (Tape::new(), Points::new(3));
        let x = tape.leaf("x", [ROWS, IN]);
        let w = tape.leaf("w", [IN, OUT]);
        let h = ops::project(&mut tape, x, w, None);
        let h = ops::tanh(&mut tape, h);
        let y = ops::linear(&mut tape, h, w, None);
        let loss = ops::sum(&mut tape, y);
        let mut program = tape.finish();
        program.set(x, &points.list(ROWS * IN));
        program.set(w, &points.list(IN * OUT));
        program.forward();
        (program, x, w, loss)
    }

    #[test]
    fn windows_are_what_they_are_of_the_whole() {
        let (mut program, x, w, loss) = program();
        let plan = program.plan_backward(loss, &[x, w]);
        program.backward(&plan);
        let (dx, whole) = (program.grad(x).to_vec(), program.grad(w).to_vec());
        let parts = [
            vec![Window { rows: 0..IN, columns: 3..8 }, Window { rows: 0..IN, columns: 9..10 }],
            vec![Window { rows: 2..5, columns: 0..OUT }, Window { rows: 11..12, columns: 4..6 }],
            vec![Window::whole(IN, OUT)],
            vec![],
        ];
        for windows in parts {
            program.forget_plans();
            let windows: Arc<[Window]> = windows.into();
            let plan = program.plan_backward_within(loss, &[x, w], &[(w, windows.clone())]);
            // The gradients of the pass before must not show.
            program.backward(&plan);
            program.backward(&plan);
            assert_eq!(program.grad(x), dx);
            let cells = windows.iter().flat_map(|window| {
                let columns = window.columns.clone();
                window.rows.clone().flat_map(move |i| columns.clone().map(move |j| i * OUT + j))
            });
            let cells: Vec<usize> = cells.collect();
            assert_eq!(program.grad(w).len(), cells.len());
            for (&cell, got) in cells.iter().zip(program.grad(w)) {
                let want = whole[cell];
                assert!(want.abs() > 1e-3);
                // Sums of 37 and of 444 products of values up to 1, in another order.
                assert!((got - want).abs() < 1e-12, "{cell}: {got} {want}");
            }
            if windows.first() == Some(&Window::whole(IN, OUT)) {
                assert_eq!(program.grad(w), whole);
            }
        }
    }

    #[test]
    fn parts_of_a_batch_add_up_in_windows() {
        let (mut program, _, w, loss) = program();
        let windows: Arc<[Window]> = [Window { rows: 0..IN, columns: 3..8 }].into();
        let first = program.plan_backward_within(loss, &[w], &[(w, windows)]);
        let second = first.accumulating(&program);
        program.backward(&first);
        let once = program.grad(w).to_vec();
        program.backward(&second);
        let twice: Vec<f64> = once.iter().map(|x| 2.0 * x).collect();
        assert!(once.iter().all(|x| x.abs() > 1e-3));
        program.grad(w).iter().zip(&twice).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
    }

    #[test]
    fn memory_is_held_for_the_windows_alone() {
        let bytes = |windows: &[Window]| {
            let (mut program, _, w, loss) = program();
            program.forget_plans();
            let before = program.bytes();
            program.plan_backward_within(loss, &[w], &[(w, windows.into())]);
            program.bytes() - before
        };
        let saved =
            bytes(&[Window::whole(IN, OUT)]) - bytes(&[Window { rows: 0..3, columns: 0..4 }]);
        assert_eq!(saved, 8 * (IN * OUT - 12));
    }

    #[test]
    #[should_panic(expected = "a plan that was forgotten")]
    fn forgotten_plans_are_refused() {
        let (mut program, _, w, loss) = program();
        let plan = program.plan_backward(loss, &[w]);
        program.forget_plans();
        program.backward(&plan);
    }

    #[test]
    #[should_panic(expected = "tanh knows no windows")]
    fn other_operations_refuse_windows() {
        let mut tape = Tape::<f64>::new();
        let x = tape.leaf("x", [4, 4]);
        let y = ops::tanh(&mut tape, x);
        let loss = ops::sum(&mut tape, y);
        let mut program = tape.finish();
        let windows: Arc<[Window]> = [Window { rows: 0..1, columns: 0..4 }].into();
        program.plan_backward_within(loss, &[x], &[(x, windows)]);
    }
}
