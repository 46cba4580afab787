use super::*;
use crate::tensor::Buffer;
use crate::tuning::change::{changes, graft, largest, share_inside};
use crate::tuning::slices::Cells;

/// A model, and the same with 0.5 added to every element of some parameters.
fn moved(config: &Config, names: &[&str]) -> (Model<f64>, Model<f64>) {
    let before = Model::random(config, 1);
    let mut after = before.clone();
    for (w, p) in after.weights.iter_mut().zip(config.parameters()) {
        if names.contains(&&*p.name) {
            *w = Buffer::from(&w.iter().map(|x| x + 0.5).collect::<Vec<_>>()[..]).share();
        }
    }
    (before, after)
}

#[test]
fn changes_are_told_by_head_and_matrix() {
    let config = config();
    let (before, mut after) = moved(&config, &["blocks.1.mlp.W_in"]);
    let at = config.parameters().iter().position(|p| p.name == "blocks.0.attn.W_QKV");
    // An element of the keys of head 2: columns 12..24 are keys, four each.
    after.weights[at.expect("it")][3 * 36 + 21] += 2.0;
    let found = changes(&before, &after);
    let some: Vec<(&str, f64)> =
        found.iter().filter(|c| c.distance > 0.0).map(|c| (&*c.part, c.distance)).collect();
    assert_eq!(some.len(), 2);
    assert_eq!(some[0], ("blocks.0.attn.W_K.2", 2.0));
    assert_eq!(some[1].0, "blocks.1.mlp.W_in");
    assert!((some[1].1 - 0.5 * (12.0f64 * 16.0).sqrt()).abs() < 1e-12);
    // Three heads with four matrices and three biases in two layers, and the rest whole.
    assert_eq!(found.len(), 2 * 3 * (4 + 3) + config.parameters().len() - 6);
}

#[test]
fn grafts_are_what_they_are_of_the_tuned_model() {
    let config = config();
    let (before, after) = moved(&config, &["blocks.0.attn.W_O", "blocks.1.mlp.W_in"]);
    let slices = Slices::named(&config, |name| name == "blocks.0.attn.W_O");
    let grafted = graft(&before, &after, &slices);
    for (i, p) in config.parameters().iter().enumerate() {
        let from = if p.name == "blocks.0.attn.W_O" { &after } else { &before };
        assert_eq!(grafted.weights[i][..], from.weights[i][..], "{}", p.name);
    }
    let share = share_inside(&before, &after, &slices).expect("something changed");
    assert!((share - 144.0 / (144.0 + 192.0)).abs() < 1e-12, "{share}");
    assert_eq!(share_inside(&before, &before, &slices), None);
    let whole = graft(&before, &after, &Slices::named(&config, |_| true));
    assert!(whole.weights.iter().zip(&after.weights).all(|(a, b)| a[..] == b[..]));
}

/// Of 144 elements that moved by a half and one that moved by two, the one is first, then those of
/// the parameters in their order; grafts of all are the tuned model.
#[test]
fn the_largest_changes_come_first() {
    let config = config();
    let (before, mut after) = moved(&config, &["blocks.0.attn.W_O"]);
    let place =
        |name: &str| config.parameters().iter().position(|p| p.name == name).expect("a parameter");
    let (early, late) = (place("blocks.0.attn.W_O"), place("blocks.1.mlp.W_in"));
    after.weights[late][7] -= 2.0;
    let cells = |slices: &Slices| -> Vec<(usize, Vec<u32>)> {
        let places = |cells: &Cells| match cells {
            Cells::Scattered(places) => places.to_vec(),
            Cells::Window(_) => panic!("single elements"),
        };
        slices.iter().map(|s| (s.parameter, places(&s.cells))).collect()
    };
    assert_eq!(cells(&largest(&before, &after, 1)), [(late, vec![7])]);
    // The halves differ in the last bit.
    let three = cells(&largest(&before, &after, 3));
    assert_eq!((three[0].0, three[0].1.len(), &three[1]), (early, 2, &(late, vec![7])));
    let all: usize = before.weights.iter().map(|w| w.len()).sum();
    let whole = graft(&before, &after, &largest(&before, &after, all));
    assert!(whole.weights.iter().zip(&after.weights).all(|(a, b)| a[..] == b[..]));
    assert_eq!(share_inside(&before, &after, &largest(&before, &after, 145)), Some(1.0));
}
