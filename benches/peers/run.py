#!/usr/bin/env python3
"""Runs the same works in edgegrad and in what is installed of its peers, and prints one table.

    benches/peers/run.py --build                # build the Rust programs first (minutes, once)
    benches/peers/run.py                        # everything that is built or installed
    benches/peers/run.py --only gemm --threads 1

PyTorch is a peer if the Python that runs this has it. Every number is the median of `--rounds`
processes, each with the median of its repetitions; the programs take turns. A table with date,
processor, commit, versions and the peak of the same run goes to benches/record. See README.md.
"""
import argparse
import csv
import datetime
import importlib.util
import json
import os
import pathlib
import platform
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CRATES = HERE / "crates"
RECORD = HERE.parent / "record"
OURS = "edgegrad"
# How far a number of a check may be from ours, as a part of it (or of the check's first number).
KERNEL_TOLERANCE, MODEL_TOLERANCE = 1e-5, 1e-3
# An interposed library for MKL: see README.md.
SHIM = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"


class Peer:
    """A program: its name in the table, the package that it is built from (None: Python), its
    command, the crate whose version counts, and the threads it can have (None: any)."""

    def __init__(self, name, package, command, crate, threads=None, environment=None):
        self.name, self.package, self.command, self.crate = name, package, command, crate
        self.threads, self.environment = threads, environment or {}
        self.works = []

    def version(self):
        if not self.package:
            return output([*self.command, "version"])
        if self.name == OURS:
            return commit()
        lock = (CRATES / "Cargo.lock").read_text()
        return re.search(rf'name = "{self.crate}"\nversion = "(.*)"', lock)[1]


def program(package):
    return CRATES / "target" / package / "release" / f"peer-{package}"


def peers():
    """All of them, ours first."""
    products = lambda p, crate: [str(program(p)), crate]
    torch = [sys.executable, str(HERE / "torch_peer.py")]
    return [
        Peer(OURS, "edgegrad", [str(program("edgegrad"))], None),
        Peer(
            "matrixmultiply", "products", products("products", "matrixmultiply"), "matrixmultiply", {1}
        ),
        Peer("gemm", "products", products("products", "gemm"), "gemm"),
        Peer("gemm+avx512", "products-avx512", products("products-avx512", "gemm"), "gemm"),
        Peer("faer", "products", products("products", "faer"), "faer"),
        Peer("torch", None, torch, None),
        Peer("torch+shim", None, torch, None),
        Peer("candle", "candle", [str(program("candle"))], "candle-core"),
        Peer("burn", "burn", [str(program("burn"))], "burn"),
    ]


PACKAGES = list(dict.fromkeys(p.package for p in peers() if p.package))


def fail(message):
    sys.exit(f"error: {message}")


def output(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RuntimeError(f"{shlex.join(map(str, command))}: {lines[-1]}")
    return done.stdout.strip()


def commit():
    try:
        name = output(["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"])
        changed = output(["git", "-C", str(HERE), "status", "--porcelain", "--", "../../src"])
        return name + ("+changes" if changed else "")
    except (RuntimeError, FileNotFoundError):
        return "unknown"


def processor():
    try:
        return re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())[1]
    except (OSError, TypeError):
        return platform.processor() or platform.machine()


def build(packages):
    """One at a time and apart: built together, programs get the features of each other."""
    if not shutil.which("cargo"):
        fail("cargo is not installed; see https://rustup.rs")
    for package in packages:
        print(f"building {package}", file=sys.stderr)
        folder = CRATES / "target" / package
        command = ["cargo", "build", "--release", "--locked", "-p", f"peer-{package}"]
        if subprocess.run([*command, "--target-dir", folder], cwd=CRATES).returncode:
            fail(f"{package} could not be built")


