"""The Python interface: argument types, the order of checks, what errors say, properties, models in memory, threads."""

import gc
import io
import os
import shutil
import threading

import numpy as np
import pytest

from conftest import ROOT

PHONEMES = os.path.join(ROOT, "models", "g2p-en")
WORD = list("treadle")


@pytest.fixture(scope="module")
def translator(treadle):
    return treadle.Translator(PHONEMES, compute_type="float32")


def is_original(treadle):
    return treadle.__name__ == "ctranslate2"


class Indexable:
    def __init__(self, items):
        self.items = items

    def __len__(self):
        return len(self.items)

    def __getitem__(self, i):
        return self.items[i]


# ---- opening

def test_invalid_model_path(treadle, tmp_path):
    with pytest.raises(RuntimeError, match="open file"):
        treadle.Translator("no-such-directory")
    with pytest.raises(RuntimeError, match="open file"):
        treadle.Translator(str(tmp_path))


def test_truncated_model(treadle, tmp_path):
    shutil.copytree(PHONEMES, tmp_path / "model")
    path = tmp_path / "model" / "model.bin"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RuntimeError):
        treadle.Translator(str(tmp_path / "model"))


def test_unicode_path(treadle, tmp_path):
    shutil.copytree(PHONEMES, tmp_path / "modèle-日本")
    assert treadle.Translator(str(tmp_path / "modèle-日本")).translate_batch([WORD])[0].hypotheses


def test_invalid_model_type(treadle, shared):
    with pytest.raises(RuntimeError, match="cannot be used"):
        treadle.Translator(shared("smollm2-135m-int8"))


def test_contains_model(treadle, tmp_path):
    assert treadle.contains_model(PHONEMES)
    assert not treadle.contains_model(str(tmp_path))
    (tmp_path / "model.bin").write_bytes(b"")
    assert treadle.contains_model(str(tmp_path))
    assert not treadle.contains_model(str(tmp_path / "nowhere"))


def test_invalid_devices(treadle):
    for index in ([], [0, 1], 1, -1):
        with pytest.raises(ValueError, match="device index"):
            treadle.Translator(PHONEMES, device_index=index)
    for device in ("cuda", "xxx"):
        with pytest.raises((ValueError, RuntimeError) if is_original(treadle) else ValueError):
            treadle.Translator(PHONEMES, device=device)


@pytest.mark.parametrize("device", ["cpu", "CPU", "auto", "AUTO"])
def test_devices(treadle, device):
    translator = treadle.Translator(PHONEMES, device)
    assert translator.device == "cpu"


def test_device_names_and_indices(treadle):
    if is_original(treadle):
        pytest.skip("the original has no OpenCL")
    for device, index, says in [("opencl", 99, "opencl:99"), ("OpenCL", 99, "opencl:99"), ("gpu", 98, "gpu:98"), ("opencl:97", 0, "opencl:97"),
                                ("opencl:97", 1, "names its device already"), ("no such device", 0, "no such device"),
                                ("no such device", 2, "names its device already"), ("opencl", -1, "opencl:-1")]:
        with pytest.raises(ValueError, match="(?i)" + says):
            treadle.Translator(PHONEMES, device=device, device_index=index)
        if index >= 0:
            with pytest.raises(ValueError):
                treadle.get_supported_compute_types(device, index)
    for device, indices, says in [("opencl", [0, 99], "opencl:"), ("gpu", [98, 0], "gpu:98"), ("cpu:0", [0, 1], "names its device already"), ("cpu", [0, 1], "index: 1"),
                                  ("no such device", [0, 1], "names its device already"), ("cpu,cpu", [0, 0], "list already")]:
        with pytest.raises(ValueError, match="(?i)" + says):
            treadle.Translator(PHONEMES, device=device, device_index=indices)
    assert treadle.get_supported_compute_types("cpu:0") == treadle.get_supported_compute_types("CPU")


def test_numerics(treadle):
    if is_original(treadle):
        pytest.skip("an argument of ours")
    for numerics in ("auto", "reproducible", "fast"):
        assert treadle.Translator(PHONEMES, numerics=numerics).translate_batch([WORD])[0].hypotheses
    for wrong in ("", "AUTO", "exact"):
        with pytest.raises(ValueError, match="numerics is '%s'" % wrong):
            treadle.Translator(PHONEMES, numerics=wrong)
    with pytest.raises(TypeError, match="numerics"):
        treadle.Translator(PHONEMES, numerics=1)


