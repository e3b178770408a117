"""Translators on OpenCL devices: stored outputs, live comparison with CTranslate2, the same bits alone and batched, int8, several devices.

CTest runs this file once for each OpenCL implementation (tests/opencl/with).
"""

import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import compare
import options as option_sets
import zoo
from compare import TALLY
from conftest import ROOT, scaled

PHONEMES = os.path.join(ROOT, "models", "g2p-en")
SMALL = bool(os.environ.get("TREADLE_TEST_SMALL"))
# Int8: the two round one activation in a thousand to different integers, where it lies within the last bit of a tie. It moves a score by
# up to about one part in a hundred; what both see is compared to that, and what is nearer than INT8_NEAR is counted as the same.
INT8_NEAR, INT8_TIE = 1e-4, 2e-2

LIVE = ["pre_relu", "post_gelu", "bart", "marian", "t5", "t5gemma", "t5gemma2_merged", "onmt_shaw_separate", "features_concat",
        "rotary_llama3", "rotary_linear", "multi_query", "pre_post_scaled", "alibi_negative_scaled", "sliding_window", "deep_wide",
        "tiny_vocabulary", "start_null", "align_first_two", "project_in_out", "stored_int8", "stored_float16", "g2p_en"]
INT8 = ["pre_relu", "bart", "t5gemma", "marian", "rotary_llama3", "deep_wide", "stored_int8", "g2p_en"]


def opencl_devices(treadle):
    """Names of the OpenCL devices that can be used."""
    found = []
    while True:
        try:
            treadle.get_supported_compute_types("opencl:%d" % len(found))
        except ValueError:
            return found
        found.append("opencl:%d" % len(found))


@pytest.fixture(scope="module")
def device(treadle):
    if treadle.__name__ != "treadle":
        pytest.skip("the original has no OpenCL")
    found = opencl_devices(treadle)
    if not found and os.environ.get("TREADLE_TEST_IMPLEMENTATION", "none") != "none":
        pytest.fail("%s is installed, but none of its devices can be used" % os.environ["TREADLE_TEST_IMPLEMENTATION"], pytrace=False)
    if not found:
        pytest.skip("no OpenCL device can be used here")
    return "opencl"


class Pair:
    """One model opened by us on OpenCL and by the original on the CPU."""

    def __init__(self, treadle, peer, models, device, name, compute_type):
        self.name, directory = name, models(name)
        self.ours = treadle.Translator(directory, device=device, compute_type=compute_type)
        self.theirs = peer.Translator(directory, compute_type=compute_type, intra_threads=1)
        v = zoo.VARIANTS[name]
        TALLY.models[name] = None if "scoring" in v["avoid"] else v["add_bos"] + v["add_eos"]

    def translate_both(self, inputs, prefix, o):
        """Ours together, theirs one at a time: batches of the original have known faults."""
        theirs = [self.theirs.translate_batch([s], prefix and [prefix[i]], **o)[0] for i, s in enumerate(inputs.source)]
        TALLY.calls += 1
        return self.ours.translate_batch(inputs.source, prefix, **o), theirs


def report(wrong):
    if wrong:
        pytest.fail("%d disagreements, the first:\n%s" % (len(wrong), "\n".join(wrong[:3])), pytrace=False)


def drawn(name, k, count=4):
    rng = np.random.default_rng([7, k, *name.encode()])
    inputs = option_sets.Inputs(name, rng, count=max(count, 4))
    while True:
        o, prefix = option_sets.draw(rng, inputs)
        if not o.get("use_vmap"):
            return inputs, o, prefix


# ---- Stored outputs ----

def stored():
    with open(os.path.join(PHONEMES, "expected.json"), encoding="utf-8") as file:
        return json.load(file)


