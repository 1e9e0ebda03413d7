"""A sample submission that repeats columns of test: the exported script writes them, too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from kit.competition import Competition
from kit.export.bundle import BUNDLE, write_bundle
from kit.export.exportable import exportable
from kit.export.inference import Places, infer
from kit.export.names import names_of
from kit.runs import Run
from kit.submission.building import build


def test_repeated_columns_are_written_as_the_sample_has_them(
    toy: Callable[..., Competition],
    kept: Callable[..., list[Run]],
    mixed: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
) -> None:
    sample = mixed[1][["id", "c"]].assign(y=0).iloc[::-1]
    wanted = {"wants": "probability", "columns": ["y"], "copied": ["c"]}
    competition = toy(sample=sample, submission=wanted)
    (run,) = kept(competition, "linear")
    names = names_of("toy", "ann/toy-models", None, "submission.csv")
    source = exportable(competition, run)
    bundle = write_bundle(competition, source, names, tmp_path / "bundle", python="3.12")
    places = Places(
        code=bundle.dataset / "competition",
        models=bundle.dataset / "models",
        test=competition.raw / "test.csv",
        sample=competition.raw / "sample_submission.csv",
        out=tmp_path / "submission.csv",
    )
    infer(json.loads((bundle.dataset / BUNDLE).read_text())["record"], places)
    pd.testing.assert_frame_equal(pd.read_csv(places.out), pd.read_csv(build(run, competition)))
