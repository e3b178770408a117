"""Live comparison with CTranslate2 on seeded random models: every variant of the network, every option.

One call of ours on the whole batch and calls on single sentences are both compared with the original's results.
"""

import zlib

import numpy as np
import pytest

pytest.importorskip("ctranslate2", reason="the live comparison needs the ctranslate2 wheel")

import compare
import options as option_sets
import zoo
from compare import TALLY
from conftest import FULL, scaled

ALONE = ["pre_relu", "t5gemma", "marian", "start_null", "tiny_vocabulary", "t5gemma2_merged", "unk_appended"]


class Pair:
    """One model opened by both libraries."""

    def __init__(self, treadle, peer, models, name):
        self.name, self.directory = name, models(name)
        self.treadle, self.peer_module = treadle, peer
        self.ours, self.theirs = self.fresh()
        self.padding_seen = "padding" in zoo.VARIANTS[name]["avoid"]
        self.itself = type(self.ours) is type(self.theirs)
        v = zoo.VARIANTS[name]
        TALLY.models[name] = None if "scoring" in v["avoid"] else v["add_bos"] + v["add_eos"]

    def fresh(self):
        return self.treadle.Translator(self.directory, compute_type="float32", intra_threads=1), self.fresh_peer()

    def fresh_peer(self):
        return self.peer_module.Translator(self.directory, compute_type="float32", intra_threads=1)

    def single(self, open_translator, inputs, prefix, o):
        """One call for each sentence, on what open_translator() gives."""
        return [open_translator().translate_batch([s], [prefix[i]] if prefix is not None else None, **o)[0]
                for i, s in enumerate(inputs.source)]

    def coupled(self, o, prefix):
        """Are the original's results of a batch known to depend on its other sentences? One at a time it is right.

        Its examples share a vocabulary map; merged attention sees padding; in a beam, coverage
        counts padding, the first row of attention is that of another example, and an end token at the first step
        is held back if any other example has a prefix.
        """
        beam = o.get("beam_size", 2) > 1 or o.get("prefix_bias_beta")
        of_beam = any(o.get(key) for key in ("coverage_penalty", "return_attention", "replace_unknowns"))
        held_back = prefix is not None and [] in prefix and o.get("min_decoding_length") == 0
        return o.get("use_vmap") or self.padding_seen or (beam and (of_beam or held_back))

    def check(self, inputs, prefix, o, both_ways):
        """Compare batch and single calls with the original; returns the disagreements."""
        coupled = self.coupled(o, prefix)
        TALLY.sets += 1
        wrong = []

        def compare_all(how, ours, theirs):
            TALLY.calls += 1
            assert len(ours) == len(theirs)
            for i, (a, b) in enumerate(zip(ours, theirs)):
                text = compare.check(self.name, self.theirs, inputs.source[i], prefix[i] if prefix is not None else None,
                                     o, a, b, how)
                if text:
                    wrong.append(text)

        # The original's map from ids to the rows of a vocabulary map keeps rows of earlier calls.
        one = self.fresh_peer if o.get("use_vmap") else lambda: self.theirs
        theirs = (self.single(one, inputs, prefix, o) if coupled
                  else self.theirs.translate_batch(inputs.source, prefix, **o))
        if not (coupled and self.itself):
            compare_all("batch", self.ours.translate_batch(inputs.source, prefix, **o), theirs)
        if both_ways or coupled:
            ours = one if self.itself else lambda: self.ours
            compare_all("single", self.single(ours, inputs, prefix, o), theirs)
        return wrong


def seed_of(*parts):
    return zlib.crc32(repr(parts).encode())


def report(wrong):
    if wrong:
        pytest.fail("%d disagreements, the first:\n%s" % (len(wrong), "\n".join(wrong[:3])), pytrace=False)


@pytest.fixture(scope="module")
def pairs(treadle, peer, models):
    made = {}

    def get(name):
        if name not in made:
            made[name] = Pair(treadle, peer, models, name)
        return made[name]
    return get


@pytest.mark.parametrize("name", list(zoo.VARIANTS))
def test_random_options(pairs, name):
    pair, wrong = pairs(name), []
    for k in range(scaled(40, 200)):
        rng = np.random.default_rng(seed_of("options", name, k))
        inputs = option_sets.Inputs(name, rng)
        o, prefix = option_sets.draw(rng, inputs)
        wrong += pair.check(inputs, prefix, o, both_ways=k % 5 == 0)
    report(wrong)


@pytest.mark.parametrize("name", list(zoo.VARIANTS) if FULL else ALONE)
def test_each_option_alone(pairs, name):
    pair, wrong = pairs(name), []
    rng = np.random.default_rng(seed_of("alone", name))
    inputs = option_sets.Inputs(name, rng, count=5)
    prefix = inputs.prefixes(rng, 1, 1) if inputs.needs_prefix() else None
    for k, o in enumerate(option_sets.alone(inputs)):
        wrong += pair.check(inputs, prefix, o, both_ways=k % 4 == 0)
    report(wrong)


@pytest.mark.parametrize("name", list(zoo.VARIANTS))
def test_scoring(pairs, name):
    if "scoring" in zoo.VARIANTS[name]["avoid"]:
        pytest.skip("the original masks whole sequences wrongly here")
    pair, rng = pairs(name), np.random.default_rng(seed_of("score", name))
    for k in range(scaled(3, 20)):
        inputs = option_sets.Inputs(name, rng)
        targets = inputs.prefixes(rng, 0, 12)
        o = {}
        if k:
            o["max_input_length"] = option_sets.pick(rng, 0, 1, 2, 5)
            o["offset"] = int(rng.integers(0, 4))
        theirs = pair.theirs.score_batch(inputs.source, targets, **o)
        together = pair.ours.score_batch(inputs.source, targets, **o)
        single = [pair.ours.score_batch([s], [t], **o)[0] for s, t in zip(inputs.source, targets)]
        TALLY.sets += 1
        for ours in (together, single):
            TALLY.calls += 1
            for i, (a, b) in enumerate(zip(ours, theirs)):
                TALLY.examples += 1
                assert a.tokens == b.tokens, (inputs.source[i], targets[i], o)
                assert compare.close(a.log_probs, b.log_probs) is None, (inputs.source[i], targets[i], o)


