//! Any small program of the public operations, against naive loops over numbers that carry their
//! derivative and bounds on how far rounding can have moved both.
//!
//! The oracle shares no code with the crate. A value has to lie within its bound, and so has
//! `<gradient, direction>`: the bounds add absolute values along all paths, so they hold for any
//! order of summation, forward or in reverse. Programs that are ill-conditioned (a rectifier within
//! rounding of its kink, a root or a quotient within rounding of zero, numbers near overflow) are
//! run, since nothing may panic, but not compared: a bound of the first order says nothing there.
#![no_main]

use arbitrary::{Result, Unstructured};
use edgegrad::ops;
use edgegrad::ops::{Eps, MatMul};
use edgegrad::simd::Element;
use edgegrad::tape::{BackwardPlan, Ids, Program, Tape, Var};
use libfuzzer_sys::fuzz_target;
use std::cell::Cell;

/// The most numbers a tensor holds, and the most products an operation takes.
const MAX_LEN: usize = 640;
const MAX_WORK: usize = 20_000;

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    // A program that cannot be read to its end is no program.
    let _ = single_or_double(&mut u);
});

fn single_or_double(u: &mut Unstructured<'_>) -> Result<()> {
    let double = !u.ratio(1, 4)?;
    let case = Case::new(u)?;
    if double {
        check::<f64>(&case, 1e-300, 1e100)
    } else {
        check::<f32>(&case, 1e-36, 1e12)
    }
    Ok(())
}

// ---------------------------------------------------------------------------------- programs

#[derive(Debug)]
struct Case {
    tensors: Vec<Tensor>,
    output: usize,
    /// The leaf that is changed for a forward pass in part.
    changed: usize,
    /// Which leaves the second reverse pass wants, by the bits.
    wanted: u32,
    seed: u64,
}

#[derive(Debug)]
struct Tensor {
    shape: Vec<usize>,
    node: Node,
}

#[derive(Debug)]
enum Node {
    Leaf(Fill, u64),
    Add(usize, usize),
    Sub(usize, usize),
    Mul(usize, usize),
    Scale(usize, f64),
    MatMul(usize, usize, MatMul),
    Linear(usize, usize, Option<usize>),
    Gather(usize, List),
    Bag(usize, usize, List),
    Permute(usize, Vec<usize>),
    Reshape(usize),
    Sum(usize),
    SumAxis(usize, usize),
    Mean(usize),
    Softmax(usize),
    CausalSoftmax(usize),
    RmsNorm(usize, Option<usize>, Eps),
    LayerNorm(usize, Option<(usize, usize)>, f64),
    Map(Function, usize),
    CrossEntropy(usize, List),
    Dropout(usize, f64),
}

#[derive(Clone, Copy, Debug)]
enum Function {
    Gelu,
    GeluTanh,
    Relu,
    Silu,
    Tanh,
}

/// Where the numbers of a leaf come from.
#[derive(Clone, Copy, Debug)]
enum Fill {
    /// Few different ones: ties and zeros.
    Eighths,
    Unit,
    /// Where exponentials and error functions end.
    Large,
    Constant,
    Zero,
}

#[derive(Debug)]
struct List {
    shape: Vec<usize>,
    limit: usize,
    counting: bool,
    seed: u64,
}

impl List {
    fn numbers(&self) -> Vec<u32> {
        let (n, mut random) = (len(&self.shape), Random(self.seed));
        match self.counting {
            true => (0..n as u32).collect(),
            false => (0..n).map(|_| (random.next() % self.limit.max(1) as u64) as u32).collect(),
        }
    }
}

struct Random(u64);

impl Random {
    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// In [-1, 1), with few enough bits for `f32`.
    fn unit(&mut self) -> f64 {
        (self.next() >> 41) as f64 / (1u64 << 22) as f64 - 1.0
    }
}

fn leaf_numbers(fill: Fill, seed: u64, n: usize) -> Vec<f64> {
    let mut random = Random(seed);
    let first = random.unit();
    let number = |_| match fill {
        Fill::Eighths => (random.unit() * 16.0).round() / 8.0,
        Fill::Unit => random.unit(),
        Fill::Large => random.unit() * 64.0,
        Fill::Constant => first,
        Fill::Zero => 0.0,
    };
    (0..n).map(number).collect()
}

fn len(shape: &[usize]) -> usize {
    shape.iter().product()
}

fn last(shape: &[usize]) -> usize {
    shape.last().copied().unwrap_or(1)
}

fn size(u: &mut Unstructured<'_>) -> Result<usize> {
    Ok(*u.choose(&[2, 3, 1, 4, 5, 0, 6, 7, 8, 9, 12, 16, 17, 31, 33])?)
}

/// A shape of at most `MAX_LEN` numbers, of a rank in the range.
fn shape(u: &mut Unstructured<'_>, low: usize, high: usize) -> Result<Vec<usize>> {
    let rank = u.int_in_range(low..=high)?;
    let mut shape = (0..rank).map(|_| size(u)).collect::<Result<Vec<_>>>()?;
    for i in 0..rank {
        // Even the axes next to an empty one stay small.
        while shape.iter().map(|&n| n.max(1)).product::<usize>() > MAX_LEN {
            shape[i] = shape[i].min(2);
            if shape[i] <= 2 {
                break;
            }
        }
    }
    Ok(shape)
}

/// The shape of `x` and `y` repeated along each other, as in NumPy.
fn broadcast(x: &[usize], y: &[usize]) -> Option<Vec<usize>> {
    let rank = x.len().max(y.len());
    let at = |s: &[usize], i: usize| if i + s.len() < rank { 1 } else { s[i + s.len() - rank] };
    (0..rank)
        .map(|i| match (at(x, i), at(y, i)) {
            (a, b) if a == b => Some(a),
            (1, b) => Some(b),
            (a, 1) => Some(a),
            _ => None,
        })
        .collect()
}

