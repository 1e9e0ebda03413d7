"""Where the weights of a sentence encoder lie, and their hash.

A folder as sentence-transformers writes it: `config.json`, `tokenizer.json`, `model.safetensors`.
Nothing in it is unpickled or run, and nothing is fetched: it is a path of the competition's, or
part of an installed package (extra `pretrained`: all-MiniLM-L6-v2). Standard library only.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from kit.atomic import parse_json, sha256
from kit.errors import DataError, MissingDependency
from kit.portfolio import ENCODER

FILES = ("config.json", "tokenizer.json", "model.safetensors")
_POOLING = Path("1_Pooling", "config.json")
_LENGTH = Path("sentence_bert_config.json")
_SIZES = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "max_position_embeddings", "layer_norm_eps", "hidden_dropout_prob",
)  # fmt: skip


def encoder_folder(where: str = "") -> Path:
    """The folder of an encoder.

    Args:
        where: its path; empty: that of the installed package.

    Raises:
        MissingDependency: there is no path and the package is not installed.
        DataError: the folder lacks a file.
    """
    folder = Path(where) if where else _packaged()
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise DataError(
            f"{folder} must hold {', '.join(FILES)}, however {', '.join(missing)} is not there.\n"
            "  `SentenceTransformer.save_pretrained` writes such a folder."
        )
    return folder


def _packaged() -> Path:
    try:
        package = import_module(ENCODER)
    except ImportError as error:
        raise MissingDependency(
            f"sentence embeddings need the package {ENCODER}, which cannot be imported: {error}.\n"
            '  pip install "kit-competitions[pretrained]", or name a folder: text.encoder'
        ) from error
    return Path(str(package.__file__)).parent / "model"


def encoder_digest(folder: Path) -> str:
    """Hash of all that decides what the encoder makes of a text."""
    stamps = []
    for name in (*FILES, str(_POOLING), str(_LENGTH)):
        if (folder / name).is_file():
            stat = (folder / name).stat()
            stamps.append((name, stat.st_size, stat.st_mtime_ns))
    return _digest(folder, tuple(stamps))


@lru_cache(maxsize=8)
def _digest(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:
    parts = [f"{name} {sha256(folder / name)}" for name, _, _ in stamps]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def read_settings(folder: Path) -> dict[str, Any]:
    """`config.json`, with ``pooling`` ("mean" or "cls") and ``length`` (tokens at most).

    Raises:
        DataError: it is damaged, incomplete, or of another architecture than BERT.
    """
    settings = _json(folder / "config.json")
    if settings.get("model_type") != "bert" or settings.get("hidden_act") != "gelu":
        raise DataError(
            f"{folder} must be an encoder of the BERT family with gelu (MiniLM, BGE, GTE, E5), "
            f"however it is {settings.get('model_type')!r} with {settings.get('hidden_act')!r}."
        )
    missing = [name for name in _SIZES if not isinstance(settings.get(name), int | float)]
    if missing:
        raise DataError(
            f"{folder / 'config.json'} must say {', '.join(_SIZES)} as numbers, however "
            f"{', '.join(missing)} is not there.\n"
            "  `SentenceTransformer.save_pretrained` writes all of them."
        )
    pooling = _json(folder / _POOLING) if (folder / _POOLING).is_file() else {}
    settings["pooling"] = "cls" if pooling.get("pooling_mode_cls_token") else "mean"
    length = _json(folder / _LENGTH) if (folder / _LENGTH).is_file() else {}
    longest = int(settings["max_position_embeddings"])
    settings["length"] = min(longest, int(length.get("max_seq_length") or longest))
    return settings


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}") from error
    return found
