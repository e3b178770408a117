"""What `cmake --install` brings for the program: it runs from there, with its second name, manual and completions."""
import os
import pathlib
import shutil
import subprocess

from command_case import CommandCase, main


class Install(CommandCase):
    def test_install(self):
        prefix = self.folder / "prefix"
        subprocess.run([os.environ["TREADLE_TEST_CMAKE"], "--install", os.environ["TREADLE_TEST_BUILD"], "--prefix", prefix],
                       check=True, stdout=subprocess.DEVNULL)
        installed = {str(p.relative_to(prefix)) for p in prefix.rglob("*") if not p.is_dir()}
        wanted = {"bin/treadle", "bin/ct2-translator", "share/man/man1/treadle.1", "share/man/man1/ct2-translator.1",
                  "share/bash-completion/completions/treadle", "share/bash-completion/completions/ct2-translator",
                  "share/zsh/site-functions/_treadle", "share/fish/vendor_completions.d/treadle.fish",
                  "share/fish/vendor_completions.d/ct2-translator.fish"}
        self.assertLessEqual(wanted, installed)
        self.assertEqual(os.readlink(prefix / "bin/ct2-translator"), "treadle")
        prefix = prefix.rename(self.folder / "moved")       # nothing may remember where it was installed

        variables = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}
        demo = subprocess.run([prefix / "bin/treadle", "demo", "thread"], env=variables, stdout=subprocess.PIPE, check=True)
        self.assertIn(b"TH R EH1 D\n", demo.stdout)
        translated = subprocess.run([prefix / "bin/ct2-translator", "--model", os.environ["TREADLE_TEST_MODELS"] + "/g2p-en"],
                                    env=variables, input=b"c a t\n", stdout=subprocess.PIPE, check=True)
        self.assertEqual(translated.stdout, b"K AE1 T\n")
        subprocess.run(["bash", "-n", prefix / "share/bash-completion/completions/treadle"], check=True)

    def test_target_of_the_program_is_enough(self):
        """What `./dev demo` builds can be installed: completions and the static library belong to that target."""
        build = pathlib.Path(os.environ["TREADLE_TEST_BUILD"])
        ninja = shutil.which("ninja")
        if ninja is None or not (build / "build.ninja").exists():
            self.skipTest("not built with Ninja")
        commands = subprocess.run([ninja, "-C", build, "-t", "commands", "treadle_command"], stdout=subprocess.PIPE,
                                  check=True).stdout.decode()
        for word in ["completion bash >", "completion zsh >", "completion fish >", "libtreadle.a"]:
            self.assertIn(word, commands)


if __name__ == "__main__":
    main()
