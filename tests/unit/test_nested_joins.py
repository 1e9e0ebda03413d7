"""Tables whose rows belong to rows of a table beside train and test: `via` in `[joins]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kit.competition import Competition
from kit.dataset import Dataset
from kit.errors import ConfigError, DataError
from kit.providers.base import load_provider
from kit.refit.rows import NewRows
from kit.scaffold.write import create
from kit.settings import ProviderSpec

RANDOM = np.random.default_rng(3)
CLIENTS = pd.DataFrame({"client": 1000 + np.arange(240), "income": RANDOM.gamma(2, 9, 240)})
CLIENTS["late"] = RANDOM.integers(0, 2, 240)
LOANS = pd.DataFrame(
    {"client": RANDOM.choice(CLIENTS["client"], 500), "loan": 7000 + np.arange(500)}
)
LOANS["amount"] = RANDOM.gamma(2, 50, 500).round(1)
MONTHS = pd.DataFrame(
    {"loan": RANDOM.choice(LOANS["loan"], 3000), "month": RANDOM.integers(1, 60, 3000)}
)
MONTHS["status"] = RANDOM.choice(list("0CX"), 3000)


def competition(folder: Path, **sides: pd.DataFrame) -> Competition:
    raw = folder / "files"
    raw.mkdir()
    CLIENTS[:160].to_csv(raw / "train.csv", index=False)
    CLIENTS[160:].drop(columns="late").to_csv(raw / "test.csv", index=False)
    sample = CLIENTS.loc[160:, ["client"]].assign(late=0.5)
    sample.to_csv(raw / "sample_submission.csv", index=False)
    for name, frame in sides.items():
        frame.to_csv(raw / f"{name}.csv", index=False)
    spec = ProviderSpec(name="local", source=str(raw))
    root = folder / "credit"
    provider = load_provider("credit", spec, root)
    create(root, provider, spec, flags={"metric": "roc_auc"}, template=None, progress=quiet)
    return Competition.load(root)


def quiet(*_: Any) -> None:
    """Say nothing."""


def test_months_of_loans_of_clients_are_summed_up_twice(tmp_path: Path) -> None:
    one = competition(tmp_path, loans=LOANS, months=MONTHS)
    spec = one.settings.joins["months"]
    assert (spec.on, spec.via, spec.summarised) == (("loan",), "loans", True)
    X = Dataset.read(one).X
    per_loan = MONTHS.groupby("loan")["month"].mean()
    means = LOANS["loan"].map(per_loan)
    expected = means.groupby(LOANS["client"]).max().reindex(CLIENTS["client"][:160])
    np.testing.assert_allclose(X["loans_months_month_mean_max"], expected, rtol=1e-5)
    closed = LOANS["loan"].map((MONTHS["status"] == "C").groupby(MONTHS["loan"]).mean())
    shares = closed.groupby(LOANS["client"]).mean().reindex(CLIENTS["client"][:160])
    np.testing.assert_allclose(X["loans_months_status_C_mean"], shares, rtol=1e-5)
    assert "loan" not in " ".join(X.columns).replace("loans_", "").split()


def test_a_word_of_a_looked_up_table_may_have_a_table_of_its_own(tmp_path: Path) -> None:
    branches = pd.DataFrame(
        {"client": CLIENTS["client"], "town": RANDOM.choice(list("abcde"), 240)}
    )
    towns = pd.DataFrame({"town": list("abcde"), "people": [9, 8, 7, 6, 5], "coast": list("yynyn")})
    one = competition(tmp_path, branches=branches, towns=towns)
    assert one.settings.joins["towns"].on == ("town",)
    assert one.settings.columns.kinds["coast"] == "category"
    people = branches["town"].map(towns.set_index("town")["people"])
    for through in ("", "branches"):
        X = Dataset.read(Competition.load(one.root, [f"joins.towns.via={through}"])).X
        assert X["people"].tolist() == people[:160].tolist()
        assert X["coast"].isin(["y", "n"]).all()


def test_what_it_brings_depends_on_its_file_and_is_kept(tmp_path: Path) -> None:
    one = competition(tmp_path, loans=LOANS, months=MONTHS)
    before = Dataset.read(one)
    again = Dataset.read(one)
    pd.testing.assert_frame_equal(again.X, before.X)
    MONTHS.assign(month=MONTHS["month"] + 1).to_csv(one.raw / "months.csv", index=False)
    after = Dataset.read(one)
    assert after.digests["data"] != before.digests["data"]
    name = "loans_months_month_mean_mean"
    np.testing.assert_allclose(after.X[name], before.X[name] + 1, rtol=1e-5)


def test_from_the_disk_and_for_new_rows_it_is_the_same(tmp_path: Path) -> None:
    one = competition(tmp_path, loans=LOANS, months=MONTHS)
    there = Dataset.read(one)
    stored = Dataset.read(Competition.load(one.root, ["execution.on_disk=always"]))
    assert [*stored.X_test.columns] == [*there.X_test.columns]
    numbers = [name for name, kind in there.kinds.items() if kind == "numeric"]
    assert len(numbers) > 20
    for name in numbers:
        np.testing.assert_allclose(stored.X_test[name], there.X_test[name], rtol=1e-6)
    reader = NewRows(one)
    assert {"loan", "month"}.isdisjoint(reader.needed)
    saved = tmp_path / "saved"
    saved.mkdir()
    reader.joins.save(saved)
    (one.raw / "months.csv").unlink()
    joins = type(reader.joins)(one, prepared=saved)
    ((_, again),) = NewRows(one, reader.format, joins=joins).read(one.raw / "test.csv", 1000)
    pd.testing.assert_frame_equal(again, there.X_test)


def test_what_leads_nowhere_is_refused(tmp_path: Path) -> None:
    one = competition(tmp_path, loans=LOANS, months=MONTHS)
    for flag, error, message in (
        ("joins.months.via=loan", ConfigError, "must name another table.*Did you mean 'loans'"),
        ("joins.months.via=months", ConfigError, "circle, never to train: months via months"),
        ("joins.loans.via=months", ConfigError, "in a circle"),
        (
            'joins.months.on=["lone"]',
            ConfigError,
            "months.csv has no 'lone'|loans.csv has no 'lone'",
        ),
        ("joins.months.summarised=false", DataError, "one row per loan, however .* rows repeat"),
    ):
        with pytest.raises(error, match=message):
            Dataset.read(Competition.load(one.root, [flag]))


def test_a_table_of_no_one_s_rows_is_named_and_left_alone(tmp_path: Path) -> None:
    rates = pd.DataFrame({"bank": list("abc"), "rate": [1.0, 2.0, 3.0]})
    one = competition(tmp_path, loans=LOANS, rates=rates)
    assert [*one.settings.joins] == ["loans"]
    assert "Not used: rates.csv" in " ".join(
        line.strip("# ") for line in (one.root / "kit.toml").read_text().splitlines()
    )
