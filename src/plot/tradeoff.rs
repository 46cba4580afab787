//! `tradeoff`: what methods of tuning reach against what they keep.

use std::path::PathBuf;

use super::ablations::{EDGE, heading, one, range};
use super::axis::{Axis, Frame};
use super::centre::Centre;
use super::font;
use super::palette::{BLACK, LIGHT, WHITE, series};
use super::scene::{Anchor, Point, SMALL, Scene, Stroke, cut, half_capital};
use super::tuned::{Figure, GAP, Measured, RETENTION, TARGET};
use super::{Drawing, Options, Reach};
use crate::error::{Error, Result, at_key};
use crate::formats::comparison::Comparison;

/// A method by name, what it reaches, what it keeps.
type Method = (String, Measured, Measured);
/// Left, top, right, bottom.
type Box4 = [f64; 4];

const DOT: f64 = 2.0;

pub(super) fn draw(inputs: &[PathBuf], options: &Options) -> Result<Drawing> {
    let all = one(inputs)?;
    let figure = match options.reach {
        Reach::Target => TARGET,
        Reach::Gap => GAP,
    };
    let methods = measure(&all, figure, options.centre);
    if methods.is_empty() {
        return Err(Error::input(
            at_key(&inputs[0], "rows"),
            "has no method with both figures",
            "give the comparison.json of a grid whose runs have ended",
        ));
    }
    let width = options.points(3.25);
    let mut scene = Scene::new(width, "What methods of tuning reach and what they keep");
    let said = heading(&mut scene, &all, options.centre);
    let frame = frame_around(&methods, width, figure.title);
    frame.draw(&mut scene);

    let centres: Vec<[f64; 2]> = methods.iter().map(|(_, x, y)| [x.centre, y.centre]).collect();
    let best = pareto(&centres);
    let places: Vec<Point> = centres.iter().map(|&[x, y]| frame.at(x, y)).collect();
    let mut lines = draw_intervals(&mut scene, &frame, &methods);
    lines.extend(draw_front(&mut scene, &places, &best));
    draw_points(&mut scene, &places, &best);
    let untold = draw_names(&mut scene, &frame, &methods, &places, &lines);
    scene.height = frame.bottom() + frame.x.depth() + EDGE;
    let caption = vec![format!(
        "{said}; the line joins the methods that no other beats in both ({})",
        best.iter().map(|&i| methods[i].0.as_str()).collect::<Vec<_>>().join(", ")
    )];
    let warnings = match untold {
        0 => vec![],
        n => vec![format!("{n} methods have no room for their names; try --width 6.75")],
    };
    Ok(Drawing { scene, caption, warnings })
}

/// The methods that have both figures.
fn measure(all: &Comparison, figure: Figure, centre: Centre) -> Vec<Method> {
    let both = all.rows.iter().filter_map(|row| {
        let x = figure.measure(all, row, centre)?;
        let y = RETENTION.measure(all, row, centre)?;
        Some((row.name.clone(), x, y))
    });
    both.collect()
}

/// A frame below the heading that holds all centres and intervals.
fn frame_around(methods: &[Method], width: f64, title: &str) -> Frame {
    let x = Axis::linear_around(methods.iter().map(|(_, x, _)| x), 4, title);
    let y = Axis::linear_around(methods.iter().map(|(_, _, y)| y), 4, RETENTION.title);
    let left = EDGE + y.breadth();
    let height = (0.75 * (width - left)).min(210.0);
    let top = EDGE + 2.4 * SMALL;
    Frame { left, top, width: width - left - 10.0, height, x, y }
}

/// Draws the intervals of all methods and returns their lines.
fn draw_intervals(scene: &mut Scene, frame: &Frame, methods: &[Method]) -> Vec<[Point; 2]> {
    let mut lines: Vec<[Point; 2]> = vec![];
    for (_, x, y) in methods {
        lines.extend(x.interval.map(|ends| ends.map(|x| frame.at(x, y.centre))));
        lines.extend(y.interval.map(|ends| ends.map(|y| frame.at(x.centre, y))));
    }
    for line in &lines {
        scene.line(line.to_vec(), Stroke::new(LIGHT, 0.7));
    }
    lines
}

/// Joins the `best` points and returns the lines from each to the next.
fn draw_front(scene: &mut Scene, places: &[Point], best: &[usize]) -> Vec<[Point; 2]> {
    let front: Vec<Point> = best.iter().map(|&i| places[i]).collect();
    let lines = front.windows(2).map(|ends| [ends[0], ends[1]]).collect();
    scene.line(front, Stroke::new(series(1), 1.0));
    lines
}

/// Draws a point for each method; the `best` have the colour of their front.
fn draw_points(scene: &mut Scene, places: &[Point], best: &[usize]) {
    for (i, &at) in places.iter().enumerate() {
        let ink = if best.contains(&i) { series(1) } else { series(0) };
        scene.circle(at, DOT, ink, None);
    }
}

