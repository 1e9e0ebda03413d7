"""Sentence encoders: weights of a folder, vectors that depend on the text alone, their cache."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from kit.auto.budget import Budget
from kit.auto.schedule import Schedule
from kit.auto.texts import READING, _embed, vectors_in_time
from kit.competition import Competition
from kit.errors import DataError, MissingDependency
from kit.keras import load_keras
from kit.models.base import Problem, RowWeights, check_model
from kit.models.neural.finetune_text import FineTuneText
from kit.plan import make_plan
from kit.portfolio.text import TEXTS
from kit.preprocessing.columns import RECIPES, Shape, recipe
from kit.preprocessing.sentences import SentenceKernel, SentenceTokens, SentenceVectors
from kit.pretrained.bert import build_encoder
from kit.pretrained.folder import encoder_digest, encoder_folder
from kit.pretrained.sentences import HEIGHTS, embed
from kit.pretrained.store import VectorStore
from kit.session import open_session

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "storm", "fire", "tea", "cake", "and", "the"]
WIDTH, LAYERS, HEADS, WIDE = 8, 2, 2, 16


def write_encoder(folder: Path, seed: int = 0, **changed: Any) -> Path:
    """A BERT of two tiny layers with random weights, as sentence-transformers writes one."""
    tokenizers = pytest.importorskip("tokenizers")
    safetensors = pytest.importorskip("safetensors.numpy")
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)

    def random(*shape: int) -> NDArray[np.float32]:
        return rng.normal(scale=0.5, size=shape).astype(np.float32)

    arrays = {
        "embeddings.word_embeddings.weight": random(len(WORDS), WIDTH),
        "embeddings.position_embeddings.weight": random(32, WIDTH),
        "embeddings.token_type_embeddings.weight": random(2, WIDTH),
    }
    sizes = {
        "attention.self.query": (WIDTH, WIDTH),
        "attention.self.key": (WIDTH, WIDTH),
        "attention.self.value": (WIDTH, WIDTH),
        "attention.output.dense": (WIDTH, WIDTH),
        "intermediate.dense": (WIDE, WIDTH),
        "output.dense": (WIDTH, WIDE),
    }
    for number in range(LAYERS):
        base = f"encoder.layer.{number}"
        for name, (rows, columns) in sizes.items():
            arrays[f"{base}.{name}.weight"] = random(rows, columns)
            arrays[f"{base}.{name}.bias"] = random(rows)
    norms = [
        f"encoder.layer.{n}.{w}" for n in range(LAYERS) for w in ("attention.output", "output")
    ]
    for base in ("embeddings", *norms):
        arrays[f"{base}.LayerNorm.weight"] = 1 + random(WIDTH)
        arrays[f"{base}.LayerNorm.bias"] = random(WIDTH)
    safetensors.save_file(arrays, folder / "model.safetensors")
    settings = {
        "model_type": "bert", "hidden_act": "gelu", "hidden_size": WIDTH,
        "hidden_dropout_prob": 0.1,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": WIDE,
        "layer_norm_eps": 1e-12, "max_position_embeddings": 32, "vocab_size": len(WORDS),
        **changed,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(settings))
    known = {word: number for number, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(known, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def by_hand(folder: Path, ids: list[int]) -> list[NDArray[np.float64]]:
    """The mean of the tokens after 0, 1, ... blocks, of length 1, in NumPy, as the paper has it."""
    from safetensors.numpy import load_file
    from scipy.special import erf, softmax

    w = {
        name: values.astype(np.float64)
        for name, values in load_file(folder / "model.safetensors").items()
    }

    def norm(x: Any, base: str) -> Any:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return scaled * w[f"{base}.LayerNorm.weight"] + w[f"{base}.LayerNorm.bias"]

    def dense(x: Any, base: str) -> Any:
        return x @ w[f"{base}.weight"].T + w[f"{base}.bias"]

    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings")
    means = [x.mean(axis=0)]
    for number in range(LAYERS):
        base, heads = f"encoder.layer.{number}", []
        q, k, v = (dense(x, f"{base}.attention.self.{role}") for role in ("query", "key", "value"))
        size = WIDTH // HEADS
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            heads.append(softmax(q[:, part] @ k[:, part].T / np.sqrt(size), axis=-1) @ v[:, part])
        attended = dense(np.hstack(heads), f"{base}.attention.output.dense")
        x = norm(x + attended, f"{base}.attention.output")
        wide = dense(x, f"{base}.intermediate.dense")
        wide = wide * 0.5 * (1 + erf(wide / np.sqrt(2)))
        x = norm(x + dense(wide, f"{base}.output.dense"), f"{base}.output")
        means.append(x.mean(axis=0))
    return [mean / np.linalg.norm(mean) for mean in means]


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")  # tensorflow's and keras' own
def test_the_network_computes_what_the_paper_says(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder")
    made = embed(["storm and fire", "the cake"], where=str(folder), cache=None)
    assert made.shape == (2, HEIGHTS, WIDTH)
    for row, ids in enumerate(([2, 4, 8, 5, 3], [2, 9, 7, 3])):
        at = by_hand(folder, ids)
        for height, blocks in enumerate((LAYERS // 3, 2 * LAYERS // 3, LAYERS)):
            assert made[row, height] == pytest.approx(at[blocks], abs=1e-3)


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
def test_a_vector_depends_on_its_own_text_alone(tmp_path: Path) -> None:
    folder = str(write_encoder(tmp_path / "encoder"))
    alone = embed(["storm and tea"], where=folder, cache=None)
    company = [f"{a} {b}" for a in WORDS[4:] for b in WORDS[4:]] + ["tea " * 900]
    among = embed([*company, "storm and tea", " storm and tea "], where=folder, cache=None)
    assert np.array_equal(alone[0], among[-2])
    assert np.array_equal(alone[0], among[-1])
    assert np.isfinite(among).all()


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
def test_odd_texts_are_survived(tmp_path: Path) -> None:
    X = pd.DataFrame({"t": pd.Series(["", None, "  ", "\x00\ufffd", "🙂" * 50], dtype="str")})
    X["u"] = X["t"]
    step = SentenceVectors(str(write_encoder(tmp_path / "encoder")), tmp_path / "cache")
    made = step.fit(X).transform(X)
    assert made.shape == (5, 2 * WIDTH + 1)
    assert (made.iloc[:3] == 0).all(axis=None)
    assert made["t_u_meaning"].iloc[3:].to_numpy() == pytest.approx([1, 1], abs=1e-2)
    again = pickle.loads(pickle.dumps(step))
    assert again.cache is None  # it belongs to this folder
    pd.testing.assert_frame_equal(again.transform(X), made)


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
def test_the_kernel_knows_its_training_rows_alone_and_hears_short_texts_less(
    tmp_path: Path,
) -> None:
    long = ["the dog runs over the wide green hill to the sea", "a cat sleeps", "the dog runs"]
    X = pd.DataFrame({"long": long * 4, "short": ["dog", "cat", "sun", "sea"] * 3})
    step = SentenceKernel(str(write_encoder(tmp_path / "encoder")), components=3).fit(X)
    assert step.weights_["short"] < step.weights_["long"] <= 1
    one = step.transform(X[:1])
    assert one.shape == (1, 3) == (1, len(step.get_feature_names_out()))
    assert np.allclose(step.transform(X)[:1], one, atol=1e-3)  # other rows do not matter
    assert not np.allclose(step.transform(X)[1], one, atol=1e-2)
    assert step.transform(X[:0]).shape == (0, 3)


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
def test_the_kernel_takes_off_what_its_training_rows_share(tmp_path: Path) -> None:
    encoder = str(write_encoder(tmp_path / "encoder"))
    known = pd.DataFrame({"t": ["storm and fire", "tea", "", "the cake", "the cake "]})
    step = SentenceKernel(encoder, tmp_path / "cache").fit(known)
    vectors = embed(["storm and fire", "tea", "the cake", "the cake"], where=encoder, cache=None)
    assert step.shared_["t"] == pytest.approx(vectors.mean(axis=0), abs=1e-6)  # no blank among them
    seen = step.transform(known)
    assert len(step.kernel_.components_) == 4, "twins are compared with once"
    near = seen @ seen.T
    assert near.diagonal() == pytest.approx(np.full(5, 2.0), abs=1e-3)  # like itself, twice as loud
    rest = vectors - vectors.mean(axis=0)
    rest = np.hstack([*np.moveaxis(rest / np.linalg.norm(rest, axis=2, keepdims=True), 1, 0)])
    weight = step.weights_["t"]
    apart = np.sum((weight * (rest[0] - rest[1])) ** 2)
    assert near[0, 1] == pytest.approx(2 * np.exp(-step.gamma * apart), abs=1e-3)
    again = pickle.loads(pickle.dumps(step))
    assert again.cache is None  # it belongs to this folder
    assert again.transform(known) == pytest.approx(seen)


@pytest.mark.slow
@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seconds", [200, 0])
def test_auto_has_all_texts_encoded_at_once_or_gives_up(tmp_path: Path, seconds: int) -> None:
    encoder, cache = str(write_encoder(tmp_path / "encoder")), tmp_path / "cache"
    table = pd.DataFrame({"t": ["storm", " fire and tea", "", None], "u": list("abcd")})
    kinds = {"t": "text", "u": "category"}
    data: Any = SimpleNamespace(
        X=table[:3], X_test=table, kinds=kinds, encoder=encoder, cache=cache
    )
    assert vectors_in_time(data, Budget(seconds + Budget(0).spent)) == bool(seconds)
    store = VectorStore(cache / f"texts-{encoder_digest(Path(encoder))}")
    asked: list[str] = []

    def compute(texts: list[str]) -> NDArray[np.float16]:
        asked.extend(texts)
        return np.zeros((len(texts), HEIGHTS, WIDTH), dtype=np.float16)

    store.get(["storm", "fire and tea", "new"], compute)
    assert asked == (["new"] if seconds else ["storm", "fire and tea", "new"])


@pytest.mark.parametrize("made", [True, False])
def test_models_wait_for_the_vectors_once_or_are_left_out(
    made: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(
        "kit.auto.schedule.vectors_in_time", lambda data, budget: calls.append(data) or made
    )
    session: Any = SimpleNamespace(context=SimpleNamespace(dataset=SimpleNamespace(on_disk=False)))
    workers: Any = SimpleNamespace(running=[])
    schedule = Schedule(session, workers, Budget(100 + Budget(0).spent), [], [], lambda run: None)

    def reason(recipe: str) -> str:
        plan: Any = SimpleNamespace(spec=SimpleNamespace(recipe=recipe))
        return schedule._no_vectors(plan)

    assert (reason("linear"), reason("tokens_sentences"), calls) == ("", "", [])
    said = {reason(recipe) for recipe in READING}
    assert said == {"" if made else "its vectors of the texts take too much of the time"}
    assert len(calls) == 1
    assert set(READING) == {name for name in RECIPES if name.endswith("_sentences")} - {
        "tokens_sentences"  # reads the tokens, and encodes them itself
    }


def test_vectors_wait_for_the_models_before_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take all cores, and the first submission shall not wait for them."""
    session: Any = SimpleNamespace(context=SimpleNamespace(dataset=SimpleNamespace(on_disk=False)))
    plan: Any = SimpleNamespace(spec=SimpleNamespace(recipe="kernel_sentences"))
    budget, reader = Budget(100 + Budget(0).spent), TEXTS[1]
    schedule = Schedule(session, cast(Any, None), budget, [reader], [], lambda run: None)
    opened: list[Any] = []
    monkeypatch.setattr("kit.auto.schedule.make_plan", lambda *_, **__: plan)
    monkeypatch.setattr(schedule, "_open", lambda turn, plan: opened.append(turn.entry) or "job")
    schedule._jobs = cast(Any, ["words"])
    assert schedule._next_job() is None
    assert schedule._next_job() is None
    schedule._jobs = []
    assert cast(Any, schedule._next_job()) == "job"
    assert opened == [reader], "it is neither lost nor opened twice"


