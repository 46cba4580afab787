//! Matrix products in the crates `gemm`, `faer` and `matrixmultiply`: `PROGRAM CRATE ...`.

use harness::product::{self, Product};

fn main() {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let multiply = match args.first().map(String::as_str) {
        Some("gemm") => by_gemm,
        Some("faer") => by_faer,
        Some("matrixmultiply") => by_matrixmultiply,
        _ => {
            eprintln!("error: usage: PROGRAM gemm|faer|matrixmultiply ...");
            std::process::exit(2)
        }
    };
    harness::main(&args.split_off(1), &product::names(), |name| {
        product::work(name, multiply).expect("a product")
    });
}

/// Strides as these crates take them.
fn signed(strides: [usize; 2]) -> [isize; 2] {
    strides.map(|s| s as isize)
}

fn by_gemm(p: &mut Product) {
    let [a_rs, a_cs] = signed(p.a_strides);
    let [b_rs, b_cs] = signed(p.b_strides);
    let (a, b, c) = (p.a.as_ptr(), p.b.as_ptr(), p.c.as_mut_ptr());
    let threads = match rayon::current_num_threads() {
        1 => gemm::Parallelism::None,
        n => gemm::Parallelism::Rayon(n),
    };
    let Product { m, n, k, .. } = *p;
    // SAFETY: `Product::named` makes slices that hold the three matrices.
    unsafe {
        gemm::gemm(
            m, n, k, c, 1, n as isize, false, a, a_cs, a_rs, b, b_cs, b_rs, 0.0f32, 1.0f32, false,
            false, false, threads,
        );
    }
}

fn by_faer(p: &mut Product) {
    use faer::{Accum, MatMut, MatRef, Par};
    let [a_rs, a_cs] = signed(p.a_strides);
    let [b_rs, b_cs] = signed(p.b_strides);
    let Product { m, n, k, .. } = *p;
    // SAFETY: `Product::named` makes slices that hold the three matrices.
    let (a, b, c) = unsafe {
        (
            MatRef::from_raw_parts(p.a.as_ptr(), m, k, a_rs, a_cs),
            MatRef::from_raw_parts(p.b.as_ptr(), k, n, b_rs, b_cs),
            MatMut::from_raw_parts_mut(p.c.as_mut_ptr(), m, n, n as isize, 1),
        )
    };
    let threads = match rayon::current_num_threads() {
        1 => Par::Seq,
        n => Par::rayon(n),
    };
    faer::linalg::matmul::matmul(c, Accum::Replace, a, b, 1.0f32, threads);
}

/// On one thread: its own pool is not rayon's.
fn by_matrixmultiply(p: &mut Product) {
    let [a_rs, a_cs] = signed(p.a_strides);
    let [b_rs, b_cs] = signed(p.b_strides);
    let (a, b, c) = (p.a.as_ptr(), p.b.as_ptr(), p.c.as_mut_ptr());
    let Product { m, n, k, .. } = *p;
    // SAFETY: `Product::named` makes slices that hold the three matrices.
    unsafe {
        matrixmultiply::sgemm(m, k, n, 1.0, a, a_rs, a_cs, b, b_rs, b_cs, 0.0, c, n as isize, 1);
    }
}
