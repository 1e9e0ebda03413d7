"""A network that reads texts: words become learned vectors, and a body reads them in order.

Each text column passes through the same embedding and body and ends as one vector. These vectors,
and the columns of the table beside them, go through dense layers as in `kit.models.neural.mlp`. Of
two texts the network also sees where their vectors differ and agree.

Three bodies, one idea each:

- convolution: filters slide over two to four neighbouring words and answer to phrases, wherever
  they stand (Kim, "Convolutional neural networks for sentence classification", 2014);
- recurrent: a gated unit reads word by word, forwards and backwards, and remembers (Cho et al.,
  2014);
- transformer: every word looks at all others and takes from them what it needs (Vaswani et al.,
  "Attention is all you need", 2017).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kit.config import Within
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
from kit.models.neural.descent import Optimizer, Schedule
from kit.models.neural.mlp import MLP
from kit.preprocessing.tokens import documents, words

_UNKNOWN = 1  # 0 is no word at all
_FIRST = 2
_COVERED = 0.97  # share of the training texts that are read to their end

Body = Literal["convolution", "recurrent", "transformer"]


class TextNetwork(MLP):
    """Embedding and a body per text, dense layers on all of it and the table.

    Args:
        body: what reads the words, see above.
        width: columns a word becomes.
        units: filters per length, or units of the recurrent layer or of the transformer.
        vocabulary: most frequent words of the training rows that are known by name.
        longest: words read per text; 0: so many that 97 % of the training texts are whole, 256 at
            most.
        word_dropout: share of words hidden while training.
        layers: width of each dense layer after the body.
        dropout: share of the activations silenced while training.
        embedding_dropout: the same for what enters the first dense layer.
        learning_rate: peak step size.
        weight_decay: decoupled L2 penalty.
        epochs: passes over the rows at most.
        patience: stop when the validation rows have not improved for so many epochs.
        batch: rows per step; 0: by the number of rows.
        members: networks trained from different starts and averaged.
        optimizer, schedule, momentum: see `MLP`.

    Shape:
        ``(n, d)`` frame in, of strings, float columns and categorical columns; ``(n, n_outputs)``
        out.
    """

    family = "texts"
    streams = False
    rows: ClassVar[int] = 512

    def __init__(
        self,
        body: Body = "convolution",
        width: Count = 128,
        units: Annotated[int, Within(2)] = 64,
        vocabulary: Count = 20_000,
        longest: CountOrZero = 0,
        word_dropout: Dropped = 0.2,
        layers: tuple[Count, ...] = (64,),
        dropout: Dropped = 0.4,
        embedding_dropout: Dropped = 0.3,
        learning_rate: Positive = 2e-3,
        weight_decay: Penalty = 1e-2,
        epochs: Count = 12,
        patience: Count = 3,
        batch: CountOrZero = 64,
        members: Count = 1,
        optimizer: Optimizer = "adamw",
        schedule: Schedule = "cosine",
        momentum: Dropped = 0.9,
    ) -> None:
        super().__init__(
            layers, dropout, embedding_dropout, learning_rate, weight_decay, epochs, patience,
            batch, members, optimizer, schedule, momentum,
        )  # fmt: skip
        self.body = body
        self.width = width
        self.units = units
        self.vocabulary = vocabulary
        self.longest = longest
        self.word_dropout = word_dropout

    def fit(
        self,
        X: pd.DataFrame,
        y: NDArray[Any],
        *,
        problem: Problem,
        valid: Rows | None = None,
        weight: RowWeights | None = None,
    ) -> Self:
        """Learn the vocabulary from the rows to train on, then train."""
        self.texts_ = [str(name) for name in X.columns if isinstance(X[name].dtype, pd.StringDtype)]
        read = [_words(text) for name in self.texts_ for text in documents(X[name])]
        counted = Counter(word for text in read for word in text)
        # alphabetical among equals, so that the choice does not depend on the order of rows
        known = sorted(
            (word for word, n in counted.items() if n > 1), key=lambda w: (-counted[w], w)
        )
        self.words_ = {word: k + _FIRST for k, word in enumerate(known[: self.vocabulary])}
        lengths = [len(text) for text in read] or [1]
        self.length_ = self.longest or max(8, min(256, int(np.quantile(lengths, _COVERED))))
        return super().fit(X, y, problem=problem, valid=valid, weight=weight)

    def _facts(self) -> dict[str, Any]:
        return {"texts": self.texts_, "words": [*self.words_], "length": self.length_}

    def _take_facts(self, record: Mapping[str, Any]) -> None:
        self.texts_, self.length_ = record["texts"], record["length"]
        self.words_ = {word: k + _FIRST for k, word in enumerate(record["words"])}

    def _network(self, keras: Any, X: pd.DataFrame) -> tuple[Any, Any]:
        """Words -> embedding -> body; beside it the table -> dense layers -> head."""
        inputs, joined = self._table(keras)
        if self.texts_:
            reader, read = self._reader(keras), []
            for number, _ in enumerate(self.texts_):
                tokens = keras.Input((self.length_,), dtype="int32", name=f"text_{number}")
                inputs.append(tokens)
                read.append(reader(tokens))
            joined += read
            if len(read) == 2:
                joined += [keras.ops.abs(read[0] - read[1]), read[0] * read[1]]
        return self._dense(keras, inputs, joined)

    def _reader(self, keras: Any) -> Any:
        """A text ``(n, length)`` of word numbers as one vector ``(n, d)``."""
        layers, ops = keras.layers, keras.ops
        tokens = keras.Input((self.length_,), dtype="int32")
        there = ops.expand_dims(ops.cast(tokens > 0, "float32"), -1)  # (n, length, 1)
        x = layers.Embedding(len(self.words_) + _FIRST, self.width)(tokens)
        # whole words are hidden: the noise is the same along a word's vector
        x = layers.Dropout(self.word_dropout, noise_shape=(None, self.length_, 1))(x) * there
        x = {
            "convolution": self._convolution,
            "recurrent": self._recurrent,
            "transformer": self._transformer,
        }[self.body](keras, x, there)
        largest = ops.max(x - (1 - there) * 1e4, axis=1)
        largest = ops.where(ops.max(there, axis=1) > 0, largest, 0.0)  # an empty text says nothing
        mean = ops.sum(x * there, axis=1) / ops.maximum(ops.sum(there, axis=1), 1.0)
        return keras.Model(tokens, layers.Concatenate()([largest, mean]), name="reader")

    def _convolution(self, keras: Any, x: Any, there: Any) -> Any:
        """``(n, length, 3 * units)``: filters over two, three and four words."""
        convolved = [
            keras.layers.Conv1D(self.units, size, padding="same", activation="relu")(x)
            for size in (2, 3, 4)
        ]
        return keras.layers.Concatenate()(convolved)

    def _recurrent(self, keras: Any, x: Any, there: Any) -> Any:
        """``(n, length, 2 * units)``: what is remembered at each word, in both directions."""
        unit = keras.layers.GRU(self.units, return_sequences=True)
        return keras.layers.Bidirectional(unit)(x)

    def _transformer(self, keras: Any, x: Any, there: Any) -> Any:
        """``(n, length, width)``: one block of attention and two dense layers."""
        layers, ops = keras.layers, keras.ops
        places = ops.cumsum(ops.ones_like(there[:, :, 0]), axis=1) - 1
        x = x + layers.Embedding(self.length_, self.width)(ops.cast(places, "int32"))
        heads = max(1, self.units // 16)
        attention = layers.MultiHeadAttention(heads, 16, dropout=self.dropout / 2)
        seen = ops.transpose(there, (0, 2, 1)) > 0  # (n, 1, length): words that count
        x = layers.LayerNormalization()(x + attention(x, x, attention_mask=seen))
        wide = layers.Dense(2 * self.width, activation="gelu")(x)
        return layers.LayerNormalization()(x + layers.Dense(self.width)(wide))

    def _inputs(self, X: pd.DataFrame) -> list[NDArray[Any]]:
        """Numbers, level numbers, and word numbers ``(n, length)`` per text."""
        return [*super()._inputs(X), *(self._numbered(documents(X[n])) for n in self.texts_)]

    def _numbered(self, texts: Sequence[str]) -> NDArray[np.int32]:
        numbers = np.zeros((len(texts), self.length_), dtype=np.int32)
        for row, text in enumerate(texts):
            read = _words(text)[: self.length_]
            numbers[row, : len(read)] = [self.words_.get(word, _UNKNOWN) for word in read]
        return numbers


def _words(text: str) -> list[str]:
    return words(text.lower())
