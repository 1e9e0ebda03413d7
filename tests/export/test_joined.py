"""Tables joined by the row's own id: hidden rows have theirs where Kaggle mounts the files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition
from kit.export.bundle import BUNDLE, write_bundle
from kit.export.exportable import exportable
from kit.export.inference import Places, infer
from kit.export.names import names_of
from kit.runs import Run

JOIN = {"file": ["train_identity.csv", "test_identity.csv"], "on": ["id"], "columns": ["seen"]}


@pytest.mark.parametrize("hidden", [True, False])
def test_predictions_are_those_of_the_mounted_tables(
    toy: Callable[..., Competition],
    kept: Callable[..., list[Run]],
    mixed: tuple[pd.DataFrame, pd.DataFrame],
    tmp_path: Path,
    hidden: bool,
) -> None:
    train, test = mixed
    competition = toy(joins={"identity": JOIN})
    told = {"train_identity": train[["id"]].assign(seen=train["y"] + np.arange(len(train)) % 2)}
    told["test_identity"] = test[["id"]].assign(seen=np.arange(len(test)) % 3)
    for name, frame in told.items():
        frame.to_csv(competition.raw / f"{name}.csv", index=False)
    (run,) = kept(competition, "linear")
    names = names_of("toy", "ann/toy-models", None, "submission.csv")
    source = exportable(competition, run)
    bundle = write_bundle(competition, source, names, tmp_path / "bundle", python="3.12")

    mount = tmp_path / "mount"
    mount.mkdir()
    tables = {"test": test, "sample_submission": test[["id"]].assign(y=0)}
    if (
        hidden
    ):  # the same rows under other names; else the public ones, and the tables are not there
        tables |= told
        for name in ("test", "sample_submission", "test_identity"):
            tables[name] = tables[name].assign(id="h" + tables[name]["id"])
    for name, frame in tables.items():
        frame.to_csv(mount / f"{name}.csv", index=False)
    places = Places(
        code=bundle.dataset / "competition",
        models=bundle.dataset / "models",
        test=mount / "test.csv",
        sample=mount / "sample_submission.csv",
        out=tmp_path / "submission.csv",
    )
    infer(json.loads((bundle.dataset / BUNDLE).read_text())["record"], places)
    np.testing.assert_allclose(pd.read_csv(places.out)["y"], run.test()["pred"], atol=1e-9)
