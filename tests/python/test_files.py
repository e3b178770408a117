"""translate_file and score_file: contents, tokenizers, errors and their order. What both libraries write is compared in test_peer.py."""

import os
import threading

import pytest

from conftest import ROOT
from test_async import ENDLESS, WORDS, only_ours

PHONEMES = os.path.join(ROOT, "models", "g2p-en")
LINES = ["t r e a d l e", "", "l o o m\r", "  w  e  f  t ", "l a s t"]
SOURCES = [list("treadle"), [], list("loom"), list("weft"), list("last")]


@pytest.fixture(scope="module")
def translator(treadle):
    return treadle.Translator(PHONEMES, compute_type="float32", intra_threads=1)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


class Files:
    def __init__(self, folder):
        self.folder = folder
        self.source = self.write("source", LINES)
        self.output = str(folder / "output")

    def write(self, name, lines, end=""):
        path = self.folder / name
        path.write_bytes(("\n".join(lines) + end).encode())
        return str(path)

    def lines(self):
        with open(self.output, encoding="utf-8", newline="") as file:
            text = file.read()
        assert text == "" or text.endswith("\n")
        return text.split("\n")[:-1]

    def left(self):
        return set(os.listdir(self.folder))


def test_translate(treadle, translator, files):
    expected = translator.translate_batch(SOURCES)
    stats = translator.translate_file(files.source, files.output)
    assert files.lines() == [" ".join(r.hypotheses[0]) for r in expected]
    assert type(stats) is treadle.ExecutionStats
    assert stats.num_examples == 5 and stats.num_tokens == sum(len(r.hypotheses[0]) for r in expected)
    assert isinstance(stats.total_time_in_ms, float) and stats.total_time_in_ms > 0
    assert repr(stats) == "ExecutionStats(num_tokens=%d, num_examples=5, total_time_in_ms=%r)" % (stats.num_tokens, stats.total_time_in_ms)
    with pytest.raises(AttributeError):
        stats.num_tokens = 1
    with pytest.raises(TypeError):
        treadle.ExecutionStats()


@pytest.mark.parametrize("sizes", [dict(max_batch_size=1), dict(max_batch_size=2), dict(max_batch_size=2, read_batch_size=3),
                                   dict(max_batch_size=8, batch_type="tokens"), dict(max_batch_size=0, read_batch_size=2),
                                   dict(max_batch_size=5, read_batch_size=1, batch_type="tokens")])
def test_sizes_change_nothing(translator, files, sizes):
    source = files.write("many", LINES * 30)
    expected = [" ".join(r.hypotheses[0]) for r in translator.translate_batch(SOURCES)] * 30
    stats = translator.translate_file(source, files.output, **sizes)
    assert files.lines() == expected and stats.num_examples == 150


def test_scores_and_hypotheses(translator, files):
    expected = translator.translate_batch(SOURCES, num_hypotheses=2, return_scores=True)
    translator.translate_file(files.source, files.output, num_hypotheses=2, with_scores=True)
    lines = files.lines()
    assert len(lines) == 10
    for i, result in enumerate(expected):
        for h in range(2):
            score, text = lines[2 * i + h].split(" ||| ")
            assert text == " ".join(result.hypotheses[h]) and float(score) == pytest.approx(result.scores[h], rel=1e-4)
    assert lines[2] == "0 ||| "


def test_prefixes(translator, files):
    prefixes = files.write("prefixes", ["T R", "", "L UH1", "", "L", "one more"], "\n")
    expected = translator.translate_batch(SOURCES, [["T", "R"], [], ["L", "UH1"], [], ["L"]])
    translator.translate_file(files.source, files.output, prefixes)
    assert files.lines() == [" ".join(r.hypotheses[0]) for r in expected]


def test_tokenizers(translator, files):
    source, prefixes = files.write("words", ["treadle", "loom", "", "wéft"]), files.write("prefixes", ["t", "l", "", "w"])
    expected = translator.translate_batch([list("treadle"), list("loom"), [], list("wéft")], [["T"], ["L"], [], ["W"]])
    threads = []

    def split(line):
        threads.append(threading.get_ident())
        return list(line)
    translator.translate_file(source, files.output, prefixes, source_tokenize_fn=split, target_tokenize_fn=lambda line: tuple(line.upper()),
                              target_detokenize_fn="·".join)
    assert files.lines() == ["·".join(r.hypotheses[0]) for r in expected]
    assert set(threads) == {threading.get_ident()}
    assert translator.translate_file(files.source, files.output, target_tokenize_fn=list).num_examples == 5    # alone it is ignored


