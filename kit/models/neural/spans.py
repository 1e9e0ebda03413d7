"""A network that reads a text and says where the piece that answers starts and where it ends.

Words become vectors: a learned one of the word itself where it is frequent, its shape (capitals,
punctuation, place in the text), what stands in the row beside the text, and, where somebody has
them, vectors of a pretrained encoder. A gated recurrent unit reads them forwards and backwards;
each word then gets two scores, and a softmax over the words of the text makes probabilities.

It works on texts and spans, not on tables, and so is none of the models of `kit cv`;
`templates/extraction` is the competition around it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from kit.atomic import parse_json
from kit.models.base import Problem
from kit.models.neural.descent import schedule
from kit.models.neural.training import compiled, forward, kept_random_state, start
from kit.models.neural.words import FIRST, LOOKS, UNKNOWN, Texts, read_texts, vocabulary
from kit.models.spans import Span

Probabilities = list[NDArray[np.float32]]

_PREDICTED = 256  # texts at a time
_TOGETHER = 32  # batches whose texts are sorted by length
_FAR = -1e4  # score of a place without a word


class SpanNetwork(BaseEstimator):
    """Pieces of texts.

    Args:
        width: of the learned vector of a word.
        units: of each recurrent layer, half of them in each direction.
        blocks: recurrent layers on top of one another.
        vocabulary: most frequent words of the training texts that are known by name; each must be
            in two of them.
        longest: words of a text that are read.
        dropout: share of the activations silenced while training.
        word_dropout: share of the words whose name is hidden while training.
        epochs: passes over the texts; the step size falls to zero over them, on a cosine.
        batch: texts per step.
        learning_rate: largest step size (AdamW).
        seed: of everything random.
        threads: how many it may use; 0: one per core.

    Shape:
        ``n`` texts, spans ``(n, 2)`` of words, conditions ``(n, c)`` of strings and per text
        vectors ``(words, d)``; out come, per text, ``(words,)`` probabilities.

    Source:
        Start and end as in Wang and Jiang, "Machine comprehension using match-LSTM and answer
        pointer" (2017), and in BERT's answers to questions (Devlin et al., 2019); GRU: Cho et al.
        (2014).
    """

    def __init__(
        self,
        width: int = 64,
        units: int = 96,
        blocks: int = 1,
        vocabulary: int = 20_000,
        longest: int = 256,
        dropout: float = 0.2,
        word_dropout: float = 0.1,
        epochs: int = 6,
        batch: int = 64,
        learning_rate: float = 2e-3,
        seed: int = 0,
        threads: int = 0,
    ) -> None:
        self.width = width
        self.units = units
        self.blocks = blocks
        self.vocabulary = vocabulary
        self.longest = longest
        self.dropout = dropout
        self.word_dropout = word_dropout
        self.epochs = epochs
        self.batch = batch
        self.learning_rate = learning_rate
        self.seed = seed
        self.threads = threads

    def fit(
        self,
        texts: Sequence[str],
        spans: Sequence[Span],
        conditions: NDArray[Any] | None = None,
        vectors: Sequence[NDArray[Any]] | None = None,
    ) -> Self:
        """Train on all of them to the end; spans that start behind `longest` are left out.

        Raises:
            ValueError: lengths that do not fit together, spans that are not in their text.
        """
        given = self._taken(texts, conditions, vectors)
        ends = np.asarray(spans, dtype=np.int32).reshape(-1, 2)
        _check(texts, ends)
        self.words_ = vocabulary(texts, self.vocabulary)
        self.levels_ = [
            {level: k + 1 for k, level in enumerate(sorted({*map(str, column)}))}
            for column in given[1].T
        ]
        self.vector_ = 0 if vectors is None else int(vectors[0].shape[1])
        read = self._read(texts, *given[1:])
        kept = np.flatnonzero(ends[:, 0] < self.longest)
        ends = np.minimum(ends, self.longest - 1)
        with kept_random_state():
            keras = self._start()
            self.network_ = self._network(keras)
            steps = max(1, self.epochs * -(-len(kept) // self.batch))
            rate = schedule(keras, "cosine", self.learning_rate, steps)
            descent = keras.optimizers.AdamW(rate, clipnorm=1.0)
            compiled(self.network_, descent, start_and_end_entropy)
            self.curve_ = {"train": [self._epoch(read, ends, kept, k) for k in range(self.epochs)]}
        return self

    def predict(
        self,
        texts: Sequence[str],
        conditions: NDArray[Any] | None = None,
        vectors: Sequence[NDArray[Any]] | None = None,
    ) -> tuple[Probabilities, Probabilities]:
        """Probabilities per word that the piece starts there, and that it ends there.

        Words behind `longest` get 0; a text without a word gets an empty array.
        """
        read = self._read(*self._taken(texts, conditions, vectors))
        starts = [np.zeros(len(text.split()), dtype=np.float32) for text in texts]
        ends = [each.copy() for each in starts]
        order = np.argsort(read.counts, kind="stable")
        order = order[read.counts[order] > 0]
        for k in range(0, len(order), _PREDICTED):
            rows = order[k : k + _PREDICTED]
            scores = forward(self.network_, read.batch(rows))  # no graph: lengths differ
            chance = np.exp(scores - scores.max(axis=2, keepdims=True))
            chance /= chance.sum(axis=2, keepdims=True)
            for row, (first, last) in zip(rows, chance, strict=True):
                n = read.counts[row]
                starts[row][:n], ends[row][:n] = first[:n], last[:n]
        return starts, ends

    def save(self, folder: Path) -> None:
        """Write the network as `.keras`, parameters and vocabulary as JSON."""
        self.network_.save(folder / "network.keras")
        record = {
            "params": self.get_params(),
            "words": [*self.words_],
            "levels": [[*levels] for levels in self.levels_],
            "vector": self.vector_,
        }
        (folder / "model.json").write_text(json.dumps(record), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; Keras' safe mode refuses code inside the file."""
        record = parse_json((folder / "model.json").read_text(encoding="utf-8"))
        model = cls(**record["params"])
        model.words_ = {word: k + FIRST for k, word in enumerate(record["words"])}
        model.levels_ = [{name: k + 1 for k, name in enumerate(each)} for each in record["levels"]]
        model.vector_ = record["vector"]
        keras = model._start()
        model.network_ = keras.saving.load_model(
            folder / "network.keras", compile=False, safe_mode=True
        )
        return model

    def _epoch(
        self, read: Texts, spans: NDArray[np.int32], rows: NDArray[np.int64], epoch: int
    ) -> float:
        """One pass over the rows; the mean loss of its steps."""
        rng = np.random.default_rng([self.seed, epoch])
        self.network_.reset_metrics()
        loss = 0.0
        for part in _batches(rng.permutation(rows), read.counts, self.batch, rng):
            names, *others = read.batch(part)
            hidden = (rng.random(names.shape) < self.word_dropout) & (names > 0)
            names[hidden] = UNKNOWN
            loss = self.network_.train_on_batch([names, *others], spans[part])
        return float(np.asarray(loss).ravel()[0])

    def _network(self, keras: Any) -> Any:
        """Words -> GRU -> scores ``(n, 2, words)`` of start and end."""
        layers, ops = keras.layers, keras.ops
        names = keras.Input((None,), dtype="int32", name="words")
        looks = keras.Input((None, LOOKS), name="looks")
        there = ops.expand_dims(ops.cast(names > 0, "float32"), -1)  # (n, words, 1)
        inputs = [names, looks]
        parts = [layers.Embedding(len(self.words_) + FIRST, self.width)(names), looks]
        if self.vector_:
            inputs.append(keras.Input((None, self.vector_), name="vectors"))
            parts.append(layers.Dense(self.units)(layers.Dropout(self.dropout)(inputs[-1])))
        x = layers.Dense(self.units)(layers.Concatenate()(parts))
        if self.levels_:
            inputs.append(keras.Input((len(self.levels_),), dtype="int32", name="conditions"))
            for k, levels in enumerate(self.levels_):
                level = layers.Embedding(len(levels) + 1, self.units)(inputs[-1][:, k : k + 1])
                x = x + level
        x = layers.Activation("silu")(x) * there
        for _ in range(self.blocks):
            unit = layers.GRU(self.units // 2, return_sequences=True)
            seen = layers.Bidirectional(unit)(x, mask=names > 0)  # padding is not read
            x = layers.LayerNormalization()(x + layers.Dropout(self.dropout)(seen)) * there
        whole = ops.sum(x, axis=1, keepdims=True) / ops.sum(there, axis=1, keepdims=True)
        x = layers.Dense(self.units, activation="silu")(x + layers.Dense(self.units)(whole))
        scores = ops.where(there > 0, layers.Dense(2)(layers.Dropout(self.dropout)(x)), _FAR)
        return keras.Model(inputs, ops.transpose(scores, (0, 2, 1)))

    def _taken(
        self,
        texts: Sequence[str],
        conditions: NDArray[Any] | None,
        vectors: Sequence[NDArray[Any]] | None,
    ) -> tuple[Sequence[str], NDArray[Any], Sequence[NDArray[Any]] | None]:
        table = np.zeros((len(texts), 0)) if conditions is None else np.asarray(conditions)
        if len(table) != len(texts) or (vectors is not None and len(vectors) != len(texts)):
            raise ValueError(
                f"conditions and vectors must be as many as the {len(texts)} texts, however:"
                f" {len(table)}, {None if vectors is None else len(vectors)}"
            )
        return texts, table, vectors

    def _read(
        self, texts: Sequence[str], conditions: NDArray[Any], vectors: Sequence[NDArray[Any]] | None
    ) -> Texts:
        levels = [
            [known.get(str(value), 0) for value in column]
            for known, column in zip(self.levels_, conditions.T, strict=True)
        ]
        numbers = np.array(levels, dtype=np.int32).reshape(len(levels), len(texts)).T
        return read_texts(texts, self.words_, self.longest, numbers, vectors)

    def _start(self) -> Any:
        problem = Problem(task="binary", n_outputs=1, seed=self.seed, threads=self.threads)
        return start(problem)


def start_and_end_entropy(truth: Any, scores: Any) -> Any:
    """Loss per text ``(n,)``: mean cross entropy of start and end.

    Args:
        truth: first and last word, ``(n, 2)``.
        scores: ``(n, 2, words)``.
    """
    from keras import ops

    words = ops.cast(truth, "int32")
    entropy = ops.sparse_categorical_crossentropy(words, scores, from_logits=True, axis=-1)
    return ops.mean(entropy, axis=-1)


def _batches(
    order: NDArray[np.int64], counts: NDArray[np.int64], size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Rows of similar length together, which saves padding; in another company every epoch."""
    for k in range(0, len(order), size * _TOGETHER):
        part = order[k : k + size * _TOGETHER]
        part = part[np.argsort(counts[part], kind="stable")]
        parts = [part[i : i + size] for i in range(0, len(part), size)]
        yield from (parts[i] for i in rng.permutation(len(parts)))


def _check(texts: Sequence[str], spans: NDArray[np.int32]) -> None:
    if not len(texts) or len(spans) != len(texts):
        raise ValueError(f"every text needs a span, however: {len(texts)}, {len(spans)}")
    counts = np.array([len(text.split()) for text in texts])
    first, last = spans.T
    wrong = np.flatnonzero((first < 0) | (first > last) | (last >= counts))
    if len(wrong):
        k = wrong[0]
        raise ValueError(
            f"spans must be in their text, however {first[k]} to {last[k]} of {counts[k]} words"
        )
