"""What the tests of the program share: running it, and where models are."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

PROGRAM = pathlib.Path(os.environ["TREADLE_TEST_PROGRAM"])
SOURCE = pathlib.Path(os.environ["TREADLE_TEST_SOURCE"])
MODEL = pathlib.Path(os.environ["TREADLE_TEST_MODELS"]) / "g2p-en"
SHARED = pathlib.Path(os.environ.get("TREADLE_TEST_SHARED", "/nonexistent")) / "models"
EXPECTED = json.loads((MODEL / "expected.json").read_text())
COMMANDS = ["translate", "score", "inspect", "devices", "tune", "demo", "completion", "help"]


class CommandCase(unittest.TestCase):
    """Every test has a folder of its own in self.folder."""

    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)

    def run_program(self, *arguments, stdin=b"", name="treadle", env=None, **more):
        program = PROGRAM if name == "treadle" else PROGRAM.parent / name
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("TREADLE_", "CT2_"))}
        variables.update(env or {}, TREADLE_CACHE="")
        if os.environ.get("TREADLE_TEST_SANITIZE"):
            variables.setdefault("OCL_ICD_VENDORS", "/nonexistent")   # drivers leak, and the sanitizer would say so
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        return subprocess.run([str(program), *map(str, arguments)], input=stdin, env=variables, timeout=300, **more)

    def ok(self, *arguments, **more):
        """Standard output of a run that must succeed without a word on standard error."""
        done = self.run_program(*arguments, **more)
        self.assertEqual((done.returncode, done.stderr.decode()), (0, ""), arguments)
        return done.stdout.decode()

    def fails(self, status, *arguments, says, **more):
        """The message of a run that must fail with this exit status, before any result is written."""
        done = self.run_program(*arguments, **more)
        message = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, status, (arguments, message))
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, message)
        return done

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def translate(self, text, *options, **more):
        data = text if isinstance(text, bytes) else text.encode()
        return self.ok("translate", "--model", MODEL, *options, stdin=data, **more)


def letters(words):
    return "".join(" ".join(word) + "\n" for word in words)


def main():
    unittest.main(verbosity=2)
