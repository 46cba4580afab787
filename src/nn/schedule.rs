//! Learning-rate schedules.

use crate::named::named;
use std::f64::consts::PI;

named! {
    /// The course of the learning rate after the warm-up.
    Shape {
        /// Constant.
        #[default]
        Constant = "constant",
        /// Linear decay.
        Linear = "linear",
        /// Half a period of a cosine.
        Cosine = "cosine",
    }
}

/// A learning rate for each step of a stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The course after the warm-up.
    pub shape: Shape,
    /// The largest learning rate.
    pub peak: f64,
    /// The learning rate at the end of a decay.
    pub floor: f64,
    /// Steps of linear warm-up from 0.
    pub warmup: usize,
    /// All steps, including the warm-up.
    pub steps: usize,
}

impl Schedule {
    /// The learning rate of step `step`, counted from 0.
    ///
    /// ```
    /// use edgegrad::nn::{Schedule, ScheduleShape};
    /// let shape = ScheduleShape::Cosine;
    /// let s = Schedule { shape, peak: 1.0, floor: 0.0, warmup: 2, steps: 6 };
    /// let rates: Vec<f64> = (0..6).map(|i| (s.at(i) * 1000.0).round() / 1000.0).collect();
    /// assert_eq!(rates, [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]);
    /// ```
    pub fn at(&self, step: usize) -> f64 {
        if step < self.warmup {
            return self.peak * (step + 1) as f64 / self.warmup as f64;
        }
        let span = self.steps.saturating_sub(self.warmup).max(1) as f64;
        let done = ((step - self.warmup) as f64 / span).min(1.0);
        let left = match self.shape {
            Shape::Constant => 1.0,
            Shape::Linear => 1.0 - done,
            // libm's cosine: the platform's may differ in the last bit.
            Shape::Cosine => 0.5 * (1.0 + libm::cos(PI * done)),
        };
        self.floor + (self.peak - self.floor) * left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_starts_at_the_peak_and_falls_to_the_floor() {
        for shape in [Shape::Constant, Shape::Linear, Shape::Cosine] {
            let s = Schedule { shape, peak: 0.3, floor: 0.1, warmup: 4, steps: 104 };
            assert_eq!((s.at(0), s.at(3), s.at(4)), (0.3 / 4.0, 0.3, 0.3), "{shape:?}");
            let end = if shape == Shape::Constant { 0.3 } else { 0.1 };
            assert!((s.at(104) - end).abs() < 1e-15, "{shape:?}");
            assert!((0..104).all(|i| i < 4 || s.at(i + 1) <= s.at(i)), "{shape:?}");
        }
    }
}
