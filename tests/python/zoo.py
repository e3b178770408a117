"""Small seeded random models for the live comparison, one per variant of the encoder-decoder Transformer.

The models are described with ctranslate2.specs and written by it; what the specifications cannot say (old binary
versions, bfloat16 without PyTorch, text vocabularies) is written by modelfile.py from the same variables. A variant is
a plain dictionary; `build` makes its directory. Weights are scaled so that outputs vary and hypotheses end at
different lengths.
"""

import json
import os
import zlib

import numpy as np
from ctranslate2.specs import attention_spec, common_spec, transformer_spec

import modelfile

SPECIAL = ["<blank>", "<s>", "</s>", "<unk>"]
FIELD = "\uffe8"  # separates the features of one source token

# Keys of a variant beside those below: `encoder` and `decoder` (arguments of the specifications) and `both`.
DEFAULTS = dict(
    d=32, heads=4, kv=None, head_dim=None, ffn=48, layers=(2, 2), source=[40], target=37, widths=None,
    bias=True, projection_bias=True, gain=1.4, logits=2.2, eos_bias=1.5, qk_gain=1.7, echo=0.5,
    positions=None,            # None: generated; "learned" or "table" store one
    n_positions=96, tied=False, shared=False, t5=False, shaw=None, rotary=None,
    scale_embeddings=True, scale_outputs=None, softcap=None, zero_start=False, residual_norm=False,
    epsilon=None, project=None, scalar=False, qk_beta=False, layer_scale=False,
    start="<s>", add_bos=False, add_eos=False, quantize=None, legacy=None, text_vocabulary=None, vmap=False,
    drop_unk=False, edit=None,
    # What the original is known to do wrong with such a model: batches with padding ("padding"), prompts of several
    # tokens ("long_prompt"), whole sequences ("scoring"), returned attention ("attention").
    avoid=(),
)


def activation(number):
    return common_spec.Activation(number)


