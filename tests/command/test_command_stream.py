"""translate and score over files and pipes: line rules, order, formats, errors, interrupts, the progress line."""
import json
import os
import pty
import resource
import signal
import struct
import subprocess
import time
import unittest
from xml.etree import ElementTree

from command_case import EXPECTED, MODEL, PROGRAM, CommandCase, letters, main

WORDS = EXPECTED["words"]
GREEDY = next(c for c in EXPECTED["cases"] if c["options"] == {"beam_size": 1})
WANTED = [" ".join(r["hypotheses"][0]) for r in GREEDY["results"]]


class Lines(CommandCase):
    def test_what_a_line_is(self):
        plain = self.translate("c a t\n\nd o g\n", "--beam_size", "1")
        self.assertEqual(plain, "K AE1 T\n\nD AO1 G\n")
        self.assertEqual(self.translate("c a t\n\nd o g", "--beam_size", "1"), plain)
        self.assertEqual(self.translate("c a t\r\n\r\nd o g\r\n", "--beam_size", "1"), plain)
        self.assertEqual(self.translate("  c  a   t \n   \nd o g\r", "--beam_size", "1"), plain)
        self.assertEqual(self.translate("", "--beam_size", "1"), "")
        self.assertEqual(self.translate("\n", "--beam_size", "1"), "\n")
        self.assertEqual(self.translate("c a t\r\r\n", "--beam_size", "1"), self.translate("c a t\\r\n", "--beam_size", "1"))

    def test_any_byte_is_a_token(self):
        unknown = self.translate("c X t\n")
        self.assertNotEqual(unknown, self.translate("c a t\n"))
        for bytes_ in [b"\xff\xfe", b"\xc3", b"a\x00b", b"\xed\xa0\x80", "ä".encode()]:
            self.assertEqual(self.translate(b"c " + bytes_ + b" t\n"), unknown, bytes_)

    def test_huge_line(self):
        data = b"c a t\n" + b"a " * 300000 + b"\nd o g\n" + b"x" * 2000000 + b"\n"
        done = self.translate(data, "--beam_size", "1", "--max_decoding_length", "20", "--max_input_length", "30")
        self.assertEqual([done.split("\n")[i] for i in (0, 2)], ["K AE1 T", "D AO1 G"])
        self.assertEqual(done.count("\n"), 4)

    def test_a_folder_is_no_file(self):
        self.fails(1, "translate", "--model", MODEL, "--src", self.folder, says=["cannot read", "Is a directory"])


