"""Fixtures: the library under test, the original it is compared with, the models.

TREADLE_TEST_CANDIDATE=ctranslate2 puts the original in our place, which proves the harness itself.
TREADLE_TEST_FULL=1 runs many more option sets.
"""

import importlib
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(__file__))

FULL = os.environ.get("TREADLE_TEST_FULL", "") not in ("", "0")
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
SHARED = os.environ.get("TREADLE_TEST_SHARED", os.path.join(ROOT, "..", "shared"))


def scaled(count, full):
    """How many of something to run: `count`, or `full` with TREADLE_TEST_FULL."""
    return full if FULL else count


def import_or_skip(name):
    """Import a module, or skip with the reason; TREADLE_TEST_REQUIRED names modules that must be there."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if name in os.environ.get("TREADLE_TEST_REQUIRED", "").split(","):
            raise
        pytest.skip("%s cannot be imported: %s" % (name, error))


@pytest.fixture(scope="session")
def candidate_name():
    return os.environ.get("TREADLE_TEST_CANDIDATE", "treadle")


@pytest.fixture(scope="session")
def treadle(candidate_name):
    return import_or_skip(candidate_name)


@pytest.fixture(scope="session")
def peer():
    return import_or_skip("ctranslate2")


@pytest.fixture(scope="session")
def models(peer, tmp_path_factory):
    """Function from the name of a variant of zoo.py to its directory."""
    zoo = importlib.import_module("zoo")
    root = tmp_path_factory.mktemp("zoo")

    def directory(name):
        if name not in zoo.TRAINED:
            return zoo.build(name, root)
        for base in (os.path.join(SHARED, "models"), os.path.join(ROOT, "models")):
            path = os.path.join(base, zoo.TRAINED[name])
            if os.path.isdir(path):
                zoo.VARIANTS[name]["directory"] = path
                return path
        pytest.skip("no %s below %s/models" % (zoo.TRAINED[name], SHARED))
    return directory


@pytest.fixture(scope="session")
def shared():
    """Function from a name below shared/models to its path; skips where the folder is absent."""
    def path(name):
        full = os.path.join(SHARED, "models", name)
        if not os.path.isdir(full):
            pytest.skip("no %s (set TREADLE_TEST_SHARED)" % full)
        return full
    return path


def pytest_terminal_summary(terminalreporter):
    compare = sys.modules.get("compare")
    if compare is not None:
        for line in compare.TALLY.lines():
            terminalreporter.write_line(line)
