//! The works in edgegrad.

mod peak;
mod read;
mod rows;
#[path = "../../../../work/mod.rs"]
mod work;

use edgegrad::gemm::{Mat, MatMut, Write, gemm};
use harness::product::{self, Product};
use harness::rows as shapes;

fn main() {
    let others = [&["peak", "read"], &shapes::NAMES[..], &work::NAMES].concat();
    let names: Vec<String> = others.into_iter().map(String::from).chain(product::names()).collect();
    let args: Vec<String> = std::env::args().skip(1).collect();
    harness::main(&args, &names, |name| match name {
        "peak" => peak::work(),
        "read" => read::work(),
        _ if shapes::NAMES.contains(&name) => rows::work(name),
        _ => product::work(name, multiply).unwrap_or_else(|| work::start(name)),
    });
}

fn multiply(p: &mut Product) {
    let [a, b] = [p.a_strides, p.b_strides];
    let a = Mat::strided(&p.a, p.m, p.k, a[0], a[1]);
    let b = Mat::strided(&p.b, p.k, p.n, b[0], b[1]);
    gemm(1.0, a, b, Write::Store, MatMut::new(&mut p.c, p.m, p.n));
}