def test_vectors_are_computed_once_for_all_processes(tmp_path: Path) -> None:
    asked: list[list[str]] = []

    def compute(texts: list[str]) -> NDArray[np.float16]:
        asked.append(texts)
        return np.array([[len(text), 1] for text in texts], dtype=np.float16)

    first = VectorStore(tmp_path).get(["a", "bb", "a"], compute)
    assert [v[0] for v in first] == [1, 2, 1]
    other = VectorStore(tmp_path)
    assert [v[0] for v in other.get(["bb", "ccc", "\ud800"], compute)] == [2, 3, 1]
    assert asked == [["a", "bb"], ["ccc", "\ud800"]]
    for path in tmp_path.glob("*.npz"):  # torn by a crash of the machine
        path.write_bytes(path.read_bytes()[:40])
    assert [v[0] for v in VectorStore(tmp_path).get(["bb"], compute)] == [2]
    assert asked[-1] == ["bb"]
    assert [v[0] for v in VectorStore(None).get(["bb"], compute)] == [2]


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"config.json, tokenizer.json, model.safetensors is not"):
        encoder_folder(str(tmp_path))
    other = write_encoder(tmp_path / "other", model_type="roberta")
    with pytest.raises(DataError, match="BERT family"):
        embed(["x"], where=str(other), cache=None)
    other = write_encoder(tmp_path / "third", hidden_size=None)
    with pytest.raises(DataError, match=r"however hidden_size is not there"):
        embed(["x"], where=str(other), cache=None)
    (other / "config.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        embed(["x"], where=str(other), cache=None)


@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "damage",
    [
        "torn",
        {"intermediate_size": 12},
        {"num_hidden_layers": LAYERS + 1},  # the last block would be random
        {"num_hidden_layers": LAYERS - 1},
    ],
)
def test_damaged_weights_are_refused(tmp_path: Path, damage: Any) -> None:
    folder = write_encoder(tmp_path / "encoder")
    path = folder / "model.safetensors"
    if damage == "torn":
        path.write_bytes(path.read_bytes()[:500])
    else:
        settings = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**settings, **damage}))
    with pytest.raises(DataError, match="damaged" if damage == "torn" else "weights are not"):
        embed(["storm"], where=str(folder), cache=None)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.pretrained.folder.ENCODER", "no_such_package_anywhere")
    with pytest.raises(MissingDependency, match=r"kit-competitions\[pretrained\]"):
        encoder_folder()