class Translate(CommandCase):
    def test_chunks_do_not_matter(self):
        words = WORDS[:20]
        text = letters(words)
        for options in [[], ["--read_batch_size", "1"], ["--read_batch_size", "7"], ["--batch_size", "1"],
                        ["--batch_size", "5", "--inter_threads", "2", "--intra_threads", "1"],
                        ["--batch_type", "tokens", "--batch_size", "20"], ["--batch_size", "3000000"],
                        ["--batch_type", "tokens", "--read_batch_size", "3"], ["--batch_size", "0", "--read_batch_size", "9"],
                        ["--max_queued_batches", "1"], ["--max_queued_batches", "-1"]]:
            self.assertEqual(self.translate(text, "--beam_size", "1", *options).splitlines(), WANTED[:20], options)

    def test_files(self):
        source = self.file("source", letters(WORDS))
        out = self.folder / "out"
        self.assertEqual(self.ok("translate", "--model", MODEL, "--src", source, "--out", out, "--beam_size=1"), "")
        self.assertEqual(out.read_text().splitlines(), WANTED)
        self.assertEqual(self.ok("translate", "--model", MODEL, "--src", "-", "--out", "-", "--beam_size=1",
                                 stdin=source.read_bytes()).splitlines(), WANTED)
        self.fails(1, "translate", "--model", MODEL, "--src", source, "--out", source, says="both input and output")
        self.assertEqual(source.read_text(), letters(WORDS))
        self.fails(1, "translate", "--model", MODEL, "--src", source, "--out", "/nonexistent/x", says="/nonexistent/x")
        self.fails(1, "translate", "--model", "/nonexistent", "--src", source, "--out", out, says="/nonexistent")
        self.assertEqual(out.read_text().splitlines(), WANTED)

    def test_scores_and_n_best(self):
        case = next(c for c in EXPECTED["cases"] if c["options"].get("num_hypotheses", 1) > 1)
        options = case["options"]
        words = [f"--{'n_best' if k == 'num_hypotheses' else k}={v}" for k, v in options.items()
                 if k not in ("return_scores",)]
        lines = self.translate(letters(WORDS) + "\n", "--with_score", *words).splitlines()
        n = options["num_hypotheses"]
        self.assertEqual(lines[-n:], ["0 ||| "] * n)
        for i, result in enumerate(case["results"]):
            for h in range(n):
                score, text = lines[i * n + h].split(" ||| ")
                self.assertAlmostEqual(float(score), result["scores"][h], delta=1e-4)
                self.assertEqual(text, " ".join(result["hypotheses"][h]))
                self.assertEqual(score, f"{float(score):.6g}")

    def test_json(self):
        text = letters(WORDS[:5]) + "\n"
        lines = [json.loads(line) for line in self.translate(text, "--json", "--n_best=2", "--beam_size=3").splitlines()]
        plain = self.translate(text, "--with_score", "--n_best=2", "--beam_size=3").splitlines()
        flat = [h for line in lines for h in line["hypotheses"]]
        self.assertEqual([h["text"] for h in flat], [line.split(" ||| ")[1] for line in plain])
        self.assertEqual([" ".join(h["tokens"]) for h in flat], [h["text"] for h in flat])
        for h, line in zip(flat, plain):
            self.assertAlmostEqual(h["score"], float(line.split(" ||| ")[0]), places=5)
        self.assertEqual(json.loads(self.translate("\n", "--json")), {"hypotheses": [{"tokens": [], "text": "", "score": 0}]})
        odd = self.translate(b"\xff\xfe b\n", "--json", "--replace_unknowns", "--tgt", self.file("odd", b"\xff\n"))
        self.assertIn("\ufffd", json.loads(odd)["hypotheses"][0]["text"])

    def test_prefix_file(self):
        tgt = self.file("tgt", "T\n\nTH R\nextra\n")
        lines = self.translate("c a t\nd o g\nt h r e a d\n", "--tgt", tgt, "--beam_size", "1").splitlines()
        self.assertEqual(lines[1:], ["D AO1 G", "TH R EH1 D"])
        self.assertTrue(lines[0].startswith("T "), lines)
        short = self.file("short", "T\n")
        done = self.fails(1, "translate", "--model", MODEL, "--tgt", short, "--read_batch_size", "1", "--beam_size", "1",
                          stdin=b"c a t\nd o g\nd o g\n", says=["target file has less examples", "ends after 1"])
        self.assertEqual(done.stdout.decode().splitlines(), lines[:1])

    def test_decoding_options_arrive(self):
        word = "t r a n s f o r m e r\n"
        base = self.translate(word).strip().split()
        self.assertEqual(self.translate(word, "--max_decoding_length", "3", "--beam_size=1").strip().split(), base[:3])
        self.assertGreaterEqual(len(self.translate(word, "--min_decoding_length", "15").split()), 15)
        self.assertEqual(self.translate(word, "--end_token", base[4], "--beam_size=1").strip().split(), base[:4])
        self.assertNotIn(base[4], self.translate(word, "--suppress_sequences", f"B B,{base[4]}").split())
        joined = " ".join(base[4:6])
        self.assertNotIn(joined, self.translate(word, "--suppress-sequences", f"{joined}, "))
        self.assertNotEqual(self.translate("t r a n s\n", "--max_input_length", "0"),
                            self.translate("t r a n s\n", "--max_input_length", "3"))
        repeated = [self.translate("b a n a n a n a n a\n", "--beam_size=1", "--repetition_penalty", p).split() for p in ("1", "100")]
        self.assertGreater(len(set(repeated[1])) / len(repeated[1]), len(set(repeated[0])) / len(repeated[0]))
        pairs = self.translate("b a n a n a n a n a\n", "--no_repeat_ngram_size", "2", "--beam_size=1").split()
        self.assertEqual(len(pairs) - 1, len(set(zip(pairs, pairs[1:]))))
        one, zero = (float(self.translate(word, "--with_score", "--length_penalty", p).split()[0]) for p in "10")
        self.assertAlmostEqual(zero, one * (len(base) + 1), delta=1e-4)
        self.assertEqual(self.translate("c X t\n", "--replace_unknowns=false"), self.translate("c X t\n"))
        self.assertEqual(len(self.translate(word, "--patience", "2", "--n_best", "4").splitlines()), 4)
        self.fails(2, "translate", "--model", MODEL, "--n_best", "4", stdin=word.encode(),
                   says="--n_best: 4 is more than --beam_size times --patience, which is 2")
        self.fails(2, "translate", "--model", MODEL, "--n_best", "2", "--patience", ".6", stdin=word.encode(), says="which is 1")
        for option in ["beam_size", "n_best"]:
            self.fails(2, "translate", "--model", MODEL, f"--{option}", "1000000", says=f"--{option}: 1000000 is out of range: 1 to 65536")
        samples = ["--n_best=4", "--beam_size=1", "--sampling_topk=0"]
        self.assertEqual(len(self.translate(word, *samples).splitlines()), 4)
        self.fails(1, "translate", "--model", MODEL, "--end_token", "nosuch", stdin=word.encode(), says="nosuch")
        self.fails(1, "translate", "--model", MODEL, "--suppress_sequences", "T nosuch", stdin=word.encode(), says="nosuch")
        for option, value in [("patience", "0"), ("sampling_topp", "0"), ("repetition_penalty", "-1"), ("prefix_bias_beta", "1"),
                              ("min_decoding_length", "300")]:
            self.fails(1, "translate", "--model", MODEL, f"--{option}", value, stdin=word.encode(), says=option.split("_")[0])

    def test_sampling(self):
        text = letters(WORDS[:6] * 2)
        options = ["--beam_size", "1", "--sampling_topk", "0", "--sampling_temperature", "2", "--seed", "7"]
        first = self.translate(text, *options)
        self.assertEqual(first, self.translate(text, *options))
        self.assertNotEqual(first, self.translate(text, *options[:-1], "8"))
        self.assertEqual(first, self.translate(text, *options, "--inter_threads", "2"))
        lines = self.translate("t r a n s f o r m e r\n" * 4, *options, "--read_batch_size", "2").splitlines()
        self.assertEqual(len(set(lines)), 4, "chunks repeat each other's samples")
        self.assertEqual(self.translate(text, *options, "--sampling_temperature", "0"),
                         self.translate(text, "--beam_size", "1"))
        self.assertEqual(self.translate(text, *options, "--sampling_topp", "0.0001"), self.translate(text, "--beam_size", "1"))

    def test_devices_and_types(self):
        self.assertEqual(self.translate("c a t\n", "--device", "cpu", "--device_index", "0"), "K AE1 T\n")
        self.assertEqual(self.translate("c a t\n", "--device", "auto", "--cuda_compute_type", "nonsense"), "K AE1 T\n")
        self.assertEqual(self.translate("c a t\n", "--compute_type", "nonsense", "--cpu_compute_type", "float32"), "K AE1 T\n")
        for words, says in [(["--device_index", "1"], "there is no cpu:1"), (["--device_index", "0,1"], "there is no cpu:1"),
                            (["--device_index", "0,"], "'0,' is not a list"), (["--device", "cpu,cpu", "--device_index", "1"], "names its device already"),
                            (["--device_index", "x"], "'x' is not a list"),
                            (["--device", "cuda:0", "--device_index", "1"], "names its device already"),
                            (["--device", "opencl:0", "--device_index", "1"], "names its device already"),
                            (["--numerics", "exact"], "auto|reproducible|fast")]:
            self.fails(2, "translate", "--model", MODEL, *words, says=says)
        self.fails(1, "translate", "--model", MODEL, "--device", "opencl", "--device_index", "99", says="opencl:99")
        self.fails(1, "translate", "--model", MODEL, "--device", "gpu", "--device_index", "99", says="gpu:99")
        for numerics in ["auto", "reproducible", "fast"]:
            self.assertEqual(self.translate("c a t\n", "--numerics", numerics), "K AE1 T\n")
        self.fails(1, "translate", "--model", MODEL, "--device", "toaster", says="toaster")
        self.fails(1, "translate", "--model", MODEL, "--device", "cuda", says="cuda")
        self.fails(1, "translate", "--model", MODEL, "--compute_type", "nonsense", says="nonsense")
        self.fails(1, "translate", "--model", MODEL, "--cpu_compute_type", "nonsense", says="nonsense")
        self.fails(1, "translate", "--model", MODEL, env={"TREADLE_DEVICE": "toaster"}, says="toaster")

    def test_throughput(self):
        done = self.run_program("translate", "--model", MODEL, "--log_throughput", stdin=letters(WORDS).encode())
        self.assertEqual(done.returncode, 0)
        self.assertGreater(float(done.stderr), 0)

    def test_as_ct2_translator(self):
        done = self.run_program("--model", MODEL, "--beam_size", "1", "--log_throughput", stdin=letters(WORDS).encode(),
                                name="ct2-translator")
        self.assertEqual(done.stdout.decode().splitlines(), WANTED)
        done = self.run_program("--model", MODEL, "--with_tokens_score", stdin=b"c a t\n", name="ct2-translator")
        self.assertEqual((done.returncode, done.stdout), (0, b"K AE1 T\n"))
        self.assertIn(b"--with_tokens_score means nothing", done.stderr)
        source, target = self.file("s", "c a t\n"), self.file("t", "K AE1 T\n")
        done = self.run_program("--task", "score", "--model", MODEL, "--src", source, "--tgt", target, name="ct2-translator")
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        self.assertRegex(done.stdout.decode(), r"^-0\.\d+ \|\|\| K AE1 T </s>\n$")
        done = self.fails(1, "--model", MODEL, "--n_best", "9", stdin=b"c a t\n", name="ct2-translator", says="--n_best: 9")