def test_cuda_devices_are_counted(treadle):
    count = treadle.get_cuda_device_count()
    assert isinstance(count, int) and count >= 0
    if count == 0:
        with pytest.raises(ValueError):
            treadle.Translator(PHONEMES, device="cuda")


def test_tensor_parallel_is_nothing_on_a_cpu(treadle):
    if is_original(treadle):
        pytest.skip("a build with CUDA refuses it")
    parallel, plain = (treadle.Translator(PHONEMES, tensor_parallel=on) for on in (True, False))
    assert parallel.translate_batch([WORD])[0].hypotheses == plain.translate_batch([WORD])[0].hypotheses


def test_compute_types(treadle):
    with pytest.raises(ValueError, match="compute type"):
        treadle.Translator(PHONEMES, compute_type="float64")
    with pytest.raises(TypeError, match="incompatible constructor arguments"):
        treadle.Translator(PHONEMES, compute_type=["int8"])
    assert "float32" in treadle.get_supported_compute_types("cpu")
    with pytest.raises(ValueError):
        treadle.get_supported_compute_types("abacus")
    for name in ("float16", "bfloat16"):
        if name not in treadle.get_supported_compute_types("cpu"):
            with pytest.raises(ValueError, match="compute type"):
                treadle.Translator(PHONEMES, compute_type=name)
    for kind in ("float32", "float", {"cuda": "float16", "cpu": "float32"}):
        assert treadle.Translator(PHONEMES, compute_type=kind).compute_type == "float32"
    supported = treadle.get_supported_compute_types("cpu")
    assert treadle.Translator(PHONEMES, compute_type="default").compute_type in supported
    assert treadle.Translator(PHONEMES, compute_type="auto").compute_type in supported


def test_compute_type_by_resolved_device(treadle):
    """With device="auto" a dict is also read by the device that was found (the original ignores it)."""
    if is_original(treadle):
        pytest.skip("the original ignores the dict")
    with pytest.raises(ValueError, match="compute type"):
        treadle.Translator(PHONEMES, device="auto", compute_type={"cpu": "float64", "cuda": "float64", "opencl": "float64"})
    for device, name in [("cpu:0", "cpu:0"), ("cpu:0", "cpu"), ("cpu", "cpu:0"), ("CPU", "cpu")]:
        with pytest.raises(ValueError, match="float64"):
            treadle.Translator(PHONEMES, device=device, compute_type={name: "float64", "cuda:0": "float32"})
    with pytest.raises(ValueError, match="float64"):
        treadle.Translator(PHONEMES, device="cpu:0", compute_type={"cpu": "float32", "cpu:0": "float64"})
    assert treadle.Translator(PHONEMES, device="cpu", compute_type={"cpu:1": "float64"}).compute_type == "float32"
    try:
        treadle.get_supported_compute_types("opencl")
    except ValueError:
        return
    for device, name in [("opencl:0", "opencl:0"), ("opencl", "opencl:0"), ("opencl:0", "opencl")]:
        with pytest.raises(ValueError, match="float64"):
            treadle.Translator(PHONEMES, device=device, compute_type={name: "float64"})


@pytest.mark.parametrize("arguments", [
    dict(inter_threads=-1), dict(inter_threads="1"), dict(inter_threads=1.0), dict(intra_threads=-1), dict(device=0),
    dict(device_index="0"), dict(nonsense=1), dict(max_queued_batches=0.5), dict(compute_type=None)])
def test_constructor_argument_types(treadle, arguments):
    with pytest.raises(TypeError, match="incompatible constructor arguments"):
        treadle.Translator(PHONEMES, **arguments)


def test_constructor_positions(treadle):
    with pytest.raises(TypeError, match="incompatible constructor arguments"):
        treadle.Translator(PHONEMES, "cpu", 0)
    with pytest.raises(TypeError, match="incompatible constructor arguments"):
        treadle.Translator()


def test_no_workers(treadle):
    if is_original(treadle):
        pytest.skip("the original makes an object that hangs")
    with pytest.raises(ValueError):
        treadle.Translator(PHONEMES, inter_threads=0)


def test_flash_attention_needs_half(treadle):
    with pytest.raises((RuntimeError, ValueError)):
        treadle.Translator(PHONEMES, compute_type="float32", flash_attention=True)


