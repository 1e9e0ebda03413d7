"""Fine-tuning on texts: a pretrained encoder whose last blocks go on learning.

Its first blocks know words and grammar, which are the same everywhere, and stay as they are. The
last ones say what a text is about, and are changed in small steps until they say what is asked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.models.base import (
    Count,
    CountOrZero,
    Dropped,
    Penalty,
    Positive,
    Problem,
    Rows,
    RowWeights,
)
from kit.models.neural.descent import Schedule
from kit.models.neural.mlp import MLP
from kit.preprocessing.sentences import TOKENS
from kit.pretrained.bert import build_encoder
from kit.pretrained.folder import encoder_folder

_TOKEN = re.compile(rf"(.*){TOKENS}(\d+)")
_BLOCK = re.compile(r"(attention|attended|wide|narrow|block)_(\d+)")


class FineTuneText(MLP):
    """A pretrained sentence encoder with a new head; the top of it is trained along.

    Args:
        top: blocks, from the end, that are trained; 0: none but the head.
        layers: width of each dense layer between the encoder's vectors and the head.
        dropout: share of the activations silenced while training these.
        embedding_dropout: the same for what enters the first of them.
        learning_rate: peak step size, after a tenth of the steps; small, or the encoder forgets.
        weight_decay: decoupled L2 penalty (AdamW).
        epochs: passes over the rows at most.
        patience: stop when the validation rows have not improved for so many epochs.
        batch: rows per step.
        members: networks trained from different starts and averaged.
        schedule: how the step size moves, see `kit.models.neural.descent.schedule`.

    Shape:
        Frame ``(n, d)`` of the recipe "tokens_sentences" in: tokens, float columns and categorical
        columns; ``(n, n_outputs)`` out.

    Source:
        Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification" (2018);
        Devlin et al., "BERT" (2019) for the warm-up and the small steps.
    """

    family = "tokens_sentences"
    streams = False
    rows: ClassVar[int] = 64

    def __init__(
        self,
        top: CountOrZero = 2,
        layers: tuple[Count, ...] = (),
        dropout: Dropped = 0.1,
        embedding_dropout: Dropped = 0.2,
        learning_rate: Positive = 2e-4,
        weight_decay: Penalty = 1e-2,
        epochs: Count = 4,
        patience: Count = 2,
        batch: Count = 32,
        members: Count = 1,
        schedule: Schedule = "warmup_cosine",
    ) -> None:
        super().__init__(
            layers, dropout, embedding_dropout, learning_rate, weight_decay, epochs, patience,
            batch, members, schedule=schedule,
        )  # fmt: skip
        self.top = top

    def fit(
        self,
        X: pd.DataFrame,
        y: NDArray[Any],
        *,
        problem: Problem,
        valid: Rows | None = None,
        weight: RowWeights | None = None,
    ) -> Self:
        """Train head and last blocks; with `valid` the best epoch's weights are kept."""
        self.tokens_: dict[str, int] = {}
        for name in X.columns:
            if found := _TOKEN.fullmatch(name):
                self.tokens_[found[1]] = self.tokens_.get(found[1], 0) + 1
        return super().fit(X, y, problem=problem, valid=valid, weight=weight)

    def _facts(self) -> dict[str, Any]:
        return {"tokens": self.tokens_}

    def _take_facts(self, record: Mapping[str, Any]) -> None:
        self.tokens_ = record["tokens"]

    def _numbers(self, X: pd.DataFrame) -> list[str]:
        """All but the tokens."""
        return [name for name in super()._numbers(X) if not _TOKEN.fullmatch(name)]

    def _network(self, keras: Any, X: pd.DataFrame) -> tuple[Any, Any]:
        """Tokens -> encoder; beside it the table -> dense layers -> head."""
        inputs, joined = self._table(keras)
        if self.tokens_:
            encoder = self._encoder(keras)
            read = []
            for number, length in enumerate(self.tokens_.values()):
                tokens = keras.Input((length,), dtype="int32", name=f"text_{number}")
                inputs.append(tokens)
                there = keras.ops.cast(tokens > 0, "int32")
                vector = encoder([keras.ops.maximum(tokens - 1, 0), there])
                # of length 1 its parts are too small for a head that learns in small steps
                read.append(keras.layers.LayerNormalization()(vector))
            joined += read
            if len(read) == 2:
                joined += [keras.ops.abs(read[0] - read[1]), read[0] * read[1]]
        return self._dense(keras, inputs, joined)

    def _encoder(self, keras: Any) -> Any:
        """The encoder, all but its last blocks fixed."""
        encoder = build_encoder(keras, encoder_folder(self.problem_.encoder))
        found = {layer.name: _BLOCK.fullmatch(layer.name) for layer in encoder.layers}
        number = {name: int(match[2]) for name, match in found.items() if match}
        first = 1 + max(number.values()) - self.top
        for layer in encoder.layers:
            layer.trainable = layer.name in number and number[layer.name] >= first
        return encoder

    def _inputs(self, X: pd.DataFrame) -> list[NDArray[Any]]:
        """Numbers, level numbers, and tokens ``(n, length)`` per text."""
        tokens = [
            X[[f"{name}{TOKENS}{k:03d}" for k in range(length)]].to_numpy(dtype=np.int32)
            for name, length in self.tokens_.items()
        ]
        return [*super()._inputs(X), *tokens]
