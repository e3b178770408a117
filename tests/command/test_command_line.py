"""Options, messages, exit codes, help, completion and the manual page: all that needs no model."""
import re
import subprocess

from command_case import COMMANDS, MODEL, PROGRAM, SOURCE, CommandCase, main

MANUAL = (SOURCE / "bindings/command/treadle.1").read_text().replace("\\-", "-")


def options_of(help_text):
    return re.findall(r"^\s+(?:-h, )?--([a-z0-9_]+)", help_text, re.M)


class CommandLine(CommandCase):
    def test_version_and_help(self):
        self.assertRegex(self.ok("--version"), r"^treadle \d+\.\d+\.\d+\n$")
        overview = self.ok("--help")
        self.assertEqual(overview, self.ok("-h"))
        self.assertEqual(overview, self.ok("help"))
        for command in COMMANDS:
            self.assertIn(f"\n  {command} ", overview)
            shown = self.ok(command, "--help")
            self.assertEqual(shown, self.ok("help", command))
            self.assertTrue(shown.startswith(f"Usage: treadle {command}"), shown)

    def test_no_command(self):
        done = self.fails(2, says="Usage: treadle")
        self.assertEqual(done.stdout, b"")

    def test_unknown_words_get_a_suggestion(self):
        self.fails(2, "tranlsate", says=["unknown command 'tranlsate'", "'translate'?"])
        self.fails(2, "help", "scor", says=["unknown command 'scor'", "'score'?"])
        self.fails(2, "translate", "--baem_size", "3", says=["unknown option '--baem_size'", "'--beam_size'?"])
        self.fails(2, "translate", "--baem-size=3", says=["unknown option '--baem-size'", "'--beam-size'?"])
        done = self.fails(2, "translate", "--qqqqqqqqqq", says="unknown option '--qqqqqqqqqq'")
        self.assertNotIn(b"did you mean", done.stderr)
        done = self.fails(2, "qqqqqqqqqq", says="unknown command 'qqqqqqqqqq'")
        self.assertNotIn(b"did you mean", done.stderr)
        self.fails(2, "translate", "-x", says="unknown option '-x'")
        self.fails(2, "--modle", "x", says="unknown option '--modle'")

    def test_values(self):
        for option, value, says in [
            ("beam_size", "x", "--beam_size: 'x' is not a whole number"),
            ("beam_size", "2x", "--beam_size: '2x'"), ("beam_size", "", "--beam_size: ''"),
            ("beam_size", "0", "--beam_size: 0 is out of range"), ("beam_size", "99999999999999999999", "out of range"),
            ("inter_threads", "0", "--inter_threads: 0 is out of range"), ("batch_size", "-1", "out of range"),
            ("patience", "much", "--patience: 'much' is not a number"), ("seed", "-1", "--seed: '-1'"),
            ("batch_type", "words", "--batch_type: 'words' is not one of examples|tokens"),
            ("batch_type", "", "is not one of"), ("disable_unk=maybe", None, "--disable_unk: 'maybe'"),
        ]:
            words = [f"--{option}"] if value is None else [f"--{option}", value]
            self.fails(2, "translate", "--model", "m", *words, says=says)
        self.fails(2, "translate", "--model", says="option '--model' needs a value")
        self.fails(2, "translate", "--sampling", "1", says="option '--sampling' is ambiguous")
        self.fails(2, "inspect", "--help=x", "d", says="option '--help' takes no value")

    def test_words_that_do_not_belong(self):
        self.fails(2, "translate", "--model", "m", "stray", says="unexpected argument 'stray'")
        self.fails(2, "devices", "stray", says="unexpected argument 'stray'")
        self.fails(2, "inspect", "a", "b", says="unexpected argument 'b'")
        self.fails(2, "inspect", says="which model directory?")
        self.fails(2, "completion", "tcsh", says="bash, zsh or fish")
        self.fails(2, "score", "--model", "m", "--n_best", "2", says="unknown option '--n_best'")
        self.fails(2, "translate", "--task", "score", says="unknown option '--task'")

    def test_what_is_missing_or_impossible(self):
        self.fails(2, "translate", says="--model is missing")
        self.fails(2, "score", "--model", "m", "--tgt", "t", says="both --src and --tgt")
        self.fails(2, "score", "--model", "m", "--src", "s", says="both --src and --tgt")
        self.fails(2, "score", "--model", "m", "--src", "-", "--tgt", "-", says="only one")
        self.fails(2, "translate", "--model", "m", "--batch_size", "0", says="--batch_size: 0 needs --read_batch_size")
        self.fails(2, "translate", "--model", "m", "--memory_limit", "-1", says="--memory_limit: -1 is out of range")
        self.fails(1, "translate", "--model", "m", "--src", "/nonexistent/file", says=["/nonexistent/file", "No such file"])

    def test_as_ct2_translator(self):
        done = self.run_program("--help", name="ct2-translator")
        self.assertEqual((done.returncode, done.stdout), (0, b""))
        self.assertIn("task", options_of(done.stderr.decode()))
        self.fails(1, "--beam_sise", "3", says=["ct2-translator: unknown option", "'--beam_size'?"], name="ct2-translator")
        self.fails(1, says="--model is missing", name="ct2-translator")
        self.fails(1, "--model", "m", "--beam_size", "x", says="not a whole number", name="ct2-translator")
        self.fails(1, "--model", "/nonexistent", says="/nonexistent", name="ct2-translator")
        self.fails(1, "--model", "m", "--task", "sing", says="translate|score", name="ct2-translator")

    def test_names_and_defaults_of_ct2_translator(self):
        wanted = """task=translate seed= log_throughput log_profiling inter_threads=1 intra_threads=0 device= device_index=0
            cpu_core_offset=-1 model= compute_type=default cuda_compute_type= cpu_compute_type= src= tgt= out= batch_size=32
            read_batch_size=0 max_queued_batches=0 batch_type=examples max_input_length=1024 use_vmap beam_size=2 patience=1
            sampling_topk=1 sampling_topp=1 sampling_temperature=1 n_best=1 with_score length_penalty=1 coverage_penalty=0
            repetition_penalty=1 no_repeat_ngram_size=0 disable_unk suppress_sequences= end_token= prefix_bias_beta=0
            max_decoding_length=256 min_decoding_length=1 replace_unknowns with_tokens_score"""
        shown = self.run_program("--help", name="ct2-translator").stderr.decode()
        entries = {m[1]: m[0] for m in re.finditer(r"^  --([a-z_]+).*(?:\n {20,}.*)*", shown, re.M)}
        for entry in wanted.split():
            name, _, value = entry.partition("=")
            self.assertIn(name, entries)
            if value:
                self.assertTrue(entries[name].endswith(f"[{value}]"), entries[name])
        self.assertLessEqual(set(entries), {e.partition("=")[0] for e in wanted.split()} | {"json", "src_spm", "tgt_spm"})

    def test_every_option_is_in_the_manual_and_completed(self):
        in_manual = set(re.findall(r"^\.TP\n\.B[RI]* (?:-h \", \" )?--([a-z0-9_]+)", MANUAL, re.M))
        known = {"version", "task"}
        for command in COMMANDS:
            self.assertIn(f".TP\n.B {command}\n", MANUAL)
            known.update(options_of(self.ok("help", command)))
        self.assertEqual(in_manual, known)
        for shell in ["bash", "zsh", "fish"]:
            completion = self.ok("completion", shell)
            for word in COMMANDS:
                self.assertRegex(completion, rf"\b{word}\b")
            for option in known:
                self.assertRegex(completion, rf"(--|-l ){option}\b")

    def test_defaults_of_the_manual(self):
        for m in re.finditer(r"^  --([a-z_]+) [NX] .*(?:\n {20,}.*)*", self.ok("help", "translate"), re.M):
            default = re.search(r"\[(-?\d+)\]$", m[0])
            if default:
                entry = MANUAL.split(f'.BI --{m[1]} "')[1].split(".TP")[0].split(".SS")[0]
                self.assertRegex(entry, rf"(\b[Dd]efault:? {default[1]}\b|(?<!\d){default[1]}, the default)", m[1])

    def test_bash_completes(self):
        script = self.file("treadle.bash", self.ok("completion", "bash"))

        def complete(*words):
            quoted = " ".join(f"'{w}'" for w in words)
            code = f"source {script}; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _treadle; echo \"${{COMPREPLY[@]}}\""
            done = subprocess.run(["bash", "--norc", "-c", code], stdout=subprocess.PIPE, cwd=self.folder, check=True)
            return done.stdout.decode().split()

        self.assertEqual(complete("treadle", "tra"), ["translate"])
        self.assertEqual(complete("treadle", "translate", "--beam"), ["--beam_size"])
        self.assertEqual(complete("treadle", "translate", "--batch_type", "t"), ["tokens"])
        self.assertEqual(complete("treadle", "translate", "--src", "tre"), ["treadle.bash"])
        self.assertEqual(complete("treadle", "score", "--n_be"), [])
        self.assertEqual(complete("treadle", "help", "in"), ["inspect"])
        self.assertEqual(complete("/usr/bin/ct2-translator", "--tas"), ["--task"])

    def test_output_that_cannot_be_written(self):
        for words in [["--help"], ["--version"], ["devices"], ["devices", "--json"], ["completion", "bash"],
                      ["inspect", MODEL], ["inspect", "--json", MODEL]]:
            with open("/dev/full", "wb") as full:
                self.fails(1, *words, stdout=full, says="No space left on device")

    def test_manual_has_no_warnings(self):
        try:
            done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", "-z", SOURCE / "bindings/command/treadle.1"],
                                  stderr=subprocess.PIPE)
        except FileNotFoundError:
            self.skipTest("groff is not installed")
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_page_of_environment_variables(self):
        page = (SOURCE / "docs/environment.md").read_text()
        read = {}
        for folder in ["lib", "bindings"]:
            for path in (SOURCE / folder).rglob("*.[ch]"):
                text = path.read_text()
                if "getenv(" in text:
                    names = re.findall(r'"((?:TREADLE|CT2|OMP|XDG)_[A-Z_]+|HOME)"', text)
                    others = re.findall(r'"(?:(?:OCL|OPENCL|HWLOC)_[A-Z_]+|TMPDIR)"', text)    # of the libraries that we use
                    self.assertTrue(names or others, f"{path}: which variable?")
                    read.update(dict.fromkeys(names, path))
        self.assertGreaterEqual(set(read), {"TREADLE_DEVICE", "TREADLE_LOG", "CT2_VERBOSE", "OMP_NUM_THREADS"})
        table = set(re.findall(r"^\| `([A-Z0-9_]+)` \|", page, re.M))
        self.assertEqual(table, set(read))
        for name in table - {"HOME", "XDG_CACHE_HOME"}:
            self.assertIn(f".B {name}\n", MANUAL)

    def test_options_may_be_shortened_and_spelt_with_dashes(self):
        for words in [["--max-decoding-length", "x"], ["--max_dec", "x"], ["--max-dec=x"]]:
            self.fails(2, "translate", "--model", "m", *words, says="--max_decoding_length: 'x'")


if __name__ == "__main__":
    main()
