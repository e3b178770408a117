"""Asynchronous calls, cancelling, callbacks off the caller's thread, counts of batches, unloading, files of devices: what section 6.2
of the original's tests asks for and what ours promises besides. Nothing here depends on how fast the machine is: work that must be
under way for a while has no natural end."""

import gc
import os
import pickle
import threading
import time

import pytest

from conftest import ROOT
from test_api import files_of

PHONEMES = os.path.join(ROOT, "models", "g2p-en")
WORDS = [list(word) for word in ("treadle", "loom", "weft", "shuttle", "a", "", "heddle", "weaving")]
# A million tokens, unless it is stopped: no end token. The model has positions for 512.
ENDLESS = dict(beam_size=1, end_token=[], max_decoding_length=500)
MANY = [list("weaving")] * 2000
BAD = dict(min_decoding_length=10, max_decoding_length=5)


@pytest.fixture(scope="module")
def translator(treadle):
    return treadle.Translator(PHONEMES, compute_type="float32", intra_threads=1, max_queued_batches=-1)


def only_ours(treadle, why):
    if treadle.__name__ == "ctranslate2":
        pytest.skip("ctranslate2: " + why)


def values(result):
    return {name: getattr(result, name) for name in ("hypotheses", "scores", "attention", "tokens", "log_probs") if hasattr(result, name)}


# ---- results

def test_translations(treadle, translator):
    options = dict(return_scores=True, return_attention=True, num_hypotheses=2)
    expected = [values(r) for r in translator.translate_batch(WORDS, **options)]
    for size, kind in ((0, "examples"), (1, "examples"), (3, "examples"), (10, "tokens")):
        results = translator.translate_batch(WORDS, asynchronous=True, max_batch_size=size, batch_type=kind, **options)
        assert all(type(r) is treadle.AsyncTranslationResult for r in results)
        for a, e in zip(results, expected):
            got = values(a.result())
            assert got["hypotheses"] == e["hypotheses"] and got["scores"] == pytest.approx(e["scores"], abs=1e-4)
            assert a.done() is True
    assert len(results) == len(expected)


def test_each_result_is_a_new_equal_object(translator):
    for pending in (translator.translate_batch([WORDS[0]], asynchronous=True, return_scores=True),
                    translator.score_batch([WORDS[0]], [["T", "R"]], asynchronous=True)):
        first, second = pending[0].result(), pending[0].result()
        assert first is not second and values(first) == values(second) and values(first)


def test_scores(treadle, translator):
    targets = [["T"], ["L", "UW1"], [], ["SH"], ["AH0"], ["T"], ["HH"], ["W"]]
    expected = [values(r) for r in translator.score_batch(WORDS, targets)]
    pending = translator.score_batch(WORDS, targets, asynchronous=True, max_batch_size=2)
    assert all(type(p) is treadle.AsyncScoringResult for p in pending)
    for p, e in zip(pending, expected):
        assert p.result().tokens == e["tokens"] and p.result().log_probs == pytest.approx(e["log_probs"], abs=1e-4)
    with pytest.raises(ValueError, match="batch type"):
        translator.score_batch([], [], asynchronous=True, batch_type="words")
    assert translator.score_batch([], [], asynchronous=True) == []


def test_their_class(treadle, translator):
    pending = translator.translate_batch([WORDS[0]], asynchronous=True)[0]
    for kind in (treadle.AsyncTranslationResult, treadle.AsyncScoringResult):
        with pytest.raises(TypeError, match="No constructor"):
            kind()
    with pytest.raises(TypeError):
        pickle.dumps(pending)
    with pytest.raises(AttributeError):
        pending.no_such_attribute = 1
    assert pending.result()


