"""Races devices against each other on a Transformer of the base size with random weights. Run by: ./dev bench --opencl

Each configuration (implementation, device, compute type, settings) is a process of its own, device_run, that keeps the model loaded. They
take turns: in each round every one translates the same batch once, so that what else the machine does meets all alike. A ratio is the median
over the rounds of the time of the one by the time of the other, with the lowest and the highest. Python's standard library is enough.
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

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build", "release")
WORK = os.path.join(ROOT, "build", "bench")


class Configuration:
    """What one process runs on."""

    def __init__(self, name, implementation, device, compute_type, **environment):
        self.name, self.implementation, self.device, self.compute_type = name, implementation, device, compute_type
        self.environment = environment


CONFIGURATIONS = [
    Configuration("cpu", "none", "cpu", "float32"),
    Configuration("pocl", "pocl", "opencl:0", "float32"),
    Configuration("pocl-clblast", "pocl", "opencl:0", "float32", TREADLE_OPENCL_GEMM="clblast", TREADLE_OPENCL_FORM="groups"),
    Configuration("pocl-int8", "pocl", "opencl:0", "int8"),
    Configuration("intel", "intel", "opencl:0", "float32"),
    Configuration("intel-int8", "intel", "opencl:0", "int8"),
]
# Time of the second by the time of the first: above 1, the first is faster.
RATIOS = [
    ("pocl", "cpu", "OpenCL on PoCL beside the CPU back end"),
    ("pocl", "pocl-clblast", "own kernels beside every product on CLBlast, PoCL"),
    ("pocl-int8", "pocl", "int8 beside f32, PoCL"),
    ("intel", "cpu", "Intel's runtime beside the CPU back end"),
    ("intel", "pocl", "Intel's runtime beside PoCL"),
    ("intel-int8", "intel", "int8 beside f32, Intel's runtime"),
]


class Runner:
    """A process of a configuration with the model loaded."""

    def __init__(self, configuration, arguments, trace=False):
        self.configuration = configuration
        environment = dict(os.environ, TREADLE_BACKEND_PATH=BUILD, TREADLE_CACHE=os.path.join(WORK, "cache"),
                           POCL_CACHE_DIR=os.path.join(WORK, "pocl"), **configuration.environment)
        command = [os.path.join(ROOT, "tests", "opencl", "with"), configuration.implementation,
                   os.path.join(BUILD, "benchmarks", "device_run"), arguments.model, configuration.device, configuration.compute_type,
                   str(arguments.batch), str(arguments.length), str(arguments.tokens), str(arguments.beam), str(arguments.threads)]
        self.process = subprocess.Popen(command + ["trace"] * trace, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)
        self.load = self.answer()
        self.first = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line.startswith("{"):
            self.process.kill()
            raise RuntimeError("%s: %s" % (self.configuration.name, line.strip() or "no answer (its message is above)"))
        return json.loads(line)

    def run(self):
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=600)        # PoCL compiles once more for the cache of programs
        self.process.stdout.close()


def start(arguments, **options):
    """Runners by name; what cannot run is told and left out."""
    runners = {}
    for configuration in CONFIGURATIONS:
        if arguments.only and configuration.name not in arguments.only:
            continue
        try:
            runners[configuration.name] = Runner(configuration, arguments, **options)
        except RuntimeError as error:
            print("left out: %s" % error, flush=True)
    return runners


def rounds_of(runners, rounds):
    times = {name: [] for name in runners}
    digests = {}
    for _ in range(rounds):
        for name, runner in runners.items():
            answer = runner.run()
            times[name].append(answer["ms"])
            digests[name] = answer["digest"]
            tokens = answer["tokens"]
    return times, digests, tokens


def ratio_row(times, fast, slow, text):
    ratios = [b / a for a, b in zip(times[fast], times[slow])]
    row = {"what": text, "ratio_median": statistics.median(ratios), "ratio_lowest": min(ratios), "ratio_highest": max(ratios)}
    print("%-52s %6.2f  (%.2f .. %.2f)" % (text, row["ratio_median"], row["ratio_lowest"], row["ratio_highest"]), flush=True)
    return row


def race(arguments):
    runners = start(arguments)
    times, digests, tokens = rounds_of(runners, arguments.rounds)
    rows = []
    print("\n%-16s %-34s %10s %10s %10s   %s" % ("configuration", "device", "tokens/s", "ms", "load ms", "tokens as cpu"))
    for name, runner in runners.items():
        median = statistics.median(times[name])
        same = digests[name] == digests.get("cpu", digests[name])      # int8 may differ: the CPU here computes in f32
        rows.append({
            "configuration": name, "implementation": runner.configuration.implementation, "device": runner.load["name"],
            "compute_type": runner.load["compute_type"], "settings": runner.configuration.environment,
            "tokens_per_second": tokens / median * 1e3, "ms_median": median, "ms": times[name],
            "load_ms": runner.load["ms"], "same_tokens_as_cpu": same,
        })
        print("%-16s %-34s %10.0f %10.1f %10.0f   %s" % (name, runner.load["name"][:34], tokens / median * 1e3, median,
                                                        runner.load["ms"], "yes" if same else "no"), flush=True)
        runner.close()
    print()
    ratios = [ratio_row(times, fast, slow, text) for fast, slow, text in RATIOS if fast in times and slow in times]
    return rows, ratios


def second_loads(arguments):
    """A second process of each: programs it compiled, and where the time of a step goes."""
    rows = []
    print("\n%-16s %9s %12s %12s %14s %14s" % ("second load", "compiled", "step ms", "enqueue ms", "host thread ms", "thread / step"))
    for name, runner in start(arguments, trace=True).items():
        answers = [runner.run() for _ in range(max(1, arguments.rounds // 2))]
        runner.close()
        last = answers[-1]
        row = {"configuration": name, "load_ms": runner.load["ms"], "programs_compiled": last["programs_compiled"]}
        for key in ("step_ms", "step_enqueue_ms", "step_thread_ms"):
            row[key] = statistics.median(answer[key] for answer in answers)
        row["host_share_of_step"] = row["step_thread_ms"] / row["step_ms"]
        rows.append(row)
        print("%-16s %9d %12.3f %12.3f %14.3f %14.3f" % (name, row["programs_compiled"], row["step_ms"], row["step_enqueue_ms"],
                                                        row["step_thread_ms"], row["host_share_of_step"]), flush=True)
    return rows


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=30, help="tokens of each source")
    parser.add_argument("--tokens", type=int, default=30, help="tokens of each result")
    parser.add_argument("--beam", type=int, default=1)
    parser.add_argument("--threads", type=int, default=min(4, len(os.sched_getaffinity(0))), help="of the CPU back end")
    parser.add_argument("--model", help="a translation model (default: a base-size model with random weights)")
    parser.add_argument("--only", nargs="+", choices=[c.name for c in CONFIGURATIONS], help="configurations to run")
    parser.add_argument("--cold", action="store_true", help="begin with empty caches of programs and weights")
    parser.add_argument("--quick", action="store_true", help="a small model, two rounds, nothing written")
    return parser.parse_args()


def write_report(report):
    label = re.sub(r"[^a-z0-9]+", "-", report["cpu"].lower()).strip("-")
    path = os.path.join(ROOT, "benchmarks", "results", "opencl-%s.json" % label)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(report, file, indent=2)
        file.write("\n")
    print("\nwritten: %s" % os.path.relpath(path, ROOT))


def main():
    arguments = parse()
    os.makedirs(WORK, exist_ok=True)
    if arguments.quick:
        arguments.rounds = 2
    if arguments.cold:
        for folder in ("cache", "pocl"):
            shutil.rmtree(os.path.join(WORK, folder), ignore_errors=True)
    for folder in ("cache", "pocl"):
        os.makedirs(os.path.join(WORK, folder), exist_ok=True)
    kind = "small" if arguments.quick else "base"
    written = not arguments.model
    if written:
        arguments.model = os.path.join(WORK, "random-" + kind)
        if not os.path.exists(os.path.join(arguments.model, "model.bin")):
            subprocess.check_call([os.path.join(BUILD, "tests", "gpu", "write_model"), arguments.model, kind])
    print("%s, %d threads, %s model, %d x %d tokens, beam %d" % (cpu_name(), arguments.threads, kind if written else arguments.model,
                                                               arguments.batch, arguments.tokens, arguments.beam), flush=True)
    rows, ratios = race(arguments)
    loads = second_loads(arguments)
    if not arguments.quick and written:
        write_report({
            "cpu": cpu_name(), "cores": len(os.sched_getaffinity(0)), "threads": arguments.threads, "date": time.strftime("%Y-%m-%d"),
            "model": "Transformer base, random weights", "batch": arguments.batch, "source_tokens": arguments.length,
            "tokens": arguments.tokens, "beam": arguments.beam, "rounds": arguments.rounds,
            "configurations": rows, "ratios": ratios, "second_loads": loads,
        })
    return 0


if __name__ == "__main__":
    sys.exit(main())
