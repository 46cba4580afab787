//! What the programs share: the inputs, what they are asked, the clock.
//!
//! `PROGRAM list` prints the works that it knows. `PROGRAM WORK THREADS SECONDS` prepares one,
//! repeats it for about that long on that many threads, from inside of a pool of rayon's, and
//! prints one line: `{"work":..,"seconds_median":..,"runs":..,"check":[..]}`.

#[path = "../../../../work/inputs.rs"]
pub mod inputs;
pub mod product;
pub mod rows;

use std::time::{Duration, Instant};

/// What a work is: numbers that have to be the same for all programs, and what is timed.
pub type Work = (Vec<f64>, Box<dyn FnMut() + Send>);

/// Short works are timed this long at a time: reading the clock costs some 30 ns.
const BATCH: f64 = 20e-6;

/// What a program does with its arguments (without its own name).
///
/// Ends the process with a line on standard error where they make no sense.
pub fn main(args: &[String], names: &[String], start: impl Fn(&str) -> Work + Sync) {
    let parsed = match args {
        [list] if list == "list" => return names.iter().for_each(|name| println!("{name}")),
        [work, threads, seconds] => {
            threads.parse().ok().zip(seconds.parse().ok()).map(|p| (work, p))
        }
        _ => None,
    };
    let Some((work, (threads, seconds))) = parsed.filter(|(_, (t, s))| *t > 0usize && *s > 0.0)
    else {
        fail("usage: PROGRAM list | PROGRAM WORK THREADS SECONDS");
    };
    if !names.contains(work) {
        fail(&format!("no work {work}; `list` prints those there are"));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
    let (check, (median, runs)) = pool.install(|| {
        let (check, mut run) = start(work);
        (check, measure(&mut run, Duration::from_secs_f64(seconds)))
    });
    println!(r#"{{"work":"{work}","seconds_median":{median:e},"runs":{runs},"check":{check:?}}}"#);
}

fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    std::process::exit(2)
}

/// The median seconds of one run, and how many were timed.
fn measure(run: &mut dyn FnMut(), length: Duration) -> (f64, usize) {
    let start = Instant::now();
    let mut warm = 0;
    while warm < 2 || start.elapsed() < length / 4 {
        run();
        warm += 1;
    }
    let one = start.elapsed().as_secs_f64() / f64::from(warm);
    let batch = (BATCH / one).ceil().max(1.0) as usize;
    let mut times = vec![];
    let start = Instant::now();
    while times.len() < 3 || start.elapsed() < length {
        let before = Instant::now();
        for _ in 0..batch {
            run();
        }
        times.push(before.elapsed().as_secs_f64() / batch as f64);
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times.len() * batch)
}

/// Two sums that show whether numbers are those of another program: of their sizes, and of their
/// products with other numbers, which tells their order.
pub fn fingerprint(x: &[f32]) -> Vec<f64> {
    let sizes = x.iter().map(|&x| f64::from(x.abs())).sum();
    let weights = inputs::numbers(9, x.len());
    vec![sizes, x.iter().zip(weights).map(|(&x, w)| f64::from(x) * f64::from(w)).sum()]
}
