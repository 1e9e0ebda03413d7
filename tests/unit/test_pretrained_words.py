"""Vectors of words by a frozen encoder: means of tokens, kept by content, cut texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.keras import load_keras
from kit.models.spans import places
from kit.pretrained import words
from kit.pretrained.words import embed_words

pytestmark = [pytest.mark.neural, pytest.mark.filterwarnings("ignore")]  # tensorflow's own warnings

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "day", "##s", "!", "a", "tea"]
WIDTH = 8


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one tiny block with random weights, saved from Keras' own shapes."""
    tokenizers = pytest.importorskip("tokenizers")
    safetensors = pytest.importorskip("safetensors.numpy")
    folder = tmp_path_factory.mktemp("encoder")
    rng = np.random.default_rng(0)
    shapes = {
        "embeddings.word_embeddings.weight": (len(TOKENS), WIDTH),
        "embeddings.position_embeddings.weight": (12, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
    }
    base = "encoder.layer.0"
    dense = {f"attention.self.{role}": (WIDTH, WIDTH) for role in ("query", "key", "value")}
    dense |= {"attention.output.dense": (WIDTH, WIDTH), "intermediate.dense": (16, WIDTH)}
    for name, (rows, columns) in {**dense, "output.dense": (WIDTH, 16)}.items():
        shapes[f"{base}.{name}.weight"] = (rows, columns)
        shapes[f"{base}.{name}.bias"] = (rows,)
    for norm in ("embeddings", f"{base}.attention.output", f"{base}.output"):
        shapes |= {f"{norm}.LayerNorm.{part}": (WIDTH,) for part in ("weight", "bias")}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    safetensors.save_file(arrays, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({
        "model_type": "bert", "hidden_act": "gelu", "hidden_size": WIDTH,
        "hidden_dropout_prob": 0.1, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "layer_norm_eps": 1e-12, "max_position_embeddings": 12,
        "vocab_size": len(TOKENS),
    }))  # fmt: skip
    known = {token: number for number, token in enumerate(TOKENS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(known, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture
def embed(encoder: Path, tmp_path: Path) -> Callable[[list[str]], list[Any]]:
    def made(texts: list[str]) -> list[Any]:
        known = [*map(places, texts)]
        return embed_words(texts, known, where=str(encoder), cache=tmp_path / "cache")

    return made


def by_hand(folder: Path, ids: list[int]) -> np.ndarray:
    """What the last block makes of each token ``(t, width)``."""
    from kit.pretrained.bert import build_encoder

    keras = load_keras(1)
    whole = build_encoder(keras, folder)
    network = keras.Model(whole.inputs, whole.get_layer("block_0").output)
    tokens = np.array([ids], dtype=np.int32)
    return np.asarray(network([tokens, np.ones_like(tokens)], training=False))[0]


def test_a_word_is_the_mean_of_its_tokens(embed: Any, encoder: Path) -> None:
    first, empty, other = embed(["Good  days!", " ", "tea"])
    tokens = by_hand(encoder, [2, 4, 5, 6, 7, 3])  # [CLS] good day ##s ! [SEP]
    assert first.dtype == np.float16
    assert np.allclose(first[0], tokens[1], atol=1e-2)
    assert np.allclose(first[1], tokens[2:5].mean(axis=0), atol=1e-2)
    assert empty.shape == (0, WIDTH)
    assert other.shape == (1, WIDTH)
    assert np.array_equal(embed(["tea"])[0], other)  # whatever its company


def test_words_that_the_encoder_does_not_reach_are_zeros(embed: Any) -> None:
    (long,) = embed(["good " * 30])
    assert long.shape == (30, WIDTH)
    assert long[:10].any(axis=1).all()  # twelve tokens, of which two are marks
    assert not long[10:].any()


def test_vectors_are_kept_and_torn_files_computed_again(
    embed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(words, "_TEXTS", 2)
    texts = ["good day", "tea", "a tea", "a day", "good"]
    first = [each.copy() for each in embed(texts)]
    files = sorted((tmp_path / "cache").rglob("*.npy"))
    assert len(files) == 3
    stamps = [file.stat().st_mtime_ns for file in files]
    made: list[int] = []
    original = words._Encoder.words

    def counting(self: Any, block: list[str], known: Any) -> Any:
        made.append(len(block))
        return original(self, block, known)

    monkeypatch.setattr(words._Encoder, "words", counting)
    assert all(map(np.array_equal, embed(texts), first))
    assert made == []
    files[0].write_bytes(files[0].read_bytes()[:40])
    files[1].unlink()
    assert all(map(np.array_equal, embed(texts), first))
    assert len(made) == 2
    assert files[2].stat().st_mtime_ns == stamps[2]
    embed([*texts[:4], "new"])
    assert made[2:] == [1]  # only the block that changed