class Score(CommandCase):
    def test_stored_scores(self):
        targets, stored = EXPECTED["targets"], EXPECTED["log_probs"]
        source = self.file("source", letters(WORDS[-len(targets):]))
        target = self.file("target", "".join(" ".join(t) + "\n" for t in targets))
        lines = self.ok("score", "--model", MODEL, "--src", source, "--tgt", target, "--with_tokens_score").splitlines()
        self.assertEqual(len(lines), len(targets))
        for line, tokens, scores in zip(lines, targets, stored):
            mean, text, values = line.split(" ||| ")
            self.assertEqual(text.split(), tokens + ["</s>"])
            for value, score in zip(values.split(), scores, strict=True):
                self.assertAlmostEqual(float(value), score, delta=1e-4)
            self.assertAlmostEqual(float(mean), sum(scores) / len(scores), delta=1e-4)

    def test_scores(self):
        target = self.file("target", "".join(t + "\n" for t in WANTED))
        source = self.file("source", letters(WORDS))
        lines = self.ok("score", "--model", MODEL, "--src", source, "--tgt", target, "--with_tokens_score").splitlines()
        for line, text in zip(lines, WANTED):
            mean, tokens, scores = line.split(" ||| ")
            self.assertEqual(tokens, text + " </s>")
            values = [float(s) for s in scores.split()]
            self.assertEqual(len(values), len(tokens.split()))
            self.assertAlmostEqual(float(mean), sum(values) / len(values), places=5)
        for line, result in zip(lines, GREEDY["results"]):
            if "scores" in result:
                self.assertAlmostEqual(float(line.split(" ||| ")[0]), result["scores"][0], delta=5e-3)
        plain = self.ok("score", "--model", MODEL, "--src", source, "--tgt", target).splitlines()
        self.assertEqual(plain, [line.rsplit(" ||| ", 1)[0] for line in lines])
        objects = self.ok("score", "--model", MODEL, "--src", source, "--tgt", target, "--json").splitlines()
        for text, line in zip(objects, lines):
            one = json.loads(text)
            self.assertEqual(one["text"], line.split(" ||| ")[1])
            self.assertAlmostEqual(one["score"], float(line.split(" ||| ")[0]), places=5)
            self.assertEqual(len(one["token_scores"]), len(one["tokens"]))
            self.assertEqual(line, f"{one['score']:.6g} ||| {one['text']} ||| " + " ".join(f"{s:.6g}" for s in one["token_scores"]))

    def test_empty_lines_and_streams(self):
        source, target = self.file("source", "\nc a t\n"), self.file("target", "K AE1 T\n\n")
        lines = self.ok("score", "--model", MODEL, "--src", source, "--tgt", target).splitlines()
        self.assertTrue(lines[0].endswith("K AE1 T </s>"), lines)
        self.assertTrue(lines[1].endswith(" ||| </s>"), lines)
        through_pipe = self.ok("score", "--model", MODEL, "--src", "-", "--tgt", target, stdin=source.read_bytes())
        self.assertEqual(through_pipe.splitlines(), lines)
        self.fails(1, "score", "--model", MODEL, "--src", source, "--tgt", self.file("short", "K\n"),
                   says="target file has less examples")
        self.assertEqual(self.ok("score", "--model", MODEL, "--src", self.file("none", ""), "--tgt", target), "")


