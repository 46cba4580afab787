//! The trained parts of a model's parameters, and those that a circuit names.
//!
//! An edge ends in a writer and in a reader; each owns a part of the parameters. With a stream of
//! width D and heads of width K:
//!
//! | end of an edge | trained | with it |
//! | --- | --- | --- |
//! | reader `a0.h1<q>` (`<k>`, `<v>`) | the head's K columns of `W_QKV [D, ..]` | those of `b_QKV`
//! |
//! | writer `a0.h1` | the head's K rows of `W_O [H K, D]` | `b_O` |
//! | reader `m0` (or neuron `m0.n7`) | `W_in [D, F]` (its column; two if gated) | those of `b_in` |
//! | writer `m0` (or neuron) | `W_out [F, D]` (its row) | `b_out` |
//! | writer `input`, `embed`, `pos` | nothing | [embeddings](Extras::embeddings): `W_E`, `W_pos` |
//! | reader `logits` | nothing | [unembedding](Extras::unembedding): `W_U`, `b_U` |
//! | any reader | nothing | [norms](Extras::norms): the gain and bias of the norm before it |
//!
//! `b_O` and `b_out` belong to all writers of their layer, and are trained if one of them is. Edges
//! select ends, and parameters belong to ends: nothing finer can be trained without changing what
//! another edge carries. Training masks nothing.

use crate::graph::{Graph, Node};
use crate::nn::stream::Reader;
use crate::nn::transformer::Config;
use crate::stats::order;
use crate::tape::Window;
use std::ops::Range;
use std::sync::Arc;

/// What is trained in addition to the matrices that ends of edges own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extras {
    /// The biases of the trained matrices.
    pub biases: bool,
    /// Embeddings, if the circuit has edges from them.
    pub embeddings: bool,
    /// Norms of readers in the circuit.
    pub norms: bool,
    /// The unembedding, if the circuit has edges to the logits.
    pub unembedding: bool,
}

impl Extras {
    /// All of them: then the circuit of all edges trains the whole model.
    pub const ALL: Extras =
        Extras { biases: true, embeddings: true, norms: true, unembedding: true };
}

impl Default for Extras {
    /// The biases alone, as in the authors' circuit-tuning.
    fn default() -> Self {
        Extras { biases: true, embeddings: false, norms: false, unembedding: false }
    }
}

/// A set of ends of edges: readers and writers of a graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ends {
    /// By group, then by reader.
    pub readers: Vec<Vec<bool>>,
    /// By writer.
    pub writers: Vec<bool>,
}

impl Ends {
    /// The empty set.
    pub fn none(graph: &Graph) -> Ends {
        let readers = graph.groups.iter().map(|g| vec![false; g.readers.len()]).collect();
        Ends { readers, writers: vec![false; graph.writers.len()] }
    }

    /// The ends of the edges `kept [E]`.
    ///
    /// # Panics
    /// If `kept` is not `[E]`.
    pub fn of(graph: &Graph, kept: &[bool]) -> Ends {
        assert_eq!(kept.len(), graph.edges(), "edges");
        let mut ends = Ends::none(graph);
        for e in (0..kept.len()).filter(|&e| kept[e]) {
            let (group, _, reader, writer) = graph.place(e);
            ends.readers[group][reader] = true;
            ends.writers[writer] = true;
        }
        ends
    }

    /// The ends with these indices: readers first, group by group, then writers.
    ///
    /// # Panics
    /// If an index is too large.
    pub(crate) fn numbered(graph: &Graph, numbers: &[usize]) -> Ends {
        let mut ends = Ends::none(graph);
        let mut all: Vec<&mut bool> =
            ends.readers.iter_mut().flatten().chain(&mut ends.writers).collect();
        numbers.iter().for_each(|&i| *all[i] = true);
        ends
    }

    /// The indices of its ends: readers first, group by group, then writers.
    pub(crate) fn numbers(&self) -> Vec<usize> {
        let all = self.readers.iter().flatten().chain(&self.writers).enumerate();
        all.filter(|(_, is)| **is).map(|(i, _)| i).collect()
    }

    /// The number of ends in the set.
    pub fn count(&self) -> usize {
        self.readers.iter().flatten().chain(&self.writers).filter(|&&is| is).count()
    }
}

/// Elements of one parameter that are trained together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slice {
    /// Its index in [`Config::parameters`], or beyond them for parameters of adapters.
    pub parameter: usize,
    /// The elements.
    pub cells: Cells,
}

/// A set of elements of a parameter, as a matrix `[R, C]`; a vector is one row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cells {
    /// A window.
    Window(Window),
    /// The indices `i C + j`, increasing.
    Scattered(Arc<[u32]>),
}