def test_properties(treadle):
    translator = treadle.Translator(PHONEMES, inter_threads=2, compute_type="float32")
    assert translator.model_is_loaded is True
    assert translator.device == "cpu" and translator.device_index == [0]
    assert translator.compute_type == "float32" and translator.num_translators == 2
    assert translator.num_queued_batches == 0 and translator.num_active_batches == 0
    assert translator.tensor_parallel is False
    with pytest.raises(AttributeError):
        translator.device = "cuda"
    assert isinstance(treadle.__version__, str) and treadle.__version__.count(".") == 2


# ---- models in memory

def files_of(kind):
    out = {}
    for name in ("model.bin", "config.json", "source_vocabulary.json", "target_vocabulary.json"):
        with open(os.path.join(PHONEMES, name), "rb") as file:
            data = file.read()
        out[name] = data if kind is bytes else io.BytesIO(data)
    return out


@pytest.mark.parametrize("kind", [bytes, io.BytesIO])
def test_model_in_memory(treadle, translator, kind):
    files = files_of(kind)
    in_memory = treadle.Translator("a name", files=files, compute_type="float32")
    if kind is io.BytesIO:
        for file in files.values():
            file.close()
    del files
    gc.collect()
    assert in_memory.translate_batch([WORD])[0].hypotheses == translator.translate_batch([WORD])[0].hypotheses


def test_files_argument(treadle):
    for wrong in ([1], "model.bin", {"model.bin": 5}, {"model.bin": "text"}):
        with pytest.raises(TypeError):
            treadle.Translator("a name", files=wrong)
    files = files_of(bytes)
    del files["model.bin"]
    with pytest.raises(RuntimeError):
        treadle.Translator("a name", files=files)


# ---- arguments of the calls

@pytest.mark.parametrize("arguments", [
    dict(beam_size=-1), dict(beam_size=1.0), dict(beam_size="2"), dict(beam_size=None), dict(num_hypotheses=-2),
    dict(max_decoding_length=-1), dict(min_decoding_length=-1), dict(max_input_length=-5), dict(no_repeat_ngram_size=-1),
    dict(length_penalty="1"), dict(patience=None), dict(sampling_topk=-1), dict(sampling_temperature="hot"),
    dict(batch_type=1), dict(max_batch_size=-1), dict(target_prefix="abc"), dict(target_prefix=[["a", 1]]),
    dict(target_prefix=["ab"]), dict(suppress_sequences=["ab"]), dict(suppress_sequences=[[1]]), dict(end_token=1.5),
    dict(end_token=[1.5]), dict(end_token=["a", 1]), dict(callback=5), dict(unknown_option=True)])
def test_argument_types(translator, arguments):
    with pytest.raises(TypeError, match="incompatible function arguments"):
        translator.translate_batch([WORD], **arguments)
    with pytest.raises(TypeError):  # types come before anything else
        translator.translate_batch([], **arguments)


@pytest.mark.parametrize("source", ["abc", [["a", 1]], ["abc"], [None], None, 5, (["a"] for _ in range(2)), {"a": 1},
                                    [(c for c in "ab")], [["\ud800"]]])
def test_source_types(translator, source):
    with pytest.raises(TypeError):
        translator.translate_batch(source)


def test_positional_options(translator):
    with pytest.raises(TypeError):
        translator.translate_batch([WORD], None, 0)
    with pytest.raises(TypeError):
        translator.score_batch([WORD])


def test_accepted_types(translator):
    expected = translator.translate_batch([WORD], beam_size=1)[0].hypotheses
    for source in ([tuple(WORD)], (WORD,), [[c.encode() for c in WORD]], Indexable([Indexable(WORD)])):
        assert translator.translate_batch(source, beam_size=np.int32(1))[0].hypotheses == expected
    assert translator.translate_batch([WORD], [None], beam_size=True, length_penalty=1)[0].hypotheses == expected
    assert translator.translate_batch([WORD], [], beam_size=1, return_scores=0)[0].scores == []
    assert translator.translate_batch([WORD], beam_size=1, end_token="")[0].hypotheses == expected
    assert translator.translate_batch([WORD], beam_size=1, length_penalty=np.float32(1))[0].hypotheses == expected


