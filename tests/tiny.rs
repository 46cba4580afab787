//! The engine in five steps: record, run, differentiate, and let a training step lower the loss.

use edgegrad::nn::{Optimizer, Rule};
use edgegrad::ops;
use edgegrad::tape::Tape;

#[test]
fn one_step_towards_a_line() {
    // Record: y = x w^T + b for four points x, and the mean square of y - target.
    let mut tape = Tape::<f64>::new();
    let x = tape.leaf("x", [4, 1]);
    let target = tape.leaf("target", [4, 1]);
    let w = tape.leaf("w", [1, 1]);
    let b = tape.leaf("b", [1]);
    let y = ops::linear(&mut tape, x, w, Some(b));
    let error = ops::sub(&mut tape, y, target);
    let square = ops::mul(&mut tape, error, error);
    let loss = ops::mean(&mut tape, square);
    let mut program = tape.finish();
    let plan = program.plan_backward(loss, &[w, b]);

    // Run: with w = b = 0 the loss is the mean of the squared targets of the line 2 x + 1.
    program.set(x, &[0.0, 1.0, 2.0, 3.0]);
    program.set(target, &[1.0, 3.0, 5.0, 7.0]);
    program.forward();
    assert_eq!(program.value(loss), [21.0]);

    // Differentiate: dL/dw = mean of -2 x target, dL/db = mean of -2 target.
    program.backward(&plan);
    assert_eq!((program.grad(w), program.grad(b)), (&[-17.0][..], &[-8.0][..]));

    // One step of gradient descent: the program is replayed, nothing is recorded again.
    let rule = Rule::Sgd { momentum: 0.0, weight_decay: 0.0 };
    let mut descent = Optimizer::<f64>::new(rule, [1, 1]);
    descent.begin_step();
    for (i, &parameter) in [w, b].iter().enumerate() {
        let (values, gradient) = program.value_and_grad_mut(parameter);
        descent.update(i, 0.0625, values, gradient);
    }
    program.forward();
    assert_eq!((program.value(w), program.value(b)), (&[1.0625][..], &[0.5][..]));
    assert!(program.value(loss)[0] < 6.0, "{:?}", program.value(loss));
}
