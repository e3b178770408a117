"""Decoding options: Python's keyword arguments as a trd_decoding_options."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Tuple, Union

from . import _arguments as arguments
from ._arguments import ArgumentError
from ._library import Sequences, ffi, lib

_integer, _real, _flag = arguments.integer, arguments.real, arguments.boolean

# Option -> what converts it; the field of C has the same name unless a third column says otherwise.
_PLAIN: Dict[str, Union[Tuple[Callable[[Any, str], Any]], Tuple[Callable[[Any, str], Any], str]]] = {
    "max_batch_size": (_integer,),
    "beam_size": (_integer,),
    "patience": (_real,),
    "num_hypotheses": (_integer,),
    "length_penalty": (_real,),
    "coverage_penalty": (_real,),
    "repetition_penalty": (_real,),
    "no_repeat_ngram_size": (_integer,),
    "disable_unk": (_flag,),
    "return_end_token": (_flag,),
    "prefix_bias_beta": (_real,),
    "max_input_length": (_integer,),
    "max_decoding_length": (_integer,),
    "min_decoding_length": (_integer,),
    "use_vmap": (_flag,),
    "return_scores": (_flag,),
    "return_logits_vocab": (_flag, "return_logits"),
    "return_attention": (_flag,),
    "return_alternatives": (_flag,),
    "min_alternative_expansion_prob": (_real,),
    "sampling_topk": (_integer,),
    "sampling_topp": (_real,),
    "sampling_temperature": (_real,),
    "replace_unknowns": (_flag,),
}


class Decoding:
    """The C options of one call and everything they point to."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        """`values`: options by name; those that are not there keep their defaults, other names are passed over."""
        self.options = ffi.new("trd_decoding_options *")
        lib.trd_decoding_options_init(self.options, ffi.sizeof("trd_decoding_options"))
        self._keep: List[Any] = []
        for name, (convert, *field) in _PLAIN.items():
            if name in values:
                setattr(self.options, field[0] if field else name, convert(values[name], name))
        self._suppress(values.get("suppress_sequences"))
        self._end_with(values.get("end_token"))
        self._batch_type = arguments.string(values.get("batch_type", "examples"), "batch_type")
        callback = values.get("callback")
        if callback is not None and not callable(callback):
            raise ArgumentError("callback must be callable, not %s" % type(callback).__name__)

    def read_batch_type(self) -> None:
        """After the checks of types: is it one that exists?"""
        self.options.batch_by_tokens = arguments.batch_type_is_tokens(self._batch_type)

    def samples(self) -> bool:
        return self.options.sampling_topk != 1 and self.options.sampling_temperature != 0

    def seed_with(self, seed: Optional[int]) -> None:
        """With a seed the draws are those of the original."""
        if seed is not None:
            self.options.rng = lib.TRD_RNG_MT19937
            self.options.seed, self.options.has_seed = seed, True

    def _borrow(self, sequences: Sequences) -> Any:
        self._keep.append(sequences)
        return sequences.value[0]

    def _suppress(self, value: Any) -> None:
        if value is not None:
            self.options.suppress_sequences = self._borrow(Sequences(arguments.batch(value, "suppress_sequences")))

    def _end_with(self, value: Any) -> None:
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