def test_phoneme_model(treadle, device):
    """Every stored case: tokens, scores, log-probabilities; and the same bits for each word alone and for all together."""
    data = stored()
    translator = treadle.Translator(PHONEMES, device=device, compute_type="float32")
    words = [list(word) for word in data["words"]]
    if SMALL:
        words = words[:6]
    for case in data["cases"][:2 if SMALL else None]:
        options = dict(case["options"], return_scores=True)
        together = translator.translate_batch(words, **options)
        for result, expected in zip(together, case["results"]):
            assert result.hypotheses == expected["hypotheses"]
            if "scores" in expected:
                assert result.scores == pytest.approx(expected["scores"], abs=1e-4)
        for i in range(0, len(words), 7):
            alone = translator.translate_batch([words[i]], **options)[0]
            assert alone.hypotheses == together[i].hypotheses and alone.scores == together[i].scores
            TALLY.identical_bits += 1
    last = words[-len(data["targets"]):]
    if not SMALL:
        for result, expected in zip(translator.score_batch(last, data["targets"]), data["log_probs"]):
            assert result.log_probs == pytest.approx(expected, abs=1e-4)


# ---- Live ----

@pytest.mark.parametrize("name", LIVE[:1] if SMALL else LIVE)
def test_live(treadle, peer, models, device, name):
    pair, wrong = Pair(treadle, peer, models, device, name, "float32"), []
    for k in range(scaled(2, 20)):
        inputs, o, prefix = drawn(name, k)
        TALLY.sets += 1
        for i, (a, b) in enumerate(zip(*pair.translate_both(inputs, prefix, o))):
            text = compare.check(name, pair.theirs, inputs.source[i], prefix and prefix[i], o, a, b, "OpenCL")
            if text:
                wrong.append(text)
    report(wrong)


@pytest.mark.parametrize("name", ["pre_relu", "t5gemma", "deep_wide"][:1 if SMALL else None])
def test_alone_and_together(treadle, models, device, name):
    """Not one bit of scores, attention and logits differs; draws are the same too."""
    translator = treadle.Translator(models(name), device=device, compute_type="float32", numerics="reproducible")
    for k, o in enumerate([dict(beam_size=1, return_attention=True, return_logits_vocab=True), dict(beam_size=4, num_hypotheses=3)]):
        inputs = option_sets.Inputs(name, np.random.default_rng(k), count=4 if SMALL else 9)
        o.update(return_scores=True, max_decoding_length=8)
        together = translator.translate_batch(inputs.source, **o)
        for source, result in zip(inputs.source, together):
            alone = translator.translate_batch([source], **o)[0]
            assert alone.hypotheses == result.hypotheses and alone.scores == result.scores
            assert alone.attention == result.attention
            for a, b in zip(alone.logits, result.logits):
                assert [np.array(x).tobytes() for x in a] == [np.array(x).tobytes() for x in b]
            TALLY.identical_bits += 1


@pytest.mark.parametrize("name", ["pre_relu", "deep_wide"][:1 if SMALL else None])
def test_draws(treadle, models, device, name):
    """A seeded draw is that of our CPU."""
    translators = [treadle.Translator(models(name), device=d, compute_type="float32") for d in ("cpu", device)]
    inputs = option_sets.Inputs(name, np.random.default_rng(3), count=5)
    for o in (dict(sampling_topk=0), dict(sampling_topk=5, sampling_temperature=1.4), dict(sampling_topk=0, sampling_topp=0.8),
              dict(sampling_topk=10, num_hypotheses=3)):
        results = []
        for translator in translators:
            treadle.set_random_seed(17)
            results.append(translator.translate_batch(inputs.source, beam_size=1, max_decoding_length=8, **o))
        assert [r.hypotheses for r in results[0]] == [r.hypotheses for r in results[1]]


# ---- Int8 ----

class Near:
    same, near, ties = 0, 0, 0


def int8_difference(ours, theirs):
    """None, or a text: where the tokens are the same, scores are within one activation's tie."""
    if ours.hypotheses == theirs.hypotheses:
        off = max((abs(a - b) for a, b in zip(ours.scores, theirs.scores)), default=0.0)
        Near.same += off <= INT8_NEAR
        Near.near += INT8_NEAR < off <= INT8_TIE
        return None if off <= INT8_TIE else "scores %s, expected %s" % (ours.scores, theirs.scores)
    Near.ties += 1
    off = abs(ours.scores[0] - theirs.scores[0])
    return None if off <= INT8_TIE else "tokens %s, expected %s (%s, %s)" % (ours.hypotheses, theirs.hypotheses, ours.scores, theirs.scores)


