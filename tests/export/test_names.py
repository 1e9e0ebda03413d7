"""Slugs, titles, metadata: what Kaggle takes, and what is refused before anything is written."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from kit.cli.export import _names
from kit.errors import ConfigError
from kit.export.names import PLACEHOLDER, dataset_metadata, kernel_metadata, names_of


def test_names_follow_from_the_competition() -> None:
    names = names_of("Store_Sales", None, None, "submission.csv")
    assert names.dataset == f"{PLACEHOLDER}/kit-store-sales"
    assert names.kernel == f"{PLACEHOLDER}/kit-store-sales-inference"
    assert names.competition == "Store_Sales"
    assert not names.complete
    assert names_of("x", "ann/my-models", "Titanic", "submission.csv").complete


def test_a_long_slug_is_cut_so_that_the_kernel_fits_too() -> None:
    names = names_of("a" * 49 + "-b", None, None, "submission.csv")
    assert len(names.kernel.split("/")[1]) <= 50


@pytest.mark.parametrize(
    ("id_", "reason"),
    [
        ("ann", "--id must be USER/SLUG"),
        ("ann/My Models", "--id must be USER/SLUG"),
        ("ann/a--b-models", "--id must be USER/SLUG"),
        ("ann/short", "6 to 40 characters"),
        ("ann/" + "x" * 41, "6 to 40 characters"),
        ("../ann/models-of-mine", "--id must be USER/SLUG"),
    ],
)
def test_an_id_that_kaggle_would_refuse(id_: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        names_of("titanic", id_, None, "submission.csv")


@pytest.mark.parametrize("file", ["out/submission.csv", "submission", "../x.csv", ".csv", "x.json"])
def test_a_file_name_that_no_competition_demands(file: str) -> None:
    with pytest.raises(ConfigError, match="--file must be the plain name"):
        names_of("titanic", None, None, file)


def test_metadata_have_every_key_that_matters() -> None:
    names = names_of("titanic", "ann/titanic-models", "titanic", "submission.csv")
    dataset = dataset_metadata(names)
    assert dataset["isPrivate"] is True
    assert len(dataset["licenses"]) == 1
    assert 6 <= len(dataset["title"]) <= 50
    kernel = kernel_metadata(names, "inference.py")
    assert kernel["enable_internet"] is False
    assert kernel["enable_gpu"] is False
    assert kernel["is_private"] is True
    assert kernel["kernel_type"] == "script"
    assert kernel["language"] == "python"
    assert kernel["dataset_sources"] == ["ann/titanic-models"]
    assert kernel["competition_sources"] == ["titanic"]
    assert "machine_shape" not in kernel
    assert kernel_metadata(names, "x.py", gpu=True)["enable_gpu"] is True


def test_titles_become_the_slugs_again() -> None:
    names = names_of("titanic", "ann/titanic-2-models", None, "submission.csv")
    for metadata in (dataset_metadata(names), kernel_metadata(names, "inference.py")):
        slug = re.sub(r"[^a-z0-9]+", "-", metadata["title"].lower())
        assert metadata["id"] == f"ann/{slug}"


def test_the_official_client_takes_the_kernel(tmp_path: Path) -> None:
    """Its own checks of the folder, up to the moment it would send something."""
    extended = pytest.importorskip("kaggle.api.kaggle_api_extended")
    names = names_of("titanic", "ann/titanic-models", "titanic", "submission.csv")
    (tmp_path / "kernel-metadata.json").write_text(
        json.dumps(kernel_metadata(names, "inference.py"))
    )
    (tmp_path / "inference.py").write_text("print(1)\n")
    api = extended.KaggleApi()
    sent = {}

    class Client:
        class kernels:
            class kernels_api_client:
                @staticmethod
                def save_kernel(request: object) -> None:
                    sent["request"] = request

        def __enter__(self) -> Client:
            return self

        def __exit__(self, *error: object) -> None: ...

    api.build_kaggle_client = Client  # type: ignore[method-assign]
    api.kernels_push(str(tmp_path))
    request = sent["request"]
    assert request.slug == "ann/titanic-models-inference"
    assert request.enable_internet is False
    assert request.dataset_data_sources == ["ann/titanic-models"]
    assert request.competition_data_sources == ["titanic"]


@pytest.mark.parametrize(
    ("given", "setting", "wanted"),
    [(None, "", "submission.csv"), (None, "answer.csv", "answer.csv"), ("b.csv", "a.csv", "b.csv")],
)
def test_the_name_that_is_demanded_is_a_flag_or_a_setting(
    make_competition: Any, mixed: Any, given: str | None, setting: str, wanted: str
) -> None:
    competition = make_competition(*mixed, provider={"name": "kaggle", "file": setting})
    assert _names(competition, "ann/toy-models", None, given, push=False).file == wanted
