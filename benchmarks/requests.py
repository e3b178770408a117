"""Races single requests from many threads against one ideal batch, and against ctranslate2. Run by: ./dev bench --requests

Each case is a number of examples. In every round, in turn: treadle translates them as one batch; treadle gets them as single requests from as
many threads; ctranslate2 gets the same requests. Requests arrive together, or staggered, at random times (a Poisson process) over a quarter of
the batch's time, the same for both libraries. Rounds are repeated as long as the case's share of the time allows.

treadle's threads are those of a C program (requests_run), ctranslate2's are Python's, which spend the time outside of Python: a request costs
them some 0.1 ms more. Outputs of requests are compared with those of the batch.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time

import ctranslate2
import numpy as np

import base_model
from race import ROOT, cpu_name, g2p_words, words

BUILD = os.path.join(ROOT, "build", "release")
WORK = os.path.join(ROOT, "build", "bench")
BASE_LENGTHS = (16, 16)     # of results of the base model, whose outputs mean nothing
SPREAD = 0.25               # of the batch's time, over which staggered requests arrive


class Runner:
    """A process of a C program with a model loaded: commands in, JSON out."""

    def __init__(self, program, arguments, prefix=(), **environment):
        command = [*prefix, os.path.join(BUILD, "benchmarks", program), *map(str, arguments)]
        environment = dict(os.environ, TREADLE_CACHE=os.path.join(WORK, "cache"), TREADLE_BACKEND_PATH=BUILD, **environment)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.load = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line.startswith("{"):
            self.process.kill()
            raise RuntimeError(line.strip() or "%s gave no answer (its message is above)" % self.process.args[-7:])
        return json.loads(line)

    def ask(self, *command):
        self.process.stdin.write(" ".join(map(str, command)) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(timeout=600)
        self.process.stdout.close()
        if code != 0:
            raise RuntimeError("%s ended with %d" % (self.process.args, code))


class Model:
    """A model with examples, loaded by both libraries."""

    def __init__(self, name, folder, examples, lengths, threads):
        self.name, self.examples = name, examples
        path = os.path.join(WORK, name + ".txt")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(" ".join(tokens) + "\n" for tokens in examples)
        self.ours = Runner("requests_run", (folder, "cpu", threads, path, *lengths))
        self.theirs = ctranslate2.Translator(folder, "cpu", compute_type="float32", inter_threads=1, intra_threads=threads)
        self.options = dict(min_decoding_length=lengths[0], max_decoding_length=lengths[1])

    def batch(self, n, beam):
        return self.ours.ask("batch", beam, n)

    def requests(self, n, beam, arrivals):
        return self.ours.ask("requests", beam, n, *("%.4f" % at for at in arrivals))

    def their_requests(self, n, beam, arrivals):
        """The same of ctranslate2: a thread per request."""
        ends, results = [0.0] * n, [None] * n
        start = time.perf_counter() + 0.03 + 0.0002 * n

        def run(i):
            time.sleep(max(0.0, start + arrivals[i] / 1e3 - time.perf_counter()))
            results[i] = self.theirs.translate_batch([self.examples[i]], beam_size=beam, **self.options)[0].hypotheses[0]
            ends[i] = time.perf_counter()

        threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {"ms": (max(ends) - start) * 1e3, "tokens": sum(map(len, results)),
                "latencies_ms": [(end - start) * 1e3 - at for end, at in zip(ends, arrivals)]}

    def close(self):
        self.ours.close()


def arrival_times(n, window_ms, seed):
    """Of a Poisson process with n arrivals in window_ms on average, from its first arrival on."""
    gaps = np.random.default_rng(seed).exponential(window_ms / n, n) if window_ms > 0 else np.zeros(n)
    return [float(at) for at in np.cumsum(gaps) - gaps[0]]


def percentiles(runs):
    values = np.concatenate([run["latencies_ms"] for run in runs])
    return float(np.percentile(values, 50)), float(np.percentile(values, 99))


def rates(runs):
    return statistics.median(run["tokens"] / run["ms"] * 1e3 for run in runs)


def spread_of(values):
    return {"median": statistics.median(values), "lowest": min(values), "highest": max(values)} if values else None


def run_case(model, n, beam, staggered, their_limit, seconds, rounds):
    """their_limit: requests that ctranslate2 gets, the first of all; 0 = it does not take part."""
    model.batch(n, beam)        # warm-up, and what outputs are compared with
    window = model.batch(n, beam)["ms"] * SPREAD if staggered else 0.0
    batches, ours, theirs, of_batch, of_late_batch, of_theirs = [], [], [], [], [], []
    deadline = time.monotonic() + seconds
    for seed in range(rounds):
        arrivals = arrival_times(n, window, seed)
        batches.append(model.batch(n, beam))
        ours.append(model.requests(n, beam, arrivals))
        of_batch.append(batches[-1]["ms"] / ours[-1]["ms"])
        of_late_batch.append((batches[-1]["ms"] + arrivals[-1]) / ours[-1]["ms"])
        if their_limit > 0:
            theirs.append(model.their_requests(their_limit, beam, arrivals[:their_limit]))
            of_theirs.append(ours[-1]["tokens"] / ours[-1]["ms"] / (theirs[-1]["tokens"] / theirs[-1]["ms"]))
        if time.monotonic() > deadline:
            break
    row = {
        "model": model.name, "requests": n, "beam": beam, "arrival": "poisson" if staggered else "together", "window_ms": window,
        "rounds": len(ours), "batch_tokens_per_second": rates(batches), "tokens_per_second": rates(ours),
        "of_ideal_batch": spread_of(of_batch), "of_batch_begun_at_last_arrival": spread_of(of_late_batch),
        "cpu_of_batch": statistics.median(b["cpu_ms"] / o["cpu_ms"] for b, o in zip(batches, ours)),
        "same_outputs": "%d of %d" % (min(run["same"] for run in ours), n),
    }
    row["p50_ms"], row["p99_ms"] = percentiles(ours)
    if theirs:
        row["ctranslate2_requests"] = their_limit
        row["ctranslate2_tokens_per_second"] = rates(theirs)
        row["times_ctranslate2"] = spread_of(of_theirs)
        row["ctranslate2_p50_ms"], row["ctranslate2_p99_ms"] = percentiles(theirs)
    print_row(row)
    return row


HEADS = ("model", "requests", "beam", "arrival", "tokens/s", "batch", "of batch", "of late b.", "CPU", "x ct2", "ct2 t/s", "p50 ms", "p99 ms", "ct2 p50", "ct2 p99",
         "same outputs")
FORM = "%-8s %8s %4s %-9s %9s %9s %9s %10s %5s %6s %8s %8s %8s %8s %8s  %s"


def print_row(row):
    def number(key, form="%.0f", inside=None):
        value = row.get(key)
        return "-" if value is None else form % (value[inside] if inside else value)

    print(FORM % (
        row["model"], row["requests"], row["beam"], row["arrival"], number("tokens_per_second"), number("batch_tokens_per_second"),
        number("of_ideal_batch", "%.2f", "median"), number("of_batch_begun_at_last_arrival", "%.2f", "median"), number("cpu_of_batch", "%.2f"),
        number("times_ctranslate2", "%.1f", "median"), number("ctranslate2_tokens_per_second"), number("p50_ms"), number("p99_ms"),
        number("ctranslate2_p50_ms"), number("ctranslate2_p99_ms"), row["same_outputs"]), flush=True)


def request_cases(arguments):
    """Shares of the time are for two cores of some 700 tokens/s on the base model, where ctranslate2 gives 45 to single requests."""
    threads, rows = arguments.threads, []
    g2p = os.path.join(ROOT, "models", "g2p-en")
    many = (g2p_words(g2p) * 4)[:256]
    print(FORM % HEADS)
    model = Model("g2p-en", g2p, many, (1, 256), threads)
    for n in (32,) if arguments.quick else (32, 256):
        for beam in (1, 4):
            for staggered in (False, True):
                rows.append(run_case(model, n, beam, staggered, n, 4 * arguments.scale, 2 if arguments.quick else 20))
    model.close()
    if arguments.quick:
        return rows
    base = base_model.make(os.path.join(WORK, "base-f32"))
    model = Model("base", base, words(256, 20, seed=256), BASE_LENGTHS, threads)
    for n, beam, staggered, their_limit, seconds in (
            (32, 1, False, 32, 25), (32, 1, True, 32, 20), (32, 4, False, 32, 35), (32, 4, True, 32, 20),
            (256, 1, False, 64, 30), (256, 1, True, 0, 20), (256, 4, False, 0, 25), (256, 4, True, 0, 25)):
        rows.append(run_case(model, n, beam, staggered, their_limit, seconds * arguments.scale, 5))
    model.close()
    return rows


def traced_devices(path):
    """Steps by device in a trace."""
    with open(path, encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    names = {event["pid"]: event["args"]["name"] for event in events if event["ph"] == "M" and event["name"] == "process_name"}
    steps = {}
    for event in events:
        if event["ph"] == "X" and event["name"] in ("encode", "decode"):
            name = names[event["pid"]]
            steps[name] = steps.get(name, 0) + 1
    return steps


def both_devices(arguments):
    """The base model on the CPU, on OpenCL (PoCL, the same cores), and on both at once: one batch each, in turn."""
    n, rounds = 96, 1 if arguments.quick else 4
    kind = "small" if arguments.quick else "base"
    folder = os.path.join(WORK, "base-f32") if kind == "base" else os.path.join(ROOT, "models", "g2p-en")
    examples = words(n, 20, seed=n) if kind == "base" else (g2p_words(folder) * 4)[:n]
    path = os.path.join(WORK, "both.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(" ".join(tokens) + "\n" for tokens in examples)
    prefix = (os.path.join(ROOT, "tests", "opencl", "with"), "pocl")
    lengths = BASE_LENGTHS if kind == "base" else (1, 256)
    runners, times, digests, tokens = {}, {}, {}, 0
    trace = os.path.join(WORK, "both.json")
    for device in ("cpu", "opencl:0", "cpu,opencl:0"):
        try:
            more = {"TREADLE_TRACE": trace} if "," in device else {}
            runners[device] = Runner("requests_run", (folder, device, arguments.threads, path, *lengths), prefix,
                                     POCL_CACHE_DIR=os.path.join(WORK, "pocl"), **more)
        except RuntimeError as error:
            print("\nleft out: %s: %s" % (device, error))
            for runner in runners.values():
                runner.close()
            return None
        runners[device].ask("batch", 1, n)
        times[device] = []
    for _ in range(rounds):
        for device, runner in runners.items():
            answer = runner.ask("batch", 1, n)
            times[device].append(answer["ms"])
            digests[device], tokens = answer["digests"], answer["tokens"]
    for runner in runners.values():
        runner.close()
    better = [min(a, b) for a, b in zip(times["cpu"], times["opencl:0"])]
    row = {"model": kind, "examples": n, "tokens": tokens, "rounds": rounds,
           "tokens_per_second": {device: tokens / statistics.median(ms) * 1e3 for device, ms in times.items()},
           "both_beside_better_alone": spread_of([a / b for a, b in zip(better, times["cpu,opencl:0"])]),
           "same_tokens_as_cpu": {device: sum(a == b for a, b in zip(digests["cpu"], got)) for device, got in digests.items()},
           "steps_in_trace": traced_devices(trace)}
    print("\none batch of %d on both devices at once: %s tokens/s; beside the better alone: %.2f (%.2f .. %.2f)" % (
        n, ", ".join("%s %.0f" % item for item in row["tokens_per_second"].items()), row["both_beside_better_alone"]["median"],
        row["both_beside_better_alone"]["lowest"], row["both_beside_better_alone"]["highest"]))
    print("same tokens as the CPU alone: %s; steps in the trace: %s" % (row["same_tokens_as_cpu"], row["steps_in_trace"]), flush=True)
    return row


def tiny_jobs(arguments):
    """Processor time per job where computing costs almost nothing, with a backlog: from one thread, from several, and with all jobs at once."""
    model = base_model.make(os.path.join(WORK, "tiny-f32"), size=base_model.TINY)
    program = os.path.join(BUILD, "benchmarks", "tiny_jobs")
    n, rounds = (2000, 1) if arguments.quick else (100000, 3)
    rows = []
    print()
    for submitters, window in ((1, 4000), (4, 1000), (1, n)):
        runs = [json.loads(subprocess.check_output([program, model, str(n), str(submitters), str(window)], text=True)) for _ in range(rounds)]
        row = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        rows.append(row)
        print("a tiny job, %d submitting, %d each at once: %.1f us of CPU, of these %.1f submitting it (%.1f in one submission of all); submission takes "
              "%.1f us, 99 %% of them at most %.1f us" % (submitters, window, row["cpu_us_per_job"], row["submit_cpu_us_per_job"], row["batch_cpu_us_per_job"],
                                           row["submit_us_p50"], row["submit_us_p99"]), flush=True)
    return rows


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=min(4, len(os.sched_getaffinity(0))), help="of each library")
    parser.add_argument("--scale", type=float, default=1.0, help="times the time that each case gets (default: 1, some 7 minutes in all)")
    parser.add_argument("--quick", action="store_true", help="two rounds of the small model, nothing written")
    arguments = parser.parse_args()
    if arguments.threads < 1 or arguments.scale <= 0:
        parser.error("--threads must be at least 1, --scale more than 0")
    return arguments


def main():
    arguments = parse()
    os.makedirs(os.path.join(WORK, "pocl"), exist_ok=True)
    start = time.monotonic()
    cpu = cpu_name()
    print("%s, %d threads, float32; single requests from as many threads beside one batch of them" % (cpu, arguments.threads))
    cases = request_cases(arguments)
    both = both_devices(arguments)
    tiny = tiny_jobs(arguments)
    print("\n%.0f s" % (time.monotonic() - start))
    if arguments.quick:
        return 0
    report = {
        "cpu": cpu, "cores": len(os.sched_getaffinity(0)), "threads": arguments.threads, "date": time.strftime("%Y-%m-%d"),
        "ctranslate2": ctranslate2.__version__, "compute_type": "float32", "base_tokens": BASE_LENGTHS[1], "base_source_tokens": 20,
        "requests": cases, "devices_at_once": both, "tiny_jobs": tiny,
    }
    label = re.sub(r"[^a-z0-9]+", "-", cpu.lower()).strip("-")
    path = os.path.join(ROOT, "benchmarks", "results", "requests-%s.json" % label)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
        file.write("\n")
    print("written: %s" % os.path.relpath(path, ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
