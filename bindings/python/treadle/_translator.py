"""Translator: the class of the original with the same name, over trd_translator.h."""

from __future__ import annotations

import re
from typing import Any, AsyncIterator, Callable, Dict, Iterable, Iterator, List, Literal, Mapping, Optional, Sequence, Union, overload

from . import _arguments as arguments
from ._arguments import ArgumentError, signature_checked
from ._calls import (AsyncScoringResult, AsyncTranslationResult, Call, Callback, live_calls, rebatch)
from ._decoding import Decoding
from ._devices import resolved_kind
from ._ends import destroy_translator
from ._files import DetokenizeFn, FileRun, TokenizeFn
from ._library import Sequences, Token, check, ffi, lib, text
from ._results import (ExecutionStats, GenerationStepResult, ScoringResult, TranslationResult, scoring_result,
                       translation_result)
from ._sampling import Seeds
from ._streams import TokenStream, process_iterables, stream_tokens, stream_tokens_async


EndToken = Union[Token, Sequence[Token], Sequence[int], None]


def contains_model(path: str) -> bool:
    """Does a directory hold a file model.bin that can be opened? Its content is not looked at."""
    return lib.trd_model_exists(arguments.utf8(path, "path"))


def _read_files(files: Any) -> Optional[Dict[bytes, bytes]]:
    """The argument `files` with every file-like value read."""
    if files is None:
        return None
    if not isinstance(files, dict):
        raise TypeError("files must be a dict of names to bytes or file-like objects, not %s" % type(files).__name__)
    out = {}
    for name, value in files.items():
        data = value.read() if hasattr(value, "read") else value
        if not isinstance(data, bytes):
            raise TypeError("files[%r] must be bytes or a file-like object that reads bytes, not %s" %
                            (name, type(data).__name__))
        out[arguments.utf8(name, "a name in files")] = data
    return out


def _open_model(path: bytes, files: Optional[Dict[bytes, bytes]]) -> Any:
    out = ffi.new("trd_model **")
    if files is None:
        check(lib.trd_model_open(path, out))
        return ffi.gc(out[0], lib.trd_model_close)
    names = [ffi.new("char[]", name) for name in files]
    array = ffi.new("trd_file[]", len(files) or 1)
    for i, data in enumerate(files.values()):
        array[i].name, array[i].data, array[i].bytes = names[i], ffi.from_buffer(data), len(data)
    check(lib.trd_model_open_files(path, array, len(files), out))
    return ffi.gc(out[0], lib.trd_model_close)


def _device_indices(value: Any, device: str) -> List[int]:
    if isinstance(value, (list, tuple)):
        indices = [arguments.integer(i, "device_index", -2**31, 2**31 - 1) for i in value]
    else:
        indices = [arguments.integer(value, "device_index", -2**31, 2**31 - 1)]
    return indices


def _device_list(device: str, indices: List[int]) -> str:
    """The devices of a name and its indices, as the library names them: "opencl" and [1, 0] are "opencl:1,opencl:0"."""
    if not indices:
        raise ValueError("At least one device index is required")
    if "," in device:
        names = [name.strip() for name in device.split(",")]
        if indices != [0]:
            raise ValueError("device %r is a list already: device_index must be 0, not %s" % (device, indices))
        return ",".join(names)
    if resolved_kind(device) == "cpu":
        for index in indices:
            if index != 0:
                raise ValueError("Invalid CPU device index: %d (only 0 exists)" % index)
    elif indices != [0]:
        name = "gpu" if device.lower() == "auto" else device
        if name.lower() in ("opencl", "cuda", "gpu"):
            return ",".join("%s:%d" % (name, index) for index in indices)
        if any(indices):
            raise ValueError("device %r names its device already: device_index must be 0, not %d" % (device, max(indices, key=abs)))
    return ",".join(device for _ in indices)  # one that is there twice has twice the workers


