"""Inputs and seeded random option sets for the live comparison.

Every set is valid for both libraries: cases in which the original crashes or is known to be wrong are
left out here and have tests of their own.
"""

import numpy as np

import zoo

DEFAULT_MAX_LENGTH = 14


class Inputs:
    """Sentences of one model: empty, single, repeated, unknown tokens, many lengths."""

    def __init__(self, name, rng, count=7):
        self.variant = zoo.VARIANTS[name]
        self.tables, self.target = zoo.vocabularies(self.variant)
        lengths = [int(n) for n in rng.integers(1, 11, size=count)]
        self.source = [self.sentence(rng, n) for n in lengths]
        self.source[1] = [self.source[1][0]] * 6
        if "padding" not in self.variant["avoid"]:
            self.source[3] = []
        self.words = self.target[4:]

    def sentence(self, rng, length):
        columns = [[str(t) for t in rng.choice(table[4:], size=length)] for table in self.tables]
        if length > 2:
            columns[0][int(rng.integers(length))] = "never-seen"
        return [zoo.FIELD.join(fields) for fields in zip(*columns)]

    def prefixes(self, rng, low, high):
        """One prefix for each source; a model without a start token needs at least one."""
        if self.variant["start"] is None:
            low, high = max(low, 1), max(high, 1)
        out = []
        for _ in self.source:
            prefix = [str(t) for t in rng.choice(self.words, size=int(rng.integers(low, high + 1)))]
            if len(prefix) > 1 and rng.random() < 0.15:
                prefix[-1] = "never-seen"
            if len(prefix) > 1 and rng.random() < 0.1:
                prefix[-1] = "</s>"
            out.append(prefix)
        return out

    def needs_prefix(self):
        return self.variant["start"] is None


def pick(rng, *values):
    return values[int(rng.integers(len(values)))]


