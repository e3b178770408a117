"""The same calls on both libraries, one after the other on objects with the same past: the same results, or errors of the same type, and
where the text of an error is part of the interface, with that text."""

import inspect
import linecache
import os
import re

import pytest

pytest.importorskip("ctranslate2", reason="the comparison needs the ctranslate2 wheel")

from conftest import ROOT
from test_async import WORDS

PHONEMES = os.path.join(ROOT, "models", "g2p-en")
W, L = WORDS[0], list
BAD = dict(min_decoding_length=10, max_decoding_length=5)
SPLIT = dict(source_tokenize_fn=str.split, target_detokenize_fn="".join)
ALL = dict(SPLIT, target_tokenize_fn=str.split)
# What texts of errors must have in common.
TEXTS = ["length", "max_batch_size", "batch type", "is greater than", "has less examples", "unloaded", "source_tokenize_fn",
         "target_tokenize_fn", "target_detokenize_fn", "not in the vocabulary", "incompatible function arguments"]


def fail(value):
    raise KeyError("mine")


def step(s):
    return s.step, s.batch_id, s.hypothesis_id, s.token_id, s.token, s.is_last, s.log_prob


def asynchronous(t, *args, **options):
    return [p.result() for p in t.translate_batch(*args, asynchronous=True, **options)]


def sampled(t, m, call):
    """A fresh object after set_random_seed."""
    m.set_random_seed(11)
    return call(m.Translator(PHONEMES, compute_type="float32"))


RANDOM = dict(beam_size=1, sampling_topk=0, sampling_temperature=1.5, return_scores=True, max_decoding_length=9)

