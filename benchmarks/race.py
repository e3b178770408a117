"""Races treadle against ctranslate2 on the same inputs, taking turns, and measures loading. Run by: ./dev bench

For each case both libraries translate the same batch in turn (A B A B ...), so that what else the machine does meets both
alike. The figure is the ratio of the times of each pair: its median, and the lowest and highest pair. Above 1, treadle is
faster. Outputs are compared too: a fast wrong answer is none.
"""

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import time

import ctranslate2
import numpy as np
import treadle

import base_model

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def words(count, length, seed):
    rng = np.random.default_rng(seed)
    return [["w%d" % i for i in rng.integers(3, base_model.WORDS, length)] for _ in range(count)]


def g2p_words(model):
    with open(os.path.join(model, "expected.json"), encoding="utf-8") as file:
        return [list(word) for word in json.load(file)["words"]]


def cases(quick):
    """Name, model directory, batch, options."""
    g2p = os.path.join(ROOT, "models", "g2p-en")
    batch = g2p_words(g2p)
    yield "g2p-en, 64 words, greedy", g2p, batch, dict(beam_size=1)
    yield "g2p-en, 64 words, beam 4", g2p, batch, dict(beam_size=4)
    yield "g2p-en, 1 word, greedy", g2p, batch[:1], dict(beam_size=1)
    base = base_model.make(os.path.join(ROOT, "build", "bench", "base-f32"))
    fixed = dict(min_decoding_length=30, max_decoding_length=30)
    for count in (1,) if quick else (1, 32):
        for beam in (1, 4):
            name = "base, %d x 30 tokens, %s" % (count, "greedy" if beam == 1 else "beam %d" % beam)
            yield name, base, words(count, 30, seed=count), dict(fixed, beam_size=beam)


def timed(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def hypotheses(results):
    return [result.hypotheses[0] for result in results]


def race(name, model, batch, options, rounds, threads):
    settings = dict(compute_type="float32", inter_threads=1, intra_threads=threads)
    ours = treadle.Translator(model, **settings)
    theirs = ctranslate2.Translator(model, "cpu", **settings)
    repeat = 1
    seconds, got = timed(lambda: ours.translate_batch(batch, **options))        # warm-up, and the comparison
    _, want = timed(lambda: theirs.translate_batch(batch, **options))
    if seconds < 0.05:
        repeat = int(0.05 / seconds) + 1
    times = {"treadle": [], "ctranslate2": []}
    for _ in range(rounds):
        for label, translator in (("treadle", ours), ("ctranslate2", theirs)):
            spent, _ = timed(lambda: [translator.translate_batch(batch, **options) for _ in range(repeat)])
            times[label].append(spent / repeat)
    ratios = [b / a for a, b in zip(times["treadle"], times["ctranslate2"])]
    tokens = sum(len(tokens) for tokens in hypotheses(got))
    same = sum(a == b for a, b in zip(hypotheses(got), hypotheses(want)))
    row = {
        "case": name,
        "ratio_median": statistics.median(ratios),
        "ratio_lowest": min(ratios),
        "ratio_highest": max(ratios),
        "rounds": rounds,
        "treadle_tokens_per_second": tokens / statistics.median(times["treadle"]),
        "ctranslate2_tokens_per_second": tokens / statistics.median(times["ctranslate2"]),
        "same_outputs": "%d of %d" % (same, len(batch)),
    }
    print("%-32s %5.2f   (%.2f .. %.2f)   %9.0f %9.0f   %s" % (
        name, row["ratio_median"], row["ratio_lowest"], row["ratio_highest"], row["treadle_tokens_per_second"],
        row["ctranslate2_tokens_per_second"], row["same_outputs"]), flush=True)
    return row


def load_times(model, threads):
    """Milliseconds of opening and loading, from the small C program beside this file: nothing of Python is in them."""
    cache = os.path.join(ROOT, "build", "bench", "cache")
    shutil.rmtree(cache, ignore_errors=True)
    program = os.path.join(ROOT, "build", "release", "benchmarks", "load_time")
    run = [json.loads(subprocess.check_output([program, model, cache, str(threads)], text=True)) for _ in range(2)]
    first, second = run
    theirs, _ = timed(lambda: ctranslate2.Translator(model, "cpu", compute_type="float32", intra_threads=threads))
    row = {
        "model_bytes": os.path.getsize(os.path.join(model, "model.bin")),
        "open_ms": second["open_ms"],
        "first_load_ms": first["load_ms"],
        "second_load_ms": second["load_ms"],
        "second_from_cache": second["from_cache"],
        "second_first_token_ms": second["first_token_ms"],
        "ctranslate2_load_ms": theirs * 1e3,
    }
    print("%-32s %s" % (os.path.relpath(model, ROOT), "  ".join(
        "%s %.1f" % (key[:-3], value) for key, value in row.items() if key.endswith("_ms"))), flush=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7, help="pairs per case (default: 7)")
    parser.add_argument("--threads", type=int, default=min(4, len(os.sched_getaffinity(0))), help="of each library")
    parser.add_argument("--quick", action="store_true", help="one pass over the small cases, nothing written")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    rounds = 1 if arguments.quick else arguments.rounds

    cpu = cpu_name()
    print("%s, %d threads; treadle %s, ctranslate2 %s, float32" % (
        cpu, arguments.threads, treadle.__version__, ctranslate2.__version__))
    print("%-32s %5s   %-16s %9s %9s   %s" % ("case", "ratio", "(spread)", "treadle", "ct2", "same outputs"))
    rows = [race(*case, rounds, arguments.threads) for case in cases(arguments.quick)]
    print("\nmilliseconds")
    loads = [load_times(os.path.join(ROOT, "models", "g2p-en"), arguments.threads),
             load_times(os.path.join(ROOT, "build", "bench", "base-f32"), arguments.threads)]
    if arguments.quick:
        return 0
    report = {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "threads": arguments.threads,
        "date": time.strftime("%Y-%m-%d"),
        "treadle": treadle.__version__,
        "ctranslate2": ctranslate2.__version__,
        "compute_type": "float32",
        "races": rows,
        "loads": loads,
    }
    label = re.sub(r"[^a-z0-9]+", "-", cpu.lower()).strip("-")
    path = os.path.join(ROOT, "benchmarks", "results", "%s.json" % label)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
        file.write("\n")
    print("\nwritten: %s" % os.path.relpath(path, ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
