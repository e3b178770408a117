"""Ctrl-C, exits and forks while work is under way, each in a process of its own (life.py). The work would take far longer than any test may."""

import os
import subprocess
import sys

import pytest

from test_async import only_ours

PROGRAM = os.path.join(os.path.dirname(__file__), "life.py")
TIMEOUT = 300    # the work takes longer on any machine; an idle one needs a second


def programs(prefix):
    with open(PROGRAM) as file:
        return [line[4:line.index("(")] for line in file if line.startswith("def %s_" % prefix)]


def run(name, folder):
    ended = subprocess.run([sys.executable, "-X", "faulthandler", "-W", "ignore", PROGRAM, name, str(folder)], timeout=TIMEOUT,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
    assert ended.stderr == ""
    return ended.returncode


@pytest.fixture(autouse=True)
def ours(treadle):
    only_ours(treadle, "not asked")


@pytest.mark.parametrize("name", programs("interrupt"))
def test_interruption(name, tmp_path):
    assert run(name, tmp_path) == 0


@pytest.mark.parametrize("name", programs("exit"))
def test_exit(name, tmp_path):
    assert run(name, tmp_path) == (1 if name == "exit_by_exception" else 0)


@pytest.mark.parametrize("name", programs("fork"))
def test_fork(name, tmp_path):
    assert run(name, tmp_path) == 0
