"""BERT in Keras layers, with the weights of a safetensors file.

Tokens and positions are looked up and added; each block lets every token look at all others
(attention), then changes each by itself (two dense layers); a text is the mean of its tokens.

Source: Devlin et al., "BERT" (2019); pooling as in Reimers and Gurevych, "Sentence-BERT" (2019).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kit.errors import DataError, MissingDependency
from kit.pretrained.folder import read_settings

Arrays = Mapping[str, NDArray[Any]]


def build_encoder(keras: Any, folder: Path) -> Any:
    """The encoder with its weights.

    Args:
        keras: the module.
        folder: see `kit.pretrained.folder`.

    Returns:
        A Keras model. Shape: token ids ``(n, t)`` and 0/1 masks ``(n, t)`` int32 in, vectors
        ``(n, hidden_size)`` of length 1 out.

    Raises:
        DataError: weights are missing or have other shapes than `config.json` says.
    """
    settings = read_settings(folder)
    arrays = _read(folder / "model.safetensors")
    try:
        network = _network(keras, settings)
        _fill(network, arrays, settings)
    except (KeyError, ValueError) as error:
        raise DataError(f"{folder}: the weights are not those of config.json: {error}") from error
    return network


def build_reader(keras: Any, folder: Path) -> Any:
    """The encoder, read at a third and two thirds of its height as well.

    Lower blocks hold the words and the grammar of a text, higher ones what it means; a model on top
    picks what it needs. Devlin et al. (2019, table 7) and Jawahar et al., "What does BERT learn
    about the structure of language?" (2019).

    Returns:
        A Keras model. Shape: tokens and masks as above in, ``(n, 3, hidden_size)`` out, each vector
        of length 1: means of all tokens after the lower blocks, then the encoder's own.
    """
    whole = build_encoder(keras, folder)
    blocks = int(read_settings(folder)["num_hidden_layers"])
    parts = []
    for height in (blocks // 3, 2 * blocks // 3):
        x = whole.get_layer(f"block_{height - 1}" if height else "start").output
        parts.append(keras.layers.UnitNormalization()(_mean(keras, x, whole.inputs[1])))
    return keras.Model(whole.inputs, keras.ops.stack([*parts, whole.output], axis=1))


def _mean(keras: Any, x: Any, mask: Any) -> Any:
    weight = keras.ops.expand_dims(keras.ops.cast(mask, x.dtype), -1)
    return keras.ops.sum(x * weight, axis=1) / keras.ops.sum(weight, axis=1)


def _network(keras: Any, settings: Mapping[str, Any]) -> Any:
    layers, width = keras.layers, int(settings["hidden_size"])
    epsilon, dropout = float(settings["layer_norm_eps"]), float(settings["hidden_dropout_prob"])
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    mask = keras.Input((None,), dtype="int32", name="mask")
    words = layers.Embedding(int(settings["vocab_size"]), width, name="words")(tokens)
    places = keras.ops.cumsum(keras.ops.ones_like(tokens), axis=1) - 1
    longest = int(settings["max_position_embeddings"])
    x = layers.Add()([words, layers.Embedding(longest, width, name="places")(places)])
    x = layers.LayerNormalization(epsilon=epsilon, name="start")(x)
    x = layers.Dropout(dropout)(x)
    seen = keras.ops.expand_dims(keras.ops.cast(mask, "bool"), 1)  # (n, 1, t): keys that count
    heads = int(settings["num_attention_heads"])
    for number in range(int(settings["num_hidden_layers"])):
        attention = layers.MultiHeadAttention(
            heads, width // heads, dropout=dropout, name=f"attention_{number}"
        )
        x = layers.Add()([x, layers.Dropout(dropout)(attention(x, x, attention_mask=seen))])
        x = layers.LayerNormalization(epsilon=epsilon, name=f"attended_{number}")(x)
        wide = layers.Dense(int(settings["intermediate_size"]), name=f"wide_{number}")(x)
        wide = keras.ops.gelu(wide, approximate=False)
        narrow = layers.Dropout(dropout)(layers.Dense(width, name=f"narrow_{number}")(wide))
        x = layers.Add()([x, narrow])
        x = layers.LayerNormalization(epsilon=epsilon, name=f"block_{number}")(x)
    pooled = x[:, 0] if settings["pooling"] == "cls" else _mean(keras, x, mask)
    return keras.Model([tokens, mask], layers.UnitNormalization()(pooled))


def _fill(network: Any, arrays: Arrays, settings: Mapping[str, Any]) -> None:
    """Give every layer its weights: transposed, and attention cut into heads."""
    heads, blocks = int(settings["num_attention_heads"]), int(settings["num_hidden_layers"])

    def dense(name: str) -> list[NDArray[Any]]:
        return [arrays[f"{name}.weight"].T, arrays[f"{name}.bias"]]

    def norm(name: str) -> list[NDArray[Any]]:
        return [arrays[f"{name}.weight"], arrays[f"{name}.bias"]]

    layer = network.get_layer
    layer("words").set_weights([arrays["embeddings.word_embeddings.weight"]])
    # every text is a first sentence: its mark is part of the position
    first = arrays["embeddings.token_type_embeddings.weight"][0]
    layer("places").set_weights([arrays["embeddings.position_embeddings.weight"] + first])
    layer("start").set_weights(norm("embeddings.LayerNorm"))
    for number in range(blocks):
        base, parts = f"encoder.layer.{number}", []
        for role in ("query", "key", "value"):
            kernel, bias = dense(f"{base}.attention.self.{role}")
            parts += [kernel.reshape(len(kernel), heads, -1), bias.reshape(heads, -1)]
        kernel, bias = dense(f"{base}.attention.output.dense")
        parts += [kernel.reshape(heads, -1, kernel.shape[1]), bias]
        layer(f"attention_{number}").set_weights(parts)
        layer(f"attended_{number}").set_weights(norm(f"{base}.attention.output.LayerNorm"))
        layer(f"wide_{number}").set_weights(dense(f"{base}.intermediate.dense"))
        layer(f"narrow_{number}").set_weights(dense(f"{base}.output.dense"))
        layer(f"block_{number}").set_weights(norm(f"{base}.output.LayerNorm"))
    if f"encoder.layer.{blocks}.output.dense.weight" in arrays:
        raise ValueError(f"there are more than num_hidden_layers = {blocks}")


def _read(path: Path) -> Arrays:
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise MissingDependency(
            f'{path} is read with safetensors: pip install "kit-competitions[pretrained]"'
        ) from error
    try:
        arrays = load_file(path)
    except (SafetensorError, TypeError) as error:
        raise DataError(f"{path} is damaged, or of a type NumPy has not: {error}") from error
    return {
        name.removeprefix("bert."): np.asarray(values, dtype=np.float32)
        for name, values in arrays.items()
        if values.dtype.kind == "f"
    }
