//! How quantities grow: panels side by side, both axes logarithmic, beside what is proportional.

use super::Drawing;
use super::axis::{Axis, Frame, legend, number};
use super::palette::series;
use super::scene::{INCH, Scene, Stroke};

/// A quantity, such as `forward, ms`, by what grows: points `(x, y)`, both above 0, x rising.
pub type Line = (String, Vec<(f64, f64)>);

/// The power of x that y grows with, from the first point to the last; `None` for fewer than two.
pub fn exponent(points: &[(f64, f64)]) -> Option<f64> {
    let [(x0, y0), .., (x1, y1)] = points else { return None };
    Some((y1 / y0).ln() / (x1 / x0).ln())
}

/// A panel for each title, with a line for each quantity and a dotted one of slope 1 from its first
/// point.
pub fn growth(panels: &[(String, Vec<Line>)]) -> Drawing {
    const DOTS: &[f64] = &[1.0, 2.0];
    let width = (2.25 * panels.len() as f64).clamp(3.25, 6.75) * INCH;
    let mut scene = Scene::new(width, "How costs grow");
    let mut entries: Vec<(Stroke, String)> = vec![];
    for (i, (name, _)) in panels.iter().flat_map(|(_, lines)| lines.iter().enumerate()) {
        if i == entries.len() {
            entries.push((Stroke::new(series(i), 1.4), name.clone()));
        }
    }
    let top = 8.0 + legend(&mut scene, [4.0, 4.0], width - 8.0, &entries);
    let share = width / panels.len().max(1) as f64;
    for (i, (title, lines)) in panels.iter().enumerate() {
        let all = || lines.iter().flat_map(|(_, points)| points);
        let bounds = |of: fn(&(f64, f64)) -> f64| {
            all().map(of).fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(x), h.max(x)))
        };
        if all().next().is_none() {
            continue;
        }
        let ((x0, x1), (y0, y1)) = (bounds(|p| p.0), bounds(|p| p.1));
        let ticks = lines.iter().flat_map(|(_, points)| points).map(|p| (p.0, number(p.0, 0)));
        let x = Axis::log(x0, x1, 4, title.clone()).with_ticks(ticks.collect());
        let y = Axis::log(y0 / 1.5, y1 * 1.5, 4, "");
        let left = share * i as f64 + 4.0 + y.breadth();
        let frame =
            Frame { left, top, width: share * (i + 1) as f64 - left - 8.0, height: 120.0, x, y };
        frame.draw(&mut scene);
        for (i, (_, points)) in lines.iter().enumerate() {
            let Some(&(a, b)) = points.first() else { continue };
            let place = |&(x, y): &(f64, f64)| frame.at(x, y);
            let end = x1.min(a * 1.5 * y1 / b);
            let straight = [(a, b), (end, b * end / a)];
            scene.line(
                straight.iter().map(place).collect(),
                Stroke::new(series(i), 0.8).dashed(DOTS),
            );
            scene.line(points.iter().map(place).collect(), Stroke::new(series(i), 1.4));
        }
        scene.height = scene.height.max(frame.bottom() + frame.x.depth() + 4.0);
    }
    Drawing { scene, caption: vec![], warnings: vec![] }
}

#[cfg(test)]
mod tests {
    use super::super::scene::Mark;
    use super::super::svg;
    use super::*;

    #[test]
    fn powers_of_known_curves() {
        let square: Vec<_> = [1.0, 2.0, 8.0].map(|x: f64| (x, 3.0 * x * x)).into();
        assert!((exponent(&square).unwrap() - 2.0).abs() < 1e-12);
        assert_eq!(exponent(&square[..1]), None);
    }

    /// What is proportional lies on its dotted line.
    #[test]
    fn lines_beside_what_is_proportional() {
        let lines = vec![("ms".to_string(), vec![(1.0, 5.0), (4.0, 20.0)])];
        let drawing = growth(&[("tokens".into(), lines), ("pairs".into(), vec![])]);
        svg::tests::well_formed(&svg::write(&drawing.scene));
        let sloped = drawing.scene.marks.iter().filter_map(|mark| match mark {
            Mark::Line { points, .. } if points[0][0] != points[1][0] => {
                let [dx, dy] = [0, 1].map(|i| points[1][i] - points[0][i]);
                (dy != 0.0).then_some(dy / dx)
            }
            _ => None,
        });
        let slopes: Vec<f64> = sloped.collect();
        assert_eq!(slopes.len(), 2, "the line and the dots");
        assert!((slopes[0] - slopes[1]).abs() < 1e-9, "{slopes:?}");
    }
}