struct Builder<'a, 'b> {
    u: &'a mut Unstructured<'b>,
    tensors: Vec<Tensor>,
}

impl Case {
    fn new(u: &mut Unstructured<'_>) -> Result<Case> {
        let first = shape(u, 0, 4)?;
        let mut b = Builder { u, tensors: vec![] };
        b.leaf(first)?;
        let mut steps = 0;
        while steps < 14 && !b.u.is_empty() {
            steps += 1;
            if let Some((shape, node)) = b.step()? {
                let numbers: usize = shape.iter().map(|&n| n.max(1)).product();
                if numbers <= MAX_LEN && shape.len() <= 6 {
                    b.tensors.push(Tensor { shape, node });
                }
            }
        }
        let Builder { u, tensors } = b;
        let leaves = tensors.iter().filter(|t| matches!(t.node, Node::Leaf(..))).count();
        let output = match u.ratio(1, 8)? {
            true => u.int_in_range(0..=tensors.len() - 1)?,
            false => tensors.len() - 1,
        };
        let changed = u.int_in_range(0..=leaves - 1)?;
        Ok(Case { tensors, output, changed, wanted: u.arbitrary()?, seed: u.arbitrary()? })
    }
}

impl Builder<'_, '_> {
    fn leaf(&mut self, shape: Vec<usize>) -> Result<usize> {
        let fills =
            [Fill::Unit, Fill::Eighths, Fill::Unit, Fill::Large, Fill::Constant, Fill::Zero];
        let fill = *self.u.choose(&fills)?;
        let seed = self.u.arbitrary::<u16>()?.into();
        self.tensors.push(Tensor { shape, node: Node::Leaf(fill, seed) });
        Ok(self.tensors.len() - 1)
    }

    /// A tensor that fits: more often than not the latest, sometimes a new leaf.
    fn pick(&mut self, fits: impl Fn(&[usize]) -> bool) -> Option<usize> {
        let all: Vec<usize> =
            (0..self.tensors.len()).filter(|&i| fits(&self.tensors[i].shape)).collect();
        let (&latest, _) = all.split_last()?;
        if self.u.ratio(1, 2).ok()? { self.u.choose(&all).ok().copied() } else { Some(latest) }
    }

    /// A tensor of this shape: a new leaf, or one that is there.
    fn operand(&mut self, shape: &[usize]) -> Result<usize> {
        if self.u.ratio(1, 2)? {
            if let Some(i) = self.pick(|s| s == shape) {
                return Ok(i);
            }
        }
        self.leaf(shape.to_vec())
    }

    /// Ids below the number of rows; an empty list if there are no rows.
    fn list(&mut self, mut shape: Vec<usize>, rows: usize) -> Result<List> {
        if rows == 0 && len(&shape) > 0 {
            shape[0] = 0;
        }
        let counting = len(&shape) <= rows && self.u.ratio(1, 4)?;
        let limit = if counting { len(&shape) } else { self.u.int_in_range(rows.min(1)..=rows)? };
        Ok(List { shape, limit, counting, seed: self.u.arbitrary::<u16>()?.into() })
    }

    /// A shape that fits `x` in an operation on two.
    fn mate(&mut self, x: &[usize]) -> Result<Vec<usize>> {
        let mut y = x.to_vec();
        for n in &mut y {
            match self.u.int_in_range(0..=5)? {
                0 => *n = 1,
                1 if *n == 1 => *n = size(self.u)?,
                _ => {}
            }
        }
        match self.u.int_in_range(0..=5)? {
            0 => y.clear(),
            1 if !y.is_empty() => drop(y.remove(0)),
            2 => y.insert(0, size(self.u)?),
            _ => {}
        }
        Ok(y)
    }