def _variants():
    pre = dict(pre_norm=True)
    post = dict(pre_norm=False)
    llama3 = attention_spec.RotaryScalingType.Llama3
    linear = attention_spec.RotaryScalingType.Linear
    su = attention_spec.RotaryScalingType.Su
    z = {}
    z["pre_relu"] = dict(both=dict(pre, activation=activation(0)), vmap=True)
    z["post_gelu_tanh"] = dict(both=dict(post, activation=activation(1)))
    z["pre_swish"] = dict(both=dict(pre, activation=activation(2)), vmap=True)
    z["post_gelu"] = dict(both=dict(post, activation=activation(3)), bias=False)
    z["pre_gelu_sigmoid"] = dict(both=dict(pre, activation=activation(4)))
    z["post_tanh"] = dict(both=dict(post, activation=activation(5)))
    z["pre_sigmoid"] = dict(both=dict(pre, activation=activation(6)))
    z["pre_no_final_norm"] = dict(both=dict(pre, no_final_norm=True), logits=0.4)
    # Families that the converters of CTranslate2 write.
    z["bart"] = dict(both=dict(post, activation=activation(3), layernorm_embedding=True), positions="learned",
                     scale_embeddings=float(np.sqrt(32)), start="</s>", shared=True, tied=True)
    z["mbart25"] = dict(both=dict(pre, activation=activation(3), layernorm_embedding=True), positions="learned",
                        scale_embeddings=float(np.sqrt(32)), start=None, shared=True)
    z["marian"] = dict(both=dict(post, activation=activation(2)), positions="table", zero_start=True, add_eos=True,
                       shared=True, tied=True, vmap=True, avoid=["long_prompt"])
    z["m2m100"] = dict(both=dict(pre), positions="table", start="</s>", shared=True, tied=True, add_eos=True,
                       scale_embeddings=float(np.sqrt(32)))
    z["pegasus"] = dict(both=dict(pre), positions="table", start="<blank>", scale_embeddings=5.5)
    t5 = dict(pre, rms_norm=True, relative_attention_bias=True)
    z["t5"] = dict(both=t5, t5=True, bias=False, projection_bias=False, tied=True, shared=True, start="<blank>",
                   scale_embeddings=False, scale_outputs=32 ** -0.5, logits=12.0, avoid=["long_prompt"])
    z["t5_v11_gated"] = dict(both=dict(t5, ffn_glu=True, activation=activation(1)), t5=True, bias=False,
                             start="<blank>", scale_embeddings=False, head_dim=12, avoid=["long_prompt"])
    gemma = dict(pre, rms_norm=True, ffn_glu=True, activation=activation(1), pre_post_layer_norm=True)
    z["t5gemma"] = dict(both=gemma, decoder=dict(external_pre_post_encoder_layers=True), kv=2, head_dim=12,
                        rotary=dict(rotary_dim=0, rotary_interleave=False), bias=False, epsilon=1e-4)
    z["t5gemma2_merged"] = dict(both=dict(gemma, qk_norm=True), decoder=dict(merged_encoder_attention=True), kv=2,
                                head_dim=10, bias=False, scale_embeddings=5.0, epsilon=1e-6,
                                rotary=dict(rotary_dim=0, rotary_interleave=False, rotary_scaling_type=linear,
                                            rotary_scaling_factor=4.0),
                                avoid=["attention", "padding", "long_prompt", "scoring"])
    z["onmt_shaw_shared"] = dict(both=dict(pre, relative_position=True), shaw="shared")
    z["onmt_shaw_separate"] = dict(both=dict(post, relative_position=True), shaw="separate", kv=2)
    z["onmt_shaw_keys"] = dict(both=dict(pre, relative_position=True), shaw="keys")
    z["features_concat"] = dict(both=dict(pre), encoder=dict(num_source_embeddings=2), source=[40, 9],
                                widths=[24, 8])
    z["features_add"] = dict(both=dict(post), source=[40, 9], add_eos=True, add_bos=True, positions="learned",
                             encoder=dict(num_source_embeddings=2,
                                          embeddings_merge=common_spec.EmbeddingsMerge.ADD))
    z["features_three"] = dict(both=dict(pre), encoder=dict(num_source_embeddings=3), source=[30, 9, 6],
                               widths=[16, 8, 8])
    # Rotary positions.
    z["rotary_interleaved"] = dict(both=dict(pre, rms_norm=True), rotary=dict(rotary_dim=0))
    z["rotary_partial"] = dict(both=dict(pre), rotary=dict(rotary_dim=4, rotary_interleave=False, rotary_base=500.0))
    z["rotary_linear"] = dict(both=dict(post), kv=2, rotary=dict(
        rotary_dim=8, rotary_interleave=True, rotary_scaling_type=linear, rotary_scaling_factor=3.0))
    z["rotary_llama3"] = dict(both=dict(pre, rms_norm=True, ffn_glu=True, activation=activation(2)), rotary=dict(
        rotary_dim=0, rotary_interleave=False, rotary_scaling_type=llama3, rotary_scaling_factor=8.0,
        low=1.0, high=4.0, original=64))
    z["rotary_su_short"] = dict(both=dict(pre, rms_norm=True), rotary=dict(
        rotary_dim=0, rotary_interleave=False, rotary_scaling_type=su, original=4096, maximum=16384))
    z["rotary_su_long"] = dict(both=dict(pre, rms_norm=True), rotary=dict(
        rotary_dim=4, rotary_interleave=False, rotary_scaling_type=su, original=1))
    # Heads and norms.
    z["multi_query"] = dict(both=dict(pre), kv=1)
    z["grouped_query"] = dict(both=dict(post), kv=2, head_dim=6)
    z["wide_heads"] = dict(both=dict(pre), head_dim=20, heads=3, d=36, kv=3)
    z["rms_residual"] = dict(both=dict(pre, rms_norm=True), residual_norm=True, epsilon=1e-5)
    z["qk_norm_rms"] = dict(both=dict(pre, qk_norm=True))
    z["qk_norm_beta"] = dict(both=dict(post, qk_norm=True), qk_beta=True)
    z["epsilon"] = dict(both=dict(post), epsilon=0.1)
    z["pre_post_scaled"] = dict(both=dict(gemma, rms_norm=False), layer_scale=True,
                                decoder=dict(v_norm=True, external_pre_post_encoder_layers=True))
    # Decoder output and embeddings.
    z["align_first_two"] = dict(both=dict(pre), decoder=dict(alignment_layer=0, alignment_heads=2))
    z["align_all_heads"] = dict(both=dict(post), decoder=dict(alignment_layer=-2, alignment_heads=0), layers=(1, 3))
    z["scale_outputs"] = dict(both=dict(pre), scale_outputs=0.5, logits=4.0, scale_embeddings=False)
    z["scale_absent"] = dict(both=dict(pre), edit="no_scale_attribute")
    z["softcap"] = dict(both=dict(post), softcap=4.0)
    z["project_in_out"] = dict(both=dict(pre), positions="learned", decoder=dict(project_in_out=True), project=24)
    z["alibi_positive"] = dict(both=dict(pre), decoder=dict(alibi=True, alibi_use_positive_positions=True))
    z["alibi_negative_scaled"] = dict(both=dict(post), decoder=dict(alibi=True, scale_alibi=True), heads=3, d=36)
    z["sliding_window"] = dict(both=dict(pre, sliding_window=5), avoid=["long_prompt", "scoring"],
                               rotary=dict(rotary_dim=0))
    # Sizes, special tokens and vocabularies.
    z["deep_wide"] = dict(both=dict(pre), d=64, heads=8, ffn=128, layers=(3, 3), source=[200], target=190)
    z["tiny_vocabulary"] = dict(both=dict(post), d=16, heads=2, ffn=20, source=[14], target=13, layers=(1, 2))
    z["start_null"] = dict(both=dict(pre), start=None)
    z["start_eos_bos_eos"] = dict(both=dict(pre), start="</s>", add_bos=True, add_eos=True)
    z["text_vocabulary"] = dict(both=dict(pre), text_vocabulary="\n", vmap=True)
    z["text_vocabulary_crlf"] = dict(both=dict(post), text_vocabulary="\r\n")
    z["unk_appended"] = dict(both=dict(pre), drop_unk=True)
    # Stored types; computed in float32 on both sides.
    for kind in ("int8", "int16", "float16", "bfloat16", "int8_float16", "int8_bfloat16"):
        z["stored_" + kind] = dict(both=dict(pre), quantize=kind, tied=kind == "int8", shared=kind == "int8")
    z["stored_int8_t5gemma"] = dict(z["t5gemma"], quantize="int8")
    z["stored_bfloat16_marian"] = dict(z["marian"], quantize="bfloat16")
    # Old files: names and attributes as their loaders expect them.
    z["binary_5"] = dict(both=dict(post), legacy=5, add_eos=True)
    z["binary_4_flat_attributes"] = dict(both=dict(post, activation=activation(0)), legacy=4, quantize="int8",
                                         start="</s>")
    z["binary_3_one_table"] = dict(both=dict(pre), legacy=3, quantize="int16", start=None)
    return z