def shim():
    """The interposed library, compiled, or why not."""
    if "GenuineIntel" in pathlib.Path("/proc/cpuinfo").read_text():
        fail("--mkl-shim: on Intel's processors MKL uses AVX-512 by itself")
    compiler = shutil.which("cc") or fail("--mkl-shim needs a C compiler (cc)")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="mkl-shim"))
    (folder / "shim.c").write_text(SHIM)
    command = [compiler, "-shared", "-fPIC", "-o", folder / "shim.so", folder / "shim.c"]
    subprocess.run(command, check=True)
    return str(folder / "shim.so")


def installed(options):
    """The peers that can run, with their works; says what is left out."""
    found = []
    for peer in peers():
        if peer.name == "torch+shim":
            if not options.mkl_shim:
                continue
            peer.environment["LD_PRELOAD"] = shim()
        if options.peers and peer.name != OURS and peer.name not in options.peers:
            continue
        if peer.package and not program(peer.package).exists():
            if peer.name == OURS:
                fail(f"{OURS} is not built; run with --build first")
            print(f"left out: {peer.name} is not built (--build {peer.package})", file=sys.stderr)
        elif not peer.package and not importlib.util.find_spec("torch"):
            print(f"left out: {sys.executable} has no torch (pip install torch)", file=sys.stderr)
        else:
            try:
                peer.works = output([*peer.command, "list"]).split()
            except RuntimeError as e:
                print(f"left out: {e}", file=sys.stderr)
                continue
            found.append(peer)
    if not found or found[0].name != OURS:
        fail(f"{OURS} does not run; build it again (--build edgegrad)")
    return found


def cores():
    """The processors to pin to: one of each core first, then the others."""
    first, second, seen = [], [], set()
    for cpu in sorted(os.sched_getaffinity(0)):
        path = pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        core = path.read_text() if path.exists() else cpu
        (second if core in seen else first).append(str(cpu))
        seen.add(core)
    return first + second


