"""Terms of texts: scikit-learn's numbers, counted once per process, whatever came before."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from kit.preprocessing import remembered, terms
from kit.preprocessing.remembered import Remembered
from kit.preprocessing.terms import TermWeights
from kit.preprocessing.tokens import words

RANDOM = np.random.default_rng(2)
SOME = ["Red", "café", "a", "ab", "Wine,", "o'clock", "naïve", "x1", "the", "über-fast", "red"]
TEXTS = [" ".join(RANDOM.choice(SOME, RANDOM.integers(0, 9))) for _ in range(300)]
SEEN, NEW = TEXTS[:200], [*TEXTS[200:], "", "never seen before"]
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "words": (
        {"kind": "words", "longest": 2, "min_df": 2},
        {"tokenizer": words, "token_pattern": None, "ngram_range": (1, 2), "min_df": 2},
    ),
    "pieces": (
        {"kind": "pieces", "shortest": 2, "longest": 5, "min_df": 3},
        {"analyzer": "char_wb", "ngram_range": (2, 5), "min_df": 3},
    ),
}


@pytest.fixture(autouse=True)
def nothing_counted_yet() -> None:
    terms._counts.cache_clear()


@pytest.fixture(params=[10**7, 0], ids=["kept", "too many to keep"])
def limit(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(terms, "MOST", request.param)
    monkeypatch.setattr(terms, "WORDS_MOST", request.param)
    return int(request.param)


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_those_of_scikit_learn(kind: str, limit: int) -> None:
    ours, theirs = KINDS[kind]
    own = TermWeights(**ours)
    other = TfidfVectorizer(sublinear_tf=True, strip_accents="unicode", dtype=np.float32, **theirs)
    for made, expected in (
        (own.fit_transform(SEEN), other.fit_transform(SEEN)),
        (own.transform(NEW), other.transform(NEW)),
    ):
        assert made.dtype == np.float32
        np.testing.assert_allclose(made.toarray(), expected.toarray(), rtol=1e-6)
    assert [*own.get_feature_names_out()] == [*other.get_feature_names_out()]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_counted_before_changes_no_bit(kind: str) -> None:
    alone = TermWeights(**KINDS[kind][0])
    expected = alone.fit_transform(SEEN), alone.transform(NEW)
    terms._counts.cache_clear()
    TermWeights(**KINDS[kind][0]).fit(["zebra xylophone red", *reversed(TEXTS)])
    again = TermWeights(**KINDS[kind][0])
    for made, one in zip((again.fit_transform(SEEN), again.transform(NEW)), expected, strict=True):
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(made, part), getattr(one, part))


def test_a_text_is_counted_once() -> None:
    counted = terms._counts("pieces", 2, 3)
    asked = list[str]()
    analyze = counted.analyze
    counted.analyze = lambda text: asked.append(text) or analyze(text)  # type: ignore[func-returns-value]
    for part in (SEEN, SEEN[:50], NEW):
        TermWeights("pieces", 2, 3).fit(part)
    assert sorted(asked) == sorted({*SEEN, *NEW})


def test_of_equal_terms_the_first_of_the_alphabet_are_kept(limit: int) -> None:
    own = TermWeights(most=2).fit(["d c b a", "a b c d"])
    assert [*own.get_feature_names_out()] == ["a", "b"]


def test_no_term_at_all_is_told() -> None:
    with pytest.raises(ValueError, match="no term occurs often enough"):
        TermWeights(min_df=3).fit(["a b", "b c"])


@pytest.mark.parametrize("kind", KINDS)
def test_in_another_process_it_weighs_the_same(kind: str) -> None:
    own = TermWeights(**KINDS[kind][0]).fit(SEEN)
    expected = own.transform(NEW).toarray()
    stored = pickle.dumps(own)
    assert len(stored) < 40_000  # nothing of the texts goes along
    terms._counts.cache_clear()
    np.testing.assert_array_equal(pickle.loads(stored).transform(NEW).toarray(), expected)


def test_what_follows_from_a_text_is_made_once_up_to_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remembered, "WORDS_MOST", 6)
    asked = list[str]()
    lengths = Remembered(lambda text: [asked.append(text) or len(text)])  # type: ignore[func-returns-value]
    for _ in range(2):
        assert [float(each[0]) for each in lengths(["abc", "defg", "hi"])] == [3, 4, 2]
    assert asked == ["abc", "defg", "hi", "hi"]  # the third came after the limit


def test_single_words_are_kept_of_more_texts_than_what_takes_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(terms, "MOST", 10)
    for longest in (1, 2):
        TermWeights(longest=longest).fit(SEEN)
    single, pairs = (terms._counts("words", 1, longest) for longest in (1, 2))
    assert len(single._rows) == len({*SEEN})
    assert not pairs._rows
