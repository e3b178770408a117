"""A small reader and writer of model.bin, for what ctranslate2.specs cannot write.

`rewrite` reads a binary version 6 file that the specifications wrote, and writes it again with other element types or
as an older binary version with that version's names and attributes.
"""

import json
import os
import struct

import numpy as np

TYPES = ["float32", "int8", "int16", "int32", "float16", "bfloat16"]
SIZES = [4, 1, 2, 4, 2, 2]


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        value = struct.unpack_from("<" + form, self.data, self.at)[0]
        self.at += struct.calcsize(form)
        return value

    def string(self):
        count = self.number("H")
        text = self.data[self.at:self.at + count - 1].decode()
        self.at += count
        return text

    def raw(self, count):
        self.at += count
        return self.data[self.at - count:self.at]


def read(path):
    """Returns (spec name, revision, {name: (type, shape, bytes)}, {alias: name})."""
    with open(path, "rb") as file:
        r = Reader(file.read())
    assert r.number("I") == 6
    spec, revision = r.string(), r.number("I")
    variables, aliases = {}, {}
    for _ in range(r.number("I")):
        name = r.string()
        shape = [r.number("I") for _ in range(r.number("B"))]
        kind = TYPES[r.number("B")]
        variables[name] = (kind, shape, r.raw(r.number("I")))
    for _ in range(r.number("I")):
        alias = r.string()
        aliases[alias] = r.string()
    return spec, revision, variables, aliases


def put_string(out, text):
    data = text.encode()
    out.append(struct.pack("<H", len(data) + 1) + data + b"\0")


def write(path, version, spec, revision, variables, aliases):
    out = [struct.pack("<I", version)]
    if version >= 2:
        put_string(out, spec)
        out.append(struct.pack("<I", revision))
    out.append(struct.pack("<I", len(variables)))
    for name, (kind, shape, data) in sorted(variables.items()):
        put_string(out, name)
        out.append(struct.pack("<B%dI" % len(shape), len(shape), *shape))
        index = TYPES.index(kind)
        if version >= 4:
            out.append(struct.pack("<BI", index, len(data)))
        else:
            out.append(struct.pack("<BI", SIZES[index], len(data) // SIZES[index]))
        out.append(data)
    if version >= 3:
        out.append(struct.pack("<I", len(aliases)))
        for alias, name in sorted(aliases.items()):
            put_string(out, alias)
            put_string(out, name)
    with open(path, "wb") as file:
        file.write(b"".join(out))


def floats(entry):
    return np.frombuffer(entry[2], np.float32).reshape(entry[1])


def to_bfloat16(values):
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16  # to nearest even
    return rounded.astype(np.uint16).tobytes()


def quantized(name, entry, kind):
    """The entries that replace one float32 variable under quantization `kind`."""
    values = floats(entry)
    weights, _, others = kind.partition("_")
    others = others or ("float32" if weights.startswith("int") else weights)
    if not name.endswith("weight"):
        if others == "bfloat16":
            return {name: ("bfloat16", entry[1], to_bfloat16(values))}
        return {name: (others, entry[1], values.astype(others).tobytes())}
    if weights == "bfloat16":
        return {name: ("bfloat16", entry[1], to_bfloat16(values))}
    if weights == "int16":
        scale = np.float32(1024 / np.abs(values).max())
        data = np.rint(values * scale).astype(np.int16)
        return {name: ("int16", entry[1], data.tobytes()), name + "_scale": ("float32", [], scale.tobytes())}
    if weights == "int8":
        peak = np.abs(values).max(axis=1)
        scale = (127 / np.where(peak == 0, 127, peak)).astype(np.float32)
        data = np.rint(values * scale[:, None]).astype(np.int8)
        return {name: ("int8", entry[1], data.tobytes()),
                name + "_scale": ("float32", [len(scale)], scale.tobytes())}
    raise ValueError(kind)


def scalar(kind, value):
    return (kind, [], np.array(value, kind).tobytes())


def make_legacy(version, variables, config, variant):
    """Attributes and special tokens where binary versions 3 to 5 keep them. Returns the revision."""
    for key in ("unk_token", "bos_token", "eos_token"):
        data = config[key].encode()
        if version >= 4:
            variables[key] = ("int8", [len(data)], data)
    flag = lambda on: scalar("int8", int(on))
    variables["with_source_bos"] = flag(config["add_source_bos"])
    variables["with_source_eos"] = flag(config["add_source_eos"])
    variables["user_decoder_start_tokens"] = flag(config["decoder_start_token"] is None)
    variables["with_target_bos"] = flag(config["decoder_start_token"] == config["bos_token"])
    if version >= 5:
        return 7
    # Revision 4 keeps the attributes at the top level; the loader aliases them into both scopes.
    for name in ("num_heads", "pre_norm", "activation", "embeddings_merge", "alignment_layer", "alignment_heads"):
        for scope in ("encoder/", "decoder/"):
            entry = variables.pop(scope + name, None)
            if entry is not None:
                variables[name] = entry
    for scope in ("encoder/", "decoder/"):
        for name in [n for n in variables if n.startswith(scope) and not variables[n][1]]:
            if not name.endswith("_scale"):
                del variables[name]
    if version <= 3:
        # A single table and the old name of the embedding scale.
        for suffix in ("weight", "weight_scale"):
            entry = variables.pop("encoder/embeddings_0/" + suffix, None)
            if entry is not None:
                variables["encoder/embeddings/" + suffix] = entry
        variables["encoder/embeddings/multiply_by_sqrt_depth"] = flag(0)
        variables["decoder/embeddings/multiply_by_sqrt_depth"] = flag(1)
        return 3
    return 4


def rewrite(directory, quantize, version, variant):
    path = os.path.join(directory, "model.bin")
    spec, revision, variables, aliases = read(path)
    for name, entry in list(variables.items()):
        if quantize and entry[0] == "float32" and entry[1]:
            variables.update(quantized(name, entry, quantize))
    if version:
        config_path = os.path.join(directory, "config.json")
        with open(config_path, encoding="utf-8") as file:
            config = json.load(file)
        os.remove(config_path)
        revision = make_legacy(version, variables, config, variant)
    write(path, version or 6, spec, revision, variables, aliases)
