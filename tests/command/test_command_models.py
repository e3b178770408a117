"""inspect, devices and demo: what they print, as text and as JSON."""
import json
import os
import subprocess
from xml.etree import ElementTree

from command_case import EXPECTED, MODEL, PROGRAM, SHARED, CommandCase, main


class Inspect(CommandCase):
    def test_demo_model(self):
        text = self.ok("inspect", MODEL)
        about = json.loads(self.ok("inspect", "--json", MODEL))
        for name, value in [("family", "sequence-to-sequence"), ("binary_version", 6), ("n_encoder_layers", 4),
                            ("n_decoder_layers", 2), ("d_model", 128), ("d_ffn", 512), ("n_heads", 4), ("unk_token", "<unk>"),
                            ("decoder_start_token", "<s>"), ("source_vocabulary_size", 32), ("add_source_eos", True),
                            ("stored_type", "int8_float32"), ("runs_on", "translator")]:
            self.assertEqual(about[name], value, name)
        self.assertEqual(len(about["tensors"]), about["n_variables"] + about["n_aliases"])
        self.assertEqual(sum(t["bytes"] for t in about["tensors"]), about["weight_bytes"])
        for tensor in about["tensors"]:
            self.assertIn(tensor["name"], text)
            self.assertEqual("alias_of" in tensor, tensor["bytes"] == 0)
        weight = next(t for t in about["tensors"] if t["name"] == "encoder/layer_0/ffn/linear_0/weight")
        self.assertEqual((weight["dtype"], weight["shape"], weight["bytes"]), ("i8", [512, 128], 65536))
        self.assertRegex(text, r"encoder/layer_0/ffn/linear_0/weight +i8 +512 x 128 +65536\n")
        heads = next(t for t in about["tensors"] if t["name"] == "decoder/num_heads")
        self.assertEqual((heads["dtype"], heads["shape"], heads["value"]), ("i16", [], 4))
        self.assertRegex(text, r"decoder/num_heads +i16 +4\n")
        self.assertNotIn("value", weight)
        self.assertIn("int8_float32", text)

    def test_every_sample_model(self):
        if not SHARED.is_dir():
            self.skipTest("no sample models beside the sources")
        models = sorted(p.parent for p in SHARED.rglob("model.bin"))
        self.assertGreater(len(models), 5)
        for model in models:
            text = self.ok("inspect", model)
            about = json.loads(self.ok("inspect", model, "--json"))
            self.assertEqual(about["name"], str(model))
            self.assertIn(about["family"], text)
            self.assertGreater(about["n_parameters"], 1000)
            for tensor in about["tensors"]:
                self.assertIn(tensor["name"], text)

    def test_failures(self):
        self.fails(1, "inspect", "/nonexistent", says=["/nonexistent"])
        folder = self.folder
        (folder / "model.bin").write_bytes(MODEL.joinpath("model.bin").read_bytes()[:1000])
        (folder / "config.json").write_bytes(MODEL.joinpath("config.json").read_bytes())
        done = self.fails(1, "inspect", folder, says="model.bin")
        self.assertEqual(done.stdout, b"")