    fn step(&mut self) -> Result<Option<(Vec<usize>, Node)>> {
        let kind = self.u.int_in_range(0..=24)?;
        let Some(x) = self.pick(|_| true) else { return Ok(None) };
        let sx = self.tensors[x].shape.clone();
        let rows = len(&sx[..sx.len().saturating_sub(1)]);
        Ok(Some(match kind {
            0..=3 => {
                let y = match self.u.int_in_range(0..=3)? {
                    0 => x,
                    1 => match self.pick(|s| broadcast(&sx, s).is_some()) {
                        Some(y) => y,
                        None => return Ok(None),
                    },
                    _ => {
                        let mate = self.mate(&sx)?;
                        if mate.iter().map(|&n| n.max(1)).product::<usize>() > MAX_LEN {
                            return Ok(None);
                        }
                        self.operand(&mate)?
                    }
                };
                let Some(s) = broadcast(&sx, &self.tensors[y].shape) else { return Ok(None) };
                let (x, y) = if self.u.arbitrary()? { (x, y) } else { (y, x) };
                let nodes = [Node::Add(x, y), Node::Sub(x, y), Node::Mul(x, y), Node::Mul(x, y)];
                (s, nodes.into_iter().nth(kind).expect("one of four"))
            }
            4 => (sx, Node::Scale(x, *self.u.choose(&[-2.5, 1.0, 0.0, 0.125, 1e-3, 3.0])?)),
            5..=7 => {
                let a = match self.pick(|s| s.len() >= 2) {
                    Some(a) => a,
                    None => {
                        let s = shape(self.u, 2, 4)?;
                        self.leaf(s)?
                    }
                };
                let scale = *self.u.choose(&[1.0, 0.5, -1.75, 0.0])?;
                let (transpose_a, transpose_b) = (self.u.arbitrary()?, self.u.arbitrary()?);
                let options = MatMul { transpose_a, transpose_b, scale };
                let sa = self.tensors[a].shape.clone();
                let (batch, inner) = sa.split_at(sa.len() - 2);
                let (m, k) = if transpose_a { (inner[1], inner[0]) } else { (inner[0], inner[1]) };
                // An operand that happens to be there, or one that is made.
                let found = if self.u.ratio(1, 3)? {
                    self.pick(|s| {
                        s.len() >= 2 && {
                            let (bb, i) = s.split_at(s.len() - 2);
                            (bb.is_empty() || bb == batch) && i[transpose_b as usize] == k
                        }
                    })
                } else {
                    None
                };
                let b = match found {
                    Some(b) => b,
                    None => {
                        let n = size(self.u)?;
                        let mut s = if self.u.arbitrary()? { batch.to_vec() } else { vec![] };
                        s.extend(if transpose_b { [n, k] } else { [k, n] });
                        if s.iter().map(|&n| n.max(1)).product::<usize>() > MAX_LEN {
                            return Ok(None);
                        }
                        self.leaf(s)?
                    }
                };
                let sb = &self.tensors[b].shape;
                let n = sb[sb.len() - 1 - transpose_b as usize];
                if len(batch) * m * k * n > MAX_WORK {
                    return Ok(None);
                }
                ([batch, &[m, n]].concat(), Node::MatMul(a, b, options))
            }
            8 | 9 => {
                let Some(x) = self.pick(|s| !s.is_empty()) else { return Ok(None) };
                let mut s = self.tensors[x].shape.clone();
                let (n, k) = (size(self.u)?, last(&s));
                if len(&s) * n > MAX_WORK || n * k > MAX_LEN {
                    return Ok(None);
                }
                let w = self.operand(&[n, k])?;
                let bias = if self.u.arbitrary()? { Some(self.operand(&[n])?) } else { None };
                *s.last_mut().expect("an axis") = n;
                (s, Node::Linear(x, w, bias))
            }
            10 => {
                let Some(x) = self.pick(|s| !s.is_empty()) else { return Ok(None) };
                let s = self.tensors[x].shape.clone();
                let low = usize::from(s[0] == 0);
                let ids = shape(self.u, low, 3)?;
                let list = self.list(ids, s[0])?;
                ([&list.shape[..], &s[1..]].concat(), Node::Gather(x, list))
            }
            11 => {
                let Some(table) = self.pick(|s| s.len() == 2) else { return Ok(None) };
                let (r, d) = (self.tensors[table].shape[0], self.tensors[table].shape[1]);
                let ids = shape(self.u, 2, 2)?;
                let list = self.list(ids, r)?;
                if len(&list.shape) * d > MAX_WORK {
                    return Ok(None);
                }
                let weights = self.operand(&list.shape.clone())?;
                (vec![list.shape[0], d], Node::Bag(table, weights, list))
            }
            12 => {
                let mut order: Vec<usize> = (0..sx.len()).collect();
                for i in (1..order.len()).rev() {
                    let j = self.u.int_in_range(0..=i)?;
                    order.swap(i, j);
                }
                (order.iter().map(|&i| sx[i]).collect(), Node::Permute(x, order))
            }
            13 => {
                let mut s = sx.clone();
                match self.u.int_in_range(0..=3)? {
                    0 => s = vec![len(&sx)],
                    1 if s.len() > 1 => {
                        let at = self.u.int_in_range(0..=s.len() - 2)?;
                        let n = s.remove(at);
                        s[at] *= n;
                    }
                    2 => {
                        let at = self.u.int_in_range(0..=s.len())?;
                        s.insert(at, 1);
                    }
                    _ if !s.is_empty() => {
                        let at = self.u.int_in_range(0..=s.len() - 1)?;
                        let part = size(self.u)?.max(1);
                        if s[at] % part == 0 {
                            s[at] /= part;
                            s.insert(at, part);
                        }
                    }
                    _ => {}
                }
                (s, Node::Reshape(x))
            }
            14 => match self.u.int_in_range(0..=3)? {
                0 => (vec![], Node::Sum(x)),
                1 if len(&sx) > 0 => (vec![], Node::Mean(x)),
                _ if !sx.is_empty() => {
                    let axis = self.u.int_in_range(0..=sx.len() - 1)?;
                    let mut s = sx.clone();
                    s.remove(axis);
                    (s, Node::SumAxis(x, axis))
                }
                _ => return Ok(None),
            },
            15 => (sx, Node::Softmax(x)),
            16 => {
                let square = |s: &[usize]| matches!(s, [.., a, b] if a == b);
                let x = match self.pick(square) {
                    Some(x) => x,
                    None => {
                        let n = size(self.u)?.min(17);
                        let s = if self.u.arbitrary()? { vec![n, n] } else { vec![2, n, n] };
                        self.leaf(s)?
                    }
                };
                (self.tensors[x].shape.clone(), Node::CausalSoftmax(x))
            }
            17 | 18 => {
                let eps = *self.u.choose(&[1e-5, 0.1, 1e-12, 1e-2])?;
                if kind == 17 {
                    let gain = match self.u.arbitrary()? {
                        true => Some(self.operand(&[last(&sx)])?),
                        false => None,
                    };
                    let eps =
                        if self.u.arbitrary()? { Eps::Inside(eps) } else { Eps::Outside(eps) };
                    (sx, Node::RmsNorm(x, gain, eps))
                } else {
                    let affine = match self.u.arbitrary()? {
                        true => Some((self.operand(&[last(&sx)])?, self.operand(&[last(&sx)])?)),
                        false => None,
                    };
                    (sx, Node::LayerNorm(x, affine, eps))
                }
            }
            19..=22 => {
                let all = [
                    Function::Gelu,
                    Function::GeluTanh,
                    Function::Relu,
                    Function::Silu,
                    Function::Tanh,
                ];
                (sx, Node::Map(*self.u.choose(&all)?, x))
            }
            23 => {
                let fits = |s: &[usize]| matches!(s, [n, v] if *v > 0 || *n == 0);
                let x = match self.pick(fits) {
                    Some(x) => x,
                    None if sx.len() > 2 && last(&sx) > 0 => {
                        let s = vec![rows, last(&sx)];
                        self.tensors.push(Tensor { shape: s, node: Node::Reshape(x) });
                        self.tensors.len() - 1
                    }
                    None => return Ok(None),
                };
                let [n, v] = self.tensors[x].shape[..] else { return Ok(None) };
                let list = self.list(vec![n], v)?;
                (vec![n], Node::CrossEntropy(x, list))
            }
            _ => (sx, Node::Dropout(x, *self.u.choose(&[0.5, 0.25, 0.0, 0.1])?)),
        }))
    }
}