def test_calls_of_many_threads(translator):
    expected = [r.hypotheses for r in translator.translate_batch(WORDS)]
    wrong = []

    def run():
        for _ in range(4):
            pending = translator.translate_batch(WORDS, asynchronous=True)
            got = [p.result().hypotheses for p in reversed(pending)][::-1]
            if got != expected:
                wrong.append(got)
    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_one_result_in_many_threads(treadle, translator):
    only_ours(treadle, "has a race there")
    pending = translator.translate_batch([WORDS[0]], asynchronous=True)[0]
    got = []
    threads = [threading.Thread(target=lambda: got.append(pending.result().hypotheses)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [pending.result().hypotheses] * 8


@pytest.mark.parametrize("bound", [1, 2, -1])
def test_a_full_queue_blocks(treadle, bound):
    """A call with more batches than may wait is submitted as room comes, from the main thread and from another one."""
    translator = treadle.Translator(PHONEMES, compute_type="float32", intra_threads=1, max_queued_batches=bound)
    expected = [r.hypotheses for r in translator.translate_batch(WORDS)]
    got = []

    def run():
        got.extend(p.result().hypotheses for p in translator.translate_batch(WORDS * 5, max_batch_size=1, asynchronous=True))
    run()
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert got == expected * 10


# ---- errors

@pytest.mark.parametrize("options", [BAD, dict(beam_size=0), dict(end_token="no such token"), dict(callback=print),
                                     dict(suppress_sequences=[["no such token"]]), dict(patience=0)])
def test_wrong_options_are_the_result(translator, options):
    pending = translator.translate_batch([WORDS[0], WORDS[1]], asynchronous=True, **options)
    texts = set()
    for p in pending + pending:
        with pytest.raises(ValueError) as failure:
            p.result()
        assert p.done() is True
        texts.add(str(failure.value))
    assert len(texts) == 1
    with pytest.raises(ValueError) as failure:
        translator.translate_batch([WORDS[0], WORDS[1]], **options)
    assert {str(failure.value)} == texts
    assert translator.translate_batch([WORDS[0]], asynchronous=True)[0].result().hypotheses


def test_text_of_a_wrong_option(translator):
    with pytest.raises(ValueError, match="is greater than"):
        translator.translate_batch([WORDS[0]], asynchronous=True, **BAD)[0].result()


def test_a_wrong_offset_is_the_result(treadle, translator):
    only_ours(treadle, "takes a negative offset")
    pending = translator.score_batch([WORDS[0]], [["T"]], offset=-1, asynchronous=True)[0]
    with pytest.raises(ValueError, match="offset"):
        pending.result()


def test_wrong_calls_raise_at_once(translator):
    with pytest.raises(TypeError, match="incompatible function arguments"):
        translator.translate_batch([WORDS[0]], asynchronous=True, beam_size=1.5)
    with pytest.raises(ValueError, match="batch type"):
        translator.translate_batch([WORDS[0]], asynchronous=True, batch_type="words")
    with pytest.raises(RuntimeError, match="less examples"):
        translator.translate_batch([WORDS[0], WORDS[1]], [["T"]], asynchronous=True)
    with pytest.raises(RuntimeError, match="less examples"):
        translator.score_batch([WORDS[0], WORDS[1]], [["T"]], asynchronous=True)
    assert translator.translate_batch([], asynchronous=True, **BAD) == []
    assert [p.result().hypotheses for p in translator.translate_batch([[], []], asynchronous=True, **BAD)] == [[[]], [[]]]


# ---- callbacks

def test_callbacks_run_elsewhere(translator):
    threads, steps = set(), {}

    def callback(step):
        threads.add(threading.get_ident())
        steps.setdefault(step.batch_id, []).append(step.token)
    pending = translator.translate_batch(WORDS, asynchronous=True, beam_size=1, max_batch_size=3, callback=callback)
    results = [p.result().hypotheses[0] for p in pending]
    assert threads and threading.get_ident() not in threads
    for i, tokens in enumerate(results):
        assert [t for t in steps.get(i, []) if t != "</s>"] == tokens


def test_a_callback_stops_its_example(translator):
    prefixes = [["T"], ["S"], ["K"]]
    seen = {}

    def callback(step):
        seen[step.batch_id] = step.token
        return True
    sources = [["a"] * (i + 1) for i in range(3)]
    pending = translator.translate_batch(sources, prefixes, asynchronous=True, beam_size=1, max_batch_size=2, callback=callback)
    assert [p.result().hypotheses for p in pending] == [[p] for p in prefixes]
    assert seen == {0: "T", 1: "S", 2: "K"}


@pytest.mark.parametrize("kind", [KeyError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_an_exception_of_a_callback(treadle, translator, kind):
    if not issubclass(kind, Exception):
        only_ours(treadle, "not asked")
    its_abort = treadle.__name__ == "ctranslate2"     # when the exception is raised twice
    error, calls = kind("mine"), []

    def callback(step):
        calls.append(step)
        raise error
    pending = translator.translate_batch([w for w in WORDS if w], asynchronous=True, beam_size=1, callback=callback)
    for _ in range(1 if its_abort else 2):
        for p in pending[:1] if its_abort else pending:
            with pytest.raises(kind) as failure:
                p.result()
            assert failure.value is error and p.done() is True
    assert len(calls) == 1
    calls.clear()
    with pytest.raises(kind) as failure:
        translator.translate_batch([WORDS[0]], beam_size=1, callback=callback)
    assert failure.value is error and len(calls) == 1
    assert translator.translate_batch([WORDS[0]])[0].hypotheses


def test_an_exception_ends_endless_work(treadle, translator):
    only_ours(treadle, "runs to the limit")
    pending = translator.translate_batch(MANY, asynchronous=True, callback=lambda step: {}["missing"], **ENDLESS)
    for p in pending:
        with pytest.raises(KeyError, match="missing"):
            p.result()


def test_a_callback_that_waits_for_its_own_call(treadle, translator):
    only_ours(treadle, "waits for ever")
    said = []

    def callback(step):
        try:
            pending.result()
        except RuntimeError as error:
            said.append(str(error))
        try:
            translator.translate_batch([WORDS[0]])
        except RuntimeError as error:
            said.append(str(error))
        return True
    ready = threading.Event()
    pending = translator.translate_batch([WORDS[0]], asynchronous=True, beam_size=1,
                                         callback=lambda step: ready.wait() and callback(step))[0]
    ready.set()
    assert len(pending.result().hypotheses[0]) == 1
    assert len(said) == 2 and all("callback" in text for text in said)


# ---- cancelling (not in the original)

def test_cancel(treadle, translator):
    only_ours(treadle, "nothing to cancel with")
    from concurrent.futures import CancelledError
    pending = translator.translate_batch(MANY, asynchronous=True, **ENDLESS)
    survivor = translator.translate_batch([WORDS[0]], asynchronous=True)[0]
    assert all(p.cancel() for p in pending)
    for p in pending + pending:
        with pytest.raises(CancelledError):
            p.result()
        assert p.done() is True and p.cancel() is False
    assert survivor.result().hypotheses == translator.translate_batch([WORDS[0]])[0].hypotheses
    assert survivor.cancel() is False and survivor.result().hypotheses


def test_cancel_one_of_a_call(treadle, translator):
    only_ours(treadle, "nothing to cancel with")
    from concurrent.futures import CancelledError
    steps = set()
    three = threading.Event()

    def callback(step):
        steps.add(step.batch_id)
        if len(steps) == 3:
            three.set()
        return step.batch_id != 1 and three.is_set()
    pending = translator.translate_batch([WORDS[0]] * 3, asynchronous=True, callback=callback, beam_size=1, end_token=[],
                                         max_decoding_length=500)
    three.wait()
    pending[0].result(), pending[2].result()
    pending[1].cancel()
    try:
        assert len(pending[1].result().hypotheses[0]) == 500     # it was quicker
    except CancelledError:
        pass
    assert pending[0].result().hypotheses and pending[2].result().hypotheses


# ---- counts, life time

def test_active_batches(treadle):
    only_ours(treadle, "nothing to cancel with")
    translator = treadle.Translator(PHONEMES, compute_type="float32", intra_threads=1, max_queued_batches=-1)
    assert translator.num_active_batches == 0 and translator.num_queued_batches == 0
    held = translator.translate_batch(MANY, asynchronous=True, **ENDLESS)
    assert translator.num_active_batches == 1
    more = translator.translate_batch(MANY[:40], asynchronous=True, max_batch_size=16, **ENDLESS)
    assert translator.num_active_batches == 4 and translator.num_queued_batches == 3
    dropped = translator.translate_batch(MANY[:5], asynchronous=True, **ENDLESS)
    assert translator.num_active_batches == 5 and translator.num_queued_batches == 4
    del dropped
    gc.collect()
    assert translator.num_active_batches == 9     # nobody knows any more that these five were one
    for p in held + more:
        p.cancel()
    for p in held + more:
        with pytest.raises(Exception):
            p.result()
    others = translator.translate_batch([WORDS[0]])
    assert others[0].hypotheses
    assert translator.num_queued_batches == 0


def test_no_active_batches_after_a_result(treadle, translator):
    only_ours(treadle, "counts it a little longer")
    for _ in range(50):
        translator.translate_batch([WORDS[1]])
        assert translator.num_active_batches == 0
        translator.translate_batch([WORDS[1]], asynchronous=True)[0].result()
        assert translator.num_active_batches == 0


def test_deletion_finishes_the_work(treadle):
    translator = treadle.Translator(PHONEMES, compute_type="float32", intra_threads=1)
    expected = [r.hypotheses for r in translator.translate_batch(WORDS)]
    pending = translator.translate_batch(WORDS * 4, asynchronous=True)
    del translator
    gc.collect()
    assert [p.result().hypotheses for p in pending] == expected * 4
    assert all(p.done() for p in pending)


def test_results_that_nobody_waits_for(treadle):
    seen = []
    translator = treadle.Translator(PHONEMES, compute_type="float32", intra_threads=1)
    translator.translate_batch([WORDS[0]] * 3, asynchronous=True, beam_size=1, callback=lambda step: seen.append(step.token))
    gc.collect()
    expected = translator.translate_batch([WORDS[0]], beam_size=1)[0].hypotheses[0]
    del translator
    gc.collect()
    while sum(t == "</s>" for t in seen) < 3:
        time.sleep(0.001)
    assert sorted(t for t in seen if t != "</s>") == sorted(expected * 3)


def test_a_callback_holds_its_translator(treadle):
    """The last one that holds the translator may be the library's own thread, when the callback goes."""
    only_ours(treadle, "aborts")
    for _ in range(5):
        holder = [treadle.Translator(PHONEMES, compute_type="float32", intra_threads=1)]
        done = threading.Event()
        done.holder = holder
        pending = holder[0].translate_batch([WORDS[0]], asynchronous=True, beam_size=1, callback=lambda step, h=holder: not h)
        del holder, done
        gc.collect()
        assert pending[0].result().hypotheses
        del pending


# ---- unloading

def calls_that_compute(translator, tmp_path):
    missing = str(tmp_path / "nothing here")
    return [lambda: translator.translate_batch([WORDS[0]]), lambda: translator.translate_batch([WORDS[0]], beam_size=0),
            lambda: translator.translate_batch([WORDS[0]], asynchronous=True), lambda: translator.score_batch([WORDS[0]], [["T"]]),
            lambda: translator.score_batch([], []), lambda: translator.translate_batch([WORDS[0]] * 2, [["T"]]),
            lambda: next(translator.translate_iterable([WORDS[0]])), lambda: next(translator.score_iterable([WORDS[0]], [["T"]])),
            lambda: next(translator.generate_tokens(WORDS[0])),
            lambda: translator.translate_file(missing, missing), lambda: translator.score_file(missing, missing, missing)]


def unload(translator):
    translator.unload_model()
    while type(translator).__module__.startswith("ctranslate2") and translator.model_is_loaded:
        translator.unload_model()     # the original may count a batch as active a little longer
    assert translator.model_is_loaded is False


@pytest.mark.parametrize("in_memory", [False, True])
def test_unload(treadle, tmp_path, in_memory):
    translator = treadle.Translator(PHONEMES, compute_type="float32", files=files_of(bytes) if in_memory else None)
    expected = translator.translate_batch(WORDS)
    for _ in range(3):
        assert translator.unload_model() is None
        unload(translator)
        for call in calls_that_compute(translator, tmp_path):
            with pytest.raises(RuntimeError, match="unloaded"):
                call()
        with pytest.raises(ValueError, match="batch type"):
            translator.translate_batch([WORDS[0]], batch_type="words")
        assert translator.translate_batch([]) == [] and list(translator.translate_iterable([])) == []
        with pytest.raises(RuntimeError):
            translator.compute_type
        assert (translator.device, translator.device_index, translator.num_translators) == ("cpu", [0], 1)
        assert translator.num_active_batches == 0 and translator.num_queued_batches == 0
        translator.unload_model()
        assert translator.load_model() is None and translator.model_is_loaded is True
        translator.load_model(keep_cache=True)
        assert translator.compute_type == "float32"
        assert [r.hypotheses for r in translator.translate_batch(WORDS)] == [r.hypotheses for r in expected]
    translator.unload_model(to_cpu=True)     # it is on the CPU
    assert translator.model_is_loaded is True
    for wrong in (dict(nonsense=1), dict(to_cpu=True, more=1)):
        with pytest.raises(TypeError, match="incompatible function arguments"):
            translator.unload_model(**wrong)


def test_unload_while_busy(treadle):
    only_ours(treadle, "nothing to cancel with")
    translator = treadle.Translator(PHONEMES, compute_type="float32", intra_threads=1, max_queued_batches=-1)
    pending = translator.translate_batch(MANY, asynchronous=True, **ENDLESS)
    translator.unload_model()
    assert translator.model_is_loaded is True
    for p in pending:
        p.cancel()
    for p in pending:
        with pytest.raises(Exception):
            p.result()
    translator.unload_model()
    assert translator.model_is_loaded is False


def test_results_outlive_unloading(translator, treadle):
    translator = treadle.Translator(PHONEMES, compute_type="float32")
    pending = translator.translate_batch([WORDS[0]], asynchronous=True, return_attention=True)[0]
    first = values(pending.result())
    unload(translator)
    assert values(pending.result()) == first


# ---- several devices

def test_one_device_twice(treadle):
    translator = treadle.Translator(PHONEMES, device_index=[0, 0], inter_threads=2, intra_threads=1, compute_type="float32")
    assert translator.device_index == [0, 0] and translator.num_translators == 4 and translator.device == "cpu"
    single = treadle.Translator(PHONEMES, intra_threads=1, compute_type="float32")
    expected = [r.hypotheses for r in single.translate_batch(WORDS)]
    pending = translator.translate_batch(WORDS * 8, asynchronous=True, max_batch_size=1)
    assert [p.result().hypotheses for p in pending] == expected * 8
    translator.unload_model()
    translator.load_model()
    assert [r.hypotheses for r in translator.translate_batch(WORDS)] == expected


def test_lists_of_devices(treadle):
    only_ours(treadle, "has no lists")
    translator = treadle.Translator(PHONEMES, device="cpu,cpu:0", intra_threads=1, compute_type={"cpu": "float32"})
    assert translator.num_translators == 2 and translator.device == "cpu,cpu:0" and translator.device_index == [0]
    assert translator.translate_batch([WORDS[0]])[0].hypotheses
    with pytest.raises(ValueError, match="list already"):
        treadle.Translator(PHONEMES, device="cpu,cpu", device_index=[0, 0])
    with pytest.raises(ValueError, match="float64"):
        treadle.Translator(PHONEMES, device="cpu,cpu", compute_type={"cpu": "float64"})
    with pytest.raises(ValueError):
        treadle.Translator(PHONEMES, device="cpu,no such device")
