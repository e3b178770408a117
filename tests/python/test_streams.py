"""Iterables and token streams: how calls are cut into batches and chunks, laziness, errors, what leaving early does."""

import asyncio
import os
import time

import pytest

from conftest import ROOT
from test_async import ENDLESS, MANY, WORDS, only_ours, values

PHONEMES = os.path.join(ROOT, "models", "g2p-en")
WORD = WORDS[0]
SPELLED = [w for w in WORDS if w]


@pytest.fixture(scope="module")
def translator(treadle):
    return treadle.Translator(PHONEMES, compute_type="float32", intra_threads=1)


def until_idle(translator):
    """Cancelled work ends within a step; without cancelling the test would take very long and the runner would end it."""
    while translator.num_active_batches:
        time.sleep(0.001)


# ---- how calls and iterables are cut

@pytest.mark.parametrize("lengths, size, by_tokens, batches", [
    ([2, 3, 1, 0, 4, 5], 2, False, [[5, 4], [1, 0], [2, 3]]), ([4, 5, 1, 3, 2], 6, True, [[1], [0], [3, 4], [2]]),
    ([5, 2, 1], 8, True, [[0], [1, 2]]), ([1, 2, 2, 1], 0, True, [[1, 2, 0, 3]]), ([9], 2, True, [[0]]), ([0, 0, 0], 1, True, [[0, 1, 2]])])
def test_batches_of_a_call(treadle, lengths, size, by_tokens, batches):
    only_ours(treadle, "not visible")
    assert treadle._calls.rebatch(lengths, size, by_tokens) == batches


@pytest.mark.parametrize("lengths, size, kind, sizes", [
    ([2, 3, 4, 1, 1], 2, "examples", [2, 2, 1]), ([2, 3, 1, 4, 1, 2], 6, "tokens", [2, 1, 1, 2]), ([], 3, "words", []),
    ([1] * 5, 1, "examples", [1] * 5), ([7], 2, "tokens", [1])])
def test_chunks_of_an_iterable(treadle, lengths, size, kind, sizes):
    only_ours(treadle, "not visible")
    rows = [(["a"] * n, i) for i, n in enumerate(lengths)]
    chunks = list(treadle._streams.chunks(iter(rows), size, kind))
    assert [len(source) for source, _ in chunks] == sizes
    assert [i for _, numbers in chunks for i in numbers] == list(range(len(lengths)))


# ---- iterables

@pytest.mark.parametrize("size, kind", [(1, "examples"), (2, "examples"), (32, "examples"), (3, "tokens"), (100, "tokens")])
def test_translate_iterable(translator, size, kind):
    words = [w + ["s"] * (i % 4) for i in range(12) for w in WORDS]
    expected = translator.translate_batch(words, return_scores=True)
    results = translator.translate_iterable(iter(words), max_batch_size=size, batch_type=kind, return_scores=True)
    assert type(results).__name__ == "generator"
    results = list(results)
    assert [r.hypotheses for r in results] == [r.hypotheses for r in expected]
    for r, e in zip(results, expected):
        assert r.scores == pytest.approx(e.scores, abs=1e-4)


def test_translate_iterable_with_prefixes(translator):
    prefixes = [["T"], [], ["W"], ["SH"]]
    expected = [r.hypotheses for r in translator.translate_batch(WORDS[:4], prefixes)]
    assert [r.hypotheses for r in translator.translate_iterable(iter(WORDS[:4]), iter(prefixes))] == expected
    for shorter in ((WORDS[:4], prefixes[:2]), (WORDS[:2], prefixes), (WORDS[:2], [["T"], None]), (WORDS[:2], [])):
        with pytest.raises(ValueError, match="length"):
            list(translator.translate_iterable(*map(iter, shorter)))