INVALID = [
    dict(beam_size=0), dict(patience=0), dict(num_hypotheses=0), dict(num_hypotheses=3), dict(max_decoding_length=0),
    dict(repetition_penalty=0), dict(prefix_bias_beta=1), dict(prefix_bias_beta=0.5, return_alternatives=True),
    dict(return_alternatives=True, min_alternative_expansion_prob=1.5), dict(callback=print),
    dict(callback=print, beam_size=1, prefix_bias_beta=0.5), dict(sampling_topp=0), dict(sampling_topp=1.5),
    dict(end_token="no such token"), dict(suppress_sequences=[["no such token"]]), dict(sampling_topk=100000, beam_size=1),
    dict(min_decoding_length=10, max_decoding_length=5)]


@pytest.mark.parametrize("arguments", INVALID)
def test_invalid_options(translator, arguments):
    with pytest.raises(ValueError):
        translator.translate_batch([WORD], [["T"]], **arguments)
    assert translator.translate_batch([], **arguments) == []          # emptiness is tested first
    assert len(translator.translate_batch([[]], **arguments)) == 1    # and empty sources are never validated
    assert translator.translate_batch([WORD])[0].hypotheses[0]        # and the object still works


def test_texts_of_errors(translator):
    with pytest.raises(ValueError, match="is greater than") as failure:
        translator.translate_batch([WORD], min_decoding_length=10, max_decoding_length=5)
    assert "decoding length" in str(failure.value)


def test_order_of_checks(translator):
    with pytest.raises(ValueError, match="batch type"):
        translator.translate_batch([WORD, WORD], [["T"]], batch_type="words", beam_size=0)
    with pytest.raises(RuntimeError):
        translator.translate_batch([WORD, WORD], [["T"]], beam_size=0)
    assert translator.translate_batch([], batch_type="words") == []
    with pytest.raises(ValueError, match="batch type"):
        translator.score_batch([], [], batch_type="words")


def test_pairing(treadle, translator):
    longer = translator.translate_batch([WORD], [["T"], ["S"]])
    assert len(longer) == 1 and longer[0].hypotheses[0][0] == "T"
    with pytest.raises(RuntimeError):
        translator.score_batch([WORD, WORD], [["T"]])
    assert len(translator.score_batch([WORD], [["T"], ["S"]])) == 1
    if not is_original(treadle):  # which crashes
        for source, target in (([WORD], []), ([], [["T"]])):
            with pytest.raises(ValueError):
                translator.score_batch(source, target)


def test_score_arguments(treadle, translator):
    for arguments in (dict(offset=0.5), dict(max_input_length=-1), dict(target=[["a", 1]]), dict(nonsense=1)):
        with pytest.raises(TypeError, match="incompatible function arguments"):
            translator.score_batch(**dict(dict(source=[WORD], target=[["T"]]), **arguments))
    if not is_original(treadle):  # which returns garbage
        with pytest.raises(ValueError):
            translator.score_batch([WORD], [["T"]], offset=-1)
    assert translator.score_batch([WORD], [["T"]], offset=5)[0].tokens == []


def test_beam_sampling_with_few_candidates(treadle, translator):
    """topk below twice the beam: either refused or raised, never out of bounds (the original crashes)."""
    if is_original(treadle):
        pytest.skip("the original crashes")
    try:
        result = translator.translate_batch([WORD], beam_size=4, sampling_topk=2)[0]
    except ValueError:
        return
    assert result.hypotheses[0]


def test_random_seed_types(treadle):
    for seed in (-1, 1.5, "1", 2 ** 40):
        with pytest.raises(TypeError):
            treadle.set_random_seed(seed)


def test_seeds(treadle):
    def draws(count):
        translator = treadle.Translator(PHONEMES, compute_type="float32")
        options = dict(beam_size=1, sampling_topk=0, sampling_temperature=3.0, num_hypotheses=3)
        return [translator.translate_batch([WORD], **options)[0].hypotheses for _ in range(count)]
    treadle.set_random_seed(11)
    first = draws(3)
    assert first == draws(3), "an equal seed gives equal draws"
    assert first[0] != first[1] != first[2], "the calls of one object differ"
    treadle.set_random_seed(12)
    assert draws(1)[0] != first[0]
    treadle.set_random_seed(0xFFFFFFFF)  # "not set"
    assert draws(2) != draws(2)


# ---- callbacks

def test_callback_exception(translator):
    seen = []

    class Stop(KeyError):
        pass

    def callback(step):
        seen.append(step)
        if len(seen) == 3:
            raise Stop("enough")

    with pytest.raises(Stop, match="enough"):
        translator.translate_batch([WORD], beam_size=1, callback=callback)
    assert len(seen) == 3
    assert translator.translate_batch([WORD], beam_size=1)[0].hypotheses[0]