impl Slice {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match &self.cells {
            Cells::Window(window) => window.len(),
            Cells::Scattered(places) => places.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The trained slices: disjoint, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slices(Vec<Slice>);

impl Slices {
    /// Slices in order, without empty ones and without repetitions.
    pub fn new(mut list: Vec<Slice>) -> Slices {
        list.retain(|s| !s.is_empty());
        list.sort();
        list.dedup();
        Slices(list)
    }

    /// Whole parameters; `shapes` are those of all.
    pub fn whole(shapes: &[[usize; 2]], parameters: impl IntoIterator<Item = usize>) -> Slices {
        let slice = |parameter: usize| {
            let [rows, columns] = shapes[parameter];
            Slice { parameter, cells: Cells::Window(Window::whole(rows, columns)) }
        };
        Slices::new(parameters.into_iter().map(slice).collect())
    }

    /// The whole parameters whose name satisfies `is`.
    pub fn named(config: &Config, is: impl Fn(&str) -> bool) -> Slices {
        let names = config.parameters();
        Slices::whole(&shapes(config), (0..names.len()).filter(|&i| is(&names[i].name)))
    }

    /// The slices that the ends of a circuit's edges own in a transformer.
    ///
    /// # Panics
    /// If the graph is not one of such a model.
    pub(crate) fn of_ends(graph: &Graph, config: &Config, ends: &Ends, extras: Extras) -> Slices {
        let mut owned = Owned::new(config);
        for (group, readers) in graph.groups.iter().zip(&ends.readers) {
            let (w, bias, norm) = match group.part {
                Reader::Attention(l) => (format!("{l}.attn.W_QKV"), format!("{l}.attn.b_QKV"), 1),
                Reader::Mlp(l) => (format!("{l}.mlp.W_in"), format!("{l}.mlp.b_in"), 2),
                Reader::Logits => (String::new(), String::new(), 0),
            };
            for columns in group.columns.iter().zip(readers).filter(|(_, is)| **is).map(|x| x.0) {
                for columns in columns {
                    owned.columns(&format!("blocks.{w}"), columns);
                    if extras.biases {
                        owned.columns(&format!("blocks.{bias}"), columns);
                    }
                }
            }
            let read = readers.contains(&true);
            if read && extras.norms {
                let norm = if config.one_norm { norm.min(1) } else { norm };
                let norms = match group.part {
                    Reader::Attention(l) => {
                        let parts =
                            [format!("ln{norm}"), "attn.q_norm".into(), "attn.k_norm".into()];
                        parts.map(|part| format!("blocks.{l}.{part}")).into()
                    }
                    Reader::Mlp(l) => vec![format!("blocks.{l}.ln{norm}")],
                    Reader::Logits => vec!["ln_final".into()],
                };
                owned.norms(&norms);
            }
            if read && extras.unembedding && group.part == Reader::Logits {
                owned.whole(if config.tied { "embed.W_E" } else { "unembed.W_U" });
                owned.whole("unembed.b_U");
            }
        }
        for (node, _) in graph.writers.iter().zip(&ends.writers).filter(|(_, is)| **is) {
            let of = |layer: usize, part: &str| format!("blocks.{layer}.{part}");
            let mlp = |l: usize| [of(l, "mlp.W_out"), of(l, "mlp.b_out"), of(l, "ln2_post")];
            let ([w, bias, norm], rows) = match *node {
                Node::Head { layer, head } => {
                    let rows = head * config.d_head..(head + 1) * config.d_head;
                    let parts = ["attn.W_O", "attn.b_O", "ln1_post"];
                    (parts.map(|part| of(layer, part)), rows)
                }
                Node::Mlp { layer } => (mlp(layer), 0..config.d_mlp),
                Node::Neuron { layer, neuron } => (mlp(layer), neuron..neuron + 1),
                Node::Input | Node::Embed | Node::Pos => {
                    if extras.embeddings && *node != Node::Pos {
                        owned.whole("embed.W_E");
                        owned.norms(&["embed.ln".into()]);
                    }
                    if extras.embeddings && *node != Node::Embed {
                        owned.whole("pos_embed.W_pos");
                    }
                    continue;
                }
                Node::KeyValue { .. } | Node::Logits => unreachable!("{node} only reads"),
            };
            owned.rows(&w, rows);
            if extras.biases {
                owned.whole(&bias);
            }
            if extras.norms {
                owned.norms(&[norm]);
            }
        }
        Slices::new(owned.list)
    }

    /// The slices.
    pub fn iter(&self) -> impl Iterator<Item = &Slice> {
        self.0.iter()
    }

    /// The number of trained elements.
    pub fn count(&self) -> usize {
        self.0.iter().map(Slice::len).sum()
    }

