"""From texts to submission.csv, in one script: `python train.py`.

A network is trained on all folds but one and says for every word of the texts of that one how
likely the answer starts or ends there, for every fold; the mean Jaccard of the pieces that follow
is your own leaderboard. Every fold is kept in `runs/` when it is finished: interrupted, the same
command goes on with the next one. Other settings, other code or other data are another run.
"""

import csv
import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

import kit
from kit.atomic import atomic_path
from kit.errors import DataError, KitError
from kit.metrics.words import jaccard
from kit.models.neural.spans import SpanNetwork
from kit.models.spans import best_spans, locate, piece, places
from kit.pretrained.folder import encoder_digest, encoder_folder
from kit.pretrained.words import embed_words
from kit.tables import read_header, read_table

HERE = Path(__file__).resolve().parent
RAW = HERE / "data" / "raw"
SURE = 2.0  # standard errors by which the whole text must be better


def main():
    settings = tomllib.loads((HERE / "settings.toml").read_text(encoding="utf-8"))
    train, test, sample = read_tables(settings)
    answers = train[settings["answer"]]
    spans, learnt = read_spans(settings, train)
    scored = (answers.str.strip() != "").to_numpy() & has_words(train, settings)
    strata = read_strata(settings, train)
    folds = make_folds(settings, train, strata, learnt)
    rows = Rows(settings, train), Rows(settings, test)
    folder = HERE / "runs" / digest(settings)
    folder.mkdir(parents=True, exist_ok=True)

    pieces, votes = np.empty(len(train), dtype=object), []
    for k in range(settings["folds"]):
        held = folds == k
        own, new = finished_fold(
            folder / f"fold-{k}.npz",
            lambda: train_fold(settings, k, rows, ~held & learnt, held, spans),
        )
        texts = rows[0].texts[held]
        pieces[held] = pieces_of(settings, texts, [split(own, texts)])
        votes.append(split(new, rows[1].texts))
        part = held & scored
        scores = [*map(jaccard, answers[part], pieces[part])]
        print(f"fold {k}: Jaccard {np.mean(scores):.4f} on {part.sum()} texts it has not seen")

    whole = report(answers, rows[0].texts, pieces, strata, scored)
    found = pieces_of(settings, rows[1].texts, votes)
    kept = read_strata(settings, test).isin(whole).to_numpy()
    found[kept] = [text.strip() for text in rows[1].texts[kept]]
    write_submission(sample, dict(zip(test[settings["id"]], found)))


def read_tables(settings):
    """Train, test and sample submission, each cell as it is spelled; "" where it is empty."""
    tables = []
    for name in ("train", "test", "sample"):
        path = RAW / settings[name]
        columns = [column.strip() for column in read_header(path)]
        wanted = [] if name == "sample" else [settings["text"], *settings["conditions"]]
        wanted += {"train": [settings["answer"]], "test": [settings["id"]]}.get(name, [])
        for column in wanted:
            if column not in columns:
                raise DataError(
                    f"{settings[name]} must have the column {column!r} of settings.toml, however "
                    f"it has: {', '.join(columns)}."
                )
        tables.append(read_table(path, as_text=columns).fillna(""))
    train, test, sample = tables
    if len(sample.columns) != 2:
        raise DataError(
            f"{settings['sample']} must have an id and the answer, however it has: "
            f"{', '.join(sample.columns)}."
        )
    missing = sample[~sample.iloc[:, 0].isin(test[settings["id"]])]
    if len(missing):
        raise DataError(
            f"every id of {settings['sample']} must be in {settings['test']}, however "
            f"{missing.iloc[0, 0]!r} is not ({len(missing)} of {len(sample)})."
        )
    return train, test, sample


def has_words(table, settings):
    return (table[settings["text"]].str.strip() != "").to_numpy()


def read_spans(settings, train):
    """First and last word of every answer ``(n, 2)``, and which rows can be learnt from."""
    texts, answers = train[settings["text"]], train[settings["answer"]]
    found = [*map(locate, texts, answers)]
    learnt = np.array([span is not None for span in found])
    blank = ~has_words(train, settings)
    none = ~blank & (answers.str.strip() == "").to_numpy()
    strange = ~learnt & ~blank & ~none
    for rows, what in (
        (blank, "have no text"),
        (none, "have no answer"),
        (strange, "have an answer that is no piece of their text"),
    ):
        if rows.any():
            print(f"{rows.sum()} of {len(train)} rows of train {what}: not learnt from")
    if learnt.sum() < 2 * settings["folds"]:
        raise DataError(
            f"{settings['train']}: {2 * settings['folds']} answers at least must be pieces of "
            f"{settings['text']!r}, however {learnt.sum()} of {len(train)} are.\n"
            "  Correct text and answer in settings.toml."
        )
    longest = settings["network"]["longest"]
    long = (texts.str.split().str.len() > longest).sum()
    if long:
        print(f"{long} texts of train have more than {longest} words: what follows is not read")
    return np.array([span or (0, 0) for span in found]), learnt


def read_strata(settings, table):
    """The first condition of each row; "all" where settings name none."""
    if not settings["conditions"]:
        return pd.Series("all", index=table.index)
    return table[settings["conditions"][0]]