class Devices(CommandCase):
    def test_list(self):
        about = json.loads(self.ok("devices", "--json"))
        text = self.ok("devices")
        cpu = next(d for d in about["devices"] if d["id"] == "cpu:0")
        self.assertLessEqual(cpu["n_compute_units"], os.cpu_count())
        self.assertGreaterEqual(cpu["n_compute_units"], 1)
        self.assertGreater(cpu["memory_bytes"], 1 << 20)
        self.assertIn("float32", cpu["compute_types"])
        self.assertIn("compute types: " + ",".join(cpu["compute_types"]), text.replace(", ", ","))
        for word in [cpu["id"], cpu["name"], cpu["isa"], *about["notes"]]:
            self.assertIn(word, text)
        self.assertEqual(about["machine"]["kind"], "machine")
        self.assertTrue(text.startswith("machine"))

    def test_picture(self):
        path = self.folder / "machine.svg"
        self.assertEqual(self.ok("devices", "--svg", path), "")
        picture = ElementTree.parse(path).getroot()
        space = "{http://www.w3.org/2000/svg}"
        self.assertEqual(picture.tag, space + "svg")
        words = [text.text or "" for text in picture.iter(space + "text")]
        self.assertTrue(any(word.startswith("cpu:0: ") for word in words), words)
        self.assertEqual(self.ok("devices", "--svg", "-"), path.read_text())
        self.fails(1, "devices", "--svg", self.folder / "none" / "x.svg", says="cannot write")
        self.fails(2, "devices", "--svg", path, "--json", says="exclude")
        self.fails(2, "devices", "--svg", says="option '--svg' needs a value, FILE: write a picture of the machine instead; '-': to standard output")

    def test_tune_needs_a_device_with_kernels_to_choose_from(self):
        self.fails(1, "tune", "--device", "cpu", says="cpu:0: there is nothing to tune")
        tuned = [d["id"] for d in json.loads(self.ok("devices", "--json"))["devices"] if d["backend"] == "opencl" and not d["unusable"]]
        self.fails(1, "tune", "--device", "cpu", says="what can be tuned here: %s (" % tuned[0] if tuned else "no other device here")
        self.fails(1, "tune", "--device", "no such device", says="no such device")
        self.fails(2, "tune", "stray", says="unexpected argument 'stray'")


class Demo(CommandCase):
    def test_default_words(self):
        text = self.ok("demo")
        self.assertRegex(text, r"treadle +-0\.\d+  T R EH1 D AH0 L\n")
        self.assertRegex(text, r"\ndevice: cpu:0, .+\nspeed:  \d+ words per second .*\nnext:   ")

    def test_next_line_can_be_copied(self):
        odd = self.folder / "it's a place"
        odd.symlink_to(PROGRAM.parent)
        for program, quoted in [(PROGRAM, False), (odd / "treadle", True)]:
            text = subprocess.run([program, "demo"], stdout=subprocess.PIPE, check=True).stdout.decode()
            line = text.splitlines()[-1].removeprefix("next:").strip()
            self.assertEqual(line.startswith("'"), quoted, line)
            again = subprocess.run(["sh", "-c", line], stdout=subprocess.PIPE, check=True).stdout.decode()
            self.assertRegex(again, r"\nown +-0\.\d+  OW1 N\n")

    def test_words_and_scores(self):
        case = next(c for c in EXPECTED["cases"] if c["options"].get("beam_size") == 5 and c["options"].get("num_hypotheses", 1) > 1
                    and set(c["options"]) <= {"beam_size", "num_hypotheses", "return_scores"})
        about = json.loads(self.ok("demo", "--json", *EXPECTED["words"]))
        self.assertGreater(about["words_per_second"], 0)
        for word, got, want in zip(EXPECTED["words"], about["words"], case["results"]):
            self.assertEqual(got["word"], word)
            self.assertEqual(len(got["hypotheses"]), 3)
            for hypothesis, tokens, score in zip(got["hypotheses"], want["hypotheses"], want["scores"]):
                self.assertEqual(hypothesis["phonemes"], tokens)
                self.assertAlmostEqual(hypothesis["score"], score, delta=1e-4)

    def test_odd_words(self):
        text = self.ok("demo", "Thread", "naïve", "x1", "", "a b", b"\xff")
        self.assertRegex(text, r"Thread +-0\.\d+  TH R EH1 D\n")
        for said in ["naïve +left out: 'ï' is not among", "x1 +left out: '1' is not", "left out: no letters", "a b +left out: ' ' is"]:
            self.assertRegex(text.encode(errors="replace").decode(), said)
        about = json.loads(self.ok("demo", "--json", "naïve", b"\xff"))
        self.assertEqual([w["hypotheses"] for w in about["words"]], [[], []])
        self.assertIn("'ï'", about["words"][0]["error"])


if __name__ == "__main__":
    main()