def test_score_iterable(translator):
    targets = [["T"], ["L", "UW1"], [], ["SH"]]
    expected = [values(r) for r in translator.score_batch(WORDS[:4], targets)]
    got = translator.score_iterable(iter(WORDS[:4]), iter(targets), max_batch_size=1)
    assert type(got).__name__ == "generator"
    for r, e in zip(got, expected):
        assert r.tokens == e["tokens"] and r.log_probs == pytest.approx(e["log_probs"], abs=1e-4)
    assert len(list(translator.score_iterable(WORDS[:4], targets))) == 4
    with pytest.raises(ValueError, match="length"):
        list(translator.score_iterable(WORDS[:4], targets[:3]))


def test_iterables_are_lazy(translator):
    for wrong in (lambda: translator.translate_iterable(5), lambda: translator.translate_iterable([WORD], max_batch_size=0),
                  lambda: translator.translate_iterable([WORD], nonsense=1), lambda: translator.score_iterable([WORD], [["T"]], offset="1"),
                  lambda: translator.translate_iterable([WORD], batch_type="words"), lambda: translator.generate_tokens("abc"),
                  lambda: translator.generate_tokens(None), lambda: translator.translate_iterable([WORD, None])):
        generator = wrong()
        with pytest.raises((TypeError, ValueError)):
            list(generator)
    for wrong in (lambda: translator.translate_iterable(), lambda: translator.score_iterable([WORD]),
                  lambda: translator.generate_tokens(WORD, beam_size=2)):
        with pytest.raises(TypeError):
            wrong()
    for size in (0, -1):
        with pytest.raises(ValueError, match="max_batch_size"):
            next(translator.translate_iterable([], max_batch_size=size))


def test_empty_iterables(translator):
    for empty in (translator.translate_iterable([]), translator.translate_iterable(iter([]), iter([])), translator.score_iterable([], []),
                  translator.translate_iterable([], batch_type="words")):
        with pytest.raises(StopIteration):
            next(empty)


def test_an_iterable_is_read_as_results_are_taken(treadle, translator):
    taken = []

    def source():
        for i in range(10000):
            taken.append(i)
            yield WORD
    results = translator.translate_iterable(source(), max_batch_size=2)
    next(results)
    assert 32 <= len(taken) < 10000
    results.close()
    assert len(taken) < 10000


def test_an_iterable_that_raises(treadle, translator):
    def source():
        yield WORD
        raise KeyError("mine")
    with pytest.raises(KeyError, match="mine"):
        list(translator.translate_iterable(source(), max_batch_size=1))
    assert translator.translate_batch([WORD])[0].hypotheses


def test_wrong_options_of_iterables(translator):
    with pytest.raises(ValueError, match="is greater than"):
        next(translator.translate_iterable([WORD], min_decoding_length=10, max_decoding_length=5))
    assert len(list(translator.translate_iterable([WORD], asynchronous=False))) == 1     # which is overridden


def test_leaving_an_iterable_cancels(treadle):
    only_ours(treadle, "works on")
    translator = treadle.Translator(PHONEMES, compute_type="float32", intra_threads=1, max_queued_batches=-1)
    results = translator.translate_iterable(MANY, max_batch_size=200, callback=lambda step: step.batch_id == 0, **ENDLESS)
    assert len(next(results).hypotheses[0]) == 1
    assert translator.num_active_batches > 0
    results.close()
    until_idle(translator)
    assert translator.translate_batch([WORD])[0].hypotheses


# ---- token streams

@pytest.mark.parametrize("log_prob", [False, True])
def test_generate_tokens(translator, log_prob):
    expected = translator.translate_batch([WORD], beam_size=1, return_scores=True)[0]
    stream = translator.generate_tokens(WORD, return_log_prob=log_prob)
    assert type(stream).__name__ == "generator"
    steps = list(stream)
    assert [s.token for s in steps] == expected.hypotheses[0] + ["</s>"]
    assert [s.step for s in steps] == list(range(len(steps))) and [s.is_last for s in steps] == [False] * (len(steps) - 1) + [True]
    assert {(s.batch_id, s.hypothesis_id) for s in steps} == {(0, 0)}
    if log_prob:
        assert sum(s.log_prob for s in steps) / len(steps) == pytest.approx(expected.scores[0], abs=1e-5)
    else:
        assert all(s.log_prob is None for s in steps)


