//! Where the loss jumps.

use crate::formats::metrics::StepLine;

/// Updates that say what is usual.
const WINDOW: usize = 50;
/// How many times the usual loss a spike is.
const TIMES: f64 = 3.0;
/// A loss (nats) below which nothing is called a spike.
const LEAST: f64 = 0.02;

/// Steps whose loss is more than three times the median of the fifty before and above 0.02 nats; of
/// neighbours only the highest.
pub(crate) fn spikes(steps: &[StepLine]) -> Vec<u64> {
    let mut found: Vec<(usize, u64, f64)> = Vec::new();
    let mut window = Vec::with_capacity(WINDOW);
    for i in WINDOW..steps.len() {
        let Some(loss) = steps[i].loss().filter(|loss| *loss > LEAST) else { continue };
        window.clear();
        let before = &steps[i - WINDOW..i];
        // Another stage has another loss.
        window
            .extend(before.iter().filter(|s| s.stage == steps[i].stage).filter_map(StepLine::loss));
        if window.len() < WINDOW / 2 {
            continue;
        }
        let middle = window.len() / 2;
        let median = *window.select_nth_unstable_by(middle, f64::total_cmp).1;
        if loss <= TIMES * median {
            continue;
        }
        match found.last_mut() {
            Some((last, step, height)) if i - *last <= WINDOW / 2 => {
                if loss > *height {
                    (*step, *height) = (steps[i].step, loss);
                }
                *last = i;
            }
            _ => found.push((i, steps[i].step, loss)),
        }
    }
    found.into_iter().map(|(_, step, _)| step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::metrics::Number;

    #[test]
    fn the_top_of_each_jump_is_found_and_a_new_stage_is_none() {
        let loss = |i: u64| match i {
            200 => 0.5,
            201 => 0.9,
            202 => 0.4,
            350 => 0.3,
            600.. => 1.4,
            _ => 0.05,
        };
        let line = |i: u64| StepLine {
            step: 10 * i,
            stage: usize::from(i >= 600),
            loss: Some(Number::Double(loss(i))),
            lr: None,
        };
        let steps: Vec<StepLine> = (0..700).map(line).collect();
        assert_eq!(spikes(&steps), [2010, 3500]);
        assert!(spikes(&steps[..20]).is_empty());
    }
}
