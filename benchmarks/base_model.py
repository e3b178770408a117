"""Writes the model that the benchmark races on: a Transformer of the base size with seeded random weights.

6 + 6 layers, 512 wide, 8 heads, feed-forward 2048, 32,000 words, pre-norm, ReLU, sinusoidal positions, as ctranslate2
itself writes it. Its outputs mean nothing, but every product has the size that a real model of this kind has. A tiny one of the same
kind costs so little to compute that what is measured is all the rest.
"""

import collections
import os
import shutil

import numpy as np
from ctranslate2 import specs

Size = collections.namedtuple("Size", "layers width heads ffn words")
BASE = Size(6, 512, 8, 2048, 32000)
TINY = Size(1, 8, 1, 8, 16)
WORDS = BASE.words


def _tensors(seed):
    """A generator of float32 arrays with the spread of Xavier's initialisation."""
    rng = np.random.default_rng(seed)

    def tensor(*shape):
        spread = (6.0 / (shape[0] + shape[-1])) ** 0.5
        return rng.uniform(-spread, spread, shape).astype(np.float32)

    return tensor


def _linear(spec, tensor, outputs, inputs):
    spec.weight = tensor(outputs, inputs)
    spec.bias = np.zeros(outputs, np.float32)


def _norm(spec, size):
    spec.gamma = np.ones(size.width, np.float32)
    spec.beta = np.zeros(size.width, np.float32)


def _attention(spec, tensor, size, self_attention):
    width = size.width
    _norm(spec.layer_norm, size)
    widths = [(3 * width, width)] if self_attention else [(width, width), (2 * width, width)]
    for linear, (outputs, inputs) in zip(spec.linear, widths + [(width, width)]):
        _linear(linear, tensor, outputs, inputs)


def _layers(stack, tensor, size):
    for layer in stack.layer:
        _attention(layer.self_attention, tensor, size, self_attention=True)
        if hasattr(layer, "attention"):
            _attention(layer.attention, tensor, size, self_attention=False)
        _norm(layer.ffn.layer_norm, size)
        _linear(layer.ffn.linear_0, tensor, size.ffn, size.width)
        _linear(layer.ffn.linear_1, tensor, size.width, size.ffn)
    _norm(stack.layer_norm, size)


def vocabulary(size=BASE):
    return ["<unk>", "<s>", "</s>"] + ["w%d" % i for i in range(3, size.words)]


def make(directory, quantization=None, seed=1, size=BASE):
    """Write the model unless it is there; the directory appears complete or not at all."""
    if os.path.exists(os.path.join(directory, "model.bin")):
        return directory
    tensor = _tensors(seed)
    spec = specs.TransformerSpec.from_config((size.layers, size.layers), size.heads)
    for stack in (spec.encoder, spec.decoder):
        embeddings = stack.embeddings[0] if isinstance(stack.embeddings, list) else stack.embeddings
        embeddings.weight = tensor(size.words, size.width)
        _layers(stack, tensor, size)
    _linear(spec.decoder.projection, tensor, size.words, size.width)
    spec.register_source_vocabulary(vocabulary(size))
    spec.register_target_vocabulary(vocabulary(size))
    spec.config.add_source_eos = True
    spec.validate()
    spec.optimize(quantization)
    partial = directory + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial)
    spec.save(partial)
    os.rename(partial, directory)
    return directory