def once(peer, work, threads, options, seconds=None):
    """One process: its JSON line."""
    command = [*shlex.split(options.through), "taskset", "-c", ",".join(cores()[:threads])]
    command += [*peer.command, work, str(threads), str(seconds or options.seconds)]
    names = ("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(threads)), **peer.environment}
    lines = output(command, env=environment, timeout=600).splitlines()
    return json.loads(lines[-1])


def apart(ours, theirs, work):
    """Whether two checks are of different results."""
    kernel = not re.match("plane|seeds|full|decoder|gpt2", work)
    tolerance = KERNEL_TOLERANCE if kernel else MODEL_TOLERANCE
    # The sums of a kernel's check are sums of both signs, but for the first.
    size = lambda x: max(abs(x), abs(ours[0])) if kernel else abs(x)
    near = lambda a, b: abs(a - b) <= tolerance * size(a)
    return len(ours) != len(theirs) or not all(map(near, ours, theirs))


# Numbers of GPT-2-small's weights, which the works `rows-..` read once.
WEIGHTS = 12 * 768 * (2304 + 768 + 3072 + 3072) + 768 * 50272


def flop(work):
    """Additions and multiplications of a work of products; None for the others."""
    kind, sizes = (work.split("-") + [""])[:2]
    if kind == "rows":
        return 2 * int(sizes) * WEIGHTS
    if kind != "gemm":
        return None
    m, n, k = map(int, sizes.split("x"))
    return 2 * m * n * k


def limit(work, peaks, reads):
    """The seconds that no program can be below: multiply-adds between registers at their peak, or
    the weights read once at the speed of memory; of single products the former."""
    at_peak = flop(work) / statistics.median(peaks)
    return max(at_peak, 4 * WEIGHTS / statistics.median(reads)) if reads else at_peak


def rounds(work, threads, found, options):
    """The medians of all rounds by program, and the peaks in operations a second."""
    taking = [p for p in found if work in p.works and threads in (p.threads or {threads})]
    times, checks, runs, peaks, reads = {p.name: [] for p in taking}, {}, {}, [], []
    if len(taking) < 2 and not options.alone:
        return None
    for _ in range(options.rounds):
        for peer in list(taking):
            try:
                line = once(peer, work, threads, options)
            except (RuntimeError, subprocess.TimeoutExpired) as e:
                print(f"\n{e}", file=sys.stderr)
                if peer.name == OURS:
                    raise SystemExit(1) from e
                taking.remove(peer)
                continue
            times[peer.name].append(line["seconds_median"])
            checks[peer.name], runs[peer.name] = line["check"], line["runs"]
        limits = [("peak", peaks)] + [("read", reads)] * work.startswith("rows")
        for name, speeds in limits:
            line = once(found[0], name, threads, options, seconds=0.1)
            speeds.append(line["check"][0] / line["seconds_median"])
    wrong = [name for name in checks if apart(checks[OURS], checks[name], work)]
    for name in wrong:
        both = f"{checks[name]}, ours {checks[OURS]}"
        print(f"\nresults differ: {work} by {name} {both}", file=sys.stderr)
    return {k: v for k, v in times.items() if v}, runs, peaks, reads, wrong


def human(seconds):
    for unit, size in (("s ", 1), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            digits = 2 if seconds < 10 * size else 1 if seconds < 100 * size else 0
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds / 1e-9:.1f} ns"


def table(results, names):
    """Times, and in brackets how many times as fast we are."""
    width = max([len(work) for work, _ in results] + [4])
    columns = [n for n in names if n != OURS]
    lines = [f"{'work':<{width}} thr {OURS:>9} {'of limit':>8}" + "".join(f"{n:>18}" for n in columns)]
    for (work, threads), (times, _, peaks, reads, wrong) in results.items():
        ours = statistics.median(times[OURS])
        part = f"{100 * limit(work, peaks, reads) / ours:.0f} %" if flop(work) else ""
        line = f"{work:<{width}} {threads:>3} {human(ours):>9} {part:>8}"
        for name in columns:
            cell = ""
            if name in times:
                theirs = statistics.median(times[name])
                cell = f"{human(theirs)} ({theirs / ours:.2f}){'!' if name in wrong else ''}"
            line += f"{cell:>18}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def record(path, results, versions, options):
    today = datetime.date.today().isoformat()
    peaks, reads = {}, {}
    for (_, threads), (_, _, of_peak, of_read, _) in results.items():
        peaks.setdefault(threads, []).extend(of_peak)
        reads.setdefault(threads, []).extend(of_read)
    compiler = output(["rustc", "--version"]) if shutil.which("rustc") else "no rustc here"
    head = [
        f"{today}; {processor()}; kernel {platform.release()}",
        f"{OURS} at commit {versions[OURS]}; {compiler}",
        f"benches/peers/run.py: medians of the medians of {options.rounds} processes; in one run",
    ]
    for threads, list_ in sorted(peaks.items()):
        peak = statistics.median(list_) / 1e9
        head.append(f"register-only multiply-add peak on {threads} threads: {peak:.0f} GFLOP/s")
        if reads[threads]:
            read = statistics.median(reads[threads]) / 1e9
            head.append(f"memory read by {threads} threads: {read:.1f} GB/s")
    names = "work threads program version seconds low high runs gflops of_limit times_as_fast agrees"
    with path.open("w", newline="") as file:
        file.writelines(f"# {line}\n" for line in head)
        out = csv.writer(file, lineterminator="\n")
        out.writerow(names.split())
        for (work, threads), (times, runs, peaks, reads, wrong) in results.items():
            ours = statistics.median(times[OURS])
            for name, list_ in times.items():
                seconds = statistics.median(list_)
                gflops = f"{flop(work) / seconds / 1e9:.1f}" if flop(work) else ""
                part = f"{limit(work, peaks, reads) / seconds:.3f}" if flop(work) else ""
                numbers = [f"{x:.4e}" for x in (seconds, min(list_), max(list_))]
                ratio = f"{seconds / ours:.3f}"
                out.writerow([work, threads, name, versions[name], *numbers, runs[name], gflops, part,
                              ratio,
                              "no" if name in wrong else "yes"])


def free_path():
    """A file in benches/record that is not there yet."""
    slug = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    name = f"{datetime.date.today().isoformat()}-peers-{slug}"
    names = [name, *(f"{name}-{i}" for i in range(2, 1000))]
    return next(p for p in (RECORD / f"{n}.csv" for n in names) if not p.exists())


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    packages = ", ".join(PACKAGES)
    add("--build", nargs="*", metavar="PROGRAM", choices=PACKAGES,
        help=f"build these Rust programs and stop; all without a name ({packages})")
    add("--only", metavar="PATTERN", default="",
        help="works whose name has this (a regular expression)")
    add("--peers", metavar="A,B", type=lambda s: s.split(","), help="beside ours only these")
    add("--threads", metavar="N,M", default="1,2", help="thread counts (default: 1,2)")
    add("--rounds", type=int, default=5, help="processes for each number (default: 5)")
    add("--seconds", type=float, default=0.3,
        help="length of each process's timing (default: 0.3)")
    add("--through", metavar="CMD", default="",
        help="a command to run programs through, such as 'nice -n -5'")
    add("--mkl-shim", action="store_true",
        help="on AMD: PyTorch with MKL's AVX-512 kernels as well")
    add("--alone", action="store_true", help="also works that no peer knows")
    add("--list", action="store_true", help="print peers and works, and stop")
    add("--record", metavar="FILE", type=pathlib.Path,
        help="where the table is written (default: a new file in benches/record)")
    options = parser.parse_args()
    try:
        options.threads = [int(t) for t in options.threads.split(",")]
        options.pattern = re.compile(options.only)
    except (ValueError, re.error) as e:
        fail(f"--threads or --only: {e}")
    available = len(os.sched_getaffinity(0))
    if not all(1 <= t <= available for t in options.threads):
        fail(f"--threads: from 1 to {available} here")
    if options.rounds < 1 or options.seconds <= 0:
        fail("--rounds and --seconds have to be above 0")
    unknown = set(options.peers or []) - {p.name for p in peers()}
    if unknown:
        there = ", ".join(p.name for p in peers())
        fail(f"--peers: no {', '.join(sorted(unknown))}; there are {there}")
    return options


def main():
    options = arguments()
    if options.build is not None:
        return build(options.build or PACKAGES)
    if not shutil.which("taskset"):
        fail("taskset is not installed (package util-linux)")
    found = installed(options)
    works = [w for w in found[0].works if w not in ("peak", "read") and options.pattern.search(w)]
    if options.list:
        return print("\n".join([*(f"{p.name} {p.version()}" for p in found), "", *works]))
    if not works:
        fail(f"--only {options.only}: no such work; --list prints them")
    versions = {p.name: p.version() for p in found}
    results = {}
    jobs = [(w, t) for w in works for t in options.threads]
    try:
        for i, (work, threads) in enumerate(jobs):
            print(f"\r\033[K{i + 1} of {len(jobs)}: {work}, {threads} threads", end="", file=sys.stderr)
            result = rounds(work, threads, found, options)
            if result:
                results[work, threads] = result
    except KeyboardInterrupt:
        print("\ninterrupted: what there is so far", file=sys.stderr)
    print("\r\033[K", end="", file=sys.stderr)
    if not results:
        fail("nothing was measured: no peer knows these works (--alone runs ours alone)")
    print(table(results, [p.name for p in found]))
    print("in brackets: how many times as fast edgegrad is; medians of", options.rounds, "processes")
    path = options.record or free_path()
    record(path, results, versions, options)
    print(f"recorded in {os.path.relpath(path)}")
    if any(wrong for *_, wrong in results.values()):
        fail("results marked with ! differ from ours")


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, OSError) as e:
        fail(e)
