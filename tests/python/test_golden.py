"""Stored outputs of CTranslate2: the tiny transliteration models in every file version and type, and the phoneme model."""

import json
import os

import numpy as np
import pytest

from compare import close
from conftest import ROOT

A1, A2, A3 = "آ ت ز م و ن".split(), "آ ت ش ي س و ن".split(), "آ ز ا".split()
A4, A5, A6 = "أ و ل ي س س".split(), "آ ر ب ا ك ه".split(), "آ ر ث ر".split()
NUN = "ن"

FLOAT_MODELS = ["v1/aren-transliteration", "v2/aren-transliteration"]
MODELS = FLOAT_MODELS + ["v1/aren-transliteration-i16", "v2/aren-transliteration-i16", "v2/aren-transliteration-i8"]


@pytest.fixture(scope="module")
def aren(treadle, shared):
    return treadle.Translator(shared("v2/aren-transliteration"))


def best(result):
    return " ".join(result.hypotheses[0])


def all_of(result):
    return [" ".join(hypothesis) for hypothesis in result.hypotheses]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("compute_type", ["default", "auto", "float32", "int8", "int16"])
def test_every_model_and_type(treadle, shared, name, compute_type):
    path = shared(name)
    if compute_type in ("int8", "int16"):
        supported = treadle.get_supported_compute_types("cpu")
        if compute_type not in supported:
            with pytest.raises(ValueError, match="compute type"):
                treadle.Translator(path, compute_type=compute_type)
            return
    translator = treadle.Translator(path, compute_type=compute_type)
    for beam in (1, 2, 4):
        results = translator.translate_batch([A1, A3], beam_size=beam, return_scores=True)
        assert [best(r) for r in results] == ["a t z m o n", "a z z a"]


# Sum of log-probabilities over the tokens, and tolerance: i16 and i8 weights as float32.
@pytest.mark.parametrize("name, first, second", [
    ("v1/aren-transliteration", -0.151673, -0.150900), ("v2/aren-transliteration", -0.151673, -0.150900),
    ("v1/aren-transliteration-i16", -0.15142, -0.15096), ("v2/aren-transliteration-i16", -0.15142, -0.15096),
    ("v2/aren-transliteration-i8", -0.15538, -0.14789)])
def test_scores_as_float32(treadle, shared, name, first, second):
    translator = treadle.Translator(shared(name), compute_type="float32")
    scores = [r.scores[0] for r in translator.translate_batch([A1, A3], beam_size=1, return_scores=True)]
    assert scores == pytest.approx([first, second], abs=1e-4)


# Options, sources, expected hypotheses with their scores.
CASES = [
    (dict(beam_size=1), A1, None, [("a t z m o n", -0.151673)]),
    (dict(beam_size=4), A1, None, [("a t z m o n", -0.151673)]),
    (dict(beam_size=4, length_penalty=0), A1, None, [("a t z m o n", -1.06171)]),
    (dict(beam_size=2), A2, None, [("a c h i s o n", -0.139197)]),
    (dict(beam_size=1), A3, None, [("a z z a", -0.150900)]),
    (dict(beam_size=2), A3, None, [("a z z a", -0.150900)]),
    (dict(beam_size=4, num_hypotheses=4), A1, None,
     [("a t z m o n", -0.151673), ("a t z u m o n", -0.266032), ("a t z m u n", -0.335109), ("a t z e m o n", -0.366143)]),
    (dict(beam_size=4, patience=2, num_hypotheses=8), A1, None,
     [("a t z m o n", -0.151673), ("a t z u m o n", -0.266032), ("a t z m u n", -0.335109), ("a t z e m o n", -0.366143),
      ("a t z m o n e", -0.522572), ("a t z u m o u n", -0.568640), ("a t z u m o n e", -0.638511),
      ("a t z e m o n e", -0.704879)]),
    (dict(min_decoding_length=8), A1, None, [("a t z m o n e n", -0.211559)]),
    (dict(max_decoding_length=3), A1, None, [("a t z", -0.075798)]),
    (dict(end_token="m"), A1, None, [("a t z", -0.168758)]),
    (dict(max_input_length=3), A1, None, [("a t z", -0.072425)]),
    (dict(), A1, "a t s", [("a t s u m o n", -0.074240)]),
    (dict(), A1, "<unk> t", [("<unk> t z m o n", -0.106664)]),
    (dict(suppress_sequences=[["o"], ["t", "z", "m"]]), A1, None, [("a t z u m u n", -0.121429)]),
    (dict(beam_size=1, repetition_penalty=100), [NUN] * 5, None, [("n e h a i g o u r", -1.100875)]),
    (dict(beam_size=4, repetition_penalty=100), [NUN] * 5, None, [("n i g e a h o u k", -1.024255)]),
    (dict(beam_size=1, no_repeat_ngram_size=3), [NUN] * 50, None, [("n n n e n n a n n i n n", -0.229620)]),
    (dict(beam_size=4, no_repeat_ngram_size=3), [NUN] * 50, None, [("n n n e n n a n n i n n", -0.229620)]),
    (dict(beam_size=2, prefix_bias_beta=0.5), A1, "a t s", [("a t s u m o n", -0.168850)]),
    (dict(beam_size=4, num_hypotheses=2, coverage_penalty=0.2), A1, None,
     [("a t z m o n", -0.848632), ("a t z u m o n", -0.903392)]),
    (dict(beam_size=5), A4, "u l i s e", [("u l i s e s", -0.106708)]),
    (dict(num_hypotheses=4, return_alternatives=True), A1, "a t z m o n",
     [("a t z m o n e", -0.393476), ("a t z m o n n", -2.170910), ("a t z m o n t", -2.545657), ("a t z m o n d", -3.807919)]),
]


