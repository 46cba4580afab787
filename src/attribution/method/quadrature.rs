//! At which points of a path derivatives are taken.

use crate::named::named;

named! {
    /// At which points of [0, 1] the derivative is taken, and with which weights.
    Quadrature {
        /// `0, 1/m, .., (m-1)/m`: with the baseline and without the clean end, as EAP-IG does.
        #[default]
        Left = "left",
        /// `1/m, .., 1`: with the clean end.
        Right = "right",
        /// `1/2m, 3/2m, ..`.
        Midpoint = "midpoint",
        /// `0, 1/m, .., 1`, both ends by half.
        Trapezoid = "trapezoid",
    }
}

impl Quadrature {
    /// The points of `steps` steps with their weights, which add up to 1.
    pub fn points(self, steps: usize) -> Vec<(f64, f64)> {
        let (m, weight) = (steps as f64, 1.0 / steps as f64);
        let even = |shift: f64| (0..steps).map(|k| ((k as f64 + shift) / m, weight)).collect();
        match self {
            Quadrature::Left => even(0.0),
            Quadrature::Right => even(1.0),
            Quadrature::Midpoint => even(0.5),
            Quadrature::Trapezoid => {
                let end = |k: usize| if k == 0 || k == steps { 0.5 } else { 1.0 };
                (0..=steps).map(|k| (k as f64 / m, weight * end(k))).collect()
            }
        }
    }
}
