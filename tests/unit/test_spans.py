"""Pieces of texts: labels from characters, the metric, decoding, and the network that points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kit.metrics.words import jaccard
from kit.models.neural.spans import SpanNetwork, start_and_end_entropy
from kit.models.neural.words import UNKNOWN, look, name, read_texts, vocabulary
from kit.models.spans import EXACT, best_spans, locate, overlaps, piece, places

neural = [pytest.mark.neural, pytest.mark.filterwarnings("ignore")]  # tensorflow's own warnings


def test_jaccard_by_hand() -> None:
    assert jaccard("a good day", "A  GOOD\tnight") == 2 / 4
    assert jaccard("so so good", "so good") == 1  # different words count
    assert jaccard("good!", "good") == 0
    assert jaccard("good", "") == 0
    assert jaccard(" ", "") == 1


@pytest.mark.parametrize(
    ("text", "answer", "span", "cut"),
    [
        ("today is a good day", "a good", (2, 3), "a good"),
        ("  today  is\ta good day ", " is\ta ", (1, 2), "is\ta"),
        ("soooo good!!", "good", (1, 1), "good!!"),  # a word is not cut
        ("not so, so good", "o g", (2, 3), "so good"),
        ("a bad cat sat", "a", (0, 0), "a"),
        ("cat sat at a mat", "at", (2, 2), "at"),  # a whole word before a piece of one
        ("cat sat", "at", (0, 0), "cat"),
        ("aaa b", "aa", (0, 0), "aaa"),
        ("(what?) [a-z]+", "[a-z]+", (1, 1), "[a-z]+"),
        ("naïve\u00a0café ☕", "café ☕", (1, 2), "café ☕"),  # a blank that does not break is one
        ("whole", "whole", (0, 0), "whole"),
    ],
)
def test_answers_are_found_by_their_characters(
    text: str, answer: str, span: tuple[int, int], cut: str
) -> None:
    assert locate(text, answer) == span
    assert piece(text, span) == cut
    assert len(places(text)) == len(text.split())


@pytest.mark.parametrize(
    ("text", "answer"), [("good day", "bad"), ("good", ""), ("good", " "), ("", "good"), ("", "")]
)
def test_what_is_no_piece_has_no_place(text: str, answer: str) -> None:
    assert locate(text, answer) is None


def by_brute_force(starts: np.ndarray, ends: np.ndarray) -> tuple[tuple[int, int], float]:
    """The span with the highest expected Jaccard of sets of places, one loop per sum."""
    words = starts.shape[1]
    spans = [(i, j) for i in range(words) for j in range(i, words)]
    chance = dict.fromkeys(spans, 0.0)
    for one, other in zip(starts, ends, strict=True):
        total = sum(one[i] * other[j] for i, j in spans)
        for i, j in spans:
            chance[i, j] += one[i] * other[j] / total / len(starts)
    best, value = (0, 0), -1.0
    for i, j in spans:
        own = set(range(i, j + 1))
        expected = 0.0
        for (a, b), p in chance.items():
            theirs = set(range(a, b + 1))
            expected += p * len(own & theirs) / len(own | theirs)
        if expected > value:
            best, value = (i, j), expected
    return best, value


def draw(words: int, seed: int, networks: int = 1, sharp: float = 1.0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    both = np.exp(sharp * rng.normal(size=(2, networks, words)))
    return [*(both / both.sum(axis=-1, keepdims=True)).astype(np.float32)]


@pytest.mark.parametrize("words", [1, 2, 3, 7, 12])
def test_decoding_is_that_of_brute_force(words: int) -> None:
    drawn = [draw(words, seed, networks=1 + seed % 3, sharp=1 + seed % 4) for seed in range(12)]
    found = best_spans([s for s, _ in drawn], [e for _, e in drawn])
    assert found == [by_brute_force(s, e)[0] for s, e in drawn]


def test_the_best_span_is_not_the_likeliest() -> None:
    start, end = np.array([[0.4, 0.3, 0.3, 0.0]]), np.array([[0.4, 0.0, 0.0, 0.6]])
    assert best_spans([start], [end]) == [(0, 3)]  # (0, 0) and (0, 3): .16 and .24 of .52
    start, end = np.array([[0.34, 0.33, 0.33]]), np.array([[0.0, 0.0, 1.0]])
    assert best_spans([start], [end]) == [(1, 2)]  # in the middle between three


def test_a_sharper_choice_comes_to_the_likeliest_span() -> None:
    # two answers that go together, (0, 0) and (2, 3); the product also believes in (0, 3)
    start, end = np.array([[0.52, 0.0, 0.48, 0.0]]), np.array([[0.5, 0.0, 0.0, 0.5]])
    assert best_spans([start], [end]) == [(0, 3)]
    start = np.array([[0.6, 0.0, 0.4, 0.0]])
    end = np.array([[0.52, 0.0, 0.0, 0.48]])
    assert best_spans([start], [end]) == [(0, 3)]
    assert best_spans([start], [end], sharpness=40) == [(0, 0)]
    long = np.concatenate([start, np.zeros((1, EXACT))], axis=1)
    wide = np.concatenate([end, np.zeros((1, EXACT))], axis=1)
    assert best_spans([long], [wide]) == [(0, 3)]
    assert best_spans([long], [wide], sharpness=40) == [(0, 0)]


def test_spans_of_long_texts_are_bounded_and_good() -> None:
    words = EXACT + 8
    drawn = [draw(words, seed, networks=2, sharp=2.5) for seed in range(4)]
    found = best_spans([s for s, _ in drawn], [e for _, e in drawn])
    for span, (starts, ends) in zip(found, drawn, strict=True):
        first, last, overlap = overlaps.__wrapped__(words)
        chance = (starts[:, first].astype(float) * ends[:, last]) * (first <= last)
        chance = (chance / chance.sum(axis=1, keepdims=True)).mean(axis=0)
        row = np.flatnonzero((first == span[0]) & (last == span[1]))[0]
        assert chance @ overlap[row] > 0.97 * (chance @ overlap).max()
    endless = draw(3000, 0)
    (span,) = best_spans([endless[0]], [endless[1]])
    assert 0 <= span[0] <= span[1] < 3000


def test_odd_probabilities_are_decoded_all_the_same() -> None:
    empty = np.zeros((2, 0), dtype=np.float32)
    backwards = np.array([[0.0, 0.0, 1.0]]), np.array([[1.0, 0.0, 0.0]])
    found = best_spans([empty, backwards[0]], [empty, backwards[1]])
    assert found[0] == (0, -1)
    assert 0 <= found[1][0] <= found[1][1] <= 2
    assert best_spans([], []) == []


def test_words_are_known_by_name_and_seen_as_they_are() -> None:
    assert [name(w) for w in ("GOOD!!", "sooooo", "...", "#Love", "It's")] == [
        "good", "soo", "..", "love", "it's",
    ]  # fmt: skip
    assert look("GOOD!!") != look("good")
    known = vocabulary(["a good day", "good good", "day off", "rare"], most=5)
    assert known == {"day": 2, "good": 3}  # in two texts at least; alphabetical among equals
    assert [*vocabulary(["b a", "a b"], most=1)] == ["a"]
    none = np.zeros((2, 0), dtype=np.int32)
    read = read_texts(["Day by day", ""], known, 2, none, None)
    assert read.counts.tolist() == [2, 0]
    names, looks = read.batch(np.array([0]))
    assert names.tolist() == [[2, UNKNOWN, 0, 0, 0, 0, 0, 0]]
    assert not looks[0, 2:].any()


SMALL: dict[str, Any] = {
    "width": 8, "units": 16, "epochs": 25, "batch": 16, "learning_rate": 0.01,
    "threads": 1,
}  # fmt: skip
FILLER = ["we", "saw", "the", "boats", "at", "noon", "and", "then", "it", "began", "to", "rain"]


def marked(n: int, seed: int) -> tuple[list[str], list[tuple[int, int]], dict[str, Any]]:
    """Texts; where "find" is the condition, the answer is "good" and the word behind it.

    Beside them conditions, and vectors of the words that say nothing.
    """
    rng = np.random.default_rng(seed)
    texts, spans, conditions = [], [], []
    for k in range(n):
        words = [str(word) for word in rng.choice(FILLER, 8)]
        at = int(rng.integers(0, 7))
        words[at] = "good"
        texts.append(" ".join(words))
        spans.append((at, at + 1) if k % 2 else (0, 7))
        conditions.append(["find" if k % 2 else "all"])
    vectors = [rng.normal(size=(8, 3)).astype(np.float16) for _ in texts]
    return texts, spans, {"conditions": np.array(conditions, dtype=object), "vectors": vectors}


@pytest.fixture(scope="module")
def fitted() -> SpanNetwork:
    texts, spans, others = marked(96, 0)
    return SpanNetwork(**SMALL).fit(texts, spans, **others)


class TestNetwork:
    pytestmark = neural

    def test_new_texts_are_answered(self, fitted: SpanNetwork) -> None:
        texts, spans, others = marked(40, 1)
        starts, ends = fitted.predict(texts, **others)
        assert all(each.sum() == pytest.approx(1, abs=1e-5) for each in (*starts, *ends))
        found = best_spans([s[None] for s in starts], [e[None] for e in ends])
        pairs = zip(texts, spans, found, strict=True)
        assert np.mean([jaccard(piece(t, a), piece(t, b)) for t, a, b in pairs]) > 0.9
        assert fitted.curve_["train"][-1] < 0.3 * fitted.curve_["train"][0]

    def test_odd_texts_are_answered_too(self, fitted: SpanNetwork) -> None:
        odd = ["", "good day", " ".join(["word"] * 300)]
        conditions = np.array([["all"], ["new"], ["find"]], dtype=object)
        vectors = [np.zeros((n, 3), dtype=np.float16) for n in (0, 2, 300)]
        starts, _ = fitted.predict(odd, conditions, vectors)
        assert [len(each) for each in starts] == [0, 2, 300]
        assert not starts[2][256:].any()  # behind `longest`
        assert starts[2][:256].sum() == pytest.approx(1, abs=1e-5)

    def test_the_company_of_a_text_changes_nothing(self, fitted: SpanNetwork) -> None:
        texts, _, others = marked(3, 2)
        expected, _ = fitted.predict(texts, **others)
        conditions = np.concatenate([others["conditions"], [["all"]]])
        vectors = [*others["vectors"], np.ones((36, 3), dtype=np.float16)]
        together, _ = fitted.predict([*texts, " ".join(FILLER * 3)], conditions, vectors)
        assert all(map(np.allclose, expected, together, [1e-4] * 3))

    @pytest.mark.slow
    def test_the_same_seed_gives_the_same_probabilities(self, fitted: SpanNetwork) -> None:
        texts, spans, others = marked(96, 0)
        again = SpanNetwork(**SMALL).fit(texts, spans, **others)
        expected = fitted.predict(texts, **others)
        assert np.array_equal(again.predict(texts, **others), expected)
        blind = {**others, "vectors": [0 * each for each in others["vectors"]]}
        assert not np.allclose(fitted.predict(texts, **blind), expected)

    def test_what_was_saved_predicts_the_same(self, fitted: SpanNetwork, tmp_path: Path) -> None:
        texts, _, others = marked(5, 1)
        fitted.save(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} == {"network.keras", "model.json"}
        loaded = SpanNetwork.load(tmp_path)
        assert loaded.get_params() == fitted.get_params()
        found = loaded.predict(texts, **others)
        assert np.allclose(found, fitted.predict(texts, **others), atol=1e-6)

    def test_the_loss_by_hand(self) -> None:
        truth = np.array([[0, 2]], dtype="int32")
        scores = np.zeros((1, 2, 4), dtype="float32")
        scores[0, :, 3] = -1e4  # no word there
        found = np.asarray(start_and_end_entropy(truth, scores))
        assert found == pytest.approx([np.log(3)], rel=1e-5)
        scores[0, 0, 0] = scores[0, 1, 2] = 50
        assert np.asarray(start_and_end_entropy(truth, scores)) == pytest.approx([0], abs=1e-5)


@pytest.mark.parametrize(
    ("texts", "spans", "given", "rule"),
    [
        (["a b"], [(0, 2)], {}, "0 to 2 of 2 words"),
        (["a b"], [(1, 0)], {}, "in their text"),
        (["a b"], [], {}, "every text needs a span"),
        ([], [], {}, "every text needs a span"),
        (["a b"], [(0, 1)], {"conditions": np.zeros((2, 1))}, "as many as the 1 texts"),
        (["a b"], [(0, 1)], {"vectors": []}, "as many as the 1 texts"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    texts: list[str], spans: list[tuple[int, int]], given: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        SpanNetwork(**SMALL).fit(texts, spans, **given)
