"""Translator: the class of the original with the same name, over trd_translator.h."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from . import _arguments as arguments
from ._arguments import ArgumentError, signature_checked
from ._devices import resolved_kind
from ._library import Sequences, Token, check, ffi, lib, text
from ._results import (GenerationStepResult, ScoringResult, TranslationResult, scoring_result, step_result,
                       translation_result)
from ._sampling import Seeds

Callback = Callable[[GenerationStepResult], Optional[bool]]


class _StepCallback:
    """Carries a Python callback through C, and its exception back."""

    def __init__(self, function: Callback) -> None:
        self.function = function
        self.error: Optional[BaseException] = None

    def __call__(self, step: Any) -> bool:
        if self.error is not None:
            return True
        try:
            return bool(self.function(step_result(step)))
        except BaseException as error:
            self.error = error
            return True


@ffi.def_extern(name="treadle_on_step")
def _on_step(context: Any, step: Any) -> bool:
    return ffi.from_handle(context)(step)


def _missing(what: str) -> NotImplementedError:
    return NotImplementedError("%s is not in this version of treadle" % what)


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


def _indexed_device(device: str, indices: List[int]) -> str:
    """The device's name with its index: "opencl" and [1] give "opencl:1"."""
    if not indices:
        raise ValueError("At least one device index is required")
    kind = resolved_kind(device)
    if kind == "cpu":
        for index in indices:
            if index != 0:
                raise ValueError("Invalid CPU device index: %d (only 0 exists)" % index)
        return device
    if len(indices) > 1:
        raise _missing("device_index with several devices")
    if indices[0] == 0:
        return device
    name = "gpu" if device.lower() == "auto" else device
    if name.lower() not in ("opencl", "cuda", "gpu"):
        raise ValueError("device %r names its device already: device_index must be 0, not %d" % (device, indices[0]))
    return "%s:%d" % (name, indices[0])