// ------------------------------------------------------------------------------------ oracle

/// A number and its derivative `d` along the direction; `a` adds the absolute values of all paths
/// that add up to `d`. `ev` and `ea` bound what rounding does to the value and to the derivative.
#[derive(Clone, Copy, Debug, Default)]
struct Num {
    v: f64,
    d: f64,
    a: f64,
    ev: f64,
    ea: f64,
}

struct Oracle {
    eps: f64,
    /// What underflow may lose.
    tiny: f64,
    huge: f64,
    ill: Cell<bool>,
}

impl Oracle {
    /// What one rounding, or a function good to a few units in the last place, does.
    fn round(&self, magnitude: f64) -> f64 {
        if magnitude == 0.0 { 0.0 } else { 8.0 * self.eps * magnitude + self.tiny }
    }

    fn constant(&self, v: f64) -> Num {
        Num { v, ..Num::default() }
    }

    fn sum(&self, terms: impl IntoIterator<Item = Num>) -> Num {
        let (mut total, mut n, mut size) = (Num::default(), 0.0, 0.0);
        for t in terms {
            total.v += t.v;
            total.d += t.d;
            total.a += t.a;
            total.ev += t.ev;
            total.ea += t.ea;
            size += t.v.abs();
            n += 1.0;
        }
        total.ev += n * self.round(size);
        total.ea += n * self.round(total.a);
        total
    }

    fn add(&self, x: Num, y: Num) -> Num {
        self.sum([x, y])
    }

    fn neg(&self, x: Num) -> Num {
        Num { v: -x.v, d: -x.d, ..x }
    }

    fn sub(&self, x: Num, y: Num) -> Num {
        self.add(x, self.neg(y))
    }

    fn mul(&self, x: Num, y: Num) -> Num {
        let (v, a) = (x.v * y.v, x.v.abs() * y.a + y.v.abs() * x.a);
        Num {
            v,
            d: x.d * y.v + x.v * y.d,
            a,
            ev: x.v.abs() * y.ev + y.v.abs() * x.ev + x.ev * y.ev + self.round(v.abs()),
            ea: (x.v.abs() + x.ev) * y.ea
                + (y.v.abs() + y.ev) * x.ea
                + x.ev * y.a
                + y.ev * x.a
                + self.round(a),
        }
    }

    fn times(&self, x: Num, factor: f64) -> Num {
        self.mul(x, self.constant(factor))
    }

    /// A function with value `v`, slopes `f1` and `f2`. `slope` is how large the terms are that the
    /// slope may be computed from; beyond an error of a fraction of `radius` the second order of
    /// the error counts.
    fn apply(&self, x: Num, [v, f1, f2]: [f64; 3], slope: f64, radius: f64) -> Num {
        if x.ev > 1e-3 * radius {
            self.ill.set(true);
        }
        Num {
            v,
            d: f1 * x.d,
            a: f1.abs() * x.a,
            ev: (f1.abs() + f2.abs() * x.ev) * x.ev + self.round(v.abs()),
            ea: f1.abs() * x.ea + f2.abs() * x.ev * (x.a + x.ea) + self.round(slope * x.a),
        }
    }

    fn exp(&self, x: Num) -> Num {
        let v = x.v.exp();
        let y = self.apply(x, [v, v, v], v, 1.0);
        Num { ev: y.ev + self.tiny, ea: y.ea + self.tiny * x.a, ..y }
    }

    fn ln(&self, x: Num) -> Num {
        let r = 1.0 / x.v;
        self.apply(x, [x.v.ln(), r, -r * r], r, x.v)
    }

    fn recip(&self, x: Num) -> Num {
        let r = 1.0 / x.v;
        self.apply(x, [r, -r * r, 2.0 * r * r * r], r * r, x.v.abs())
    }

    /// The slope at 0 is 0, as the norms define it.
    fn sqrt(&self, x: Num) -> Num {
        let v = x.v.sqrt();
        let f1 = if x.v == 0.0 { 0.0 } else { 0.5 / v };
        let f2 = if x.v == 0.0 { 0.0 } else { -0.25 / (v * x.v) };
        self.apply(x, [v, f1, f2], f1, x.v)
    }

    fn tanh(&self, x: Num) -> Num {
        let (t, c) = (x.v.tanh(), x.v.abs().min(300.0).cosh());
        let f1 = 1.0 / (c * c);
        self.apply(x, [t, f1, -2.0 * t * f1], 1.0, 1.0)
    }