@pytest.mark.parametrize("name", FLOAT_MODELS)
@pytest.mark.parametrize("options, source, prefix, expected", CASES)
def test_hypotheses_and_scores(treadle, shared, name, options, source, prefix, expected):
    translator = treadle.Translator(shared(name))
    result = translator.translate_batch([source], [prefix.split()] if prefix else None, return_scores=True, **options)[0]
    if options.get("return_alternatives"):  # the stored texts give the expanded token only
        n = len(prefix.split())
        assert [h[:n + 1] for h in result.hypotheses] == [text.split() for text, _ in expected]
    else:
        assert all_of(result) == [text for text, _ in expected]
    assert result.scores == pytest.approx([score for _, score in expected], abs=1e-4)


def test_alternatives(aren):
    result = aren.translate_batch([A1], ["a t".split()], num_hypotheses=10, return_alternatives=True, return_scores=True,
                                  return_attention=True)[0]
    assert [h[2] for h in result.hypotheses] == "z s e t i a h c u b".split()
    assert result.scores == pytest.approx([-0.264551, -4.019780, -4.574893, -4.492782, -5.688720, -6.290431, -7.504687,
                                           -8.134675, -8.296674, -9.200175], abs=2e-4)
    assert all_of(result)[:2] == ["a t z m o n", "a t s u m o n"]
    assert np.shape(result.attention[0]) == (6, 6)
    result = aren.translate_batch([A1], ["a t".split()], num_hypotheses=10, return_alternatives=True, return_scores=True,
                                  return_attention=True, min_alternative_expansion_prob=0.001)[0]
    assert [len(result.hypotheses), len(result.scores), len(result.attention)] == [6, 6, 6]
    results = aren.translate_batch([A3, A1], [["a"], ["a", "t"]], num_hypotheses=10, return_alternatives=True)
    assert [all_of(r)[:2] for r in results] == [["a z z a", "a s z a"], ["a t z m o n", "a t s u m o n"]]
    results = aren.translate_batch([A1, A3], num_hypotheses=10, return_alternatives=True)
    assert len(results[0].hypotheses) == 10
    assert [all_of(r)[:2] for r in results] == [["a t z m o n", "e t z m o n"], ["a z z a", "e z z a"]]


def test_alternatives_at_the_length_limit(aren):
    prefixes = [[], ["a"], ["a", "t"], ["a", "t", "z"]]
    results = aren.translate_batch([A1] * 4, prefixes, num_hypotheses=4, return_alternatives=True, max_decoding_length=2,
                                   return_scores=True, return_attention=True)
    for prefix, result in zip(prefixes, results):
        assert len(result.hypotheses) == 4
        for hypothesis, attention, score in zip(result.hypotheses, result.attention, result.scores):
            assert len(hypothesis) == 2 and len(attention) == 2
            assert hypothesis[:len(prefix[:2])] == prefix[:2]
            assert (score != 0) == (len(prefix) < 2)