# Which of the first random models of a variant gives the most varied outputs (those not listed: the first).
SEEDS = {
    "pre_relu": 9, "post_gelu_tanh": 5, "pre_swish": 8, "post_gelu": 9, "pre_gelu_sigmoid": 5, "post_tanh": 6,
    "pre_sigmoid": 1, "pre_no_final_norm": 3, "bart": 5, "mbart25": 6, "m2m100": 8, "pegasus": 10, "t5": 4,
    "t5_v11_gated": 11, "t5gemma": 8, "t5gemma2_merged": 6, "onmt_shaw_shared": 2, "onmt_shaw_separate": 3,
    "onmt_shaw_keys": 9, "features_concat": 3, "features_add": 6, "features_three": 9, "rotary_partial": 11,
    "rotary_linear": 4, "rotary_llama3": 9, "rotary_su_short": 6, "rotary_su_long": 7, "wide_heads": 2,
    "rms_residual": 6, "qk_norm_rms": 8, "qk_norm_beta": 6, "epsilon": 2, "pre_post_scaled": 1,
    "align_first_two": 2, "scale_outputs": 9, "scale_absent": 5, "softcap": 11, "project_in_out": 7,
    "alibi_positive": 4, "alibi_negative_scaled": 4, "tiny_vocabulary": 2, "start_null": 9, "text_vocabulary":
    4, "text_vocabulary_crlf": 7, "unk_appended": 9, "stored_int8": 3, "stored_int16": 11, "stored_float16": 4,
    "stored_bfloat16": 10, "stored_int8_float16": 11, "stored_int8_t5gemma": 1, "stored_bfloat16_marian": 4,
    "binary_5": 4, "binary_4_flat_attributes": 3,
}

VARIANTS = {name: dict(DEFAULTS, **v) for name, v in _variants().items()}

