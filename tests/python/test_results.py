"""Result objects: what they hold, how they print, that they cannot be changed."""

import os
import pickle
import warnings

import numpy as np
import pytest

from conftest import ROOT

PHONEMES = os.path.join(ROOT, "models", "g2p-en")
WORDS = [list("treadle"), list("loom")]


@pytest.fixture(scope="module")
def translator(treadle):
    return treadle.Translator(PHONEMES, compute_type="float32")


@pytest.fixture(scope="module")
def results(translator):
    return translator.translate_batch(WORDS, beam_size=3, num_hypotheses=2, return_scores=True, return_attention=True)


def test_attributes(translator, results):
    for word, result in zip(WORDS, results):
        assert len(result.hypotheses) == len(result.scores) == len(result.attention) == 2
        assert result.scores[0] >= result.scores[1] and isinstance(result.scores[0], float)
        for hypothesis, attention in zip(result.hypotheses, result.attention):
            assert np.shape(attention) == (len(hypothesis), len(word))
            assert all(isinstance(token, str) for token in hypothesis)
        assert result.logits == []
    plain = translator.translate_batch(WORDS)[0]
    assert plain.scores == [] and plain.attention == [] and plain.logits == []


def test_logits(translator):
    result = translator.translate_batch(WORDS, beam_size=1, return_logits_vocab=True, return_end_token=True)[0]
    steps = [np.array(step) for step in result.logits[0]]
    assert len(steps) == len(result.hypotheses[0])
    assert {step.shape for step in steps} == {steps[0].shape} and steps[0].ndim == 1


def test_logits_of_beams(treadle, translator):
    """One row for each step of each hypothesis (the original mixes rows up)."""
    if treadle.__name__ == "ctranslate2":
        pytest.skip("the original mixes rows up")
    result = translator.translate_batch(WORDS, beam_size=3, num_hypotheses=2, return_logits_vocab=True, return_end_token=True,
                                        return_scores=True, length_penalty=0)[0]
    for hypothesis, logits, score in zip(result.hypotheses, result.logits, result.scores):
        assert len(logits) == len(hypothesis)
        total = 0.0
        for token, row in zip(hypothesis, np.array(logits, np.float64)):
            shifted = np.sort(row - np.log(np.exp(row - row.max()).sum()) - row.max())[::-1]
            total += max(value for value in shifted if value <= 0)
        assert total >= score - 1e-4, "the best token of each row is at least as probable as the chosen one"


def test_fresh_lists(results):
    results[0].hypotheses[0].append("changed")
    results[0].scores.clear()
    assert "changed" not in results[0].hypotheses[0] and results[0].scores


def test_repr(translator):
    result = translator.translate_batch(WORDS, return_scores=True)[0]
    assert repr(result) == "TranslationResult(hypotheses=%r, scores=%r, attention=[], logits=[])" % (
        result.hypotheses, result.scores)
    scored = translator.score_batch([WORDS[0]], [["T"]])[0]
    assert repr(scored) == "ScoringResult(tokens=%r, log_probs=%r)" % (scored.tokens, scored.log_probs)
    steps = []
    translator.translate_batch([WORDS[0]], beam_size=1, callback=steps.append)
    first = steps[0]
    assert repr(first) == ("GenerationStepResult(step=0, batch_id=0, token_id=%d, hypothesis_id=0, token=%r, log_prob=None, "
                           "logits=None, is_last=False)" % (first.token_id, first.token))


def test_read_only(treadle, results):
    for name in ("hypotheses", "scores", "anything"):
        with pytest.raises(AttributeError):
            setattr(results[0], name, [])
    with pytest.raises(AttributeError):
        del results[0].scores
    for name in ("TranslationResult", "ScoringResult", "GenerationStepResult"):
        with pytest.raises(TypeError):
            getattr(treadle, name)()
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(results[0])


def test_legacy_sequence(results):
    result = results[0]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first = result[0]
        items = list(result)
    assert any(issubclass(w.category, DeprecationWarning) for w in caught)
    assert len(result) == 2 and len(items) == 2
    assert first == {"tokens": result.hypotheses[0], "score": result.scores[0], "attention": result.attention[0]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(IndexError):
            result[2]
        with pytest.raises(TypeError):
            result[-1]
        assert set(result[1]) == {"tokens", "score", "attention"}


def test_legacy_sequence_without_scores(translator):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert set(translator.translate_batch(WORDS)[0][0]) == {"tokens"}


def test_scoring_result(translator):
    result = translator.score_batch([WORDS[0]], [["T", "no such token"]])[0]
    assert result.tokens == ["T", "<unk>", "</s>"] and len(result.log_probs) == 3
    assert all(isinstance(value, float) and value < 0 for value in result.log_probs)