def test_no_alternative_above_the_minimum(treadle, aren):
    """Nothing survives: an empty list of hypotheses (the original crashes)."""
    if treadle.__name__ == "ctranslate2":
        pytest.skip("the original crashes")
    result = aren.translate_batch([A1], [["a"]], num_hypotheses=3, return_alternatives=True, return_scores=True,
                                  suppress_sequences=[["t"]], min_alternative_expansion_prob=1.0)[0]
    assert result.hypotheses == [] and result.scores == []


SAMPLED = [
    (46, dict(sampling_topk=0, num_hypotheses=5),
     [("a t z u m u n", -0.488767), ("a t z i m o n", -0.560299), ("u t z m o n", -0.708105), ("e t z m u n", -0.719737),
      ("a t z t m o n", -1.211146)]),
    (7, dict(sampling_topk=10, sampling_temperature=1.5, num_hypotheses=3),
     [("a t z a m o n", -0.456992), ("a t z u m o n e h", -1.131597), ("' e t z m u n", -1.146294)]),
    (8, dict(sampling_topk=10, sampling_topp=0.9, sampling_temperature=1.2, num_hypotheses=3),
     [("a t z m u n", -0.335109), ("a t z e m o n", -0.366143), ("a t z u m u n", -0.488767)]),
]


@pytest.mark.parametrize("seed, options, expected", SAMPLED)
def test_seeded_sampling(treadle, shared, seed, options, expected):
    treadle.set_random_seed(seed)
    translator = treadle.Translator(shared("v2/aren-transliteration"))
    result = translator.translate_batch([A1], beam_size=1, return_scores=True, **options)[0]
    assert all_of(result) == [text for text, _ in expected]
    assert result.scores == pytest.approx([score for _, score in expected], abs=1e-4)


def test_attention(aren):
    results = aren.translate_batch([A3, A1], beam_size=1, return_attention=True)
    assert [np.shape(r.attention[0]) for r in results] == [(4, 3), (6, 6)]
    expected = [[.0934, .7664, .1359, .0028, .0012, .0004], [.0001, 0, .0003, .3231, .0308, .6458]]
    assert close([results[1].attention[0][0], results[1].attention[0][5]], expected, 6e-5) is None
    result = aren.translate_batch([A1], max_input_length=3, return_attention=True)[0]
    assert np.shape(result.attention[0]) == (3, 6) and not np.array(result.attention[0])[:, 3:].any()
    result = aren.translate_batch([A1], ["a t s".split()], beam_size=4, num_hypotheses=4, return_attention=True)[0]
    assert best(result) == "a t s u m o n" and len(result.attention) == 4 and np.shape(result.attention[0]) == (7, 6)


def test_end_token_and_lengths(aren):
    assert best(aren.translate_batch([A1], return_end_token=True)[0]) == "a t z m o n </s>"
    for beam in (1, 4):
        assert len(aren.translate_batch([A1], beam_size=beam, max_decoding_length=3)[0].hypotheses[0]) == 3
        assert len(aren.translate_batch([A1], beam_size=beam, min_decoding_length=8)[0].hypotheses[0]) == 8
    with pytest.raises(ValueError):
        aren.translate_batch([A1], end_token="oovtoken")
    with pytest.raises(ValueError):
        aren.translate_batch([A1], suppress_sequences=[["o"], ["t", "oovtoken", "m"]])


def test_score_normalisation(aren):
    def score(**options):
        return aren.translate_batch([A1], return_scores=True, **options)[0].scores[0]
    assert score(length_penalty=1) == pytest.approx(score(length_penalty=0) / 7, abs=1e-6)
    short = dict(max_decoding_length=6)
    assert score(length_penalty=1, **short) == pytest.approx(score(length_penalty=0, **short) / 6, abs=1e-6)
    assert score(beam_size=1) == pytest.approx(score(beam_size=2), abs=1e-5)