def test_which_tokenizers_are_needed(translator, files):
    call = lambda **functions: translator.translate_file(files.source, files.output, **functions)
    with pytest.raises(ValueError, match="target_detokenize_fn"):
        call(source_tokenize_fn=list)
    with pytest.raises(ValueError, match="source_tokenize_fn"):
        call(target_detokenize_fn="".join)
    with pytest.raises(ValueError, match="target_tokenize_fn"):
        call(target_path=files.source, source_tokenize_fn=list, target_detokenize_fn="".join)
    with pytest.raises(ValueError, match="target_tokenize_fn"):
        translator.score_file(files.source, files.source, files.output, source_tokenize_fn=list)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        call(source_tokenize_fn=5, target_detokenize_fn="".join)
    assert not os.path.exists(files.output)


@pytest.mark.parametrize("which", ["source_tokenize_fn", "target_tokenize_fn", "target_detokenize_fn"])
@pytest.mark.parametrize("kind", [KeyError, KeyboardInterrupt])
def test_exceptions_of_tokenizers(treadle, translator, files, which, kind):
    error, calls = kind("mine"), []

    def fail(value):
        calls.append(value)
        if len(calls) == 3:
            raise error
        return value.split() if isinstance(value, str) else " ".join(value)
    functions = dict(source_tokenize_fn=str.split, target_tokenize_fn=str.split, target_detokenize_fn=" ".join)
    functions[which] = fail
    source, before = files.write("many", LINES * 20), files.left()
    with pytest.raises(kind) as failure:
        translator.translate_file(source, files.output, source, **functions)
    assert failure.value is error and len(calls) == 3
    if treadle.__name__ != "ctranslate2":
        assert files.left() - {"many"} == before - {"many"}    # no output, nothing beside it
    assert translator.translate_file(files.source, files.output).num_examples == 5


@pytest.mark.parametrize("value", ["text", [1], None, [["a"]], 5, ["\ud800"]])
def test_what_a_tokenizer_returns(translator, files, value):
    with pytest.raises((RuntimeError, UnicodeError)):
        translator.translate_file(files.source, files.output, source_tokenize_fn=lambda line: value, target_detokenize_fn="".join)
    if not isinstance(value, str):
        with pytest.raises((RuntimeError, UnicodeError)):
            translator.translate_file(files.source, files.output, source_tokenize_fn=str.split, target_detokenize_fn=lambda tokens: value)


def test_score(translator, files):
    targets = [["T", "R", "IY1"], [], ["L", "UW1", "M"], ["W", "EH1", "F", "T"], ["L", "AE1", "S", "T"]]
    target = files.write("target", [" ".join(t) for t in targets] + ["one more"])
    expected = translator.score_batch(SOURCES, targets)
    stats = translator.score_file(files.source, target, files.output, with_tokens_score=True)
    assert stats.num_examples == 5 and stats.num_tokens == sum(len(r.log_probs) for r in expected)
    for line, result in zip(files.lines(), expected):
        mean, text, scores = line.split(" ||| ")
        assert text == " ".join(result.tokens)
        assert float(mean) == pytest.approx(sum(result.log_probs) / len(result.log_probs), rel=1e-4)
        assert [float(s) for s in scores.split()] == pytest.approx(result.log_probs, rel=1e-4)
    functions = dict(source_tokenize_fn=str.split, target_tokenize_fn=str.split, target_detokenize_fn="-".join)
    assert translator.score_file(files.source, target, files.output, offset=1, **functions).num_tokens == stats.num_tokens - 5
    assert [line.split(" ||| ")[1] for line in files.lines()] == ["-".join(r.tokens[1:]) for r in expected]


