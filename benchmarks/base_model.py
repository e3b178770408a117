"""Writes the model that the benchmark races on: a Transformer of the base size with seeded random weights.

6 + 6 layers, 512 wide, 8 heads, feed-forward 2048, 32,000 words, pre-norm, ReLU, sinusoidal positions, as ctranslate2
itself writes it. Its outputs mean nothing, but every product has the size that a real model of this kind has.
"""

import os
import shutil

import numpy as np
from ctranslate2 import specs

LAYERS, WIDTH, HEADS, FFN, WORDS = 6, 512, 8, 2048, 32000


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


def _norm(spec):
    spec.gamma = np.ones(WIDTH, np.float32)
    spec.beta = np.zeros(WIDTH, np.float32)


def _attention(spec, tensor, self_attention):
    _norm(spec.layer_norm)
    widths = [(3 * WIDTH, WIDTH)] if self_attention else [(WIDTH, WIDTH), (2 * WIDTH, WIDTH)]
    for linear, (outputs, inputs) in zip(spec.linear, widths + [(WIDTH, WIDTH)]):
        _linear(linear, tensor, outputs, inputs)


def _layers(stack, tensor):
    for layer in stack.layer:
        _attention(layer.self_attention, tensor, self_attention=True)
        if hasattr(layer, "attention"):
            _attention(layer.attention, tensor, self_attention=False)
        _norm(layer.ffn.layer_norm)
        _linear(layer.ffn.linear_0, tensor, FFN, WIDTH)
        _linear(layer.ffn.linear_1, tensor, WIDTH, FFN)
    _norm(stack.layer_norm)


def vocabulary():
    return ["<unk>", "<s>", "</s>"] + ["w%d" % i for i in range(3, WORDS)]


def make(directory, quantization=None, seed=1):
    """Write the model unless it is there; the directory appears complete or not at all."""
    if os.path.exists(os.path.join(directory, "model.bin")):
        return directory
    tensor = _tensors(seed)
    spec = specs.TransformerSpec.from_config((LAYERS, LAYERS), HEADS)
    for stack in (spec.encoder, spec.decoder):
        embeddings = stack.embeddings[0] if isinstance(stack.embeddings, list) else stack.embeddings
        embeddings.weight = tensor(WORDS, WIDTH)
        _layers(stack, tensor)
    _linear(spec.decoder.projection, tensor, WORDS, WIDTH)
    spec.register_source_vocabulary(vocabulary())
    spec.register_target_vocabulary(vocabulary())
    spec.config.add_source_eos = True
    spec.validate()
    spec.optimize(quantization)
    partial = directory + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    os.makedirs(partial)
    spec.save(partial)
    os.rename(partial, directory)
    return directory