def test_empty_sources(aren):
    assert aren.translate_batch([]) == []
    results = aren.translate_batch([[], A3, [], A1, []])
    assert [best(r) for r in results] == ["", "a z z a", "", "a t z m o n", ""]
    assert [r.hypotheses for r in aren.translate_batch([[], []])] == [[[]], [[]]]
    assert results[0].scores == [] and results[0].attention == []
    sources, prefixes = [A1, A1, A1, [], A3], [["a", "t", "s"], [], ["a", "t", "z", "o"], [], []]
    for beam in (1, 2):
        results = aren.translate_batch(sources, prefixes, beam_size=beam)
        assert [best(r) for r in results] == ["a t s u m o n", "a t z m o n", "a t z o m o n", "", "a z z a"]
    results = aren.translate_batch([[]], [["a", "oov"]], num_hypotheses=2, return_scores=True, min_decoding_length=9,
                                   return_end_token=True, max_decoding_length=9, return_attention=True)
    assert results[0].hypotheses == [["a", "<unk>"]] * 2 and results[0].scores == [0, 0]


def test_soft_prefixes(aren):
    sources = [A1, A1, A1, A3]
    strong = aren.translate_batch(sources, [["a", "t", "s"], [], ["a", "t", "z", "o"], []], beam_size=2, prefix_bias_beta=0.99)
    assert [best(r) for r in strong] == ["a t s u m o n", "a t z m o n", "a t z o m o n", "a z z a"]
    weak = aren.translate_batch(sources, ["a t s s s".split(), [], "a t z o".split(), []], beam_size=2, prefix_bias_beta=0.01)
    assert [best(r) for r in weak] == ["a t z m o n"] * 3 + ["a z z a"]
    for beam in (1, 2):
        nearly = aren.translate_batch([A1, A2], [["a", "t", "s"], None], beam_size=beam, prefix_bias_beta=0.9999999)
        assert nearly[0].hypotheses[0][:3] == ["a", "t", "s"]
        none = aren.translate_batch([A1, A2], beam_size=beam, return_scores=True)
        hardly = aren.translate_batch([A1, A2], ["a t s".split(), "s i o".split()], beam_size=beam, prefix_bias_beta=1e-7,
                                      return_scores=True)
        for a, b in zip(hardly, none):
            assert a.hypotheses == b.hypotheses and a.scores == pytest.approx(b.scores, abs=1e-5)


def test_repetition_rules(aren):
    tokens = aren.translate_batch([[NUN] * 5], repetition_penalty=100)[0].hypotheses[0]
    assert len(set(tokens)) == len(tokens)
    tokens = aren.translate_batch([[NUN] * 50], no_repeat_ngram_size=3)[0].hypotheses[0]
    trigrams = list(zip(tokens, tokens[1:], tokens[2:]))
    assert len(set(trigrams)) == len(trigrams)


def test_replaced_unknowns(aren):
    assert best(aren.translate_batch([A1], [["<unk>", "t"]], replace_unknowns=True)[0]) == "ت t z m o n"


def test_many_hypotheses(aren):
    for beam in (1, 4):
        assert len(aren.translate_batch([A1], beam_size=beam, num_hypotheses=beam)[0].hypotheses) == beam
    assert len(aren.translate_batch([A1], beam_size=22, num_hypotheses=22)[0].hypotheses) == 22


SCORED = [
    (A1, "a t z m o n", [-0.106023, -0.065410, -0.056002, -0.447953, -0.230714, -0.092184, -0.063463]),
    (A2, "a c h i s o n", [-0.072660, -0.300309, -0.181187, -0.395671, -0.025631, -0.123466, -0.002034, -0.012639]),
    (A5, "a r b a k e", [-0.103136, -0.089504, -0.063889, -0.007327, -0.452072, -0.060154, -0.016636]),
    ([], "", [0]),
    (A6, "a r t h e r", [-0.076704, -0.036037, -0.029253, -0.030273, -0.149276, -0.002440, -0.003742]),
]


def test_scoring(aren):
    results = aren.score_batch([source for source, _, _ in SCORED], [target.split() for _, target, _ in SCORED])
    for result, (_, target, scores) in zip(results, SCORED):
        assert result.tokens == target.split() + ["</s>"]
        assert result.log_probs == pytest.approx(scores, abs=1e-5)
    result = aren.score_batch([A1], ["a t z m o n".split()], max_input_length=4)[0]
    assert result.tokens == ["a", "t", "z", "</s>"] and len(result.log_probs) == 4
    assert aren.score_batch([], []) == []
    results = aren.score_batch([[], []], [["a"], ["oov", "b"]], offset=1)
    assert [(r.tokens, r.log_probs) for r in results] == [(["a", "</s>"], [0, 0]), (["<unk>", "b", "</s>"], [0, 0, 0])]