    fn erf(&self, x: Num) -> Num {
        let f1 = std::f64::consts::FRAC_2_SQRT_PI * (-x.v * x.v).exp();
        let f2 = -2.0 * x.v * f1;
        self.apply(x, [libm::erf(x.v), f1, f2], f1 * (1.0 + x.v * x.v), 1.0)
    }

    fn sigmoid(&self, x: Num) -> Num {
        let e = (-x.v.abs()).exp();
        let (small, f1) = (e / (1.0 + e), e / (1.0 + e) / (1.0 + e));
        let v = if x.v > 0.0 { 1.0 / (1.0 + e) } else { small };
        let y = self.apply(x, [v, f1, f1 * (1.0 - 2.0 * v)], v, 1.0);
        Num { ev: y.ev + self.tiny, ea: y.ea + self.tiny * x.a, ..y }
    }

    fn relu(&self, x: Num) -> Num {
        // Within rounding of the kink either side is right.
        if x.ev > 0.0 && x.v.abs() <= 2.0 * x.ev {
            self.ill.set(true);
        }
        if x.v > 0.0 { x } else { Num::default() }
    }

    fn function(&self, f: Function, x: Num) -> Num {
        let half_plus_half = |y| {
            let y = self.add(y, self.constant(1.0));
            self.times(y, 0.5)
        };
        match f {
            Function::Relu => self.relu(x),
            Function::Tanh => self.tanh(x),
            Function::Silu => self.mul(x, self.sigmoid(x)),
            Function::Gelu => {
                let z = self.times(x, std::f64::consts::FRAC_1_SQRT_2);
                self.mul(x, half_plus_half(self.erf(z)))
            }
            Function::GeluTanh => {
                let cube = self.mul(self.mul(x, x), x);
                let inner = self.add(x, self.times(cube, 0.044715));
                let inner = self.times(inner, (2.0 / std::f64::consts::PI).sqrt());
                self.mul(x, half_plus_half(self.tanh(inner)))
            }
        }
    }

    /// `e^(x - shift)` of the row and their sum; the result of what follows does not depend on the
    /// shift, so it counts as exact.
    fn exponentials(&self, row: &[Num]) -> (f64, Vec<Num>, Num) {
        let shift = row.iter().map(|x| x.v).fold(f64::NEG_INFINITY, f64::max);
        let list: Vec<Num> =
            row.iter().map(|&x| self.exp(self.sub(x, self.constant(shift)))).collect();
        let total = self.sum(list.iter().copied());
        (shift, list, total)
    }

    fn softmax(&self, row: &[Num]) -> Vec<Num> {
        let (_, list, total) = self.exponentials(row);
        list.into_iter().map(|e| self.mul(e, self.recip(total))).collect()
    }

    fn check(&self, list: &[Num]) {
        let small = |x: &Num| [x.v, x.a, x.ev, x.ea].iter().all(|n| n.abs() < self.huge);
        if !list.iter().all(small) {
            self.ill.set(true);
        }
    }

    fn run(&self, case: &Case, directions: &[Vec<f64>], noise: &mut Random) -> Vec<Vec<Num>> {
        let mut all: Vec<Vec<Num>> = vec![];
        let mut directions = directions.iter();
        for t in &case.tensors {
            let list = self.tensor(case, t, &all, &mut directions, noise);
            assert_eq!(list.len(), len(&t.shape), "the oracle's {t:?}");
            self.check(&list);
            all.push(list);
        }
        all
    }

