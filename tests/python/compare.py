"""Comparison of our results with the original's, and the tally that a run prints at its end."""

import numpy as np

TOLERANCE = 1e-4
TIE = 1e-5
# Values below stand for "forbidden" and carry no more information. A hypothesis with such a score fills a slot that had no
# real candidate: any token is as good.
FORBIDDEN = -1e8


class Tally:
    def __init__(self):
        self.models = {}  # name -> special tokens that the model adds to a source; None: the original cannot score with it
        self.sets, self.calls, self.examples = 0, 0, 0
        self.disagreements, self.ties, self.identical_bits = [], [], 0

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
    both_low = (a < FORBIDDEN) & (b < FORBIDDEN)
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


def token_scores(peer, source, prefix, hypotheses):
    """The original's own score_batch of each hypothesis: (tokens with the end token, log-probabilities)."""
    if prefix and starts_itself(peer, source):
        hypotheses = [prefix[:1] + h for h in hypotheses]
    results = peer.score_batch([source] * len(hypotheses), hypotheses, max_input_length=0)
    return [(r.tokens, r.log_probs) for r in results]


def starts_itself(peer, source):
    """Must the first token of a prefix be the start token? Then an empty target has nothing to score."""
    return not peer.score_batch([source], [[]])[0].tokens


def is_tie(peer, source, prefix, ours, theirs, options, special_tokens=0):
    """Does the original itself score our tokens within 1e-5 of its own?

    A beam is compared by the whole hypothesis. Greedy search is compared up to the first token that differs: what follows an
    equally good token is another sentence.
    """
    if len(ours.hypotheses) != len(theirs.hypotheses) or not source:
        return False
    if options.get("max_input_length"):
        source = source[:options["max_input_length"] - special_tokens]
    a = token_scores(peer, source, prefix, ours.hypotheses)
    b = token_scores(peer, source, prefix, theirs.hypotheses)
    greedy = options.get("beam_size", 2) == 1 and not options.get("prefix_bias_beta")
    for (our_tokens, our_scores), (their_tokens, their_scores) in zip(a, b):
        end = len(our_tokens) + len(their_tokens)
        if greedy:
            end = 1 + next((i for i, (x, y) in enumerate(zip(our_tokens, their_tokens)) if x != y), end)
        if abs(sum(our_scores[:end]) - sum(their_scores[:end])) > TIE:
            return False
    return True


def check(model, peer, source, prefix, options, ours, theirs, how):
    """Record the comparison of one example; returns the text of a disagreement or None."""
    TALLY.examples += 1
    text = difference(ours, theirs, options)
    if text is None:
        return None
    label = "%s (%s): source %s, prefix %s, options %s: %s" % (model, how, source, prefix, options, text)
    special = TALLY.models[model]
    if ours.hypotheses != theirs.hypotheses and special is not None and \
            is_tie(peer, source, prefix, ours, theirs, options, special):
        TALLY.ties.append(label)
        return None
    TALLY.disagreements.append(label)
    return label