def _compute_type(value: Any, device: str, indices: List[int]) -> bytes:
    if isinstance(value, Mapping):
        table = {arguments.string(k, "compute_type"): arguments.utf8(v, "compute_type") for k, v in value.items()}
        table = {name.lower(): kind for name, kind in table.items()}
        kind = resolved_kind(device)
        names = [device.lower(), "%s:%d" % (kind, indices[0]) if indices else kind, kind, kind.partition(":")[0]]
        return next((table[name] for name in names if name in table), b"default")
    return arguments.utf8(value, "compute_type")


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
        device = device.lower() if device in ("CPU", "CUDA", "AUTO") else device
        device = _indexed_device(device, indices)
        options = ffi.new("trd_translator_options *")
        lib.trd_translator_options_init(options, ffi.sizeof("trd_translator_options"))
        device_name, kind_name = ffi.new("char[]", device.encode()), ffi.new("char[]", kind)
        options.device, options.compute_type, options.numerics = device_name, kind_name, numerics_name
        options.inter_threads, options.intra_threads = workers * len(indices), threads
        options.max_queued_batches = queued
        model = _open_model(path, memory)
        out = ffi.new("trd_translator **")
        check(lib.trd_translator_create(model, options, out), unsupported=ValueError)

        def destroy(handle: Any, keep: Any = memory) -> None:
            lib.trd_translator_destroy(handle)

        self._handle = ffi.gc(out[0], destroy)
        ffi.release(model)
        if flash_attention and self.compute_type not in ("float16", "bfloat16", "int8_float16", "int8_bfloat16"):
            raise RuntimeError("flash_attention needs a compute type with float16 or bfloat16, not %s" % self.compute_type)

    def _info(self) -> Any:
        info = ffi.new("trd_translator_info *", {"struct_size": ffi.sizeof("trd_translator_info")})
        check(lib.trd_translator_get_info(self._handle, info))
        return info

    @property
    def device(self) -> str:
        """Kind of the device, such as "cpu"."""
        return text(self._info().device).partition(":")[0]

    @property
    def device_index(self) -> List[int]:
        """Indices of the devices as given."""
        return list(self._device_index)

    @property
    def compute_type(self) -> str:
        """The compute type in effect."""
        return text(self._info().compute_type)

    @property
    def num_translators(self) -> int:
        """Workers."""
        return self._info().n_workers

    @property
    def num_queued_batches(self) -> int:
        """Pieces of work that wait."""
        return self._info().n_queued

    @property
    def num_active_batches(self) -> int:
        """Pieces of work that wait or run."""
        return self._info().n_active

    @property
    def tensor_parallel(self) -> bool:
        """As given."""
        return self._tensor_parallel

    @property
    def model_is_loaded(self) -> bool:
        """True: unloading is not in this version."""
        return True

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
        end_token: Union[Token, Sequence[Token], Sequence[int], None] = None,
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
    ) -> List[TranslationResult]:
        """Translate a batch of token sequences.

        Args:
          source: [batch][tokens]; sequences may be empty.
          target_prefix: [batch][tokens or None]: what each translation starts with.
          max_batch_size: 0 is one batch; results do not depend on it, except which random numbers a sequence gets.
          batch_type: Does max_batch_size count "examples" or "tokens"?
          asynchronous: Not in this version.
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
        sources = arguments.batch(source, "source")
        prefix = arguments.prefixes(target_prefix, "target_prefix")
        call = _DecodingCall()
        o, real, integer, flag = call.options, arguments.real, arguments.integer, arguments.boolean
        o.max_batch_size = integer(max_batch_size, "max_batch_size")
        batch_type = arguments.string(batch_type, "batch_type")
        asynchronous = flag(asynchronous, "asynchronous")
        o.beam_size = integer(beam_size, "beam_size")
        o.patience = real(patience, "patience")
        o.num_hypotheses = integer(num_hypotheses, "num_hypotheses")
        o.length_penalty = real(length_penalty, "length_penalty")
        o.coverage_penalty = real(coverage_penalty, "coverage_penalty")
        o.repetition_penalty = real(repetition_penalty, "repetition_penalty")
        o.no_repeat_ngram_size = integer(no_repeat_ngram_size, "no_repeat_ngram_size")
        o.disable_unk = flag(disable_unk, "disable_unk")
        call.suppress(suppress_sequences)
        call.end_with(end_token)
        o.return_end_token = flag(return_end_token, "return_end_token")
        o.prefix_bias_beta = real(prefix_bias_beta, "prefix_bias_beta")
        o.max_input_length = integer(max_input_length, "max_input_length")
        o.max_decoding_length = integer(max_decoding_length, "max_decoding_length")
        o.min_decoding_length = integer(min_decoding_length, "min_decoding_length")
        o.use_vmap = flag(use_vmap, "use_vmap")
        o.return_scores = flag(return_scores, "return_scores")
        o.return_logits = flag(return_logits_vocab, "return_logits_vocab")
        o.return_attention = flag(return_attention, "return_attention")
        o.return_alternatives = flag(return_alternatives, "return_alternatives")
        o.min_alternative_expansion_prob = real(min_alternative_expansion_prob, "min_alternative_expansion_prob")
        o.sampling_topk = integer(sampling_topk, "sampling_topk")
        o.sampling_topp = real(sampling_topp, "sampling_topp")
        o.sampling_temperature = real(sampling_temperature, "sampling_temperature")
        o.replace_unknowns = flag(replace_unknowns, "replace_unknowns")
        call.report_to(callback)
        if not sources:
            return []
        o.batch_by_tokens = arguments.batch_type_is_tokens(batch_type)
        if prefix and len(prefix) < len(sources):
            raise RuntimeError("target_prefix has %d sequences, source has %d" % (len(prefix), len(sources)))
        if asynchronous:
            raise _missing("translate_batch(asynchronous=True)")
        if o.sampling_topk != 1 and o.sampling_temperature != 0:
            call.seed_with(self._seeds.next())
        return call.translate(self._handle, sources, prefix)

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
    ) -> List[ScoringResult]:
        """Log-probabilities of given targets.

        Args:
          source: [batch][tokens].
          target: [batch][tokens].
          max_batch_size: Results do not depend on it.
          batch_type: "examples" or "tokens".
          max_input_length: Longer sources and targets are cut; 0 is off.
          offset: Leave out this many leading output tokens.
          asynchronous: Not in this version.

        Returns:
          One ScoringResult for each source, in its order.
        """
        sources, targets = arguments.batch(source, "source"), arguments.batch(target, "target")
        arguments.integer(max_batch_size, "max_batch_size")
        batch_type = arguments.string(batch_type, "batch_type")
        options = ffi.new("trd_scoring_options *")
        lib.trd_scoring_options_init(options, ffi.sizeof("trd_scoring_options"))
        options.max_input_length = arguments.integer(max_input_length, "max_input_length")
        options.offset = arguments.integer(offset, "offset", -2**63)
        asynchronous = arguments.boolean(asynchronous, "asynchronous")
        arguments.batch_type_is_tokens(batch_type)
        if not sources and not targets:
            return []
        if not sources or not targets:
            raise ValueError("score_batch: source has %d sequences and target has %d" % (len(sources), len(targets)))
        if len(targets) < len(sources):
            raise RuntimeError("target has %d sequences, source has %d" % (len(targets), len(sources)))
        if asynchronous:
            raise _missing("score_batch(asynchronous=True)")
        c_source, c_target = Sequences(sources), Sequences(targets)
        out = ffi.new("trd_results **")
        check(lib.trd_translator_score(self._handle, c_source.value, c_target.value, options, out))
        results = ffi.gc(out[0], lib.trd_results_destroy)
        return [scoring_result(lib.trd_results_get(results, i)) for i in range(lib.trd_results_count(results))]

    def translate_file(self, *args: Any, **kwargs: Any) -> Any:
        """Not in this version."""
        raise _missing("Translator.translate_file")

    def score_file(self, *args: Any, **kwargs: Any) -> Any:
        """Not in this version."""
        raise _missing("Translator.score_file")

    def translate_iterable(self, *args: Any, **kwargs: Any) -> Any:
        """Not in this version."""
        raise _missing("Translator.translate_iterable")

    def score_iterable(self, *args: Any, **kwargs: Any) -> Any:
        """Not in this version."""
        raise _missing("Translator.score_iterable")

    def generate_tokens(self, *args: Any, **kwargs: Any) -> Any:
        """Not in this version."""
        raise _missing("Translator.generate_tokens")

    def load_model(self, *args: Any, **kwargs: Any) -> Any:
        """Not in this version."""
        raise _missing("Translator.load_model")

    def unload_model(self, *args: Any, **kwargs: Any) -> Any:
        """Not in this version."""
        raise _missing("Translator.unload_model")


class _DecodingCall:
    """The C options of one translate_batch and everything they point to."""

    def __init__(self) -> None:
        self.options = ffi.new("trd_decoding_options *")
        lib.trd_decoding_options_init(self.options, ffi.sizeof("trd_decoding_options"))
        self._keep: List[Any] = []
        self._callback: Optional[_StepCallback] = None

    def _borrow(self, sequences: Sequences) -> Any:
        self._keep.append(sequences)
        return sequences.value[0]

    def suppress(self, value: Any) -> None:
        if value is not None:
            self.options.suppress_sequences = self._borrow(Sequences(arguments.batch(value, "suppress_sequences")))

    def end_with(self, value: Any) -> None:
        """A token, tokens or ids; None and "" mean the model's own."""
        if value is None:
            return
        if isinstance(value, (str, bytes)):
            if not value:
                return
            sequences = Sequences([[arguments.utf8(value, "end_token")]])
        else:
            items = arguments.sequence(value, "end_token", "str or int", also="a str or ")
            if items and hasattr(items[0], "__index__"):
                sequences = Sequences(ids=[arguments.integer(i, "end_token", 0, 2**31 - 1) for i in items])
            else:
                sequences = Sequences([arguments.tokens(items, "end_token")])
        self.options.has_end_tokens = True
        self.options.end_tokens = self._borrow(sequences)

    def report_to(self, callback: Any) -> None:
        if callback is None:
            return
        if not callable(callback):
            raise ArgumentError("callback must be callable, not %s" % type(callback).__name__)
        self._callback = _StepCallback(callback)
        handle = ffi.new_handle(self._callback)
        self._keep.append(handle)
        self.options.on_step, self.options.on_step_context = lib.treadle_on_step, handle

    def seed_with(self, seed: Optional[int]) -> None:
        """With a seed the draws are those of the original."""
        if seed is not None:
            self.options.rng = lib.TRD_RNG_MT19937
            self.options.seed, self.options.has_seed = seed, True

    def translate(self, handle: Any, sources: Any, prefix: Any) -> List[TranslationResult]:
        c_source = Sequences(sources)
        c_prefix = Sequences(prefix) if prefix else None
        out = ffi.new("trd_results **")
        status = lib.trd_translator_translate(handle, c_source.value, c_prefix.value if c_prefix else ffi.NULL,
                                              self.options, out)
        results = ffi.gc(out[0], lib.trd_results_destroy)
        if self._callback is not None and self._callback.error is not None:
            raise self._callback.error
        check(status)
        o = self.options
        return [translation_result(lib.trd_results_get(results, i), o.return_scores, o.return_attention, o.return_logits)
                for i in range(lib.trd_results_count(results))]