    fn tensor<'a>(
        &self,
        case: &Case,
        t: &Tensor,
        all: &[Vec<Num>],
        directions: &mut impl Iterator<Item = &'a Vec<f64>>,
        noise: &mut Random,
    ) -> Vec<Num> {
        let s = &t.shape;
        let n = len(s);
        let shape = |i: usize| &case.tensors[i].shape[..];
        // The place of output `i` in a tensor that is repeated along the output.
        let place = |of: usize, i: usize| {
            let (mut rest, mut at, mut step) = (i, 0, 1);
            for (k, &size) in s.iter().enumerate().rev() {
                let coordinate = rest % size;
                rest /= size;
                if k + shape(of).len() >= s.len() {
                    let own = shape(of)[k + shape(of).len() - s.len()];
                    at += if own == 1 { 0 } else { coordinate * step };
                    step *= own;
                }
            }
            at
        };
        let pairs = |x: usize, y: usize| {
            (0..n).map(move |i| (all[x][place(x, i)], all[y][place(y, i)])).collect::<Vec<_>>()
        };
        // All rows of `width` numbers; none where they are empty.
        let rows = |x: usize, width: usize| all[x].chunks(width.max(1));
        match &t.node {
            Node::Leaf(fill, seed) => leaf_numbers(*fill, *seed, n)
                .into_iter()
                .zip(directions.next().expect("a direction for each leaf"))
                .map(|(v, &d)| Num { v, d, a: d.abs(), ..Num::default() })
                .collect(),
            Node::Add(x, y) => pairs(*x, *y).into_iter().map(|(x, y)| self.add(x, y)).collect(),
            Node::Sub(x, y) => pairs(*x, *y).into_iter().map(|(x, y)| self.sub(x, y)).collect(),
            Node::Mul(x, y) => pairs(*x, *y).into_iter().map(|(x, y)| self.mul(x, y)).collect(),
            Node::Scale(x, f) => all[*x].iter().map(|&x| self.times(x, *f)).collect(),
            Node::MatMul(a, b, o) => {
                let (sa, sb) = (shape(*a), shape(*b));
                let (ra, ca) = (sa[sa.len() - 2], sa[sa.len() - 1]);
                let (rb, cb) = (sb[sb.len() - 2], sb[sb.len() - 1]);
                let (m, k) = if o.transpose_a { (ca, ra) } else { (ra, ca) };
                let columns = if o.transpose_b { rb } else { cb };
                let mut out = vec![];
                for batch in 0..len(&sa[..sa.len() - 2]) {
                    let batch_b = if sb.len() == 2 { 0 } else { batch };
                    for i in 0..m {
                        for j in 0..columns {
                            let terms = (0..k).map(|l| {
                                let at = if o.transpose_a { l * ca + i } else { i * ca + l };
                                let bt = if o.transpose_b { j * cb + l } else { l * cb + j };
                                let x = all[*a][batch * ra * ca + at];
                                self.mul(x, all[*b][batch_b * rb * cb + bt])
                            });
                            out.push(self.times(self.sum(terms), o.scale));
                        }
                    }
                }
                out
            }
            Node::Linear(x, w, bias) => {
                let (columns, k) = (shape(*w)[0], shape(*w)[1]);
                let at = |i: usize| {
                    let (row, j) = (i / columns, i % columns);
                    let terms = (0..k).map(|l| self.mul(all[*x][row * k + l], all[*w][j * k + l]));
                    self.sum(terms.chain(bias.map(|b| all[b][j])))
                };
                (0..n).map(at).collect()
            }
            Node::Gather(x, list) => {
                let width = len(&shape(*x)[1..]);
                let ids = list.numbers();
                let row = |&id: &u32| (0..width).map(move |j| all[*x][id as usize * width + j]);
                ids.iter().flat_map(row).collect()
            }
            Node::Bag(x, w, list) => {
                let (ids, width, each) = (list.numbers(), shape(*x)[1], list.shape[1]);
                let at = |i: usize| {
                    let (row, j) = (i / width, i % width);
                    self.sum((0..each).map(|l| {
                        let id = ids[row * each + l] as usize;
                        self.mul(all[*w][row * each + l], all[*x][id * width + j])
                    }))
                };
                (0..n).map(at).collect()
            }
            Node::Permute(x, order) => {
                let from = shape(*x);
                let at = |i: usize| {
                    let (mut rest, mut coordinates) = (i, vec![0; from.len()]);
                    for (k, &size) in s.iter().enumerate().rev() {
                        coordinates[order[k]] = rest % size;
                        rest /= size;
                    }
                    all[*x][coordinates.iter().zip(from).fold(0, |at, (&c, &size)| at * size + c)]
                };
                (0..n).map(at).collect()
            }
            Node::Reshape(x) => all[*x].clone(),
            Node::Sum(x) => vec![self.sum(all[*x].iter().copied())],
            Node::Mean(x) => {
                let total = self.sum(all[*x].iter().copied());
                vec![self.times(total, 1.0 / all[*x].len() as f64)]
            }
            Node::SumAxis(x, axis) => {
                let (many, inner) = (shape(*x)[*axis], len(&shape(*x)[axis + 1..]));
                let at = |i: usize| {
                    let start = i / inner * many * inner + i % inner;
                    self.sum((0..many).map(|l| all[*x][start + l * inner]))
                };
                (0..n).map(at).collect()
            }
            Node::Softmax(x) => rows(*x, last(s)).flat_map(|row| self.softmax(row)).collect(),
            Node::CausalSoftmax(x) => {
                let row = |(i, row): (usize, &[Num])| {
                    let mut y = self.softmax(&row[..i % last(s) + 1]);
                    y.resize(row.len(), Num::default());
                    y
                };
                rows(*x, last(s)).enumerate().flat_map(row).collect()
            }
            Node::RmsNorm(x, gain, eps) => {
                let row = |row: &[Num]| {
                    let squares = self.sum(row.iter().map(|&x| self.mul(x, x)));
                    let squares = self.times(squares, 1.0 / row.len() as f64);
                    let divisor = match *eps {
                        Eps::Inside(eps) | Eps::InsideSingle(eps) => {
                            self.sqrt(self.add(squares, self.constant(eps)))
                        }
                        Eps::Outside(eps) => self.add(self.sqrt(squares), self.constant(eps)),
                    };
                    let r = self.recip(divisor);
                    let y = row.iter().map(|&x| self.mul(x, r));
                    let gained = |(j, y)| gain.map_or(y, |g| self.mul(y, all[g][j]));
                    y.enumerate().map(gained).collect::<Vec<_>>()
                };
                rows(*x, last(s)).flat_map(row).collect()
            }
            Node::LayerNorm(x, affine, eps) => {
                let row = |row: &[Num]| {
                    let part = 1.0 / row.len() as f64;
                    let mean = self.times(self.sum(row.iter().copied()), part);
                    let around: Vec<Num> = row.iter().map(|&x| self.sub(x, mean)).collect();
                    let squares = self.sum(around.iter().map(|&x| self.mul(x, x)));
                    let variance = self.times(squares, part);
                    let r = self.recip(self.sqrt(self.add(variance, self.constant(*eps))));
                    let y = around.iter().map(|&x| self.mul(x, r));
                    let shifted = |(j, y)| {
                        affine.map_or(y, |(g, b)| self.add(self.mul(y, all[g][j]), all[b][j]))
                    };
                    y.enumerate().map(shifted).collect::<Vec<_>>()
                };
                rows(*x, last(s)).flat_map(row).collect()
            }
            Node::Map(f, x) => all[*x].iter().map(|&x| self.function(*f, x)).collect(),
            Node::CrossEntropy(x, list) => {
                let row = |(row, id): (&[Num], u32)| {
                    let (shift, _, total) = self.exponentials(row);
                    let target = self.sub(row[id as usize], self.constant(shift));
                    self.sub(self.ln(total), target)
                };
                rows(*x, shape(*x)[1]).zip(list.numbers()).map(row).collect()
            }
            Node::Dropout(x, rate) if *rate == 0.0 => all[*x].clone(),
            Node::Dropout(x, rate) => {
                let keep = 1.0 - rate;
                let kept = |x| {
                    let factor = if uniform(noise) < keep { 1.0 / keep } else { 0.0 };
                    self.times(x, factor)
                };
                all[*x].iter().copied().map(kept).collect()
            }
        }
    }
}

