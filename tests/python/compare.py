"""Comparison of our results with the original's, and the tally that a run prints at its end."""

import numpy as np

TOLERANCE = 1e-4
TIE = 1e-5
LOWEST = -1e30     # scores below stand for "forbidden" and carry no more information
FORBIDDEN = -1e8   # a hypothesis with such a score fills a slot that had no real candidate: any token is as good


class Tally:
    def __init__(self):
        self.models, self.sets, self.calls, self.examples = set(), 0, 0, 0
        self.disagreements, self.ties, self.identical_bits = [], [], 0
        self.reasons_of_skips = set()

    def lines(self):
        yield ("live comparison: %d models, %d option sets (model x options), %d calls, %d examples: "
               "%d disagreements, %d ties" % (len(self.models), self.sets, self.calls, self.examples,
                                              len(self.disagreements), len(self.ties)))
        for text in self.ties:
            yield "  tie: " + text
        yield "identical bits: %d configurations compared" % self.identical_bits


TALLY = Tally()


def close(ours, theirs, tolerance=TOLERANCE):
    """None, or the pair that differs most, for two equally shaped arrays or scalars."""
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if a.shape != b.shape:
        return "shapes %s and %s" % (a.shape, b.shape)
    if a.size == 0:
        return None
    both_low = (a < LOWEST) & (b < LOWEST)
    with np.errstate(invalid="ignore"):
        off = np.where(both_low | (a == b), 0, np.abs(a - b) / np.maximum(1, np.abs(b)))
    if np.isnan(off).any():
        return "a NaN"
    worst = np.unravel_index(int(np.argmax(off)), off.shape)
    return None if off[worst] <= tolerance else "%r and %r at %s" % (float(a[worst]), float(b[worst]), worst)


def step_arrays(steps):
    return [np.array(step) for step in steps]


def same_tokens(ours, theirs):
    if len(ours.hypotheses) != len(theirs.hypotheses):
        return False
    for h, (a, b) in enumerate(zip(ours.hypotheses, theirs.hypotheses)):
        filler = max([*ours.scores[h:h + 1], *theirs.scores[h:h + 1]], default=0) < FORBIDDEN
        if a != b and not filler:
            return False
    return True


def difference(ours, theirs, options):
    """A text that says where two TranslationResults differ, or None."""
    if not same_tokens(ours, theirs):
        return "tokens %s, expected %s (scores %s, expected %s)" % (
            ours.hypotheses, theirs.hypotheses, ours.scores, theirs.scores)
    wrong = close(ours.scores, theirs.scores)
    if wrong:
        return "scores " + wrong
    if len(ours.attention) != len(theirs.attention):
        return "attention of %d hypotheses, expected %d" % (len(ours.attention), len(theirs.attention))
    for h, (a, b) in enumerate(zip(ours.attention, theirs.attention)):
        if ours.hypotheses[h] != theirs.hypotheses[h]:
            continue
        if len(a) != len(b):
            return "attention %d has %d rows, expected %d" % (h, len(a), len(b))
        wrong = close(a, b)
        if wrong:
            return "attention %d: %s" % (h, wrong)
    # In beam search and with alternatives the original returns rows of the wrong hypotheses.
    if options.get("beam_size", 2) == 1 and not options.get("return_alternatives"):
        if len(ours.logits) != len(theirs.logits):
            return "logits of %d hypotheses, expected %d" % (len(ours.logits), len(theirs.logits))
        # The penalty multiplies negative logits, and their rounding errors with them.
        tolerance = TOLERANCE * max(1.0, options.get("repetition_penalty", 1.0))
        for h, (a, b) in enumerate(zip(ours.logits, theirs.logits)):
            if options.get("use_vmap"):
                a, b = allowed_only(a, b)
            wrong = close(step_arrays(a), step_arrays(b), tolerance)
            if wrong:
                return "logits %d: %s" % (h, wrong)
    return None


def allowed_only(ours, theirs):
    """Under a vocabulary map ours are as wide as the vocabulary, theirs have the allowed ids alone: compare in order of size."""
    return ([np.sort(a)[::-1][:np.size(b)] for a, b in zip(ours, theirs)], [np.sort(b)[::-1] for b in theirs])


def sums(peer, source, prefix, hypotheses, options):
    """The original's own score_batch for each hypothesis: sums of log-probabilities."""
    results = peer.score_batch([source] * len(hypotheses), hypotheses, max_input_length=0)
    return [float(np.sum(r.log_probs)) for r in results]


def is_tie(peer, source, prefix, ours, theirs, options):
    """Only if the original scores our tokens within 1e-5 of its own."""
    if len(ours.hypotheses) != len(theirs.hypotheses) or not source:
        return False
    if prefix and peer_needs_start(peer, source):
        ours_full = [prefix[:1] + h for h in ours.hypotheses]
        theirs_full = [prefix[:1] + h for h in theirs.hypotheses]
    else:
        ours_full, theirs_full = ours.hypotheses, theirs.hypotheses
    a = sums(peer, source, prefix, ours_full, options)
    b = sums(peer, source, prefix, theirs_full, options)
    return all(abs(x - y) <= TIE for x, y in zip(a, b))


def peer_needs_start(peer, source):
    """Without a start token of its own, a model returns nothing for an empty target."""
    return not peer.score_batch([source], [[]])[0].tokens


def check(model, peer, source, prefix, options, ours, theirs, how):
    """Record the comparison of one example; returns the text of a disagreement or None."""
    TALLY.examples += 1
    text = difference(ours, theirs, options)
    if text is None:
        return None
    label = "%s (%s): source %s, prefix %s, options %s: %s" % (model, how, source, prefix, options, text)
    if ours.hypotheses != theirs.hypotheses and is_tie(peer, source, prefix, ours, theirs, options):
        TALLY.ties.append(label)
        return None
    TALLY.disagreements.append(label)
    return label
