#!/usr/bin/env python3
"""Fits the polynomials of src/simd/fit.rs and prints them as Rust constants.

Each is the weighted minimax polynomial (Remez exchange, 90 digits) of the function named beside
it, so that the weighted error is the relative error of the final result. Needs mpmath.
"""
from mpmath import mp, mpf, exp, log, sqrt, atanh, erf, erfc, cos, pi, matrix, lu_solve
import struct

mp.dps = 90


def remez(f, w, lo, hi, degree, rounds=12, grid=1200):
    """Coefficients of the polynomial that minimises max |w (p - f)| on [lo, hi], and that error."""
    lo, hi = mpf(lo), mpf(hi)
    count = degree + 2
    points = [(lo + hi) / 2 - (hi - lo) / 2 * cos(pi * (2 * i + 1) / (2 * count)) for i in range(count)]
    xs = [(lo + hi) / 2 - (hi - lo) / 2 * cos(pi * i / grid) for i in range(grid + 1)]
    fs = [f(x) for x in xs]
    ws = [w(x) for x in xs]
    for _ in range(rounds):
        a, b = matrix(count, count), matrix(count, 1)
        for i, x in enumerate(points):
            for j in range(degree + 1):
                a[i, j] = x**j
            a[i, degree + 1] = (-1) ** i / w(x)
            b[i] = f(x)
        c = lu_solve(a, b)
        c = [c[j] for j in range(degree + 1)]

        def p(x):
            y = mpf(0)
            for k in reversed(c):
                y = y * x + k
            return y

        errors = [v * (p(x) - y) for x, y, v in zip(xs, fs, ws)]
        # The largest error of each run of one sign, then the best `count` neighbours.
        runs, start = [], 0
        for i in range(1, grid + 2):
            if i > grid or (errors[i] > 0) != (errors[start] > 0):
                best = max(range(start, i), key=lambda k: abs(errors[k]))
                runs.append(best)
                start = i
        while len(runs) > count:
            if abs(errors[runs[0]]) < abs(errors[runs[-1]]):
                runs.pop(0)
            else:
                runs.pop()
        worst = max(abs(e) for e in errors)
        if len(runs) < count:
            break
        points = [xs[i] for i in runs]
        if worst < 1.02 * min(abs(errors[i]) for i in runs):
            break
    return c, worst


def near(x):
    """Keeps away from the removable singularity at 0."""
    return x if abs(x) > mpf(10) ** -20 else mpf(10) ** -20


def exp_f(r):
    r = near(r)
    return (exp(r) - 1 - r) / r**2


def ln_f(z):
    s = sqrt(near(z))
    return (2 * atanh(s) / s - 2) / s**2


def erf_f(u):
    x = sqrt(near(u))
    return erf(x) / x - 1


def normal_f(k):
    """With the normal distribution function F."""
    def f(q):
        a = k * (1 + q) / (1 - q)
        return (a + k) * erfc(a / sqrt(mpf(2))) / 2 * exp(a * a / 2)
    return f


# Keeps the weights that vanish at 0 off it: there the system would be singular.
FLOOR = mpf("0.001")
HALF_LN2 = log(2) / 2 * mpf("1.0001")
S_MAX = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2 * mpf("1.0001")
ERF_MID = mpf("2.5")

FITS = [
    # name, function, weight, lo, hi, degree for f32, degree for f64
    ("EXP", "(e^r - 1 - r) / r^2, |r| <= ln(2)/2", exp_f, lambda r: (r**2 + FLOOR) / exp(r), -HALF_LN2, HALF_LN2, 4, 9),
    ("LN", "(2 atanh(s)/s - 2) / s^2 in s^2, sqrt(1/2) <= m <= sqrt(2)", ln_f, lambda z: (z + FLOOR) / 2, mpf(0), S_MAX, 2, 6),
    ("ERF", "erf(x)/x - 1 in x^2, |x| <= 1", erf_f, lambda u: mpf(1), mpf(0), mpf(1), 6, 13),
]


def literal(x, ty):
    """The shortest decimal that rounds to the same number."""
    if ty == "f64":
        return repr(float(x))
    single = lambda v: struct.unpack("f", struct.pack("f", float(v)))[0]
    return next(t for t in (f"{single(x):.{d}g}" for d in range(1, 10)) if single(t) == single(x))


def show(name, what, c, err, ty):
    print(f"    // {what}; error {mp.nstr(err, 2)}")
    print(f"    const {name}: &'static [{ty}] = &[")
    for k in c:
        print(f"        {literal(k, ty)},")
    print("    ];")


def main():
    for ty in ("f32", "f64"):
        print(f"impl Fit for {ty} {{")
        for name, what, f, w, lo, hi, d32, d64 in FITS:
            c, err = remez(f, w, lo, hi, d32 if ty == "f32" else d64)
            show(name, what, c, err, ty)
        hi, d = (mpf(4), 6) if ty == "f32" else (mpf(6), 17)
        # Beyond it, errors of erfc do not show in erf.
        tail = mpf(10) ** (-10 if ty == "f32" else -19)
        c, err = remez(
            lambda v: -log(erfc(v + ERF_MID)),
            lambda v: erfc(v + ERF_MID) + tail,
            1 - ERF_MID, hi - ERF_MID, d)
        show("ERFC", f"-ln(erfc(y)) in y - 2.5, 1 <= y <= {hi}", c, err, ty)
        # The end is where the exponential underflows.
        k, hi, d = (mpf("3.5"), mpf("14.5"), 9) if ty == "f32" else (mpf(5), mpf(39), 21)
        f = normal_f(k)
        c, err = remez(f, lambda q: 1 / f(q), mpf(-1), (hi - k) / (hi + k), d)
        show("NORMAL", f"(a + k) F(-a) e^(a^2/2) in (a - k) / (a + k), 0 <= a <= {hi}", c, err, ty)
        print("}")


if __name__ == "__main__":
    main()
