"""Writes expected.h: what CTranslate2 (4.8.5 was used) makes of the directories that write_variants wrote.

    write_variants FOLDER && python make_expected.py FOLDER > expected.h
"""
import os
import sys

# Products of 8-bit integers by oneDNN saturate in 16 bits on processors without VNNI; MKL's are right on all.
os.environ["CT2_USE_MKL"] = "1"
import ctranslate2  # noqa: E402

SOURCE = (7, 12, 30, 5, 21, 3, 17)
LENGTH = 9


def word_id(word):
    return {"<unk>": 0, "<s>": 1, "</s>": 2}.get(word) if word.startswith("<") else int(word[1:])


def decode(path, kind):
    options = dict(min_length=LENGTH, max_length=LENGTH)
    generator = ctranslate2.Generator(path, compute_type=kind)
    result = generator.generate_batch([["<s>"]], length_penalty=0, return_scores=True, include_prompt_in_result=False, **options)[0]
    return result.sequences_ids[0], result.scores[0], None


def translate(path, kind, features, attention):
    source = [f"w{i}￨w{i % 9 + 3}" if features else f"w{i}" for i in SOURCE]
    translator = ctranslate2.Translator(path, compute_type=kind)
    result = translator.translate_batch([source], beam_size=1, length_penalty=0, min_decoding_length=LENGTH, max_decoding_length=LENGTH,
                                        return_scores=True, return_attention=attention)[0]
    return [word_id(word) for word in result.hypotheses[0]], result.scores[0], result.attention[0][1] if attention else None


def write_table(root, kind):
    attention = None
    for name in sorted(os.listdir(root)):
        path = os.path.join(root, name)
        if name.startswith("decoder_"):
            ids, score, _ = decode(path, kind)
        else:
            ids, score, weights = translate(path, kind, name.startswith("features"), name == "pre_norm_sinusoids")
            attention = weights or attention
        print('    { "%s", { %s }, %.6f },' % (name, ", ".join(map(str, ids)), score))
    print("};")
    return attention


def main(root):
    print("/* expected.h: made by make_expected.py; greedy tokens and the sum of their log-probabilities, by name of the variant. */")
    print("static const struct expected { const char *name; int32_t ids[%d]; double score; } expected[] = {" % LENGTH)
    attention = write_table(root, "float32")
    print("/* The same in int8_float32. */")
    print("static const struct expected expected_int8[] = {")
    write_table(root, "int8_float32")
    print("/* Attention of the second token in pre_norm_sinusoids. */")
    print("static const double expected_attention[%d] = { %s };" % (len(SOURCE), ", ".join("%.6f" % w for w in attention)))


main(sys.argv[1])