def with_map(treadle, shared, tmp_path, allowed):
    source = shared("v2/aren-transliteration")
    for name in os.listdir(source):
        os.symlink(os.path.join(source, name), tmp_path / name)
    (tmp_path / "vmap.txt").write_text("\t%s\n" % allowed, encoding="utf-8")
    return treadle.Translator(str(tmp_path))


@pytest.mark.parametrize("allowed, source, prefix, options, expected", [
    ("t z m o n", A1, "a t z", dict(beam_size=1), "a t z m o n"), ("t z m o n", A1, "a t z", dict(), "a t z m o n"),
    ("a t z s m o u n", A1, None, dict(suppress_sequences=[["o"], ["t", "z", "m"]]), "a t z u m u n"),
    ("a t z m o n", A1, None, dict(min_decoding_length=1), "a t z m o n"),
])
def test_vocabulary_map(treadle, shared, tmp_path, allowed, source, prefix, options, expected):
    translator = with_map(treadle, shared, tmp_path, allowed)
    result = translator.translate_batch([source], [prefix.split()] if prefix else None, use_vmap=True, **options)[0]
    assert best(result) == expected


def test_vocabulary_map_with_rules(treadle, shared, tmp_path):
    translator = with_map(treadle, shared, tmp_path, "a t z m o n")
    tokens = translator.translate_batch([[NUN] * 3], use_vmap=True, repetition_penalty=100, max_decoding_length=3)[0].hypotheses[0]
    assert len(set(tokens)) == len(tokens)
    tokens = translator.translate_batch([[NUN] * 50], use_vmap=True, no_repeat_ngram_size=3)[0].hypotheses[0]
    trigrams = list(zip(tokens, tokens[1:], tokens[2:]))
    assert len(set(trigrams)) == len(trigrams)


def test_vocabulary_map_with_alternatives(treadle, shared, tmp_path):
    translator = with_map(treadle, shared, tmp_path, "z s u m o n")
    result = translator.translate_batch([A1], [["a", "t"]], use_vmap=True, num_hypotheses=2, return_alternatives=True)[0]
    assert all_of(result) == ["a t z m o n", "a t s u m o n"]


def test_coverage_needs_no_attention(treadle, aren):
    """Greedy search with a coverage penalty gives the score it gives with attention (the original crashes)."""
    if treadle.__name__ == "ctranslate2":
        pytest.skip("the original crashes")
    options = dict(beam_size=1, coverage_penalty=0.3, return_scores=True)
    plain = aren.translate_batch([A1], **options)[0]
    told = aren.translate_batch([A1], return_attention=True, **options)[0]
    assert plain.scores == told.scores and plain.attention == [] and told.attention != []


PHONEMES = os.path.join(ROOT, "models", "g2p-en")


def letters(word):
    return list(word)


def phoneme_cases():
    path = os.path.join(PHONEMES, "expected.json")
    if not os.path.isfile(path):
        return {"cases": [], "source": [], "targets": [], "log_probs": []}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


STORED = phoneme_cases()


@pytest.fixture(scope="module")
def phonemes(treadle):
    return treadle.Translator(PHONEMES, compute_type="float32")


@pytest.mark.parametrize("case", STORED["cases"], ids=lambda case: json.dumps(case["options"]))
@pytest.mark.parametrize("together", [True, False])
def test_phoneme_model(phonemes, case, together):
    words = [letters(word) for word in STORED["words"]]
    options = dict(case["options"], return_scores=True)
    if together:
        results = phonemes.translate_batch(words, **options)
    else:
        results = [phonemes.translate_batch([word], **options)[0] for word in words]
    for word, result, expected in zip(STORED["words"], results, case["results"]):
        assert result.hypotheses == expected["hypotheses"], word
        if "scores" in expected:
            assert result.scores == pytest.approx(expected["scores"], abs=1e-4), word


def test_phoneme_scores(phonemes):
    words = STORED["words"][-len(STORED["targets"]):]  # the targets of the last words are stored
    results = phonemes.score_batch([letters(word) for word in words], STORED["targets"])
    for word, result, expected in zip(words, results, STORED["log_probs"]):
        assert result.log_probs == pytest.approx(expected, abs=1e-4), word