# Trained models beside the random ones: variant -> folder below shared/models, or of the project's own models.
TRAINED = {"aren_v1": "v1/aren-transliteration", "aren_v1_i16": "v1/aren-transliteration-i16",
           "aren_v2": "v2/aren-transliteration", "aren_v2_i8": "v2/aren-transliteration-i8", "g2p_en": "g2p-en"}
for _name in TRAINED:
    VARIANTS[_name] = dict(DEFAULTS, trained=True, add_eos=_name == "g2p_en")


def words(count, stem):
    """`count` distinct tokens; a few are not ASCII."""
    exotic = {3: "é", 5: "日本", 8: "▁a", 11: "ن", 13: "🙂"}
    return [stem + exotic.get(i % 16, "") + str(i) for i in range(count)]


def read_vocabulary(directory, name):
    path = os.path.join(directory, name + "_vocabulary.json")
    if os.path.isfile(path):
        with open(path, encoding="utf-8") as file:
            tokens = json.load(file)
    else:
        with open(path.replace(".json", ".txt"), encoding="utf-8") as file:
            tokens = file.read().split("\n")[:-1]
    return tokens if "<unk>" in tokens else tokens + ["<unk>"]


def vocabularies(v):
    """([source tables], target table) of a variant."""
    if "trained" in v:
        return [read_vocabulary(v["directory"], "source")], read_vocabulary(v["directory"], "target")
    target = SPECIAL + words(v["target"] - len(SPECIAL), "t")
    if v["shared"]:
        return [target], target
    tables = []
    for k, size in enumerate(v["source"]):
        tables.append(SPECIAL + words(size - len(SPECIAL), "s" if k == 0 else "f%d_" % k))
    return tables, target