def _compute_type(value: Any, device: str, indices: List[int]) -> bytes:
    """One type for all, or the C form of a dict: "float32,opencl:int8", where a type without a name is for devices not named."""
    if not isinstance(value, Mapping):
        return arguments.utf8(value, "compute_type")
    table = {arguments.string(k, "compute_type").lower(): arguments.string(v, "compute_type") for k, v in value.items()}
    literal = device.lower()
    names = [literal] + ["%s:%d" % (literal, index) for index in indices[:1]]
    rest = next((table[name] for name in names if name in table), None)
    kinds = {resolved_kind(name.strip()).partition(":")[0] for name in device.split(",")}
    if not kinds <= _KINDS:  # a part of a device's name
        kinds = _KINDS
    entries = ["%s:%s" % (name, kind) for name, kind in table.items()
               if name != literal and _NAMED.match(name) and name.partition(":")[0] in kinds]
    return ",".join(([rest] if rest is not None else []) + entries).encode() or b"default"


def _scoring_options(max_input_length: Any, offset: Any) -> Any:
    options = ffi.new("trd_scoring_options *")
    lib.trd_scoring_options_init(options, ffi.sizeof("trd_scoring_options"))
    options.max_input_length = arguments.integer(max_input_length, "max_input_length")
    options.offset = arguments.integer(offset, "offset", -2**63)
    return options


_KINDS = {"cpu", "opencl", "cuda"}
_NAMED = re.compile(r"(cpu(:0)?|(opencl|cuda)(:\d+)?)$")