def test_generate_tokens_options(translator):
    steps = list(translator.generate_tokens(WORD, ["S", "T"], max_decoding_length=4))
    assert [s.token for s in steps][:2] == ["S", "T"] and len(steps) == 4 and steps[-1].is_last
    assert list(translator.generate_tokens([])) == [] and list(translator.generate_tokens([], ["T"])) == []
    assert len(list(translator.generate_tokens(WORD, end_token=[], max_decoding_length=50))) == 50
    sampled = [s.token for s in translator.generate_tokens(WORD, sampling_topk=5, sampling_temperature=3, max_decoding_length=6)]
    assert 1 <= len(sampled) <= 6


def test_errors_of_a_stream(translator):
    with pytest.raises(ValueError, match="decoding length"):
        list(translator.generate_tokens(WORD, min_decoding_length=2, max_decoding_length=1))
    with pytest.raises(TypeError, match="incompatible function arguments"):
        next(translator.generate_tokens([WORD]))
    assert list(translator.generate_tokens(WORD))


def test_leaving_a_stream_ends_it(treadle, translator):
    only_ours(treadle, "runs to the limit of positions")
    for _ in range(3):
        stream = translator.generate_tokens(WORD, end_token=[], max_decoding_length=500)
        first = next(stream)
        assert first.step == 0
        stream.close()
        assert translator.num_active_batches == 0
    stream = translator.generate_tokens(WORD, end_token=[], max_decoding_length=500)
    next(stream)
    del stream
    assert translator.num_active_batches == 0


def test_streams_side_by_side(translator):
    expected = [[s.token for s in translator.generate_tokens(w)] for w in SPELLED]
    streams = [translator.generate_tokens(w) for w in SPELLED]
    got = [[] for _ in streams]
    going = set(range(len(streams)))
    while going:
        for i in sorted(going):
            step = next(streams[i], None)
            if step is None:
                going.discard(i)
            else:
                got[i].append(step.token)
    assert got == expected


# ---- asyncio (the original has this for generators only)

def test_async_generate_tokens(treadle, translator):
    only_ours(treadle, "generators only")
    expected = [[s.token for s in translator.generate_tokens(w)] for w in SPELLED]

    async def tokens(word):
        return [s.token async for s in translator.async_generate_tokens(word)]

    async def everything():
        return await asyncio.gather(*(tokens(w) for w in SPELLED))
    assert asyncio.run(everything()) == expected


def test_async_streams_leave_the_loop_alone(treadle, translator):
    only_ours(treadle, "generators only")

    async def main():
        turns = 0

        async def turn():
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)
        task = asyncio.ensure_future(turn())
        steps = [s async for s in translator.async_generate_tokens(WORD, end_token=[], max_decoding_length=300)]
        task.cancel()
        return len(steps), turns
    n_steps, turns = asyncio.run(main())
    assert n_steps == 300 and turns > 1


def test_errors_and_ends_of_async_streams(treadle, translator):
    only_ours(treadle, "generators only")

    async def wrong():
        async for _ in translator.async_generate_tokens(WORD, min_decoding_length=2, max_decoding_length=1):
            pass

    async def leave():
        async for step in translator.async_generate_tokens(WORD, end_token=[], max_decoding_length=500):
            return step.step

    async def cancelled():
        seen = asyncio.Event()

        async def run():
            async for _ in translator.async_generate_tokens(WORD, end_token=[], max_decoding_length=500):
                seen.set()
        task = asyncio.ensure_future(run())
        await seen.wait()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return True
    with pytest.raises(ValueError, match="decoding length"):
        asyncio.run(wrong())
    assert asyncio.run(leave()) == 0
    assert asyncio.run(cancelled())
    until_idle(translator)
    assert translator.translate_batch([WORD])[0].hypotheses