/// Writes the methods' names where there is room and returns how many have none.
fn draw_names(
    scene: &mut Scene,
    frame: &Frame,
    methods: &[Method],
    places: &[Point],
    lines: &[[Point; 2]],
) -> usize {
    let names: Vec<String> =
        methods.iter().map(|(name, ..)| cut(name, SMALL, 0.45 * frame.width)).collect();
    let area = [frame.left + 1.0, frame.top - 6.0, scene.width - 1.0, frame.bottom() - 1.0];
    let named = label_places(&names, places, lines, area);
    for ((name, &at), own) in names.iter().zip(places).zip(&named) {
        let Some([x, y, right, bottom]) = *own else { continue };
        let (middle, near) = (0.5 * (y + bottom), [at[0].clamp(x, right), at[1].clamp(y, bottom)]);
        // Away from its point a name needs a thread.
        if (near[0] - at[0]).hypot(near[1] - at[1]) > 3.0 * DOT {
            scene.line(vec![at, near], Stroke::new(LIGHT, 0.5));
        }
        scene.rectangle([x, y], [right - x, bottom - y], WHITE.at(0.7), None);
        let at = [x, middle + half_capital(SMALL)];
        scene.text(at, name, SMALL, BLACK, Anchor::Start);
    }
    named.iter().filter(|place| place.is_none()).count()
}

/// The points that no other beats or equals in both, from left to right.
fn pareto(points: &[[f64; 2]]) -> Vec<usize> {
    let beats = |a: &[f64; 2], b: &[f64; 2]| a != b && a[0] >= b[0] && a[1] >= b[1];
    let mut best: Vec<usize> = (0..points.len())
        .filter(|&i| !points.iter().any(|other| beats(other, &points[i])))
        .collect();
    best.sort_by(|&a, &b| points[a][0].total_cmp(&points[b][0]));
    best
}

/// Where names go: near their points, on no other name or point and, where that can be, on no line;
/// none where there is no such place.
fn label_places(
    names: &[String],
    points: &[Point],
    lines: &[[Point; 2]],
    area: Box4,
) -> Vec<Option<Box4>> {
    let around = |[x, y]: Point, r: f64| [x - r, y - r, x + r, y + r];
    let mut taken: Vec<Box4> = points.iter().map(|&at| around(at, DOT + 0.5)).collect();
    // A line is small boxes one after the other.
    let crossed: Vec<Box4> = lines
        .iter()
        .flat_map(|[a, b]| {
            let parts = ((b[0] - a[0]).hypot(b[1] - a[1]) / 2.0).ceil().clamp(1.0, 500.0);
            (0..=parts as usize).map(move |i| {
                let t = i as f64 / parts;
                around([a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])], 0.5)
            })
        })
        .collect();
    let inside =
        |b: &Box4| b[0] >= area[0] && b[1] >= area[1] && b[2] <= area[2] && b[3] <= area[3];
    let apart = |a: &Box4, b: &Box4| a[2] < b[0] || b[2] < a[0] || a[3] < b[1] || b[3] < a[1];
    let mut places = vec![];
    for (name, &[x, y]) in names.iter().zip(points) {
        let (wide, high) = (font::width(name, SMALL), SMALL);
        // Rings of directions, the nearest ring first.
        let rings = |count: usize| {
            (0..count).flat_map(|ring| (0..16).map(move |turn| (ring as f64, turn as f64)))
        };
        let place = |(ring, turn): (f64, f64)| {
            let (sin, cos) = (std::f64::consts::TAU * turn / 16.0).sin_cos();
            let distance = DOT + 2.0 + 3.0 * ring;
            let (cx, cy) = (x + cos * (distance + 0.5 * wide), y - sin * (distance + 0.5 * high));
            [cx - 0.5 * wide, cy - 0.5 * high, cx + 0.5 * wide, cy + 0.5 * high]
        };
        let free = |b: &Box4| inside(b) && taken.iter().all(|other| apart(b, other));
        let clear = |b: &Box4| free(b) && crossed.iter().all(|other| apart(b, other));
        let found = rings(10).map(place).find(clear).or_else(|| rings(24).map(place).find(free));
        taken.extend(found);
        places.push(found);
    }
    places
}

impl Axis {
    /// An axis that holds centres and intervals.
    fn linear_around<'a>(
        all: impl Iterator<Item = &'a Measured>,
        wanted: usize,
        title: &str,
    ) -> Axis {
        let ends = all.flat_map(|m| m.interval.unwrap_or([m.centre; 2]));
        let (low, high) = range(ends);
        let room = 0.08 * (high - low);
        Axis::linear(low - room, high + room, wanted, title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pareto_of_known_points() {
        let points = [[0.9, 0.5], [0.5, 0.9], [0.5, 0.8], [1.0, 0.1], [0.9, 0.5]];
        assert_eq!(pareto(&points), [1, 0, 4, 3], "equal ones both stay");
        assert_eq!(pareto(&[[0.0, 0.0]]), [0]);
    }

    #[test]
    fn names_lie_on_nothing() {
        let points: Vec<Point> = (0..9).map(|i| [60.0 + 4.0 * f64::from(i), 50.0]).collect();
        let names: Vec<String> = (0..9).map(|i| format!("method {i}")).collect();
        let area = [0.0, 0.0, 200.0, 100.0];
        let places = label_places(&names, &points, &[], area);
        let found: Vec<Box4> = places.iter().flatten().copied().collect();
        assert_eq!(found.len(), 9);
        for (i, a) in found.iter().enumerate() {
            assert!(a[0] >= 0.0 && a[3] <= 100.0);
            let apart = |b: &Box4| a[2] < b[0] || b[2] < a[0] || a[3] < b[1] || b[3] < a[1];
            assert!(found[..i].iter().all(apart), "{i}");
            let dot = |p: &Point| apart(&[p[0], p[1], p[0], p[1]]);
            assert!(points.iter().all(dot), "{i} covers a point");
        }
        let none = label_places(&names, &points, &[], [0.0, 0.0, 10.0, 10.0]);
        assert!(none.iter().all(Option::is_none));
    }
}
