"""The comparison itself can fail: every kind of difference is seen, and only a real tie counts as one."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest

import compare

GREEDY = {"beam_size": 1}


def result():
    return SimpleNamespace(hypotheses=[["a", "b"], ["a"]], scores=[-0.5, -0.75],
                           attention=[[[0.25, 0.75], [0.5, 0.5]], [[1.0, 0.0]]],
                           logits=[[np.array([1.0, -2.0]), np.array([0.5, 0.25])], [np.array([3.0, 4.0])]])


def test_equal_results():
    assert compare.difference(result(), result(), GREEDY) is None
    almost = result()
    almost.scores[0] += 0.5e-4
    assert compare.difference(almost, result(), GREEDY) is None


def altered(change):
    changed = copy.deepcopy(result())
    change(changed)
    return changed


@pytest.mark.parametrize("change", [
    lambda r: r.hypotheses[0].append("c"), lambda r: r.hypotheses.reverse(), lambda r: r.scores.__setitem__(1, -0.7503),
    lambda r: r.scores.pop(), lambda r: r.scores.__setitem__(0, float("nan")), lambda r: r.attention[0][1].__setitem__(0, 0.5002),
    lambda r: r.attention.pop(), lambda r: r.attention[0].pop(), lambda r: r.logits[0].pop(),
    lambda r: r.logits[0][1].__setitem__(0, 0.5002), lambda r: r.logits.pop()])
def test_differences_are_seen(change):
    assert compare.difference(altered(change), result(), GREEDY)


class Scorer:
    """Stands for the original: each token has a fixed log-probability."""

    def __init__(self, values):
        self.values = values

    def score_batch(self, sources, targets, max_input_length=1024):
        return [SimpleNamespace(tokens=list(t) + ["</s>"], log_probs=[self.values[x] for x in t] + [-0.25]) for t in targets]


@pytest.mark.parametrize("other, tie", [(-1.0 - 0.5e-5, True), (-1.0 - 2e-5, False)])
def test_ties(other, tie):
    ours, theirs = SimpleNamespace(hypotheses=[["a"]]), SimpleNamespace(hypotheses=[["b"]])
    assert compare.is_tie(Scorer({"a": -1.0, "b": other}), ["x"], None, ours, theirs, {}) is tie


def test_a_greedy_tie_is_one_token():
    ours, theirs = SimpleNamespace(hypotheses=[["a", "c", "d"]]), SimpleNamespace(hypotheses=[["a", "b"]])
    scorer = Scorer({"a": -1.0, "b": -2.0, "c": -2.0 + 0.5e-5, "d": -3.0})
    assert compare.is_tie(scorer, ["x"], None, ours, theirs, {"beam_size": 1})
    assert not compare.is_tie(scorer, ["x"], None, ours, theirs, {"beam_size": 2})
    scorer.values["c"] = -1.9
    assert not compare.is_tie(scorer, ["x"], None, ours, theirs, {"beam_size": 1})
