"""The null-label proof on every template: models are at chance, a planted leak is found.

The whole table, networks and all, is `tests/benchmarks/nulls.py`; here are the cheap half of it and
the network that belongs to each template.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from kit.registry import MODELS

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def _loaded(name: str) -> ModuleType:
    spec = spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


nulls = _loaded("nulls")
OF_ITS_TEMPLATE = ("text", "cnn", "sequence")  # networks that no other template has
QUICK = [
    pytest.param(template, model, marks=[pytest.mark.neural] if neural else [])
    for template in nulls.FILES
    for model in nulls.models_of(template)
    if not (neural := model in (*nulls.NETWORKS, nulls.UNET))
    or model in (*OF_ITS_TEMPLATE, nulls.UNET)
]


def test_every_registered_model_runs_on_some_template() -> None:
    run = {model for template in nulls.FILES for model in nulls.models_of(template)}
    assert run == {*MODELS.table, nulls.UNET}
    assert set(nulls.SMALL) == set(MODELS.table)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a template's competition, made once."""
    folders: dict[str, Path] = {}

    def make(template: str) -> Path:
        if template not in folders:
            folders[template] = nulls.make(template, tmp_path_factory.mktemp("null"))
        return folders[template]

    return make


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # tensorflow's and keras' own
@pytest.mark.parametrize(("template", "model"), QUICK)
def test_permuted_labels_cannot_be_predicted(
    made: Callable[[str], Path], template: str, model: str
) -> None:
    if package := nulls.missing(model):
        pytest.skip(f"{model} needs {package}")
    score = nulls.proof(made(template), template, model)
    assert not score.beyond
    low, high = score.bands[-1]
    assert low <= score.scores[-1] <= high


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "template",
    [
        pytest.param(name, marks=[pytest.mark.neural] if name == "segmentation" else [])
        for name in nulls.FILES
    ],
)
def test_features_that_know_the_target_are_found(tmp_path: Path, template: str) -> None:
    root = nulls.make(template, tmp_path)
    nulls.plant(root, template)
    score = nulls.proof(root, template, nulls.models_of(template)[0])
    assert score.beyond
    if template != "segmentation":  # a script of its own: kit cannot look for the culprit
        assert "'known' follows the permuted labels" in score.culprit


def test_images_in_folders_are_in_the_copy(tmp_path: Path) -> None:
    """Nobody looks for images behind a link to a folder."""
    score = nulls.proof(nulls.make("image", tmp_path), "image", "linear")
    assert not score.beyond