# Each takes the translator, its module, and the folder it may write to; files are those of the fixture.
CALLS = [
    lambda t, m, d: asynchronous(t, WORDS, return_scores=True, num_hypotheses=2),
    lambda t, m, d: asynchronous(t, WORDS[:1], return_attention=True, beam_size=1),
    lambda t, m, d: asynchronous(t, WORDS, [["T"], None, [], ["SH"], None, None, None, ["W"]], max_batch_size=3, return_scores=True),
    lambda t, m, d: asynchronous(t, WORDS, max_batch_size=9, batch_type="tokens", beam_size=1),
    lambda t, m, d: asynchronous(t, [W], **BAD),
    lambda t, m, d: asynchronous(t, [W], end_token="no such token"),
    lambda t, m, d: asynchronous(t, [W], callback=print),
    lambda t, m, d: asynchronous(t, [W], batch_type="words"),
    lambda t, m, d: asynchronous(t, [W, W], [["T"]]),
    lambda t, m, d: asynchronous(t, [W], beam_size=1, callback=fail),
    lambda t, m, d: asynchronous(t, [], **BAD),
    lambda t, m, d: asynchronous(t, [[], []], return_scores=True),
    lambda t, m, d: [p.result() for p in t.score_batch(WORDS[:3], [["T"], [], ["W"]], asynchronous=True)],
    lambda t, m, d: t.score_batch([W], [["T"]], offset=5, asynchronous=True)[0].result(),
    lambda t, m, d: sampled(t, m, lambda f: asynchronous(f, WORDS, num_hypotheses=3, **RANDOM)),
    lambda t, m, d: sampled(t, m, lambda f: asynchronous(f, WORDS, max_batch_size=3, **RANDOM)),
    lambda t, m, d: sampled(t, m, lambda f: L(f.translate_iterable(WORDS, max_batch_size=2, **RANDOM))),
    lambda t, m, d: sampled(t, m, lambda f: L(map(step, f.generate_tokens(W, sampling_topk=0, return_log_prob=True)))),
    lambda t, m, d: (sampled(t, m, lambda f: f.translate_file("source", "output", beam_size=1, sampling_topk=0)), "output"),
    lambda t, m, d: L(t.translate_iterable(iter(WORDS), max_batch_size=2, return_scores=True)),
    lambda t, m, d: L(t.translate_iterable(iter(WORDS * 5), max_batch_size=20, batch_type="tokens", return_scores=True)),
    lambda t, m, d: L(t.translate_iterable(iter([W, W]), iter([["T"], ["S", "T"]]))),
    lambda t, m, d: L(t.translate_iterable(iter([W, W]), iter([["T"]]))),
    lambda t, m, d: L(t.translate_iterable([W], [["T"], ["S"]])),
    lambda t, m, d: L(t.translate_iterable([W, W], [["T"], None])),
    lambda t, m, d: L(t.translate_iterable([W], [])),
    lambda t, m, d: L(t.translate_iterable([W, None])),
    lambda t, m, d: L(t.translate_iterable([W], max_batch_size=0)),
    lambda t, m, d: L(t.translate_iterable([], max_batch_size=-1)),
    lambda t, m, d: L(t.translate_iterable([W], max_batch_size="3")),
    lambda t, m, d: L(t.translate_iterable([W], batch_type="words")),
    lambda t, m, d: L(t.translate_iterable([], batch_type="words")),
    lambda t, m, d: L(t.translate_iterable([W], nonsense=1)),
    lambda t, m, d: L(t.translate_iterable([W], asynchronous=False)),
    lambda t, m, d: L(t.translate_iterable([W], **BAD)),
    lambda t, m, d: inspect.isgenerator(t.translate_iterable(5)),
    lambda t, m, d: L(t.translate_iterable(5)),
    lambda t, m, d: t.translate_iterable(),
    lambda t, m, d: t.score_iterable([W]),
    lambda t, m, d: L(t.score_iterable(WORDS[:3], [["T"], ["L"], []], 2)),
    lambda t, m, d: L(t.score_iterable([W, W], [["T"]])),
    lambda t, m, d: L(t.score_iterable([W], [["T"]], offset="1")),
    lambda t, m, d: L(map(step, t.generate_tokens(W))),
    lambda t, m, d: L(map(step, t.generate_tokens(W, ["S", "T"], return_log_prob=True))),
    lambda t, m, d: L(map(step, t.generate_tokens(W, max_decoding_length=3))),
    lambda t, m, d: L(map(step, t.generate_tokens(W, repetition_penalty=2, no_repeat_ngram_size=1, disable_unk=True, return_log_prob=True))),
    lambda t, m, d: L(map(step, t.generate_tokens(W, suppress_sequences=[["T"]], end_token=["L", "</s>"], min_decoding_length=3))),
    lambda t, m, d: L(t.generate_tokens(W, min_decoding_length=2, max_decoding_length=1)),
    lambda t, m, d: L(t.generate_tokens([])),
    lambda t, m, d: L(t.generate_tokens([], ["T"])),
    lambda t, m, d: L(t.generate_tokens("abc")),
    lambda t, m, d: L(t.generate_tokens([W])),
    lambda t, m, d: L(t.generate_tokens(None)),
    lambda t, m, d: t.generate_tokens(W, beam_size=2),
    lambda t, m, d: (t.translate_file("source", "output"), "output"),
    lambda t, m, d: (t.translate_file("source", "output", with_scores=True, num_hypotheses=3), "output"),
    lambda t, m, d: (t.translate_file("source", "output", "prefixes"), "output"),
    lambda t, m, d: (t.translate_file("source", "output", max_batch_size=0, read_batch_size=3), "output"),
    lambda t, m, d: (t.translate_file("source", "output", max_batch_size=7, batch_type="tokens"), "output"),
    lambda t, m, d: (t.translate_file("source", "output", target_tokenize_fn=list), "output"),
    lambda t, m, d: (t.translate_file("source", "output", "prefixes", **ALL), "output"),
    lambda t, m, d: (t.translate_file("empty", "output"), "output"),
    lambda t, m, d: (t.translate_file("bytes", "output"), "output"),
    lambda t, m, d: (t.translate_file("lines", "output"), "output"),
    lambda t, m, d: t.translate_file("bytes", "output", **SPLIT),
    lambda t, m, d: t.translate_file("source", "output", "short"),
    lambda t, m, d: t.translate_file("source", "output", ""),
    lambda t, m, d: t.translate_file("nothing", "output"),
    lambda t, m, d: t.translate_file("source", "output", "nothing"),
    lambda t, m, d: t.translate_file("source", "nothing/output"),
    lambda t, m, d: t.translate_file("source", "output", max_batch_size=0),
    lambda t, m, d: t.translate_file("source", "output", source_tokenize_fn=list),
    lambda t, m, d: t.translate_file("source", "output", target_detokenize_fn="".join),
    lambda t, m, d: t.translate_file("source", "output", "prefixes", **SPLIT),
    lambda t, m, d: t.translate_file("source", "output", source_tokenize_fn=fail, target_detokenize_fn="".join),
    lambda t, m, d: t.translate_file("source", "output", source_tokenize_fn=str.split, target_detokenize_fn=fail),
    lambda t, m, d: t.translate_file("source", "output", source_tokenize_fn=str, target_detokenize_fn="".join),
    lambda t, m, d: t.translate_file("source", "output", source_tokenize_fn=lambda line: [1], target_detokenize_fn="".join),
    lambda t, m, d: t.translate_file("source", "output", source_tokenize_fn=str.split, target_detokenize_fn=len),
    lambda t, m, d: t.translate_file("source", "output", source_tokenize_fn=5),
    lambda t, m, d: t.translate_file("source", "output", batch_type="words"),
    lambda t, m, d: t.translate_file("source", "output", return_scores=True),
    lambda t, m, d: t.translate_file("source", "output", asynchronous=True),
    lambda t, m, d: t.translate_file(d, "output"),
    lambda t, m, d: t.translate_file("source", "output", **BAD),
    lambda t, m, d: (t.score_file("source", "target", "output"), "output"),
    lambda t, m, d: (t.score_file("source", "target", "output", with_tokens_score=True, max_batch_size=2), "output"),
    lambda t, m, d: (t.score_file("source", "target", "output", offset=1, with_tokens_score=True), "output"),
    lambda t, m, d: (t.score_file("source", "target", "output", **ALL), "output"),
    lambda t, m, d: (t.score_file("empty", "empty", "output"), "output"),
    lambda t, m, d: t.score_file("source", "target", "output", source_tokenize_fn=str.split),
    lambda t, m, d: t.score_file("source", "short", "output"),
    lambda t, m, d: t.score_file("source", "nothing", "output"),
    lambda t, m, d: t.score_file("source", "target", "output", batch_type="words"),
    lambda t, m, d: t.unload_model(to_cpu=True),
    lambda t, m, d: t.model_is_loaded,
    lambda t, m, d: t.unload_model(nonsense=1),
    lambda t, m, d: t.load_model(keep_cache="yes"),
    lambda t, m, d: [m.Translator(PHONEMES, device_index=i, inter_threads=2).num_translators for i in ([0], [0, 0], (0, 0, 0))],
    lambda t, m, d: m.Translator(PHONEMES, device_index=(0, 0)).device_index,
    lambda t, m, d: m.Translator(PHONEMES, device_index=[]),
    lambda t, m, d: m.Translator(PHONEMES, device_index=[0, 1]),
    lambda t, m, d: sorted(name for name in dir(m.Translator) if not name.startswith("_") and name != "async_generate_tokens"),
    lambda t, m, d: (m.Translator.translate_batch is None, hasattr(m, "ExecutionStats"), hasattr(m, "AsyncScoringResult")),
]