    /// The parameters with trained slices, with the windows in which their gradient is needed:
    /// disjoint windows around the slices, or the whole parameter if its elements are scattered, if
    /// it is a vector, or if it cannot be `divided`.
    pub(crate) fn by_parameter(
        &self,
        shapes: &[[usize; 2]],
        divided: impl Fn(usize) -> bool,
    ) -> Vec<(usize, Vec<Window>)> {
        let mut list: Vec<(usize, Vec<Window>)> = vec![];
        for slice in &self.0 {
            let [rows, columns] = shapes[slice.parameter];
            let window = match &slice.cells {
                Cells::Window(window) if rows > 1 && divided(slice.parameter) => window.clone(),
                _ => Window::whole(rows, columns),
            };
            match list.last_mut() {
                Some((parameter, windows)) if *parameter == slice.parameter => windows.push(window),
                _ => list.push((slice.parameter, vec![window])),
            }
        }
        for (parameter, windows) in &mut list {
            *windows = joined(windows, shapes[*parameter]);
        }
        list
    }
}

/// The shapes of a model's parameters as matrices; a vector is one row.
pub fn shapes(config: &Config) -> Vec<[usize; 2]> {
    config.parameters().iter().map(|p| [p.shape.rows(), p.shape.last()]).collect()
}

/// The same elements in as few windows as possible, which all span the rows or all span the
/// columns.
fn joined(windows: &[Window], [rows, columns]: [usize; 2]) -> Vec<Window> {
    let tall = windows.iter().all(|w| w.rows == (0..rows));
    let wide = windows.iter().all(|w| w.columns == (0..columns));
    assert!(tall || wide, "windows that span neither rows nor columns");
    let range = |w: &Window| if tall { w.columns.clone() } else { w.rows.clone() };
    let mut ranges: Vec<Range<usize>> = windows.iter().map(range).collect();
    order::sort_by_key(&mut ranges, |r| r.start);
    let mut list: Vec<Range<usize>> = vec![];
    for r in ranges {
        match list.last_mut() {
            Some(last) if r.start <= last.end => last.end = last.end.max(r.end),
            _ => list.push(r),
        }
    }
    let window = |r: Range<usize>| match tall {
        true => Window { rows: 0..rows, columns: r },
        false => Window { rows: r, columns: 0..columns },
    };
    list.into_iter().map(window).collect()
}

/// Collects the slices that ends own.
struct Owned {
    names: Vec<String>,
    shapes: Vec<[usize; 2]>,
    list: Vec<Slice>,
}

impl Owned {
    fn new(config: &Config) -> Owned {
        let names = config.parameters().into_iter().map(|p| p.name).collect();
        Owned { names, shapes: shapes(config), list: vec![] }
    }

    /// Adds a window of a parameter, if the model has it.
    fn add(&mut self, name: &str, window: impl Fn([usize; 2]) -> Window) {
        if let Some(parameter) = self.names.iter().position(|n| n == name) {
            let cells = Cells::Window(window(self.shapes[parameter]));
            self.list.push(Slice { parameter, cells });
        }
    }

    fn columns(&mut self, name: &str, columns: &Range<usize>) {
        self.add(name, |[rows, _]| Window { rows: 0..rows, columns: columns.clone() });
    }

    fn rows(&mut self, name: &str, rows: Range<usize>) {
        self.add(name, |[_, columns]| Window { rows: rows.clone(), columns: 0..columns });
    }

    /// Gains and biases of norms.
    fn norms(&mut self, names: &[String]) {
        for name in names {
            self.whole(&format!("{name}.w"));
            self.whole(&format!("{name}.b"));
        }
    }

    fn whole(&mut self, name: &str) {
        self.add(name, |[rows, columns]| Window::whole(rows, columns));
    }
}

/// All elements that were ever trained.
#[derive(Clone, Debug)]
pub struct Union {
    columns: Vec<usize>,
    marks: Vec<Vec<bool>>,
}

impl Union {
    /// The empty set, for parameters of these shapes.
    pub fn new(shapes: &[[usize; 2]]) -> Union {
        let marks = shapes.iter().map(|[rows, columns]| vec![false; rows * columns]).collect();
        Union { columns: shapes.iter().map(|s| s[1]).collect(), marks }
    }

    /// Adds the trained slices.
    pub fn add(&mut self, slices: &Slices) {
        for slice in slices.iter() {
            let (marks, n) = (&mut self.marks[slice.parameter], self.columns[slice.parameter]);
            match &slice.cells {
                Cells::Scattered(places) => places.iter().for_each(|&i| marks[i as usize] = true),
                Cells::Window(w) => w.rows.clone().for_each(|i| {
                    marks[i * n + w.columns.start..i * n + w.columns.end].fill(true);
                }),
            }
        }
    }

    /// The number of elements in the set.
    pub fn count(&self) -> usize {
        self.marks.iter().flatten().filter(|&&m| m).count()
    }

    /// By parameter, `[R, C]`, whether each element was ever trained.
    pub fn marks(&self) -> &[Vec<bool>] {
        &self.marks
    }
}