class Filler:
    """Random weights by shape; equal seeds give equal models."""

    def __init__(self, v, seed):
        self.v = v
        self.rng = np.random.default_rng(seed)

    def normal(self, *shape, std=1.0):
        return (self.rng.standard_normal(shape) * std).astype(np.float32)

    def linear(self, spec, rows, columns, bias=None, gain=None):
        spec.weight = self.normal(rows, columns, std=(gain or self.v["gain"]) / np.sqrt(columns))
        if self.v["bias"] if bias is None else bias:
            spec.bias = self.normal(rows, std=0.2)

    def norm(self, spec, width):
        if "beta" in spec.__dict__:
            spec.gamma = (1 + self.normal(width, std=0.2)).astype(np.float32)
            spec.beta = self.normal(width, std=0.1)
        elif self.v["residual_norm"]:
            spec.gamma = self.normal(width, std=0.2)
            spec.layer_norm_use_residual = True
        else:
            spec.gamma = (1 + self.normal(width, std=0.2)).astype(np.float32)

    def optional_norm(self, spec, name, width):
        if name in spec.__dict__:
            self.norm(getattr(spec, name), width)

    def attention(self, spec, d, d_memory, is_self):
        v = self.v
        heads, kv = v["heads"], v["kv"] or v["heads"]
        dh = v["head_dim"] or d // heads
        self.optional_norm(spec, "layer_norm", d)
        if is_self:
            self.linear(spec.linear[0], (heads + 2 * kv) * dh, d, gain=v["qk_gain"])
        else:
            self.linear(spec.linear[0], heads * dh, d, gain=v["qk_gain"])
            self.linear(spec.linear[1], 2 * kv * dh, d_memory, gain=v["qk_gain"])
        self.linear(spec.linear[-1], d, heads * dh)
        for name in ("q_norm", "k_norm", "v_norm"):
            if not is_self:
                spec.__dict__.pop(name, None)  # in cross-attention the original reads memory that nothing wrote
            if name in spec.__dict__:
                if v["qk_beta"]:
                    spec.__dict__[name] = common_spec.LayerNormSpec(rms_norm=False)
                self.optional_norm(spec, name, dh)
        if "memory_kv" in spec.__dict__:
            self.linear(spec.memory_kv, 2 * kv * dh, d_memory)
        if is_self:
            self.positions_of_attention(spec, dh)
        else:
            spec.__dict__.pop("sliding_window", None)  # a window over the source is meaningless, and depends on the batch

    def positions_of_attention(self, spec, dh):
        v = self.v
        if v["shaw"]:
            spec.relative_position_keys = self.normal(2 * 3 + 1, dh, std=0.7)
            if v["shaw"] == "keys":
                del spec.__dict__["relative_position_values"]
            else:
                same = v["shaw"] == "shared"
                spec.relative_position_values = (spec.relative_position_keys.copy() if same
                                                 else self.normal(2 * 3 + 1, dh, std=0.7))
        if v["t5"]:
            spec.queries_scale = 1.0
            spec.relative_attention_max_distance = np.dtype("int32").type(11)
        if v["rotary"]:
            self.rotary(spec, dh)

    def rotary(self, spec, dh):
        r = self.v["rotary"]
        half = (r["rotary_dim"] or dh) // 2
        kind = r.get("rotary_scaling_type")
        if kind == attention_spec.RotaryScalingType.Su:
            spec.rotary_scaling_long_factor = (1 + np.abs(self.normal(half))).astype(np.float32)
            spec.rotary_scaling_short_factor = (1 + np.abs(self.normal(half, std=0.3))).astype(np.float32)
        if kind == attention_spec.RotaryScalingType.Llama3:
            spec.rotary_low_freq_factor = np.float32(r["low"])
            spec.rotary_high_freq_factor = np.float32(r["high"])
            spec.__dict__["rotary_scaling_factor"] = np.float32(r["rotary_scaling_factor"])
        if "original" in r:
            spec.__dict__["original_max_position_embeddings"] = np.int32(r["original"])
        if "maximum" in r:
            spec.__dict__["max_position_embeddings"] = np.int32(r["maximum"])

    def layer(self, spec, d, d_memory):
        v = self.v
        self.attention(spec.self_attention, d, d_memory, True)
        if "attention" in spec.__dict__:
            self.attention(spec.attention, d, d_memory, False)
        self.optional_norm(spec.ffn, "layer_norm", d)
        self.linear(spec.ffn.linear_0, v["ffn"], d)
        if "linear_0_noact" in spec.ffn.__dict__:
            self.linear(spec.ffn.linear_0_noact, v["ffn"], d)
        self.linear(spec.ffn.linear_1, d, v["ffn"])
        for name in ("input_layer_norm", "post_attention_layer_norm", "pre_feedforward_layer_norm",
                     "post_feedforward_layer_norm", "external_pre_encoder_attention_layer_norm",
                     "external_post_encoder_attention_layer_norm"):
            self.optional_norm(spec, name, d)
        if v["layer_scale"] and "layer_scalar" in spec.__dict__:
            spec.layer_scalar = np.float32(0.75)

    def stack(self, spec, d, d_memory):
        v = self.v
        if v["t5"]:
            table = self.normal(8, v["heads"], std=1.0)
        for layer in spec.layer:
            self.layer(layer, d, d_memory)
            if v["t5"]:
                layer.self_attention.relative_attention_bias = table
        for name in ("layer_norm", "layernorm_embedding"):
            self.optional_norm(spec, name, d)
        if v["positions"]:
            std = 0.5 if v["positions"] == "learned" else 1.0
            table = (self.normal(v["n_positions"], d, std=std) if v["positions"] == "learned"
                     else sinusoids(v["n_positions"], d))
            spec.position_encodings.encodings = table
        spec.scale_embeddings = v["scale_embeddings"]


def sinusoids(count, d):
    """The table that Marian and fairseq store: zero-based positions, sines then cosines."""
    half = d // 2
    angles = np.arange(count)[:, None] * np.exp(-np.arange(half) * (np.log(10000.0) / (half - 1)))[None, :]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