def test_callback_stops_its_row(translator):
    words = [list("weaving"), list("loom"), list("thread")]
    whole = translator.translate_batch(words, beam_size=1)
    cut = translator.translate_batch(words, beam_size=1, callback=lambda step: step.batch_id == 2 and step.step == 1)
    assert [r.hypotheses for r in cut[:2]] == [r.hypotheses for r in whole[:2]]
    assert cut[2].hypotheses[0] == whole[2].hypotheses[0][:2]


def test_callback_steps(treadle, translator):
    steps = []
    result = translator.translate_batch([WORD], [["T"]], beam_size=1, callback=steps.append, return_scores=True,
                                        return_logits_vocab=True, return_end_token=True)[0]
    assert [s.token for s in steps] == result.hypotheses[0]
    assert [s.step for s in steps] == list(range(len(steps)))
    assert [s.is_last for s in steps] == [False] * (len(steps) - 1) + [True]
    assert steps[0].log_prob == 0 and all(s.log_prob < 0 for s in steps[1:])
    assert sum(s.log_prob for s in steps) / len(steps) == pytest.approx(result.scores[0], abs=1e-5)
    if not is_original(treadle):
        for step, logits in zip(steps, result.logits[0]):
            assert np.array_equal(step.logits, logits)


def test_callback_hypothesis_ids(translator):
    ids = set()
    translator.translate_batch([WORD], beam_size=1, sampling_topk=20, num_hypotheses=3,
                               callback=lambda s: ids.add((s.batch_id, s.hypothesis_id)))
    assert ids == {(0, 0), (0, 1), (0, 2)}


def test_callback_batch_ids(translator):
    prefixes, seen = [["T"], ["S"], ["K"]], {}

    def callback(step):
        seen[step.batch_id] = step.token
        return True
    translator.translate_batch([["a"], ["a"] * 2, ["a"] * 3], prefixes, beam_size=1, max_batch_size=2, callback=callback)
    assert seen == {0: "T", 1: "S", 2: "K"}


# ---- threads, life time, what is not there

def test_threads(translator):
    words = [list(w) for w in ("loom", "weaving", "shuttle", "warp", "weft", "heddle")]
    expected = [translator.translate_batch([w], return_scores=True)[0].hypotheses for w in words]
    wrong = []

    def run():
        for _ in range(5):
            got = [r.hypotheses for r in translator.translate_batch(words, return_scores=True)]
            if got != expected:
                wrong.append(got)
    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_interpreter_runs_during_a_call(translator):
    """The GIL is released: a second thread makes progress while a long call runs."""
    done, ticks = threading.Event(), []

    def tick():
        while not done.is_set():
            ticks.append(1)
            done.wait(0.001)
    thread = threading.Thread(target=tick)
    thread.start()
    before = len(ticks)
    translator.translate_batch([WORD * 3] * 200, beam_size=5)
    after = len(ticks)
    done.set()
    thread.join()
    assert after > before + 2


def test_results_outlive_the_translator(treadle):
    translator = treadle.Translator(PHONEMES)
    result = translator.translate_batch([WORD], return_scores=True, return_attention=True)[0]
    del translator
    gc.collect()
    assert result.hypotheses[0] and result.attention[0]


def test_what_an_end_token_may_be(treadle, translator):
    if is_original(treadle):
        pytest.skip("the original prints its signature")
    with pytest.raises(TypeError, match="end_token must be a str or a list of str or int, not int"):
        translator.translate_batch([WORD], end_token=500)


def test_what_is_missing_says_so(treadle):
    if is_original(treadle):
        pytest.skip("the original has it")
    for call, name in ((lambda: treadle.Generator(PHONEMES), "Generator"), (lambda: treadle.Encoder(PHONEMES), "Encoder"),
                       (lambda: treadle.StorageView((1,)), "StorageView"),
                       (lambda: treadle.models.Whisper(PHONEMES), "treadle.models.Whisper "),
                       (lambda: treadle.models.Wav2Vec2(PHONEMES), "treadle.models.Wav2Vec2 "),
                       (lambda: treadle.models.Wav2Vec2Bert(PHONEMES), "treadle.models.Wav2Vec2Bert ")):
        with pytest.raises(NotImplementedError, match=name):
            call()
