"""One sentence gives the same bits whatever is computed beside it: batches, other calls, threads, workers."""

import os
import struct
import threading

import numpy as np
import pytest

from compare import TALLY
from conftest import ROOT, scaled

PHONEMES = os.path.join(ROOT, "models", "g2p-en")
WORDS = ("a treadle spins faster than any ordinary foot could think about when the wheel is light and well oiled so "
         "nobody minds the noise it makes while weaving long quiet afternoons into cloth for the winter market and "
         "antidisestablishmentarianism transformer queue kernel thread").split()

OPTIONS = [
    dict(beam_size=1), dict(beam_size=1, repetition_penalty=1.4, no_repeat_ngram_size=2, return_logits_vocab=True),
    dict(beam_size=4, num_hypotheses=4), dict(beam_size=3, length_penalty=0.3, coverage_penalty=0.2, min_decoding_length=6),
    dict(beam_size=2, num_hypotheses=5, return_alternatives=True), dict(beam_size=6, patience=1.5, suppress_sequences=[["T"]]),
]


@pytest.fixture(autouse=True)
def ours_only(treadle):
    if treadle.__name__ == "ctranslate2":
        pytest.skip("the original does not promise identical bits")


def bits(result):
    """Every float of a result as its four bytes, with the tokens."""
    floats = [float(x) for x in result.scores]
    floats += [x for hypothesis in result.attention for row in hypothesis for x in row]
    floats += [float(x) for hypothesis in result.logits for step in hypothesis for x in step]
    return result.hypotheses, struct.pack("<%df" % len(floats), *floats)


def translate(translator, words, **options):
    sources = [list(word) for word in words]
    return translator.translate_batch(sources, return_scores=True, return_attention=True, **options)


@pytest.fixture(scope="module", params=[(1, 1), (1, 2), (2, 1)], ids=["1 thread", "2 threads", "2 workers"])
def translator(request, treadle):
    workers, threads = request.param
    return treadle.Translator(PHONEMES, compute_type="float32", inter_threads=workers, intra_threads=threads)


@pytest.fixture(scope="module")
def alone(treadle):
    """Function: the bits of a word on its own with one thread."""
    single = treadle.Translator(PHONEMES, compute_type="float32", intra_threads=1)
    known = {}

    def get(word, k):
        if (word, k) not in known:
            known[word, k] = bits(translate(single, [word], **OPTIONS[k])[0])
        return known[word, k]
    return get


@pytest.mark.parametrize("k", range(len(OPTIONS)))
@pytest.mark.parametrize("size", [1, 3, 17, 64])
def test_batches(translator, alone, k, size):
    rng = np.random.default_rng(size * 10 + k)
    words = [WORDS[i] for i in rng.integers(0, len(WORDS), size=size)]
    for max_batch_size in (0, 5) if size > 5 else (0,):
        results = translate(translator, words, max_batch_size=max_batch_size, **OPTIONS[k])
        for word, result in zip(words, results) if size < 64 else list(zip(words, results))[::7]:
            TALLY.identical_bits += 1
            assert bits(result) == alone(word, k), (word, OPTIONS[k], size)


def test_calls_with_other_options_at_the_same_time(translator, alone):
    """Threads that call one translator with different options are computed together; no bit may move."""
    wrong = []

    def run(k):
        rng = np.random.default_rng(k)
        for _ in range(scaled(3, 20)):
            words = [WORDS[i] for i in rng.integers(0, len(WORDS), size=5)]
            for word, result in zip(words, translate(translator, words, **OPTIONS[k])):
                TALLY.identical_bits += 1
                if bits(result) != alone(word, k):
                    wrong.append((word, OPTIONS[k]))
    for k in range(len(OPTIONS)):  # before the threads: `alone` is not for several
        for word in WORDS:
            alone(word, k)
    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(OPTIONS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[0]


@pytest.mark.parametrize("size", [3, 17])
def test_scoring(treadle, translator, size):
    rng = np.random.default_rng(size)
    words = [list(WORDS[i]) for i in rng.integers(0, len(WORDS), size=size)]
    targets = [[str(t) for t in rng.choice(["T", "EH1", "K", "AH0", "S"], size=rng.integers(0, 9))] for _ in words]
    together = translator.score_batch(words, targets)
    for word, target, result in zip(words, targets, together):
        TALLY.identical_bits += 1
        single = translator.score_batch([word], [target])[0]
        assert struct.pack("<%df" % len(result.log_probs), *result.log_probs) == \
               struct.pack("<%df" % len(single.log_probs), *single.log_probs)


@pytest.mark.parametrize("name", ["pre_relu", "t5gemma", "t5gemma2_merged", "t5", "onmt_shaw_separate", "features_concat",
                                  "rotary_llama3", "sliding_window", "alibi_negative_scaled", "deep_wide", "marian"])
def test_variants(treadle, models, name):
    """The same for one model of each kind of attention."""
    import options as option_sets
    rng = np.random.default_rng(5)
    inputs = option_sets.Inputs(name, rng, count=17)
    extra = {} if name == "t5gemma2_merged" else dict(return_attention=True)
    one = treadle.Translator(models(name), compute_type="float32", intra_threads=1)
    two = treadle.Translator(models(name), compute_type="float32", intra_threads=2)
    for o in (dict(beam_size=1, return_logits_vocab=True), dict(beam_size=3, num_hypotheses=3)):
        o.update(extra, return_scores=True, max_decoding_length=12)
        expected = [bits(one.translate_batch([s], **o)[0]) for s in inputs.source]
        for translator in (one, two):
            for source, result, wanted in zip(inputs.source, translator.translate_batch(inputs.source, **o), expected):
                TALLY.identical_bits += 1
                assert bits(result) == wanted, (name, source, o)