fn uniform(random: &mut Random) -> f64 {
    random.unit() / 2.0 + 0.5
}

// ------------------------------------------------------------------------------------ checks

fn record<'a, T: Element>(case: &'a Case) -> (Program<T>, Vec<Var>) {
    let mut tape = Tape::<T>::new();
    let mut vars: Vec<Var> = vec![];
    let mut lists: Vec<(Ids, &'a List)> = vec![];
    for t in &case.tensors {
        let v = |i: &usize| vars[*i];
        let tape = &mut tape;
        let mut ids = |tape: &mut Tape<T>, list: &'a List| {
            if list.counting {
                return tape.counting_ids(list.shape.clone());
            }
            let ids = tape.ids(list.shape.clone(), list.limit);
            lists.push((ids, list));
            ids
        };
        let var = match &t.node {
            Node::Leaf(..) => tape.leaf("leaf", t.shape.clone()),
            Node::Add(x, y) => ops::add(tape, v(x), v(y)),
            Node::Sub(x, y) => ops::sub(tape, v(x), v(y)),
            Node::Mul(x, y) => ops::mul(tape, v(x), v(y)),
            Node::Scale(x, f) => ops::scale(tape, v(x), *f),
            Node::MatMul(a, b, o) => ops::matmul(tape, v(a), v(b), *o),
            Node::Linear(x, w, bias) => ops::linear(tape, v(x), v(w), bias.as_ref().map(v)),
            Node::Gather(x, list) => {
                let i = ids(tape, list);
                ops::gather(tape, v(x), i)
            }
            Node::Bag(x, w, list) => {
                let i = ids(tape, list);
                ops::bag(tape, v(x), v(w), i)
            }
            Node::Permute(x, order) => ops::permute(tape, v(x), order),
            Node::Reshape(x) => tape.reshape(v(x), t.shape.clone()),
            Node::Sum(x) => ops::sum(tape, v(x)),
            Node::SumAxis(x, axis) => ops::sum_axis(tape, v(x), *axis),
            Node::Mean(x) => ops::mean(tape, v(x)),
            Node::Softmax(x) => ops::softmax(tape, v(x)),
            Node::CausalSoftmax(x) => ops::causal_softmax(tape, v(x)),
            Node::RmsNorm(x, gain, eps) => ops::rms_norm(tape, v(x), gain.as_ref().map(v), *eps),
            Node::LayerNorm(x, affine, eps) => {
                ops::layer_norm(tape, v(x), affine.as_ref().map(|(g, b)| (v(g), v(b))), *eps)
            }
            Node::Map(Function::Gelu, x) => ops::gelu(tape, v(x)),
            Node::Map(Function::GeluTanh, x) => ops::gelu_tanh(tape, v(x)),
            Node::Map(Function::Relu, x) => ops::relu(tape, v(x)),
            Node::Map(Function::Silu, x) => ops::silu(tape, v(x)),
            Node::Map(Function::Tanh, x) => ops::tanh(tape, v(x)),
            Node::CrossEntropy(x, list) => {
                let i = ids(tape, list);
                ops::cross_entropy(tape, v(x), i)
            }
            Node::Dropout(x, rate) => ops::dropout(tape, v(x), *rate),
        };
        assert_eq!(tape.shape(var).dims(), t.shape, "{t:?}");
        vars.push(var);
    }
    let mut program = tape.finish();
    for (ids, list) in lists {
        program.set_ids(ids, &list.numbers());
    }
    (program, vars)
}

/// The bits, with one pattern for everything that is no number.
fn bits<T: Element>(list: &[T]) -> Vec<u64> {
    let one = |x: &T| if x.to_f64().is_nan() { u64::MAX } else { x.to_f64().to_bits() };
    list.iter().map(one).collect()
}

struct Runner<'a, T> {
    case: &'a Case,
    program: Program<T>,
    vars: Vec<Var>,
    /// Whether what a variable holds is computed, not set.
    computed: Vec<bool>,
    weights: Vec<T>,
}

impl<T: Element> Runner<'_, T> {
    fn values(&self) -> Vec<Vec<u64>> {
        self.vars.iter().map(|&x| bits(self.program.value(x))).collect()
    }

    /// Nothing that an earlier pass left may reach the next.
    fn forward(&mut self) -> Vec<Vec<u64>> {
        for (&x, _) in self.vars.iter().zip(&self.computed).filter(|(_, computed)| **computed) {
            self.program.value_mut(x).fill(T::from_f64(f64::NAN));
        }
        self.program.forward();
        self.values()
    }

    /// The gradients of the given variables, after a pass that found nothing but NaN.
    fn backward(&mut self, plan: &BackwardPlan, of: &[Var]) -> Vec<Vec<u64>> {
        for &x in &self.vars {
            self.program.value_and_grad_mut(x).1.fill(T::from_f64(f64::NAN));
        }
        self.program.backward_from(plan, &self.weights);
        of.iter().map(|&x| bits(self.program.grad(x))).collect()
    }

    fn same(&self, what: &str, a: &[Vec<u64>], b: &[Vec<u64>]) {
        assert!(a == b, "{what}: {:?}\n{a:x?}\n{b:x?}", self.case);
    }
}