def make_spec(v, seed):
    both = dict(v.get("both", {}))
    common = dict(both)
    rotary = {k: a for k, a in (v["rotary"] or {}).items() if k.startswith("rotary")}
    common.update(rotary, num_heads_kv=v["kv"], head_dim=v["head_dim"])
    encoder = transformer_spec.TransformerEncoderSpec(v["layers"][0], v["heads"], **common, **v.get("encoder", {}))
    decoder = transformer_spec.TransformerDecoderSpec(v["layers"][1], v["heads"], **common, **v.get("decoder", {}))
    fill = Filler(v, seed)
    d = v["d"]
    sources, target = vocabularies(v)
    widths = v["widths"] or [d] * len(sources)
    std = v["logits"] / np.sqrt(d)
    for table, spec, width in zip(sources, encoder.embeddings, widths):
        spec.weight = fill.normal(len(table), width, std=std)
    fill.stack(encoder, d, d)
    fill.stack(decoder, d, d)
    width = v["project"] or d
    decoder.embeddings.weight = (encoder.embeddings[0].weight if v["shared"]
                                 else fill.normal(len(target), width, std=std * v["echo"]))
    if v["project"]:
        fill.linear(decoder.project_in, d, width, bias=False)
        fill.linear(decoder.project_out, width, d, bias=False)
    decoder.projection.weight = (decoder.embeddings.weight if v["tied"]
                                 else fill.normal(len(target), width, std=std))
    if v["projection_bias"]:
        decoder.projection.bias = fill.normal(len(target), std=0.3)
        decoder.projection.bias[target.index("</s>")] += v["eos_bias"]
    if v["scale_outputs"]:
        decoder.scale_outputs = np.float32(v["scale_outputs"])
    if v["softcap"]:
        decoder.final_logit_softcapping = np.float32(v["softcap"])
    decoder.start_from_zero_embedding = v["zero_start"]
    if v["edit"] == "no_scale_attribute":
        del encoder.__dict__["scale_embeddings"]
        del decoder.__dict__["scale_embeddings"]
    spec = transformer_spec.TransformerSpec(encoder, decoder)
    configure(spec.config, v)
    for table in sources:
        spec.register_source_vocabulary(table)
    spec.register_target_vocabulary(target)
    return spec


def configure(config, v):
    config.decoder_start_token = v["start"]
    config.add_source_bos = v["add_bos"]
    config.add_source_eos = v["add_eos"]
    config.layer_norm_epsilon = v["epsilon"]


def write_vmap(path, v, rng):
    """A vocabulary map with always allowed targets, single words and word pairs."""
    sources, target = vocabularies(v)
    source = sources[0]
    pick = lambda n: " ".join(str(t) for t in rng.choice(target[4:], size=n, replace=False))
    lines = ["\t" + pick(3)]
    for word in source[4:]:
        lines.append(word + "\t" + pick(int(rng.integers(1, 6))))
    for _ in range(20):
        lines.append(" ".join(rng.choice(source[4:], size=2)) + "\t" + pick(2))
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write("\n".join(lines) + "\n")


def write_text_vocabularies(directory, end_of_line):
    for name in os.listdir(directory):
        if name.endswith("_vocabulary.json"):
            with open(os.path.join(directory, name), encoding="utf-8") as file:
                tokens = json.load(file)
            os.remove(os.path.join(directory, name))
            path = os.path.join(directory, name.replace(".json", ".txt"))
            with open(path, "w", encoding="utf-8", newline="") as file:
                file.write("".join(token + end_of_line for token in tokens))


def drop_unk(directory):
    """Move <unk> past the end of the vocabularies: a loader has to append it itself."""
    for name in os.listdir(directory):
        if name.endswith("_vocabulary.json"):
            path = os.path.join(directory, name)
            with open(path, encoding="utf-8") as file:
                tokens = json.load(file)
            tokens.remove("<unk>")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(tokens, file)


def build(name, root, seed=None):
    """Write variant `name` below `root` (once) and return its directory."""
    v = VARIANTS[name]
    directory = os.path.join(str(root), name)
    if os.path.isdir(directory):
        return directory
    seed = zlib.crc32(name.encode()) + (SEEDS.get(name, 0) if seed is None else seed)
    spec = make_spec(v, seed)
    spec.validate()
    spec._alias_variables()
    own_writer = v["legacy"] or "bfloat16" in (v["quantize"] or "")
    if v["quantize"] and not own_writer:
        spec._quantize(v["quantize"])
    os.makedirs(directory + ".tmp", exist_ok=True)
    spec.save(directory + ".tmp")
    if own_writer:
        modelfile.rewrite(directory + ".tmp", quantize=v["quantize"], version=v["legacy"], variant=v)
    if v["text_vocabulary"]:
        write_text_vocabularies(directory + ".tmp", v["text_vocabulary"])
    if v["drop_unk"]:
        drop_unk(directory + ".tmp")
    if v["vmap"]:
        write_vmap(os.path.join(directory + ".tmp", "vmap.txt"), v, np.random.default_rng(seed))
    os.rename(directory + ".tmp", directory)
    return directory
