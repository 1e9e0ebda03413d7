"""Vectors of all texts before the first model that reads them, within the time.

Otherwise the first folds would have one core each for what needs all of them, and their time would
be taken for that of the folds to come.
"""

from __future__ import annotations

import time
from contextlib import suppress
from itertools import chain, repeat
from multiprocessing.connection import Connection
from pathlib import Path

from kit.auto.beforehand import too_slow
from kit.auto.budget import Budget
from kit.cores import usable_cores
from kit.dataset import Dataset
from kit.errors import KitError
from kit.gpus import gpus
from kit.preprocessing.tokens import documents
from kit.pretrained.sentences import embed

READING = ("linear_sentences", "kernel_sentences", "tree_sentences", "neural_sentences")
"""Recipes that see the vectors."""

_SHARE = 0.5  # of the time left that vectors may take
_TRIAL = 0.05  # of the letters, after which the time of the others is known
_STEPS = (64, 512)  # texts of the first steps, which tell the time; compiling is in the first
_TEXTS = 2048  # of the others: so much is lost where the time ends
_QUICKEST = 1.4e-4
"""Seconds per letter and core that no processor needs less than: half of what two cores took."""


def vectors_in_time(data: Dataset, budget: Budget) -> bool:
    """Compute the vectors of all texts; False: the time does not suffice.

    The longest texts come first: the others take rather less than is guessed from them.
    """
    texts = {
        text.strip()
        for name, kind in data.kinds.items()
        if kind == "text"
        for frame in (data.X, data.X_test)
        for text in documents(frame[name])
    }
    ordered = sorted(texts - {""}, key=lambda text: (-len(text), text))
    letters = float(sum(map(len, ordered)))
    granted = _SHARE * budget.left
    before = data.cache is not None and any(data.cache.glob("texts-*"))
    if _hopeless(letters, granted) and not before:
        return False
    limit = time.monotonic() + granted
    what = (ordered, data.encoder, data.cache)
    return too_slow(_embed, what, letters, limit, _TRIAL * letters) is None


def _hopeless(letters: float, granted: float) -> bool:
    """Whether a trial would only cost time."""
    try:
        quick = bool(gpus())
    except OSError:  # a driver that does not answer
        quick = False
    return not quick and _QUICKEST * letters / usable_cores() > granted


def _embed(what: tuple[list[str], str, Path], pipe: Connection) -> None:
    """Tells after every step how many letters are done."""
    texts, where, cache = what
    done = 0
    with suppress(KitError):  # the first model meets it again, and says so
        for size in chain(_STEPS, repeat(_TEXTS)):
            part, texts = texts[:size], texts[size:]
            if not part:
                break
            embed(part, where=where, cache=cache)
            done += sum(map(len, part))
            pipe.send(done)
