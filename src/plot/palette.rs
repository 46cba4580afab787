//! The page's colours on white: those who confuse red and green tell them apart, they contrast with
//! paper by at least 3.6, and signs have colours of their own.
//!
//! Source of the order: M. Okabe and K. Ito, "Color universal design" (2008), darkened where thin
//! lines could not be seen on white.

use super::scene::{Ink, Stroke};

/// Text and axes.
pub(super) const BLACK: Ink = Ink::new(0x00_0000);
/// What is said beside.
pub(super) const GREY: Ink = Ink::new(0x59_5959);
/// References and switches.
pub(super) const LIGHT: Ink = Ink::new(0xb0_b0b0);
/// Paper.
pub(super) const WHITE: Ink = Ink::new(0xff_ffff);
/// Scores above 0.
pub(super) const POSITIVE: Ink = Ink::new(0x7a_3e9d);
/// Scores below 0.
pub(super) const NEGATIVE: Ink = Ink::new(0x3f_7d20);

const ORDER: [Ink; 6] = [
    Ink::new(0x00_72b2),
    Ink::new(0xb8_4f00),
    Ink::new(0x00_8060),
    Ink::new(0xb1_447f),
    Ink::new(0x8a_6500),
    Ink::new(0x2a_8fc4),
];

/// Axes.
pub(super) const AXIS: Stroke = Stroke::new(BLACK, 0.6);
/// References.
pub(super) const REFERENCE: Stroke = Stroke::new(LIGHT, 0.6);

/// Guides for the eye along a row.
pub(super) const GUIDE: Stroke = Stroke::new(Ink::new(0xe6_e6e6), 0.4);

/// The colour of the `i`-th of several things.
pub(super) fn series(i: usize) -> Ink {
    ORDER[i % ORDER.len()]
}

/// The colour of a score's sign; grey where there is none.
pub(crate) fn sign(score: Option<f64>) -> Ink {
    match score {
        Some(score) if score > 0.0 => POSITIVE,
        Some(score) if score < 0.0 => NEGATIVE,
        _ => GREY,
    }
}

/// From white for 0 to a dark blue for 1, darker all the way.
pub(super) fn shade(x: f64) -> Ink {
    const STOPS: [[f64; 3]; 4] =
        [[255.0, 255.0, 255.0], [158.0, 202.0, 225.0], [0.0, 114.0, 178.0], [0.0, 36.0, 66.0]];
    let x = x.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let i = (x.floor() as usize).min(STOPS.len() - 2);
    let t = x - i as f64;
    let mix = |k: usize| (STOPS[i][k] + t * (STOPS[i + 1][k] - STOPS[i][k])).round() as u8;
    Ink { rgb: [mix(0), mix(1), mix(2)], opacity: 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lightness(ink: Ink) -> f64 {
        let [r, g, b] = ink.rgb.map(f64::from);
        0.2126 * r + 0.7152 * g + 0.0722 * b
    }

    #[test]
    fn figures_and_page_have_one_palette() {
        let css = include_str!("../page/assets/page.css");
        let light = |name: &str| {
            let value = css.split(&format!("--{name}: ")).nth(1).expect("the page has it");
            value.split(';').next().expect("it ends").to_string()
        };
        for i in 0..ORDER.len() {
            assert_eq!(series(i).hex(), light(&format!("arm{i}")));
        }
        assert_eq!(sign(Some(0.5)).hex(), light("positive"));
        assert_eq!(sign(Some(-0.5)).hex(), light("negative"));
        assert_eq!((sign(Some(0.0)), sign(None)), (GREY, GREY));
    }

    #[test]
    fn shades_only_grow_darker() {
        let all: Vec<f64> = (0..=100).map(|i| lightness(shade(f64::from(i) / 100.0))).collect();
        assert!(all.windows(2).all(|w| w[1] < w[0]));
        assert_eq!((shade(-1.0), shade(0.0)), (WHITE, WHITE));
    }

    #[test]
    fn neighbours_differ() {
        for i in 0..6 {
            assert_ne!(series(i), series(i + 1));
        }
        assert_eq!(series(6), series(0));
    }
}