def sampling_sets(rng, inputs):
    vocabulary = len(inputs.target)
    topk = option_sets.pick(rng, 0, 2, 5, vocabulary)
    o = {"beam_size": 1, "sampling_topk": topk, "num_hypotheses": option_sets.pick(rng, 1, 3),
         "return_scores": True, "max_decoding_length": 10}
    if rng.random() < 0.25:
        o["beam_size"] = option_sets.pick(rng, 2, 3)
        o["num_hypotheses"] = 1
        o["sampling_topk"] = option_sets.pick(rng, 0, 2 * o["beam_size"], 11)
    if rng.random() < 0.5:
        o["sampling_temperature"] = option_sets.pick(rng, 0.5, 1.4, 2.5)
    if rng.random() < 0.4 and o["beam_size"] == 1:
        o["sampling_topp"] = option_sets.pick(rng, 0.3, 0.7, 0.95)
    elif rng.random() < 0.5 and o["beam_size"] > 1:
        # A beam wants 2 x beam_size candidates; with fewer the original fills up with arbitrary ones.
        o["sampling_topk"], o["sampling_temperature"], o["sampling_topp"] = 0, 2.5, 0.95
    if rng.random() < 0.3:
        o["repetition_penalty"] = 1.3
    if rng.random() < 0.3:
        o["max_batch_size"] = option_sets.pick(rng, 1, 2, 3)
    if rng.random() < 0.15:
        o["max_batch_size"], o["batch_type"] = 12, "tokens"
    if rng.random() < 0.3:
        o["return_end_token"] = True
    return o


@pytest.mark.parametrize("name", ["pre_relu", "t5gemma", "marian", "start_null", "features_concat", "deep_wide",
                                  "rotary_llama3", "tiny_vocabulary"])
def test_seeded_sampling(pairs, treadle, peer, name):
    """Draws of a fresh object after set_random_seed are those of the original, batch by batch."""
    pair, wrong = pairs(name), []
    for k in range(scaled(10, 80)):
        rng = np.random.default_rng(seed_of("sampling", name, k))
        inputs = option_sets.Inputs(name, rng)
        o = sampling_sets(rng, inputs)
        prefix = inputs.prefixes(rng, 0, 2) if inputs.needs_prefix() or rng.random() < 0.3 else None
        seed = int(rng.integers(0, 2 ** 31))
        treadle.set_random_seed(seed)
        peer.set_random_seed(seed)
        ours, theirs = pair.fresh()
        TALLY.sets += 1
        TALLY.calls += 1
        results = zip(ours.translate_batch(inputs.source, prefix, **o), theirs.translate_batch(inputs.source, prefix, **o))
        for i, (a, b) in enumerate(results):
            text = compare.check(name, pair.theirs, inputs.source[i], prefix and prefix[i], o, a, b, "seed %d" % seed)
            if text:
                wrong.append(text)
    report(wrong)


@pytest.mark.parametrize("name", ["pre_relu", "marian", "start_null", "t5_v11_gated"])
def test_callbacks(pairs, name):
    """The same steps are reported in the same order for each row; a stop ends that row alone."""
    pair = pairs(name)
    for k in range(scaled(8, 40)):
        rng = np.random.default_rng(seed_of("callback", name, k))
        inputs = option_sets.Inputs(name, rng)
        inputs.source = [s for s in inputs.source if s]  # the original maps indices wrongly past an empty source
        prefix = inputs.prefixes(rng, 0, 2) if inputs.needs_prefix() or rng.random() < 0.4 else None
        o = {"beam_size": 1, "max_decoding_length": 8, "return_scores": bool(rng.random() < 0.7)}
        if rng.random() < 0.3:
            o["return_end_token"] = True
        if rng.random() < 0.3:
            o["max_batch_size"] = 2
        stop_at = int(rng.integers(1, 9))
        stopped = int(rng.integers(len(inputs.source)))

        def run(translator):
            steps = {}

            def callback(r):
                steps.setdefault((r.batch_id, r.hypothesis_id), []).append(r)
                return r.batch_id == stopped and r.step + 1 >= stop_at
            return translator.translate_batch(inputs.source, prefix, callback=callback, **o), steps

        (ours, our_steps), (theirs, their_steps) = run(pair.ours), run(pair.theirs)
        TALLY.sets += 1
        TALLY.calls += 1
        report([t for i, (a, b) in enumerate(zip(ours, theirs))
                if (t := compare.check(name, pair.theirs, inputs.source[i], prefix and prefix[i], o, a, b, "callback"))])
        assert our_steps.keys() == their_steps.keys()
        for key, steps in our_steps.items():
            expected = their_steps[key]
            assert [(s.step, s.token_id, s.token, s.is_last) for s in steps] == \
                   [(s.step, s.token_id, s.token, s.is_last) for s in expected], (name, key, o)
            assert [s.log_prob is None for s in steps] == [s.log_prob is None for s in expected]
            if o["return_scores"]:
                assert compare.close([s.log_prob for s in steps], [s.log_prob for s in expected]) is None