def search_rules(rng, o, inputs):
    """Rules that both greedy and beam search know."""
    words = inputs.words
    if rng.random() < 0.35:
        o["repetition_penalty"] = pick(rng, 0.7, 1.2, 2.0, 100.0)
    if rng.random() < 0.3:
        o["no_repeat_ngram_size"] = pick(rng, 1, 2, 3)
    if rng.random() < 0.25:
        sizes = [int(n) for n in rng.integers(1, 4, size=int(rng.integers(1, 5)))]
        o["suppress_sequences"] = [[str(t) for t in rng.choice(words, size=n)] for n in sizes]
    if rng.random() < 0.25:
        o["disable_unk"] = True
    if rng.random() < 0.3:
        one, several = str(rng.choice(words)), [str(t) for t in rng.choice(words, size=4, replace=False)]
        ids = [inputs.target.index(t) for t in several]
        # With many end tokens whole beams end at once.
        many = [str(t) for t in rng.choice(words, size=2 * len(words) // 3, replace=False)]
        o["end_token"] = pick(rng, one, several, ids, [], "", several + ["</s>"], many)
    if rng.random() < 0.3:
        o["return_end_token"] = True
    if rng.random() < 0.5:
        o["length_penalty"] = pick(rng, 0.0, 0.6, 2.0, -0.5)
    o["max_decoding_length"] = pick(rng, 1, 2, 4, 9, DEFAULT_MAX_LENGTH, DEFAULT_MAX_LENGTH)
    if rng.random() < 0.35:
        o["min_decoding_length"] = min(pick(rng, 0, 2, 5, 9), o["max_decoding_length"])
    if rng.random() < 0.25:
        # With room for special tokens only, the original returns attention that nothing wrote.
        special = inputs.variant["add_bos"] + inputs.variant["add_eos"]
        o["max_input_length"] = pick(rng, 0, special + 1, special + 2, special + 3, 5)


def attention_rules(rng, o, inputs):
    if "attention" in inputs.variant["avoid"]:
        return
    if rng.random() < 0.5:
        o["return_attention"] = True
    if rng.random() < 0.25:
        o["replace_unknowns"] = True
    if rng.random() < 0.3:
        o["coverage_penalty"] = pick(rng, 0.2, 1.0, -0.3)


def prefix_rules(rng, o, inputs):
    """Returns the prefixes, or None."""
    if inputs.needs_prefix() or rng.random() < 0.45:
        high = 3 if rng.random() < 0.8 else 9
        return inputs.prefixes(rng, 0, high)
    return None


def greedy(rng, inputs):
    o = {"beam_size": 1}
    search_rules(rng, o, inputs)
    attention_rules(rng, o, inputs)
    prefix = prefix_rules(rng, o, inputs)
    if rng.random() < 0.35:
        o["return_logits_vocab"] = True
    if rng.random() < 0.7:
        o["return_scores"] = True
    if rng.random() < 0.15:
        o["patience"], o["num_hypotheses"] = 2, 2
    if o.get("coverage_penalty") and (o.get("return_scores") or o.get("num_hypotheses")):
        o["return_attention"] = True  # the original crashes without
    if o.get("coverage_penalty") and o.get("num_hypotheses"):
        o["return_scores"] = True
    return o, prefix


def beam(rng, inputs):
    vocabulary = len(inputs.target)
    o = {"beam_size": pick(rng, 2, 2, 3, 4, 5, 6), "return_scores": True}
    if vocabulary < 20 and rng.random() < 0.5:
        o["beam_size"] = vocabulary + 3
    if rng.random() < 0.3:
        o["patience"] = pick(rng, 0.5, 1.5, 2.0)
    limit = int(np.floor(o["beam_size"] * o.get("patience", 1) + 0.5))
    o["num_hypotheses"] = int(rng.integers(1, max(limit, 1) + 1))
    search_rules(rng, o, inputs)
    attention_rules(rng, o, inputs)
    prefix = prefix_rules(rng, o, inputs)
    if prefix is not None and rng.random() < 0.35:
        o["prefix_bias_beta"] = pick(rng, 0.01, 0.35, 0.99, -0.5)
        if rng.random() < 0.2:
            o["beam_size"], o["num_hypotheses"] = 1, 1
            o.pop("patience", None)
    if o["beam_size"] > vocabulary:
        o["min_decoding_length"] = min(o.get("min_decoding_length", 1), 4)
        # Slots of the first step that no real candidate fills hold forbidden ones, all equally bad, and which of them is
        # arbitrary. An end token there would count as a finished hypothesis: so none.
        o["end_token"] = []
        o["max_decoding_length"] = 4
    elif rng.random() < 0.1:
        del o["return_scores"]
    return o, prefix


def alternatives(rng, inputs):
    o = {"beam_size": pick(rng, 1, 2, 4), "num_hypotheses": pick(rng, 1, 3, 7), "return_alternatives": True,
         "return_scores": True}
    search_rules(rng, o, inputs)
    attention_rules(rng, o, inputs)
    if o["beam_size"] == 1 and o.get("coverage_penalty"):
        o["return_attention"] = True
    if o["beam_size"] > 1:  # the alternatives go on as one batch, in which the original mixes up attention
        for key in ("return_attention", "replace_unknowns", "coverage_penalty"):
            o.pop(key, None)
    # A vocabulary without the end token always has an alternative of at least this probability.
    o["min_alternative_expansion_prob"] = pick(rng, 0.0, 0.5 / len(inputs.target), 1.0 / len(inputs.target))
    if o.get("suppress_sequences") or o.get("disable_unk") or isinstance(o.get("end_token"), list):
        o["min_alternative_expansion_prob"] = 0.0
    high = 1 if "long_prompt" in inputs.variant["avoid"] else 4
    prefix = inputs.prefixes(rng, 0, high) if inputs.needs_prefix() or rng.random() < 0.8 else None
    return o, prefix


def vocabulary_map(rng, inputs):
    o, prefix = pick(rng, greedy, greedy, beam, beam, alternatives)(rng, inputs)
    o["use_vmap"] = True
    o.pop("suppress_sequences", None)
    if o.get("no_repeat_ngram_size") == 1:  # soon every allowed token is forbidden, and any is as good
        o["no_repeat_ngram_size"] = 2
    o["beam_size"] = min(o["beam_size"], 3)
    if o.get("num_hypotheses"):
        o["num_hypotheses"] = 1
    return o, prefix


def draw(rng, inputs):
    """One option set and its prefixes."""
    kinds = [(greedy, 0.38), (beam, 0.47), (alternatives, 0.15)]
    if inputs.variant["vmap"]:
        kinds = [(greedy, 0.3), (beam, 0.35), (alternatives, 0.12), (vocabulary_map, 0.23)]
    at = rng.random()
    for kind, share in kinds:
        if at < share:
            break
        at -= share
    return kind(rng, inputs)


def alone(inputs):
    """Every option of translate_batch on its own, greedy and with a beam where it applies."""
    w, target = inputs.words, inputs.target
    sets = []
    for size in range(1, 7):
        sets.append({"beam_size": size, "num_hypotheses": size if size > 1 else 1})
    for size in (1, 3):
        for extra in (
                {"length_penalty": 0.0}, {"length_penalty": 2.0}, {"repetition_penalty": 1.5},
                {"no_repeat_ngram_size": 1}, {"no_repeat_ngram_size": 2}, {"disable_unk": True},
                {"suppress_sequences": [[w[0]], [w[1], w[2]], []]}, {"end_token": w[3]}, {"end_token": w[:6]},
                {"end_token": [target.index(t) for t in w[:6]]}, {"end_token": []}, {"end_token": ""},
                {"return_end_token": True}, {"max_input_length": 2}, {"max_input_length": 0},
                {"max_decoding_length": 1}, {"max_decoding_length": 3}, {"min_decoding_length": 6},
                {"return_attention": True}, {"replace_unknowns": True}, {"use_vmap": True},
                {"coverage_penalty": 0.5, "return_attention": True}):
            sets.append(dict({"beam_size": size}, **extra))
    sets += [{"beam_size": 4, "patience": 2.0, "num_hypotheses": 8}, {"beam_size": 4, "patience": 0.5},
             {"beam_size": 2, "num_hypotheses": 5, "return_alternatives": True},
             {"beam_size": 1, "return_logits_vocab": True},
             {"beam_size": len(target) + 2 if len(target) < 50 else 30, "num_hypotheses": 3, "max_decoding_length": 4}]
    skip = {"return_attention", "replace_unknowns", "coverage_penalty"} if "attention" in inputs.variant["avoid"] else ()
    out = []
    for o in sets:
        if any(key in o for key in skip):
            continue
        o.setdefault("max_decoding_length", DEFAULT_MAX_LENGTH)
        out.append(dict(o, return_scores=True))
    return out