fn check<T: Element>(case: &Case, tiny: f64, huge: f64) {
    let (mut program, vars) = record::<T>(case);
    let is_leaf = |i: &usize| matches!(case.tensors[*i].node, Node::Leaf(..));
    let leaves: Vec<usize> = (0..vars.len()).filter(is_leaf).collect();
    let mut random = Random(case.seed);
    let mut directions: Vec<Vec<f64>> = vec![];
    for &i in &leaves {
        let Node::Leaf(fill, seed) = case.tensors[i].node else { unreachable!("a leaf") };
        let n = len(&case.tensors[i].shape);
        let numbers: Vec<T> = leaf_numbers(fill, seed, n).into_iter().map(T::from_f64).collect();
        program.set(vars[i], &numbers);
        directions.push((0..n).map(|_| random.unit()).collect());
    }
    let weights: Vec<f64> =
        (0..len(&case.tensors[case.output].shape)).map(|_| random.unit()).collect();
    let noise = random.next();
    let mut draw = Random(noise);
    program.draw_noise(|| uniform(&mut draw));

    // Reshaped leaves, and what dropout at rate 0 gives back, are leaves.
    let mut computed: Vec<bool> = vec![];
    for t in &case.tensors {
        computed.push(match &t.node {
            Node::Leaf(..) => false,
            Node::Reshape(x) => computed[*x],
            Node::Dropout(x, rate) if *rate == 0.0 => computed[*x],
            _ => true,
        });
    }
    let output = vars[case.output];
    let everything = program.plan_backward(output, &vars);
    let leaf_vars: Vec<Var> = leaves.iter().map(|&i| vars[i]).collect();
    let to_leaves = program.plan_backward(output, &leaf_vars);
    let some: Vec<usize> = (0..leaves.len()).filter(|i| case.wanted >> (i % 32) & 1 == 1).collect();
    let some_vars: Vec<Var> = some.iter().map(|&i| leaf_vars[i]).collect();
    let to_some = program.plan_backward(output, &some_vars);

    let seed = weights.iter().map(|&w| T::from_f64(w)).collect();
    let mut run = Runner { case, program, vars, computed, weights: seed };
    let first = run.forward();
    let again = run.forward();
    run.same("a second forward pass", &first, &again);
    let gradients = run.backward(&to_leaves, &leaf_vars);
    let slope: f64 = leaf_vars
        .iter()
        .zip(&directions)
        .flat_map(|(&x, v)| run.program.grad(x).iter().zip(v).map(|(g, v)| g.to_f64() * v))
        .sum();
    let again = run.backward(&to_leaves, &leaf_vars);
    run.same("a second reverse pass", &gradients, &again);
    let again = run.backward(&everything, &leaf_vars);
    run.same("a reverse pass to everything", &gradients, &again);
    let part = run.backward(&to_some, &some_vars);
    let full: Vec<_> = some.iter().map(|&i| gradients[i].clone()).collect();
    run.same("a reverse pass to some leaves", &full, &part);

    let eps = T::EPSILON;
    let oracle = Oracle { eps, tiny, huge, ill: Cell::new(false) };
    let expected = oracle.run(case, &directions, &mut Random(noise));
    let terms = expected[case.output].iter().zip(&weights);
    let result = oracle.sum(terms.map(|(&y, &w)| oracle.times(y, w)));
    oracle.check(&[result]);
    // The oracle sums over what goes into a number, the reverse pass over what comes out of it.
    let longest = case.tensors.iter().map(|t| len(&t.shape)).max().unwrap_or(1);
    let steps = (case.tensors.len() * longest.max(8)) as f64;
    let tolerance = 2.0 * result.ea + steps * oracle.round(result.a) + tiny;
    if !oracle.ill.get() {
        for (i, (list, &x)) in expected.iter().zip(&run.vars).enumerate() {
            for (at, (e, y)) in list.iter().zip(run.program.value(x)).enumerate() {
                let off = (y.to_f64() - e.v).abs();
                let within = off <= 2.0 * e.ev + tiny;
                assert!(within, "value {at} of tensor {i}: {y:?} is {off:e} off {e:?}\n{case:?}");
            }
        }
        let off = (slope - result.d).abs();
        assert!(off <= tolerance, "slope {slope:e} is {off:e} off {result:?}\n{case:?}");
    }
    count(oracle.ill.get(), tolerance, &result);

    // One leaf changes.
    let x = leaf_vars[case.changed];
    let plan = run.program.plan_forward(&[x]);
    for y in run.program.value_mut(x) {
        *y = T::from_f64(random.unit());
    }
    run.program.forward_from(&plan);
    let part = run.values();
    let part_gradients = run.backward(&to_leaves, &leaf_vars);
    let full = run.forward();
    run.same("a forward pass in part", &full, &part);
    let full_gradients = run.backward(&to_leaves, &leaf_vars);
    run.same("a reverse pass after one in part", &full_gradients, &part_gradients);
}

/// With `EDGEGRAD_FUZZ_COUNT`, how many programs were compared, and how many of those bounds said
/// something.
fn count(ill: bool, tolerance: f64, result: &Num) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static WANTED: OnceLock<bool> = OnceLock::new();
    static COUNTS: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];
    if *WANTED.get_or_init(|| std::env::var_os("EDGEGRAD_FUZZ_COUNT").is_some()) {
        let sharp = tolerance < 1e-3 * result.d.abs();
        let kinds = [true, ill, !ill && result.a > 0.0, !ill && sharp];
        for (c, kind) in COUNTS.iter().zip(kinds) {
            c.fetch_add(kind.into(), Relaxed);
        }
        if COUNTS[0].load(Relaxed).is_multiple_of(10_000) {
            eprintln!("programs, ill-conditioned, with a slope, sharp: {COUNTS:?}");
        }
    }
}