@pytest.fixture(scope="module")
def both(treadle, peer):
    return [(module.Translator(PHONEMES, compute_type="float32"), module) for module in (treadle, peer)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in {
            "source": "t r e a d l e\n\nl o o m\r\n  w  e  f  t \nlast", "prefixes": "T\n\nL UH1\n\n\nextra\n", "short": "T\n", "empty": "",
            "target": "T R IY1\n\nL UW1 M\nW EH1 F T\nL AE1 S T\n", "lines": "\n\n\r\nw e f t\r\r\na\tb\n\u2028 a"}.items():
        (tmp_path / name).write_bytes(text.encode())
    (tmp_path / "bytes").write_bytes(b"t \xff r\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plain(value):
    """What can be compared, with floats in lists of their own: (structure, floats)."""
    floats = []

    def walk(v):
        if isinstance(v, float):
            floats.append(v)
            return float
        if isinstance(v, (list, tuple)):
            return [walk(x) for x in v]
        kind = type(v).__name__
        if kind == "ExecutionStats":
            return kind, v.num_tokens, v.num_examples
        if kind == "TranslationResult":
            return kind, v.hypotheses, walk(v.scores), walk(v.attention)
        if kind == "ScoringResult":
            return kind, v.tokens, walk(v.log_probs)
        return v
    return walk(value), floats


def outcome(call, translator, module, folder):
    try:
        value = call(translator, module, folder)
    except Exception as error:
        said = [text for text in TEXTS if text in str(error)]
        if "incompatible function arguments" in said:     # the original goes on with its signature
            del said[:-1]
        return "raises", type(error).__name__, said
    if isinstance(value, tuple) and value[-1] == "output":
        with open("output", encoding="utf-8", errors="surrogateescape", newline="") as file:
            words = re.split(r"([ \n])", file.read())
        return "returns", plain([value[0]] + [float(w) if re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", w) else w for w in words])
    return "returns", plain(value)


@pytest.mark.parametrize("i", range(len(CALLS)))
def test_same_call(both, folder, i):
    ours, theirs = (outcome(CALLS[i], *one, folder) for one in both)
    source = linecache.getline(__file__, CALLS[i].__code__.co_firstlineno).strip()
    if "raises" in (ours[0], theirs[0]):
        assert ours[:2] == theirs[:2], source
        assert set(theirs[2]) <= set(ours[2]), source
        return
    assert ours[1][0] == theirs[1][0], source
    assert ours[1][1] == pytest.approx(theirs[1][1], abs=1e-4, rel=1e-4), source


def test_when_unloaded(treadle, peer, folder):
    calls = [lambda t: t.translate_batch([W]), lambda t: t.translate_batch([]), lambda t: t.score_batch([W], [["T"]]), lambda t: t.score_batch([], []),
             lambda t: t.translate_file("nothing", "output"), lambda t: t.score_file("nothing", "nothing", "output"),
             lambda t: L(t.translate_iterable([W])), lambda t: L(t.translate_iterable([])), lambda t: L(t.generate_tokens(W)),
             lambda t: t.compute_type, lambda t: (t.device, t.device_index, t.num_translators, t.num_active_batches, t.num_queued_batches),
             lambda t: t.translate_batch([W], beam_size=0), lambda t: t.translate_batch([W, W], [["T"]]), lambda t: t.translate_batch([[]]),
             lambda t: t.translate_batch([W], batch_type="words"), lambda t: t.translate_batch([W], asynchronous=True),
             lambda t: t.score_batch([W], [["T"]], asynchronous=True), lambda t: t.translate_file("source", "output", source_tokenize_fn=list),
             lambda t: t.translate_file("source", "output", max_batch_size=0), lambda t: t.translate_file("source", "output", batch_type="words"),
             lambda t: t.unload_model(), lambda t: t.model_is_loaded, lambda t: t.load_model(True), lambda t: t.translate_batch([W])]
    ours, theirs = [], []
    for module, out in ((treadle, ours), (peer, theirs)):
        translator = module.Translator(PHONEMES, compute_type="float32")
        translator.unload_model()
        out.extend(outcome(lambda t, m, d: call(t), translator, module, folder) for call in calls)
    for i, (a, b) in enumerate(zip(ours, theirs)):
        assert a[:2] == b[:2], i