def test_the_weights_are_part_of_the_run_hash(
    make_competition: Callable[..., Competition], tmp_path: Path
) -> None:
    train = pd.DataFrame({"id": range(40), "t": ["storm", "tea"] * 20, "y": [0, 1] * 20})
    competition = make_competition(
        train.astype({"t": "str"}),
        train.drop(columns="y"),
        columns={"kinds": {"t": "text"}},
        text={"encoder": "encoder"},
        models={"vectors": {"use": "linear", "recipe": "linear_sentences"}},
    )
    write_encoder(competition.root / "encoder")
    with open_session(competition) as session:
        before = make_plan(session, "vectors").hash
        plain = make_plan(session, "linear").hash
        path = competition.root / "encoder"
        digest = encoder_digest(path)
        path.rename(competition.root / "first")
        write_encoder(path, seed=1)
        assert encoder_digest(path) != digest
        assert make_plan(session, "vectors").hash != before
        assert make_plan(session, "linear").hash == plain


def weather(n: int = 160) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """Texts of storms and of teas, and a number that says nothing."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    pools = np.array([["tea", "cake"], ["storm", "fire"]])
    said = [" ".join(["the", *rng.choice(pools[k], 2), "and"][: rng.integers(2, 5)]) for k in y]
    return pd.DataFrame({"t": pd.Series(said, dtype="str"), "a": rng.normal(size=n)}), y


def test_tokens_cover_the_training_texts_and_say_where_a_text_ends(tmp_path: Path) -> None:
    step = SentenceTokens(str(write_encoder(tmp_path / "encoder")))
    X = pd.DataFrame({"t": pd.Series(["storm and tea", "cake", None] * 30, dtype="str")})
    made = step.fit(X).transform(X)
    assert made.shape == (90, 8)  # [CLS] storm and tea [SEP], eight at least
    assert made.iloc[0].tolist() == [3, 5, 9, 7, 4, 0, 0, 0]
    assert made.iloc[2].tolist() == [3, 4, 0, 0, 0, 0, 0, 0]
    endless = pd.DataFrame({"t": pd.Series(["tea " * 900], dtype="str")})
    assert (step.transform(endless) > 0).all(axis=None)
    assert step.fit(endless).lengths_ == {"t": 32}  # what the encoder reads


@pytest.mark.slow
@pytest.mark.neural
@pytest.mark.filterwarnings("ignore")
def test_only_the_top_of_an_encoder_learns_along(tmp_path: Path) -> None:
    folder = write_encoder(tmp_path / "encoder")
    X, y = weather()
    shape = Shape(
        kinds={"t": "text", "a": "numeric"}, levels={}, n_rows=120, task="binary", seed=0,
        encoder=str(folder),
    )  # fmt: skip
    steps = recipe(FineTuneText.family, shape)
    made = steps.fit_transform(X[:120], y[:120]), steps.transform(X[120:])
    problem = Problem(task="binary", n_outputs=1, encoder=str(folder))
    model = FineTuneText(top=1, epochs=12, learning_rate=0.01).fit(
        made[0], y[:120], problem=problem
    )
    predicted = model.predict(made[1])[:, 0]
    assert roc_auc_score(y[120:], predicted) > 0.95
    before = build_encoder(load_keras(1), folder)
    (after,) = [layer for layer in model.networks_[0].layers if hasattr(layer, "layers")]
    moved = {
        layer.name
        for layer in after.layers
        if layer.weights
        and not all(
            map(np.array_equal, layer.get_weights(), before.get_layer(layer.name).get_weights())
        )
    }
    parts = ("attention", "attended", "wide", "narrow", "block")
    assert moved == {f"{part}_{LAYERS - 1}" for part in parts}
    heavy = np.where(np.arange(120) < 60, 1.99, 0.01)  # of the others the labels are wrong
    wrong = np.where(np.arange(120) < 60, y[:120], 1 - y[:120])
    model = FineTuneText(top=0, epochs=12, learning_rate=0.02).fit(
        made[0], wrong, problem=problem, weight=RowWeights(heavy)
    )
    assert roc_auc_score(y[120:], model.predict(made[1])[:, 0]) > 0.9


@pytest.mark.neural
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_fine_tuned_encoder_keeps_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_encoder(tmp_path / "encoder")
    monkeypatch.setattr("kit.models.checking.ENCODER", str(folder))
    (tmp_path / "saved").mkdir()
    model = FineTuneText(epochs=2, learning_rate=0.01)
    check_model(model, task="multiclass", folder=tmp_path / "saved")
    assert {path.suffix for path in (tmp_path / "saved").iterdir()} == {".keras", ".json"}


@pytest.mark.parametrize(
    ("seconds", "gpu", "stored", "tried"),
    [(1000, False, False, True), (4, False, False, False), (4, True, False, True),
     (4, False, True, True)],
)  # fmt: skip
def test_vectors_that_no_processor_makes_in_time_are_not_tried(
    seconds: float, gpu: bool, stored: bool, tried: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    asked: list[Any] = []
    monkeypatch.setattr("kit.auto.texts.too_slow", lambda *given: asked.append(given))
    monkeypatch.setattr("kit.auto.texts.gpus", lambda: [object()] * gpu)
    monkeypatch.setattr("kit.auto.texts.usable_cores", lambda: 2)
    if stored:
        (tmp_path / "texts-0").mkdir()
    frame = pd.DataFrame({"text": [f"{k} " + "word " * 20 for k in range(400)]})
    data: Any = SimpleNamespace(
        kinds={"text": "text"}, X=frame, X_test=frame[:9], encoder="", cache=tmp_path
    )
    assert vectors_in_time(data, Budget(seconds + Budget(0).spent)) is tried
    assert len(asked) == tried


def test_the_first_steps_of_vectors_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their time decides whether the others are made at all."""
    sizes: list[int] = []
    monkeypatch.setattr("kit.auto.texts.embed", lambda texts, **_: sizes.append(len(texts)))
    told: list[int] = []
    pipe: Any = SimpleNamespace(send=told.append)
    _embed(([f"{k:04}" for k in range(5000)], "", Path()), pipe)
    assert sizes == [64, 512, 2048, 2048, 328]
    assert told[-1] == 20_000