def test_files_that_do_not_fit(treadle, translator, files):
    short, nothing = files.write("short", ["T"], "\n"), str(files.folder / "nothing")
    translate, score = translator.translate_file, translator.score_file
    for call in (lambda: translate(files.source, files.output, short), lambda: score(files.source, short, files.output)):
        with pytest.raises(RuntimeError, match="has less examples"):
            call()
    for call in (lambda: translate(nothing, files.output), lambda: translate(files.source, files.output, nothing),
                 lambda: translate(files.source, files.output, ""), lambda: score(files.source, nothing, files.output),
                 lambda: translate(files.source, os.path.join(nothing, "output"))):
        with pytest.raises(RuntimeError):
            call()
    if treadle.__name__ != "ctranslate2":     # to which a folder is an empty file
        with pytest.raises(RuntimeError):
            translate(str(files.folder), files.output)
    empty = files.write("empty", [])
    assert (translate(empty, files.output).num_examples, files.lines()) == (0, [])
    assert (score(empty, empty, files.output).num_tokens, files.lines()) == (0, [])


def test_arguments(translator, files):
    translate = lambda *args, **options: translator.translate_file(files.source, files.output, *args, **options)
    for wrong in (dict(asynchronous=True), dict(return_scores=True), dict(callback=print), dict(return_attention=True), dict(max_batch_size=-1),
                  dict(read_batch_size=1.5), dict(beam_size="1"), dict(target_path=5), dict(end_token=1.5), dict(nonsense=1)):
        with pytest.raises(TypeError, match="incompatible function arguments"):
            translate(**wrong)
    with pytest.raises(TypeError):
        translate(None, 32)
    with pytest.raises(ValueError, match="batch type"):
        translate(batch_type="words")
    with pytest.raises(ValueError, match="max_batch_size"):
        translate(max_batch_size=0)
    with pytest.raises(ValueError, match="is greater than"):
        translate(min_decoding_length=10, max_decoding_length=5)
    with pytest.raises(ValueError, match="target_detokenize_fn"):
        translate(source_tokenize_fn=list, batch_type="words", max_batch_size=0)
    assert translate().num_examples == 5


def test_a_failed_run_leaves_the_output(treadle, translator, files):
    only_ours(treadle, "truncates it")
    with open(files.output, "w") as file:
        file.write("as before\n")
    before = files.left()
    for wrong in (dict(source_path="nothing"), dict(min_decoding_length=10, max_decoding_length=5),
                  dict(source_tokenize_fn=lambda line: {}[line], target_detokenize_fn="".join)):
        with pytest.raises((RuntimeError, ValueError, KeyError)):
            translator.translate_file(**dict(dict(source_path=files.source, output_path=files.output), **wrong))
        assert files.lines() == ["as before"] and files.left() == before


def test_text_that_is_no_utf8(translator, files):
    path = files.folder / "bytes"
    path.write_bytes(b"t \xff r\n")
    assert translator.translate_file(str(path), files.output).num_examples == 1
    with pytest.raises(UnicodeDecodeError):
        translator.translate_file(str(path), files.output, source_tokenize_fn=str.split, target_detokenize_fn="".join)


def test_files_of_many_threads(translator, files):
    expected = [" ".join(r.hypotheses[0]) for r in translator.translate_batch(SOURCES)] * 10
    source, wrong = files.write("many", LINES * 10), []

    def run(i):
        output = str(files.folder / ("output%d" % i))
        translator.translate_file(source, output, max_batch_size=2, source_tokenize_fn=str.split, target_detokenize_fn=" ".join)
        with open(output) as file:
            got = file.read().split("\n")[:-1]
        if got != expected:
            wrong.append(got)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_file_called_minus(translator, files, monkeypatch):
    monkeypatch.chdir(files.folder)
    assert translator.translate_file("source", "-").num_examples == 5
    assert len((files.folder / "-").read_text().splitlines()) == 5


def test_seeded_sampling_of_a_short_file(treadle, files):
    only_ours(treadle, "compared in test_peer.py")
    options = dict(beam_size=1, sampling_topk=0, max_decoding_length=8)
    treadle.set_random_seed(5)
    expected = treadle.Translator(PHONEMES, compute_type="float32").translate_batch(SOURCES, max_batch_size=32, **options)
    treadle.Translator(PHONEMES, compute_type="float32").translate_file(files.source, files.output, **options)
    assert files.lines() == [" ".join(r.hypotheses[0]) for r in expected]


def test_endless_lines_are_only_long(translator, files):
    """The options of decoding go through."""
    source = files.write("one", ["w e f t"])
    translator.translate_file(source, files.output, **dict(ENDLESS, max_decoding_length=40))
    assert len(files.lines()[0].split()) == 40
    assert translator.translate_batch([WORDS[0]])[0].hypotheses