class Translator:
    """Translates and scores with an encoder-decoder Transformer model.

    Example:
        >>> translator = treadle.Translator("model/", device="cpu")
        >>> translator.translate_batch([["▁Hello", "▁world", "!"]])
    """

    @signature_checked("constructor")
    def __init__(
        self,
        model_path: str,
        device: str = "cpu",
        *,
        device_index: Union[int, List[int]] = 0,
        compute_type: Union[str, Dict[str, str]] = "default",
        inter_threads: int = 1,
        intra_threads: int = 0,
        max_queued_batches: int = 0,
        flash_attention: bool = False,
        tensor_parallel: bool = False,
        files: Any = None,
        numerics: str = "auto",
    ) -> None:
        """Open a model and start its workers.

        Args:
          model_path: Directory of the model; only a name in messages if files is given.
          device: "cpu", "opencl", "gpu", "auto", a name such as "opencl:0", or a part of a device's name.
          device_index: Which device of that kind; only 0 on the CPU.
          compute_type: One of default, auto, float32, float16, bfloat16, int16, int8, int8_float32, int8_float16,
            int8_bfloat16, or a dict of device names to these. "default", "auto" and "float32" work for every stored
            type; the others are refused by devices that do not compute with them (get_supported_compute_types tells).
          inter_threads: Workers for each device index.
          intra_threads: Threads of each worker; 0 chooses.
          max_queued_batches: Bound of the waiting work: 0 automatic, > 0 exact, < 0 unbounded.
          flash_attention: GPU only.
          tensor_parallel: GPU only; on the CPU accepted, shown by the property of that name, and without effect.
          files: Load the model from memory: file names to bytes or file-like objects, which may be closed afterwards.
          numerics: Not in the original. "reproducible": the bits of a result depend on neither the rest of the batch nor
            the number of threads. "fast": large products may go to a vendor's library, which chooses by shape.
            "auto": reproducible on CPUs, fast on others.

        Raises:
          ValueError: A device, a device index, a compute type or a number that does not exist.
          RuntimeError: A file that cannot be opened, a malformed model, or a model of another kind.
        """
        path = arguments.utf8(model_path, "model_path")
        device = arguments.string(device, "device")
        indices = _device_indices(device_index, device)
        kind = _compute_type(compute_type, device, indices)
        workers = arguments.integer(inter_threads, "inter_threads", 0, 2**31 - 1)
        threads = arguments.integer(intra_threads, "intra_threads", 0, 2**31 - 1)
        numerics_name = ffi.new("char[]", arguments.utf8(numerics, "numerics"))
        queued = arguments.integer(max_queued_batches, "max_queued_batches", -2**31, 2**31 - 1)
        flash_attention = arguments.boolean(flash_attention, "flash_attention")
        self._tensor_parallel = arguments.boolean(tensor_parallel, "tensor_parallel")
        memory = _read_files(files)

        self._device_index = indices
        self._seeds = Seeds()
        self._key = object()
        device = device.lower() if device in ("CPU", "CUDA", "AUTO") else device
        self._device = device
        device = _device_list(device, indices)
        options = ffi.new("trd_translator_options *")
        lib.trd_translator_options_init(options, ffi.sizeof("trd_translator_options"))
        device_name, kind_name = ffi.new("char[]", device.encode()), ffi.new("char[]", kind)
        options.device, options.compute_type, options.numerics = device_name, kind_name, numerics_name
        options.inter_threads, options.intra_threads = workers, threads
        options.max_queued_batches = queued
        model = _open_model(path, memory)
        out = ffi.new("trd_translator **")
        check(lib.trd_translator_create(model, options, out), unsupported=ValueError)

        self._handle = ffi.gc(out[0], lambda handle: destroy_translator(handle, memory))
        ffi.release(model)
        if flash_attention and self.compute_type not in ("float16", "bfloat16", "int8_float16", "int8_bfloat16"):
            raise RuntimeError("flash_attention needs a compute type with float16 or bfloat16, not %s" % self.compute_type)

    def _info(self) -> Any:
        info = ffi.new("trd_translator_info *", {"struct_size": ffi.sizeof("trd_translator_info")})
        check(lib.trd_translator_get_info(self._handle, info))
        return info

    def _check_loaded(self, name: str) -> None:
        if not self.model_is_loaded:
            raise RuntimeError("%s: the model was unloaded; load_model() brings it back" % name)

    @property
    def device(self) -> str:
        """Kind of the device, such as "cpu"; of several, as they were given."""
        return self._device if "," in self._device else text(self._info().device).partition(":")[0]

    @property
    def device_index(self) -> List[int]:
        """Indices of the devices as given."""
        return list(self._device_index)

    @property
    def compute_type(self) -> str:
        """The compute type in effect, of the first device. RuntimeError while the model is unloaded."""
        self._check_loaded("compute_type")
        return text(self._info().compute_type)

    @property
    def num_translators(self) -> int:
        """Workers: inter_threads for each device."""
        return self._info().n_workers

    @property
    def num_queued_batches(self) -> int:
        """Batches that wait; see num_active_batches."""
        waiting, count = self._info().n_queued, 0
        if waiting == 0:
            return 0
        for call in reversed(list(live_calls(self._key))):  # what came last is what waits
            for n_pending in reversed(call.n_pending_in_batches()):
                if waiting < n_pending:
                    return count
                waiting, count = waiting - n_pending, count + (n_pending > 0)
        return count + waiting

    @property
    def num_active_batches(self) -> int:
        """Batches that wait or run, cut by the max_batch_size of their calls. Here examples run and end one by one: a batch is
        active until its last one has ended. What nobody holds a result of counts by examples.
        """
        active = self._info().n_active
        if active == 0:
            return 0
        pending = [n for call in live_calls(self._key) for n in call.n_pending_in_batches()]
        return sum(n > 0 for n in pending) + max(0, active - sum(pending))

    @property
    def tensor_parallel(self) -> bool:
        """As given."""
        return self._tensor_parallel

    @property
    def model_is_loaded(self) -> bool:
        """False after unload_model."""
        return self._info().is_loaded

    @signature_checked("function")
    def unload_model(self, to_cpu: bool = False) -> None:
        """Give back the memory of the model on its devices. Calls raise RuntimeError then, until load_model.

        Nothing happens while a batch is active or another thread is inside a call; model_is_loaded tells.

        Args:
          to_cpu: Keep the weights in the host's memory, so that loading is fast. On the CPU this does nothing at all.
        """
        check(lib.trd_translator_unload(self._handle, arguments.boolean(to_cpu, "to_cpu"), ffi.NULL))

    @signature_checked("function")
    def load_model(self, keep_cache: bool = False) -> None:
        """Undo unload_model; nothing to do while the model is loaded.

        Args:
          keep_cache: Keep what unload_model(to_cpu=True) kept in the host's memory.
        """
        check(lib.trd_translator_load(self._handle, arguments.boolean(keep_cache, "keep_cache")))

    @overload
    def translate_batch(
        self, source: Sequence[Sequence[Token]], target_prefix: Optional[Sequence[Optional[Sequence[Token]]]] = None, *,
        max_batch_size: int = ..., batch_type: str = ..., asynchronous: Literal[False] = ..., beam_size: int = ..., patience: float = ...,
        num_hypotheses: int = ..., length_penalty: float = ..., coverage_penalty: float = ..., repetition_penalty: float = ...,
        no_repeat_ngram_size: int = ..., disable_unk: bool = ..., suppress_sequences: Optional[Sequence[Sequence[Token]]] = ...,
        end_token: EndToken = ..., return_end_token: bool = ..., prefix_bias_beta: float = ..., max_input_length: int = ...,
        max_decoding_length: int = ..., min_decoding_length: int = ..., use_vmap: bool = ..., return_scores: bool = ...,
        return_logits_vocab: bool = ..., return_attention: bool = ..., return_alternatives: bool = ...,
        min_alternative_expansion_prob: float = ..., sampling_topk: int = ..., sampling_topp: float = ...,
        sampling_temperature: float = ..., replace_unknowns: bool = ..., callback: Optional[Callback] = ...,
    ) -> List[TranslationResult]: ...

    @overload
    def translate_batch(
        self, source: Sequence[Sequence[Token]], target_prefix: Optional[Sequence[Optional[Sequence[Token]]]] = None, *,
        max_batch_size: int = ..., batch_type: str = ..., asynchronous: Literal[True], beam_size: int = ..., patience: float = ...,
        num_hypotheses: int = ..., length_penalty: float = ..., coverage_penalty: float = ..., repetition_penalty: float = ...,
        no_repeat_ngram_size: int = ..., disable_unk: bool = ..., suppress_sequences: Optional[Sequence[Sequence[Token]]] = ...,
        end_token: EndToken = ..., return_end_token: bool = ..., prefix_bias_beta: float = ..., max_input_length: int = ...,
        max_decoding_length: int = ..., min_decoding_length: int = ..., use_vmap: bool = ..., return_scores: bool = ...,
        return_logits_vocab: bool = ..., return_attention: bool = ..., return_alternatives: bool = ...,
        min_alternative_expansion_prob: float = ..., sampling_topk: int = ..., sampling_topp: float = ...,
        sampling_temperature: float = ..., replace_unknowns: bool = ..., callback: Optional[Callback] = ...,
    ) -> List[AsyncTranslationResult]: ...

    @signature_checked("function")
    def translate_batch(
        self,
        source: Sequence[Sequence[Token]],
        target_prefix: Optional[Sequence[Optional[Sequence[Token]]]] = None,
        *,
        max_batch_size: int = 0,
        batch_type: str = "examples",
        asynchronous: bool = False,
        beam_size: int = 2,
        patience: float = 1,
        num_hypotheses: int = 1,
        length_penalty: float = 1,
        coverage_penalty: float = 0,
        repetition_penalty: float = 1,
        no_repeat_ngram_size: int = 0,
        disable_unk: bool = False,
        suppress_sequences: Optional[Sequence[Sequence[Token]]] = None,
        end_token: EndToken = None,
        return_end_token: bool = False,
        prefix_bias_beta: float = 0,
        max_input_length: int = 1024,
        max_decoding_length: int = 256,
        min_decoding_length: int = 1,
        use_vmap: bool = False,
        return_scores: bool = False,
        return_logits_vocab: bool = False,
        return_attention: bool = False,
        return_alternatives: bool = False,
        min_alternative_expansion_prob: float = 0,
        sampling_topk: int = 1,
        sampling_topp: float = 1,
        sampling_temperature: float = 1,
        replace_unknowns: bool = False,
        callback: Optional[Callback] = None,
    ) -> Union[List[TranslationResult], List[AsyncTranslationResult]]:
        """Translate a batch of token sequences.

        Ctrl-C ends the call.

        Args:
          source: [batch][tokens]; sequences may be empty.
          target_prefix: [batch][tokens or None]: what each translation starts with.
          max_batch_size: 0 is one batch; results do not depend on it, except which random numbers a sequence gets.
          batch_type: Does max_batch_size count "examples" or "tokens"?
          asynchronous: Return at once; the results are on their way.
          beam_size: 1 is greedy.
          patience: beam_size * patience finished hypotheses end a beam search.
          num_hypotheses: Hypotheses to return for each example.
          length_penalty: Exponent of the length that divides the score.
          coverage_penalty: Weight of the coverage of the source in the score.
          repetition_penalty: > 1 penalises tokens already produced.
          no_repeat_ngram_size: No n-gram of this size occurs twice; 0 is off.
          disable_unk: Never produce the unknown token.
          suppress_sequences: Token sequences never to produce.
          end_token: Token, tokens or ids that end a translation; [] runs to max_decoding_length.
          return_end_token: Keep the end token in the result.
          prefix_bias_beta: In (0, 1): the prefix is a preference, not a constraint.
          max_input_length: Longer sources are cut; 0 is off.
          max_decoding_length: Limit of tokens, the prefix included.
          min_decoding_length: Tokens before an end token may come.
          use_vmap: Restrict the output to the model's vocabulary map, if it has one.
          return_scores: Fill scores.
          return_logits_vocab: Fill logits.
          return_attention: Fill attention.
          return_alternatives: Expand the position after the prefix into num_hypotheses alternatives.
          min_alternative_expansion_prob: Leave out alternatives below this probability.
          sampling_topk: 1 takes the best token, 0 samples from all.
          sampling_topp: Sample from the most probable tokens up to this probability.
          sampling_temperature: Divides the logits before sampling.
          replace_unknowns: Replace unknown tokens with the source token of the highest attention.
          callback: Called with each GenerationStepResult in greedy decoding; True ends that hypothesis.

        Returns:
          One TranslationResult for each source, in its order.
        """
        values = locals()
        sources, prefix, decoding = self._read_translation(source, target_prefix, values)
        asynchronous = arguments.boolean(asynchronous, "asynchronous")
        if not sources:
            return []
        call, start = self._translation(sources, prefix, decoding, callback)
        if not asynchronous:
            return call.run(start)
        call.submit(start)
        return [AsyncTranslationResult._make(call, i) for i in range(call.n)]

    @overload
    def score_batch(
        self, source: Sequence[Sequence[Token]], target: Sequence[Sequence[Token]], *, max_batch_size: int = ..., batch_type: str = ...,
        max_input_length: int = ..., offset: int = ..., asynchronous: Literal[False] = ...,
    ) -> List[ScoringResult]: ...

    @overload
    def score_batch(
        self, source: Sequence[Sequence[Token]], target: Sequence[Sequence[Token]], *, max_batch_size: int = ..., batch_type: str = ...,
        max_input_length: int = ..., offset: int = ..., asynchronous: Literal[True],
    ) -> List[AsyncScoringResult]: ...

    @signature_checked("function")
    def score_batch(
        self,
        source: Sequence[Sequence[Token]],
        target: Sequence[Sequence[Token]],
        *,
        max_batch_size: int = 0,
        batch_type: str = "examples",
        max_input_length: int = 1024,
        offset: int = 0,
        asynchronous: bool = False,
    ) -> Union[List[ScoringResult], List[AsyncScoringResult]]:
        """Log-probabilities of given targets.

        Args:
          source: [batch][tokens].
          target: [batch][tokens].
          max_batch_size: Results do not depend on it.
          batch_type: "examples" or "tokens".
          max_input_length: Longer sources and targets are cut; 0 is off.
          offset: Leave out this many leading output tokens.
          asynchronous: Return at once; the results are on their way.

        Returns:
          One ScoringResult for each source, in its order.
        """
        sources, targets = arguments.batch(source, "source"), arguments.batch(target, "target")
        max_batch_size = arguments.integer(max_batch_size, "max_batch_size")
        batch_type = arguments.string(batch_type, "batch_type")
        options = _scoring_options(max_input_length, offset)
        asynchronous = arguments.boolean(asynchronous, "asynchronous")
        by_tokens = arguments.batch_type_is_tokens(batch_type)
        self._check_loaded("score_batch")
        if not sources and not targets:
            return []
        if not sources or not targets:
            raise ValueError("score_batch: source has %d sequences and target has %d" % (len(sources), len(targets)))
        if len(targets) < len(sources):
            raise RuntimeError("target has less examples (%d) than source (%d)" % (len(targets), len(sources)))
        c_source, c_target = Sequences(sources), Sequences(targets)

        def start(how: Any, futures: Any) -> int:
            return lib.trd_translator_submit_score(self._handle, c_source.value, c_target.value, options, how, futures)

        call = Call(self._key, len(sources), scoring_result, rebatch([len(s) for s in sources], max_batch_size, by_tokens))
        if not asynchronous:
            return call.run(start)
        call.submit(start)
        return [AsyncScoringResult._make(call, i) for i in range(call.n)]

    def translate_iterable(
        self,
        source: Iterable[Sequence[Token]],
        target_prefix: Optional[Iterable[Sequence[Token]]] = None,
        max_batch_size: int = 32,
        batch_type: str = "examples",
        **kwargs: Any,
    ) -> Iterator[TranslationResult]:
        """Translate as many examples as an iterable gives: 16 batches are read at once, and results come in order.

        Nothing happens before the first next(). Closing the iterator cancels what is on its way.

        Args:
          source: Gives token sequences.
          target_prefix: Gives as many prefixes; [] for none.
          max_batch_size: >= 1.
          batch_type: Does max_batch_size count "examples" or "tokens"?
          **kwargs: Options of translate_batch.

        Raises:
          ValueError: One of the iterables ends before the other.
        """
        kwargs.update(max_batch_size=max_batch_size, batch_type=batch_type, asynchronous=True)
        iterables = [source] if target_prefix is None else [source, target_prefix]
        return process_iterables(lambda *columns: self.translate_batch(*columns, **kwargs), iterables, max_batch_size, batch_type)

    def score_iterable(
        self,
        source: Iterable[Sequence[Token]],
        target: Iterable[Sequence[Token]],
        max_batch_size: int = 64,
        batch_type: str = "examples",
        **kwargs: Any,
    ) -> Iterator[ScoringResult]:
        """Score as many examples as two iterables give: 16 batches are read at once, and results come in order.

        Nothing happens before the first next(). Closing the iterator cancels what is on its way.

        Args:
          source: Gives token sequences.
          target: Gives as many token sequences.
          max_batch_size: >= 1.
          batch_type: Does max_batch_size count "examples" or "tokens"?
          **kwargs: Options of score_batch.

        Raises:
          ValueError: One of the iterables ends before the other.
        """
        kwargs.update(max_batch_size=max_batch_size, batch_type=batch_type, asynchronous=True)
        return process_iterables(lambda *columns: self.score_batch(*columns, **kwargs), [source, target], max_batch_size, batch_type)

    def generate_tokens(
        self,
        source: Sequence[Token],
        target_prefix: Optional[Sequence[Token]] = None,
        *,
        max_decoding_length: int = 256,
        min_decoding_length: int = 1,
        sampling_topk: int = 1,
        sampling_topp: float = 1,
        sampling_temperature: float = 1,
        return_log_prob: bool = False,
        repetition_penalty: float = 1,
        no_repeat_ngram_size: int = 0,
        disable_unk: bool = False,
        suppress_sequences: Optional[Sequence[Sequence[Token]]] = None,
        end_token: EndToken = None,
        max_input_length: int = 1024,
        use_vmap: bool = False,
    ) -> Iterator[GenerationStepResult]:
        """Translate one example greedily and give each token when it is chosen, the prefix and the end token among them.

        Nothing happens before the first next(). Closing the iterator ends the translation.

        Args:
          source: Tokens.
          target_prefix: Tokens that the translation starts with.
          return_log_prob: Fill log_prob.

        The other options are those of translate_batch.
        """
        options = dict(locals(), return_scores=return_log_prob, beam_size=1)
        return stream_tokens(lambda stream: self._submit_stream(stream, source, target_prefix, options))

    def async_generate_tokens(
        self,
        source: Sequence[Token],
        target_prefix: Optional[Sequence[Token]] = None,
        *,
        max_decoding_length: int = 256,
        min_decoding_length: int = 1,
        sampling_topk: int = 1,
        sampling_topp: float = 1,
        sampling_temperature: float = 1,
        return_log_prob: bool = False,
        repetition_penalty: float = 1,
        no_repeat_ngram_size: int = 0,
        disable_unk: bool = False,
        suppress_sequences: Optional[Sequence[Sequence[Token]]] = None,
        end_token: EndToken = None,
        max_input_length: int = 1024,
        use_vmap: bool = False,
    ) -> AsyncIterator[GenerationStepResult]:
        """generate_tokens for `async for`. The event loop is never blocked; leaving the iteration cancels the translation."""
        options = dict(locals(), return_scores=return_log_prob, beam_size=1)
        return stream_tokens_async(lambda stream: self._submit_stream(stream, source, target_prefix, options))

    @signature_checked("function")
    def translate_file(
        self,
        source_path: str,
        output_path: str,
        target_path: Optional[str] = None,
        *,
        max_batch_size: int = 32,
        read_batch_size: int = 0,
        batch_type: str = "examples",
        beam_size: int = 2,
        patience: float = 1,
        num_hypotheses: int = 1,
        length_penalty: float = 1,
        coverage_penalty: float = 0,
        repetition_penalty: float = 1,
        no_repeat_ngram_size: int = 0,
        disable_unk: bool = False,
        suppress_sequences: Optional[Sequence[Sequence[Token]]] = None,
        end_token: EndToken = None,
        prefix_bias_beta: float = 0,
        max_input_length: int = 1024,
        max_decoding_length: int = 256,
        min_decoding_length: int = 1,
        use_vmap: bool = False,
        with_scores: bool = False,
        sampling_topk: int = 1,
        sampling_topp: float = 1,
        sampling_temperature: float = 1,
        replace_unknowns: bool = False,
        source_tokenize_fn: Optional[TokenizeFn] = None,
        target_tokenize_fn: Optional[TokenizeFn] = None,
        target_detokenize_fn: Optional[DetokenizeFn] = None,
    ) -> ExecutionStats:
        """Translate a text file: a line for each hypothesis, in the order of the input. Memory does not grow with the file.

        The output appears when all is written: a run that fails leaves an earlier output as it was.

        Args:
          source_path: One example per line.
          output_path: Written aside and renamed.
          target_path: Prefixes, one per line.
          max_batch_size: Batches that the lines are cut into; 0 makes one of what is read at once.
          read_batch_size: What is read at once; 0 is 16 x max_batch_size.
          batch_type: Do both count "examples" or "tokens"?
          with_scores: "score ||| text" per line.
          source_tokenize_fn: Tokens of a line; by default what stands between spaces. They come in pairs with
            target_detokenize_fn. An exception ends the run and is raised unchanged.
          target_tokenize_fn: Tokens of a line of target_path.
          target_detokenize_fn: Text of tokens; by default joined by spaces.

        The other options are those of translate_batch.

        Raises:
          RuntimeError: A file cannot be read or written, or target_path has fewer lines.
        """
        values = dict(locals(), return_scores=with_scores)
        run = FileRun(source_path, target_path, output_path, max_batch_size, read_batch_size, with_scores,
                      source_tokenize_fn, target_tokenize_fn, target_detokenize_fn)
        decoding = Decoding(values)
        if (source_tokenize_fn is None) != (target_detokenize_fn is None):
            raise ValueError("%s is required when %s is set" % (
                ("source_tokenize_fn", "target_detokenize_fn") if source_tokenize_fn is None
                else ("target_detokenize_fn", "source_tokenize_fn")))
        if target_path is not None and source_tokenize_fn is not None and target_tokenize_fn is None:
            raise ValueError("target_tokenize_fn is required when target_path and source_tokenize_fn are set")
        decoding.read_batch_type()
        self._check_loaded("translate_file")
        run.set_sizes(decoding.options.batch_by_tokens)
        if decoding.samples():
            decoding.seed_with(self._seeds.next())
        return run.run(lib.trd_translator_translate_file, self._handle, decoding.options)

    @signature_checked("function")
    def score_file(
        self,
        source_path: str,
        target_path: str,
        output_path: str,
        *,
        max_batch_size: int = 32,
        read_batch_size: int = 0,
        batch_type: str = "examples",
        max_input_length: int = 1024,
        offset: int = 0,
        with_tokens_score: bool = False,
        source_tokenize_fn: Optional[TokenizeFn] = None,
        target_tokenize_fn: Optional[TokenizeFn] = None,
        target_detokenize_fn: Optional[DetokenizeFn] = None,
    ) -> ExecutionStats:
        """Score the lines of a file: "mean ||| text" for each, in the order of the input.

        The output appears when all is written: a run that fails leaves an earlier output as it was.

        Args:
          source_path: One example per line.
          target_path: As many lines.
          output_path: Written aside and renamed.
          max_batch_size: Batches that the lines are cut into; 0 makes one of what is read at once.
          read_batch_size: What is read at once; 0 is 16 x max_batch_size.
          batch_type: Do both count "examples" or "tokens"?
          max_input_length: Longer sources and targets are cut; 0 is off.
          offset: Leave out this many leading output tokens.
          with_tokens_score: The scores of the tokens too: "mean ||| text ||| score score ...".
          source_tokenize_fn: Tokens of a line. All three functions are given, or none. An exception ends the run and is
            raised unchanged.
          target_tokenize_fn: Tokens of a line of target_path.
          target_detokenize_fn: Text of tokens.

        Raises:
          RuntimeError: A file cannot be read or written, or target_path has fewer lines.
        """
        run = FileRun(source_path, target_path, output_path, max_batch_size, read_batch_size, with_tokens_score,
                      source_tokenize_fn, target_tokenize_fn, target_detokenize_fn)
        options = _scoring_options(max_input_length, offset)
        batch_type = arguments.string(batch_type, "batch_type")
        if len({function is None for function in (source_tokenize_fn, target_tokenize_fn, target_detokenize_fn)}) > 1:
            raise ValueError("source_tokenize_fn, target_tokenize_fn and target_detokenize_fn must all be set, or none")
        by_tokens = arguments.batch_type_is_tokens(batch_type)
        self._check_loaded("score_file")
        run.set_sizes(by_tokens)
        return run.run(lib.trd_translator_score_file, self._handle, options)

    def _read_translation(self, source: Any, target_prefix: Any, values: Mapping[str, Any]) -> Any:
        """Sources, prefixes and options of a call: types, then the batch type, then pairing."""
        sources = arguments.batch(source, "source")
        prefix = arguments.prefixes(target_prefix, "target_prefix")
        decoding = Decoding(values)
        if sources:
            decoding.read_batch_type()
            self._check_loaded("translate_batch")
            if prefix and len(prefix) < len(sources):
                raise RuntimeError("target_prefix has less examples (%d) than source (%d)" % (len(prefix), len(sources)))
        return sources, prefix, decoding

    def _translation(self, sources: List[List[bytes]], prefix: Optional[List[List[bytes]]], decoding: Decoding,
                     callback: Optional[Callback], ended: Optional[Callable[[], None]] = None) -> Any:
        """The Call of a translation, and the function that submits it."""
        o = decoding.options
        if decoding.samples():
            decoding.seed_with(self._seeds.next())
        c_source, c_prefix = Sequences(sources), Sequences(prefix) if prefix else None
        scores, attention, logits = o.return_scores, o.return_attention, o.return_logits
        call = Call(self._key, len(sources), lambda result: translation_result(result, scores, attention, logits),
                    rebatch([len(s) for s in sources], o.max_batch_size, o.batch_by_tokens), callback, ended)

        def start(how: Any, futures: Any) -> int:
            if callback is not None:
                o.on_step, o.on_step_context = lib.treadle_gate_step, call.context()
            return lib.trd_translator_submit(self._handle, c_source.value, c_prefix.value if c_prefix else ffi.NULL,
                                             decoding.options, how, futures)

        return call, start

    def _submit_stream(self, stream: TokenStream, source: Any, target_prefix: Any, options: Mapping[str, Any]) -> Call:
        """Submit one example whose steps go to the stream."""
        try:
            sources, prefix, decoding = self._read_translation(
                [source], [target_prefix] if target_prefix is not None else None, options)
        except ArgumentError as error:
            raise TypeError("Translator.generate_tokens(): incompatible function arguments: %s" % error) from None
        call, start = self._translation(sources, prefix, decoding, stream.callback, stream.ended)
        call.submit(start)
        return call