class Endings(CommandCase):
    def start(self, *options, **more):
        variables = dict(os.environ, TREADLE_CACHE="")
        process = subprocess.Popen([str(PROGRAM), "translate", "--model", str(MODEL), "--beam_size", "1", *options],
                                   stdin=subprocess.PIPE, env=variables, **more)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.addCleanup(process.stdin.close)
        return process

    def test_full_disk(self):
        text = letters(WORDS).encode()
        self.fails(1, "translate", "--model", MODEL, "--out", "/dev/full", stdin=text,
                   says="cannot write /dev/full: No space left on device")
        source, target = self.file("s", letters(WORDS[:2])), self.file("t", "T\nT\n")
        for options in [["translate"], ["translate", "--json"], ["score", "--src", source, "--tgt", target]]:
            with open("/dev/full", "wb") as full:
                done = self.run_program(*options, "--model", MODEL, stdin=text, stdout=full)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr.decode(),      # how much was there to write at first depends on the time
                             rf"^treadle {options[0]}: cannot write standard output: No space left on device \(results of line \d+\)\n$")

    def test_closed_output(self):
        source, target = self.file("s", letters(WORDS[:2])), self.file("t", "T\nT\n")
        for options in [["translate"], ["translate", "--json"], ["score", "--tgt", target]]:
            done = self.run_program(*options, "--model", MODEL, "--src", source, preexec_fn=lambda: os.close(1))
            self.assertEqual((done.returncode, done.stderr.decode()),
                             (1, f"treadle {options[0]}: cannot write standard output: Bad file descriptor (results of line 2)\n"))
        self.assertEqual(source.read_text(), letters(WORDS[:2]))
        out = self.folder / "out"       # which must not take the number of standard output
        self.ok("translate", "--model", MODEL, "--beam_size=1", "--src", source, "--out", out, preexec_fn=lambda: os.close(1))
        self.assertEqual(out.read_text().splitlines(), WANTED[:2])

    def test_closed_input(self):
        target = self.file("t", "K\n" * 3)          # which must not take the number of standard input
        done = self.run_program("translate", "--model", MODEL, "--tgt", target, preexec_fn=lambda: os.close(0))
        self.assertEqual((done.returncode, done.stdout, done.stderr.decode()),
                         (1, b"", "treadle translate: cannot read standard input: Bad file descriptor (line 1)\n"))

    def test_the_line_that_fails(self):
        bad = "a " * 600 + "\n"
        for n, options in [(700, ["--batch_size=8", "--max_decoding_length=1"]), (0, []), (40, ["--batch_size=8", "--inter_threads=2"]),
                           (20, ["--batch_type=tokens", "--batch_size=40"])]:
            source = self.file("s", "c a\n" * n + bad + "c a\n" * 5)
            message = f"line {n + 1}: No position encodings are defined"
            done = self.fails(1, "translate", "--model", MODEL, "--beam_size=1", "--src", source, *options, says=message)
            self.assertNotIn(b"example", done.stderr)
            if "--max_decoding_length=1" not in options:
                target = self.file("t", "K\n" * (n + 6))
                self.fails(1, "score", "--model", MODEL, "--src", source, "--tgt", target, *options, says=message)
        source, target = self.file("s", "c a\n" * 60), self.file("t", "K\n" * 45 + bad.replace("a", "K") + "K\n" * 14)
        self.fails(1, "score", "--model", MODEL, "--src", source, "--tgt", target, "--batch_size=2", "--max_input_length=0", says="line 46: ")

    def test_results_come_before_the_input_ends(self):
        process = self.start("--read_batch_size", "1", stdout=subprocess.PIPE)
        for word, phonemes in [("c a t", "K AE1 T"), ("d o g", "D AO1 G")]:
            process.stdin.write(word.encode() + b"\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline().decode().strip(), phonemes)
        process.stdin.close()
        self.assertEqual((process.wait(60), process.stdout.read()), (0, b""))
        process.stdout.close()

    def answered(self, process, n):
        """How many lines come: waits long for n, and a little for more. A step without lines may miss what comes late."""
        os.set_blocking(process.stdout.fileno(), False)
        late, got, lines = time.monotonic() + 60, b"", 0
        while time.monotonic() < late:
            got += process.stdout.read() or b""
            if got.count(b"\n") >= n > lines or (n == 0 and late > time.monotonic() + 1):
                late = time.monotonic() + 0.4
            lines = got.count(b"\n")
            time.sleep(0.01)
        return lines

    def test_sizes_of_chunks(self):
        for options, steps in [
            (["--batch_type=tokens", "--read_batch_size=6"], [([2, 3, 1], 0), ([4], 3), ([5], 1), ([], 1)]),
            (["--batch_type=tokens", "--read_batch_size=8"], [([5, 2, 1], 0), ([], 3)]),
            (["--batch_type=tokens", "--batch_size=1"], [([5], 0), ([3], 1), ([0, 1], 1), ([], 2)]),
            (["--read_batch_size=2"], [([5], 0), ([2, 1, 1], 4), ([3], 0), ([], 1)]),
            (["--batch_size=1"], [([5], 1), ([2, 1], 2), ([], 0)]),
            (["--batch_size=2"], [([1] * 31, 0), ([1], 32), ([], 0)]),
        ]:
            process = self.start("--max_decoding_length=1", *options, stdout=subprocess.PIPE)
            for lengths, n in steps:
                if lengths:
                    process.stdin.write(b"".join(b"a " * length + b"\n" for length in lengths))
                    process.stdin.flush()
                else:
                    process.stdin.close()
                self.assertEqual(self.answered(process, n), n, (options, lengths))
            process.wait(60)
            process.stdout.close()

    def test_closed_pipe_is_quiet(self):
        process = self.start("--read_batch_size", "1", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdin.write(b"c a t\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()
        try:
            process.stdin.write(b"c a t\n" * 2)
            process.stdin.flush()
        except BrokenPipeError:
            pass
        self.assertEqual(process.wait(60), -signal.SIGPIPE)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()

    def test_interrupt_of_a_stream(self):
        for number, status in [(signal.SIGINT, 130), (signal.SIGTERM, 143)]:
            process = self.start("--read_batch_size", "1", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            process.stdin.write(b"c a t\nd o g\n")
            process.stdin.flush()
            lines = [process.stdout.readline() for _ in range(2)]
            process.send_signal(number)
            self.assertEqual(process.wait(60), status)
            self.assertEqual((lines, process.stdout.read(), process.stderr.read()), ([b"K AE1 T\n", b"D AO1 G\n"], b"", b""))
            process.stdout.close()
            process.stderr.close()

    def begun(self, process):
        """Waits until the run has opened its output: a file beside it."""
        until = time.monotonic() + 60
        while time.monotonic() < until and not list(self.folder.glob("*.tmp")):
            time.sleep(0.02)
        self.assertTrue(list(self.folder.glob("*.tmp")))

    def test_interrupt_leaves_no_half_file(self):
        long = letters(["transformer"] * 4000).encode()
        for number, status, text, earlier in [(signal.SIGINT, 130, b"c a t\n", None), (signal.SIGTERM, 143, long, "as before\n"),
                                              (signal.SIGINT, 130, b"", "as before\n")]:
            out = self.folder / "out"
            if earlier is not None:
                out.write_text(earlier)
            process = self.start("--out", str(out), stderr=subprocess.PIPE)
            process.stdin.write(text)
            process.stdin.flush()
            self.begun(process)
            process.send_signal(number)
            self.assertEqual(process.wait(60), status)
            self.assertEqual(process.stderr.read(), b"")
            process.stderr.close()
            self.assertEqual({p.name: p.read_text() for p in self.folder.iterdir()}, {} if earlier is None else {"out": earlier})

    def test_failures_leave_an_earlier_file(self):
        out, source = self.file("out", "as before\n"), self.file("source", letters(WORDS[:3]))
        names = sorted(p.name for p in self.folder.iterdir())
        self.fails(1, "translate", "--model", MODEL, "--src", source, "--tgt", self.file("tgt", "T\n"), "--out", out, says="less examples")
        self.fails(1, "translate", "--model", MODEL, "--src", source, "--end_token", "nosuch", "--out", out, says="nosuch")
        self.fails(1, "translate", "--model", MODEL, "--src", self.folder, "--out", out, says="Is a directory (line 1)")
        big = self.file("big", letters(["transformer"] * 3000))
        self.fails(1, "translate", "--model", MODEL, "--src", big, "--out", out, "--beam_size=1", "--max_decoding_length=2",
                   says="cannot write", preexec_fn=lambda: (signal.signal(signal.SIGXFSZ, signal.SIG_IGN),
                                                            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))))
        self.assertEqual(out.read_text(), "as before\n")
        self.assertEqual(sorted(p.name for p in self.folder.iterdir()), sorted([*names, "tgt", "big"]))

    def test_output_keeps_mode_and_link(self):
        target = self.file("real", "as before\n")
        target.chmod(0o640)
        link = self.folder / "link"
        link.symlink_to("real")
        source = self.file("source", letters(WORDS[:2]))
        self.ok("translate", "--model", MODEL, "--beam_size=1", "--src", source, "--out", link)
        self.assertTrue(link.is_symlink())
        self.assertEqual((target.read_text().splitlines(), target.stat().st_mode & 0o777), (WANTED[:2], 0o640))
        self.ok("translate", "--model", MODEL, "--beam_size=1", "--src", source, "--out", self.folder / "new", preexec_fn=lambda: os.umask(0o27))
        self.assertEqual((self.folder / "new").stat().st_mode & 0o777, 0o640)

    def test_pipes_with_names(self):
        source, out = self.folder / "source", self.folder / "out"
        os.mkfifo(source)
        os.mkfifo(out)
        process = self.start("--read_batch_size", "1", "--src", str(source), "--out", str(out))
        with open(out, "rb") as results, open(source, "wb", buffering=0) as lines:
            for word, phonemes in [(b"c a t\n", b"K AE1 T\n"), (b"d o g\n", b"D AO1 G\n")]:
                lines.write(word)
                self.assertEqual(results.readline(), phonemes)
            lines.close()
            self.assertEqual(results.read(), b"")
        self.assertEqual(process.wait(60), 0)
        process = self.start("--src", str(source), "--out", str(self.folder / "none"))      # nobody opens it to write
        self.begun(process)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), 130)
        self.assertFalse((self.folder / "none").exists())

    def test_ignored_interrupt_stays_ignored(self):
        code = 'trap "" INT; exec "$@"'
        process = subprocess.Popen(["sh", "-c", code, "sh", str(PROGRAM), "translate", "--model", str(MODEL), "--beam_size=1",
                                    "--read_batch_size=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(2):
            process.stdin.write(b"c a t\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), b"K AE1 T\n")
            process.send_signal(signal.SIGINT)
        process.stdin.close()
        self.assertEqual(process.wait(60), 0)
        process.stdout.close()

    def test_progress_on_a_terminal(self):
        source = self.file("source", letters(WORDS))
        master, slave = pty.openpty()
        try:
            done = subprocess.run([str(PROGRAM), "translate", "--model", str(MODEL), "--src", str(source)], stderr=slave,
                                  stdout=subprocess.PIPE, env=dict(os.environ, TREADLE_CACHE=""), timeout=300)
            os.close(slave)
            shown = b""
            try:
                while piece := os.read(master, 65536):
                    shown += piece
            except OSError:
                pass
        finally:
            os.close(master)
        self.assertEqual(done.returncode, 0)
        last = shown.decode().rstrip().split("\r")[-1]
        self.assertRegex(last, r"100% \[=+\] 64 examples, [\d.]+/s, \d+:\d\d$")

    def test_progress_where_asked(self):
        source = self.file("source", letters(WORDS))
        done = self.run_program("translate", "--model", MODEL, "--src", source, "--progress", "always")
        self.assertRegex(done.stderr.decode(), r"100% \[=+\] 64 examples, [\d.]+/s, \d+:\d\d\n$")
        self.ok("translate", "--model", MODEL, "--src", source, "--progress", "never")

    def test_typed_lines_are_answered(self):
        master, slave = pty.openpty()
        process = subprocess.Popen([str(PROGRAM), "translate", "--model", str(MODEL), "--beam_size=1"], stdin=slave,
                                   stdout=subprocess.PIPE, env=dict(os.environ, TREADLE_CACHE=""))
        os.close(slave)
        for word, phonemes in [(b"c a t\n", b"K AE1 T\n"), (b"d o g\n", b"D AO1 G\n")]:
            os.write(master, word)
            self.assertEqual(process.stdout.readline(), phonemes)
        os.write(master, b"\x04")
        self.assertEqual((process.wait(60), process.stdout.read()), (0, b""))
        process.stdout.close()
        os.close(master)

    def test_memory_is_bounded(self):
        if os.environ.get("TREADLE_TEST_SANITIZE"):
            self.skipTest("sanitizers keep freed memory for a while")

        def peak_kib(lines):
            process = self.start("--max_decoding_length", "1", "--read_batch_size", "8", stdout=subprocess.DEVNULL)
            line = b"b " + b"x" * 40000 + b"\n"
            for _ in range(lines // 10):
                process.stdin.write(line * 10)
            process.stdin.close()
            peak = 0
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual(process.returncode, 0)
            peak = usage.ru_maxrss
            return peak

        few, many = peak_kib(100), peak_kib(1000)     # 4 MB and 40 MB of input
        self.assertLess(many - few, 12 * 1024, f"peak {few} KiB with 100 lines, {many} KiB with 1000")

    def test_failed_memory_is_a_message(self):
        if os.environ.get("TREADLE_TEST_SANITIZE"):
            self.skipTest("sanitizers need more address space than this test allows")
        data = self.file("huge", "c a t\n")
        os.truncate(data, 3 << 29)      # a second line of 1.5 GiB, without taking room on the disk

        def set_limit():
            resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

        done = self.fails(1, "translate", "--model", MODEL, "--beam_size=1", "--read_batch_size=1", "--src", data,
                          preexec_fn=set_limit, says=["cannot read", "Cannot allocate memory"])
        self.assertEqual(done.stdout, b"K AE1 T\n")


class Devices(CommandCase):
    def test_one_device_twice(self):
        text = letters(WORDS)
        for options in [["--device", "cpu,cpu"], ["--device_index", "0,0"], ["--device", "cpu:0,cpu", "--policy", "latency", "--cpu_compute_type", "float32", "--compute_type", "default"],
                        ["--policy", "round-robin", "--memory_limit", "200000000"]]:
            self.assertEqual(self.translate(text, "--beam_size=1", "--intra_threads=1", *options).splitlines(), WANTED, options)
        self.fails(1, "translate", "--model", MODEL, "--policy", "nosuch", says=["nosuch", "throughput"])
        self.fails(1, "translate", "--model", MODEL, "--memory_limit", "1000", stdin=text.encode(), says="memory")

    def test_counters(self):
        text = letters(WORDS).encode()
        done = self.run_program("translate", "--model", MODEL, "--beam_size=1", "--log_profiling", "--device", "cpu,cpu", stdin=text)
        self.assertEqual((done.returncode, done.stdout.decode().splitlines()), (0, WANTED))
        said = done.stderr.decode()
        self.assertRegex(said, rf"^cpu:0: float32, 2 workers, {len(WORDS)} jobs, [1-9]\d* tokens, ")
        self.assertRegex(said, r"\ncpu:0: [\d.]+ MB: weights [\d.]+(?: from the cache file)?, keys and values [\d.]+, steps [\d.]+; at most [\d.]+ MB\n")
        self.assertRegex(said, rf"\njobs: {len(WORDS)} submitted, {len(WORDS)} succeeded, 0 failed, 0 cancelled, 0 given to another worker\n$")


class Traces(CommandCase):
    def test_no_input_or_output_is_overwritten(self):
        source, out = self.file("source", letters(WORDS)), self.folder / "out"
        link = self.folder / "link"
        link.symlink_to(source)
        for trace in [source, link, out]:
            self.fails(2, "translate", "--model", MODEL, "--src", source, "--out", out, "--trace", trace, says="is an input or the output")
        self.assertEqual(source.read_text(), letters(WORDS))

    def test_formats(self):
        source, out, trace = self.file("source", letters(WORDS)), self.folder / "out", self.folder / "trace"
        self.ok("translate", "--model", MODEL, "--src", source, "--out", out, "--inter_threads=2", "--trace", trace)
        events = json.loads(trace.read_text())["traceEvents"]
        self.assertEqual(sum(e["ph"] == "b" and e["name"] == "job" for e in events), len(WORDS))
        self.assertEqual(sum(e["ph"] == "X" and e["name"] == "load" for e in events), 3)    # weights, and two workers
        shown = self.ok("translate", "--model", MODEL, "--src", source, "--out", out, "--trace", "-")
        self.assertIn("traceEvents", json.loads(shown))
        picture = self.folder / "trace.svg"
        plain = self.ok("score", "--model", MODEL, "--src", source, "--tgt", out, "--trace", picture)
        self.assertEqual(len(plain.splitlines()), len(WORDS))
        self.assertEqual(ElementTree.parse(picture).getroot().tag, "{http://www.w3.org/2000/svg}svg")
        self.fails(2, "translate", "--model", MODEL, "--trace", "-", says="--trace: standard output")
        done = self.fails(1, "translate", "--model", MODEL, "--src", source, "--beam_size=1", "--trace", self.folder / "none" / "x", says="x")
        self.assertEqual(done.stdout.decode().splitlines(), WANTED)


@unittest.skipIf(os.environ.get("TREADLE_TEST_SPM", "") not in ("ON", "1", "TRUE"), "built without sentencepiece")
class SentencePiece(CommandCase):
    def test_messages(self):
        self.fails(1, "translate", "--model", MODEL, "--src-spm", "/nonexistent", says="/nonexistent")
        self.fails(1, "translate", "--model", MODEL, "--src_spm", self.file("bad", "not a model"), says="bad")

    def model(self, name, pieces, kind):
        """A SentencePiece model written by hand: a protocol buffer of pieces with a score and a type each."""
        def field(number, data):
            return bytes([number << 3 | 2, len(data)]) + data

        listed = [("<unk>", 2), ("<s>", 3), ("</s>", 3)] + [(p, 1) for p in pieces]
        body = b"".join(field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", -len(text)) + bytes([3 << 3, type_]))
                        for text, type_ in listed)
        body += field(2, bytes([3 << 3, kind])) + field(3, field(1, b"identity") + bytes([3 << 3, 0, 4 << 3, 0]))
        return self.file(name, body)

    def test_round_trip(self):
        alphabet = json.loads((MODEL / "source_vocabulary.json").read_text())[3:]
        phonemes = json.loads((MODEL / "target_vocabulary.json").read_text())[3:]
        source, target = self.model("source.spm", alphabet, 4), self.model("target.spm", phonemes, 1)
        text = "".join(word + "\n" for word in WORDS).encode()
        self.assertEqual(self.translate(text, "--src-spm", source, "--beam_size=1").splitlines(), WANTED)
        joined = self.translate(text, "--src_spm", source, "--tgt_spm", target, "--beam_size=1").splitlines()
        self.assertEqual(joined, [line.replace(" ", "") for line in WANTED])
        about = json.loads(self.translate("cat\n", "--src_spm", source, "--tgt_spm", target, "--beam_size=1", "--json"))
        self.assertEqual(about["hypotheses"][0]["tokens"], ["K", "AE1", "T"])
        self.assertEqual(about["hypotheses"][0]["text"], "KAE1T")
        prefix = self.translate("cat\n", "--src_spm", source, "--tgt_spm", target, "--beam_size=1", "--tgt", self.file("p", "TAH1\n"))
        self.assertTrue(prefix.startswith("TAH1"), prefix)
        scored = self.ok("score", "--model", MODEL, "--src_spm", source, "--tgt_spm", target, "--json",
                         "--src", self.file("s", "cat\n"), "--tgt", self.file("t", "KAE1T\n"))
        self.assertEqual((json.loads(scored)["tokens"], json.loads(scored)["text"]), (["K", "AE1", "T", "</s>"], "KAE1T"))


@unittest.skipIf(os.environ.get("TREADLE_TEST_SPM", "") in ("ON", "1", "TRUE"), "built with sentencepiece")
class NoSentencePiece(CommandCase):
    def test_message(self):
        self.fails(1, "translate", "--model", MODEL, "--src-spm", "x.model", says="x.model: this program was built without sentencepiece")


if __name__ == "__main__":
    main()
