"""The command's files beside those that CTranslate2's translate_file and score_file write from the same input."""
import unittest

from command_case import EXPECTED, MODEL, CommandCase, letters, main

try:
    import ctranslate2
except ImportError:
    print("skipped: this Python has no ctranslate2")
    raise SystemExit(77)

WORDS = EXPECTED["words"]
LINES = letters(WORDS[:30]) + "\n" + "  c  a t \r\n" + letters(WORDS[30:]) + "c X t\n\n" + "d o g"


class Peer(CommandCase):
    def setUp(self):
        super().setUp()
        self.peer = ctranslate2.Translator(str(MODEL), compute_type="float32", intra_threads=2)
        self.source = self.file("source", LINES)

    def same(self, theirs, ours, n_numbers):
        """Equal lines, but for their numbers, which may differ a little; both are written in the same way."""
        theirs, ours = theirs.read_bytes().decode().split("\n"), ours.split("\n")
        self.assertEqual(len(theirs), len(ours))
        for one, other in zip(theirs, ours):
            one, other = one.split(" ||| "), other.split(" ||| ")
            self.assertEqual(len(one), len(other))
            for i, (field, mine) in enumerate(zip(one, other)):
                if i not in n_numbers or len(one) == 1:
                    self.assertEqual(field, mine)
                    continue
                for x, y in zip(field.split(" "), mine.split(" "), strict=True):
                    self.assertAlmostEqual(float(x), float(y), delta=1e-4)
                    self.assertEqual(y, f"{float(y):.6g}")

    def translate_both(self, theirs, *ours):
        path = self.folder / "theirs"
        target = theirs.pop("target", None)
        stats = self.peer.translate_file(str(self.source), str(path), target and str(target), **theirs)
        self.assertEqual(stats.num_examples, LINES.count("\n") + 1)
        options = ["--tgt", target] if target else []
        self.same(path, self.ok("translate", "--model", MODEL, "--src", self.source, *options, *ours), {0} if theirs.get("with_scores") else ())

    def test_translate(self):
        self.translate_both({})
        self.translate_both({"beam_size": 1, "with_scores": True}, "--beam_size=1", "--with_score")
        self.translate_both({"beam_size": 4, "num_hypotheses": 3, "with_scores": True, "max_batch_size": 7},
                            "--beam_size=4", "--n_best=3", "--with_score", "--batch_size=7")
        self.translate_both({"beam_size": 1, "max_batch_size": 30, "batch_type": "tokens", "read_batch_size": 50, "max_decoding_length": 5},
                            "--beam_size=1", "--batch_size=30", "--batch_type=tokens", "--read_batch_size=50", "--max_decoding_length=5")

    def test_prefixes(self):
        target = self.file("target", "".join(["T\n", "\n", "TH R\n", "K AE1\n"][i % 4] for i in range(100)))
        self.translate_both({"target": target}, )
        self.translate_both({"target": target, "beam_size": 1, "with_scores": True, "max_batch_size": 1}, "--beam_size=1", "--with_score", "--batch_size=1")

    def test_score(self):
        first = self.ok("translate", "--model", MODEL, "--src", self.source)
        target, path = self.file("target", first + "extra\n"), self.folder / "theirs"
        for theirs, ours in [({}, []), ({"with_tokens_score": True, "max_batch_size": 5}, ["--with_tokens_score", "--batch_size=5"]),
                             ({"max_input_length": 3}, ["--max_input_length=3"])]:
            stats = self.peer.score_file(str(self.source), str(target), str(path), **theirs)
            if "max_input_length" not in theirs:        # which cuts targets too
                self.assertEqual(stats.num_tokens, sum(len(line.split()) + 1 for line in first.splitlines()))
            self.same(path, self.ok("score", "--model", MODEL, "--src", self.source, "--tgt", target, *ours), {0, 2})


if __name__ == "__main__":
    main()