@pytest.mark.parametrize("name", INT8[:1] if SMALL else INT8)
def test_int8(treadle, peer, models, device, name):
    """The same integers as the original's: weights and activations. CT2_USE_MKL=1: products of its oneDNN saturate on some processors."""
    pair, wrong = Pair(treadle, peer, models, device, name, "int8"), []
    assert pair.ours.compute_type == "int8_float32"
    inputs = option_sets.Inputs(name, np.random.default_rng(11), count=8)
    prefix = inputs.prefixes(np.random.default_rng(12), 1, 1) if inputs.needs_prefix() else None
    for o in (dict(beam_size=1), dict(beam_size=4)):
        o.update(return_scores=True, max_decoding_length=10, length_penalty=1)
        for i, (a, b) in enumerate(zip(*pair.translate_both(inputs, prefix, o))):
            text = int8_difference(a, b)
            if text:
                wrong.append("%s, %s, %s: %s" % (name, o, inputs.source[i], text))
    report(wrong)


def test_int8_tally(device):
    """What test_int8 saw: nearly all are exact."""
    print("\nint8: %d results exact, %d with another rounding of an activation, %d ties" % (Near.same, Near.near, Near.ties))
    assert Near.same > 4 * (Near.near + Near.ties)


# ---- Devices ----

def test_several_devices_at_once(treadle, device):
    """Every OpenCL device of the process, of whatever platform, and the CPU: at the same time, with the same results."""
    names = opencl_devices(treadle) + ["cpu"]
    words, results = [list(w) for w in stored()["words"][:8]], {}
    translators = {name: treadle.Translator(PHONEMES, device=name, compute_type="float32") for name in names}

    def work(name):
        results[name] = [translators[name].translate_batch(words, beam_size=2, return_scores=True) for _ in range(1 if SMALL else 3)]
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name in names:
        assert len(results[name]) >= 1, name
        for run in results[name]:
            assert [r.hypotheses for r in run] == [r.hypotheses for r in results["cpu"][0]], name
            for a, b in zip(run, results["cpu"][0]):
                assert a.scores == pytest.approx(b.scores, abs=1e-4)
    for name in names[:-1]:
        assert translators[name].device.startswith("opencl")


def test_errors_leave_the_translator_usable(treadle, device):
    translator = treadle.Translator(PHONEMES, device=device)
    want = translator.translate_batch([list("kernel")])[0].hypotheses
    with pytest.raises(ValueError):
        translator.translate_batch([list("kernel")], beam_size=0)
    with pytest.raises(ValueError):
        translator.translate_batch([list("kernel")], callback=lambda step: 1 / 0)
    assert translator.translate_batch([list("kernel")])[0].hypotheses == want


@pytest.mark.parametrize("selector", ["opencl", "opencl:0", "gpu"])
def test_no_driver_is_an_error(treadle, selector):
    """With no driver to be found, asking for OpenCL is an error that says so, and never the CPU."""
    if treadle.__name__ != "treadle":
        pytest.skip("the original has no OpenCL")
    program = ("import treadle\n"
               "try:\n"
               "    translator = treadle.Translator(%r, device=%r)\n"
               "except (ValueError, RuntimeError) as error:\n"
               "    print('refused:', error)\n"
               "else:\n"
               "    print('made on', translator.device)\n" % (PHONEMES, selector))
    environment = dict(os.environ, OCL_ICD_VENDORS=os.path.join(ROOT, "nothing-is-here"))
    environment.pop("OCL_ICD_FILENAMES", None)
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("refused:"), run.stdout
    if selector != "gpu":
        assert "opencl" in run.stdout and "driver" in run.stdout, run.stdout