def make_folds(settings, train, strata, learnt):
    """A fold per row, with as many of each condition; the same text is never in two folds."""
    texts = train[settings["text"]].str.strip()
    first = ~texts.duplicated()
    groups = strata[first]
    rare = groups.map(groups.value_counts()) < settings["folds"]
    groups = groups.mask(rare, groups.mode()[0])
    if len(groups) < settings["folds"] or groups.value_counts().min() < settings["folds"]:
        raise DataError(f"{settings['folds']} folds need as many different texts at least.")
    splitter = StratifiedKFold(settings["folds"], shuffle=True, random_state=settings["seed"])
    found = np.zeros(len(groups), dtype=int)
    for k, (_, rows) in enumerate(splitter.split(groups, groups)):
        found[rows] = k
    folds = texts.map(dict(zip(texts[first], found))).to_numpy()
    for k in range(settings["folds"]):
        if not (learnt & (folds == k)).any():
            raise DataError(f"fold {k} has no answer to be scored by; take fewer folds.")
    return folds


class Rows:
    """What the network is given of the rows of a table."""

    def __init__(self, settings, table):
        self.texts = table[settings["text"]].to_numpy(dtype=object)
        self.conditions = table[settings["conditions"]].to_numpy(dtype=object)
        self.vectors = None
        if settings["encoder"]:
            words = [*map(places, self.texts)]
            self.vectors = embed_words(
                self.texts, words, where=encoder_path(settings), cache=HERE / ".cache"
            )
            cut = sum(len(each) > 0 and not each[-1].any() for each in self.vectors)
            if cut:
                print(f"{cut} texts are longer than the encoder reads: their last words lack it")

    def take(self, rows):
        at = np.flatnonzero(rows)
        vectors = None if self.vectors is None else [self.vectors[k] for k in at]
        return {"texts": self.texts[at], "conditions": self.conditions[at], "vectors": vectors}


def train_fold(settings, k, rows, learnt, held, spans):
    """Probabilities of start and end ``(2, words)`` of the fold's own texts and of the test texts.

    There is no early stopping: nothing that is scored here has been looked at before.
    """
    train, test = rows
    network = SpanNetwork(**settings["network"], seed=1000 * settings["seed"] + k)
    network.fit(spans=spans[learnt], **train.take(learnt))
    everything = np.ones(len(test.texts), dtype=bool)
    return [
        np.stack([np.concatenate([*part, np.zeros(0)]) for part in network.predict(**given)])
        for given in (train.take(held), test.take(everything))
    ]


def finished_fold(path, compute):
    """The fold as it was computed earlier, or now; written whole or not at all."""
    if not path.exists():
        held, test = compute()
        with atomic_path(path) as aside, open(aside, "wb") as file:
            np.savez_compressed(file, held=held.astype("float32"), test=test.astype("float32"))
    with np.load(path) as kept:
        return kept["held"], kept["test"]


def split(probabilities, texts):
    """``(2, words of all texts)`` as ``(2, words)`` per text."""
    return np.split(probabilities, np.cumsum([len(text.split()) for text in texts])[:-1], axis=1)


def pieces_of(settings, texts, votes):
    """The best piece of each text by the mean of several networks; "" where it has no word."""
    joined = [np.stack(each) for each in zip(*votes)]  # per text (networks, 2, words)
    starts, ends = [each[:, 0] for each in joined], [each[:, 1] for each in joined]
    spans = best_spans(starts, ends, settings["sharpness"])
    found = [piece(text, span) if span[1] >= 0 else "" for text, span in zip(texts, spans)]
    return np.array(found, dtype=object)


def report(answers, texts, pieces, strata, scored):
    """Print scores per condition; those for which the whole text is surely better, which get it."""
    table = pd.DataFrame({
        "condition": strata[scored],
        "network": [*map(jaccard, answers[scored], pieces[scored])],
        "whole": [*map(jaccard, answers[scored], texts[scored])],
    })
    instead = []
    for name, part in table.groupby("condition"):
        print(f"{name}: Jaccard {part.network.mean():.4f}, whole text {part.whole.mean():.4f}")
        gain = part.whole - part.network
        if len(part) > 1 and gain.mean() > SURE * gain.std() / len(part) ** 0.5:
            print(f"{name}: the whole text is better by {gain.mean():.4f}, so it is handed in")
            instead.append(name)
    chosen = table.network.where(~table.condition.isin(instead), table.whole).mean()
    print(f"all folds: Jaccard {chosen:.4f} (out of fold), whole text {table.whole.mean():.4f}")
    return instead


def write_submission(sample, answers):
    """Write it in the form of the sample submission, and read it again as the server will."""
    key, column = sample.columns
    table = sample.copy()
    table[column] = table[key].map(answers)
    path = HERE / "submission.csv"
    with atomic_path(path) as aside:
        write_csv(table, aside)
        # "" and words such as "NA" are read as missing; a blank behind them changes no word
        missing = pd.read_csv(aside, dtype={key: "str"})[column].isna()
        table.loc[missing, column] += " "
        write_csv(table, aside)
        again = pd.read_csv(aside, dtype="str")
        if again[column].isna().any() or not again.equals(table.astype("str")):
            raise DataError("the submission is read as something else than was written")
    empty = (table[column].str.strip() == "").sum()
    print(f"submission.csv: {len(table)} answers, {empty} of them empty; fits the sample")


def write_csv(table, path):
    table.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC)


def encoder_path(settings):
    """What `kit.pretrained` takes: "" is the installed package."""
    if settings["encoder"] == "package":
        return ""
    return str(HERE / settings["encoder"])


def digest(settings):
    """Eight digits of everything the folds depend on but the sharpness."""
    found = hashlib.sha256(Path(__file__).read_bytes())
    found.update(repr({**settings, "sharpness": None, "kit": kit.__version__}).encode())
    if settings["encoder"]:
        found.update(encoder_digest(encoder_folder(encoder_path(settings))).encode())
    for name in ("train", "test", "sample"):
        found.update((RAW / settings[name]).read_bytes())
    return found.hexdigest()[:8]


if __name__ == "__main__":
    try:
        main()
    except KitError as error:
        raise SystemExit(f"error: {error}")
