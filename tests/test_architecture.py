"""What holds kit together: layers, size, one printer, nothing heavy at import, no foreign paths."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import kit

PACKAGE = Path(kit.__file__).parent
MAX_MODULE, MAX_FUNCTION = 400, 60
HEAVY = ("numpy", "pandas", "pyarrow", "scipy", "sklearn", "lightgbm", "tensorflow", "keras")
HEAVY += ("kaggle", "rich", "joblib", "psutil", "optuna", "matplotlib", "tomlkit", "distributed")

# Lowest first. A module imports its own layer and those below; the longest matching name counts.
LAYERS = (
    ("errors",),
    (
        "config",
        "registry",
        "atomic",
        "blas",
        "cores",
        "duration",
        "decimals",
        "moments",
        "quantities",
        "steps",
        "diagnosis",
        "keras",
        "gpus",
        "curves",
        "mapped",
    ),
    ("series",),
    ("settings", "coherence"),
    (
        "competition",
        "separators",
        "tables",
        "parquet",
        "sampled",
        "spelling",
        "usercode",
        "portfolio",
        "spaces",
    ),
    ("images",),
    (
        "kinds",
        "labels",
        "features",
        "joins",
        "packed",
        "large",
        "target",
        "dataset",
        "folds",
        "inner",
        "runs",
    ),
    (
        "metrics",
        "ordinal",
        "decision",
        "scoring",
        "splitters",
        "time_splitters",
        "preprocessing",
        "models",
        "providers",
        "pretrained",
    ),
    ("execution",),
    ("session",),
    (
        "cv",
        "plan",
        "blend",
        "blending",
        "comparison",
        "exchange",
        "selection",
        "submission",
        "ledger",
        "leaderboard",
        "checks",
        "permutation",
        "scaffold",
    ),
    ("auto", "housekeeping", "mending", "refit", "rerun", "tune"),
    ("export", "report"),
    ("cli",),
    ("__main__",),
)
# Neighbours in a layer that must not know each other, and shortcuts past the engine.
STRANGERS = (
    ("providers", ("models", "preprocessing", "splitters", "decision", "runs", "dataset")),
    ("images", ("portfolio", "usercode")),
    ("models", ("runs", "providers", "metrics", "splitters", "dataset")),
    ("preprocessing", ("models", "providers", "metrics", "runs", "dataset")),
    ("pretrained", ("models", "preprocessing", "providers", "metrics", "runs", "dataset")),
    ("metrics", ("models", "preprocessing", "splitters", "providers", "dataset")),
    ("splitters", ("models", "preprocessing", "metrics", "providers", "runs")),
    ("checks", ("models", "providers", "cv", "blend", "submission")),
    ("submission", ("models", "checks", "cv", "blend", "session")),
    ("ledger", ("cv", "blend", "checks", "session", "models")),
    ("leaderboard", ("cv", "blend", "checks", "session", "models", "runs")),
    ("report", ("auto", "cv", "export", "scaffold")),
    ("exchange", ("models", "cv", "checks", "providers", "submission")),
    ("export", ("auto", "cv", "checks", "scaffold")),
    ("scaffold", ("models", "cv", "blend", "checks", "session", "execution")),
)


@cache
def modules() -> dict[str, Path]:
    """Every module below kit, named without the leading `kit.`; kit itself is left out."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        relative = path.relative_to(PACKAGE)
        if relative.parts[0] == "_templates" or relative.parts == ("__init__.py",):
            continue
        parts = relative.with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path, *, at_import: bool = False) -> Iterator[str]:
    """Names of kit's modules that `path` imports, except for type checking alone."""
    known = modules()
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree(path)):
        test = node.test if isinstance(node, ast.If) else None
        checking = isinstance(test, ast.Name) and test.id == "TYPE_CHECKING"
        if checking or (at_import and isinstance(node, ast.FunctionDef | ast.Lambda)):
            skipped.update(ast.walk(node))
    for node in ast.walk(tree(path)):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names if alias.name.startswith("kit.")]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kit":
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            found = [name if name[4:] in known else str(node.module) for name in full]
        else:
            continue
        yield from (name[4:] for name in found if name != "kit")


def layer(module: str) -> int:
    tops = {name: level for level, names in enumerate(LAYERS) for name in names}
    return tops[module.split(".")[0]]


def inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_every_module_has_a_layer() -> None:
    named = {name for names in LAYERS for name in names}
    assert {module.split(".")[0] for module in modules()} == named


def test_no_module_imports_a_higher_layer() -> None:
    upwards = [
        f"kit.{module} imports kit.{name}"
        for module, path in modules().items()
        for name in imports(path)
        if layer(name) > layer(module)
    ]
    assert upwards == []


@pytest.mark.parametrize(("package", "strangers"), STRANGERS)
def test_package_does_not_know_its_strangers(package: str, strangers: tuple[str, ...]) -> None:
    meetings = [
        f"kit.{module} imports kit.{name}"
        for module, path in modules().items()
        if inside(module, package)
        for name in imports(path)
        if any(inside(name, stranger) for stranger in strangers)
    ]
    assert meetings == []


def test_modules_do_not_import_in_circles() -> None:
    graph = {
        module: {name for name in imports(path, at_import=True) if name != module}
        for module, path in modules().items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"circle: {' -> '.join(error.args[1])}")


def test_modules_are_short() -> None:
    lines = {name: len(path.read_text().splitlines()) for name, path in modules().items()}
    assert {name: count for name, count in lines.items() if count > MAX_MODULE} == {}


def test_functions_are_short() -> None:
    """Signatures are not counted: those of commands are tables of options."""
    long = {}
    for module, path in modules().items():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = (node.end_lineno or 0) - node.body[0].lineno + 1
                if count > MAX_FUNCTION:
                    long[f"{module}.{node.name}"] = count
    assert long == {}


def test_only_the_printer_prints() -> None:
    printers = {
        module
        for module, path in modules().items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write")
    }
    assert printers <= {"cli.output", "cli"}  # kit.cli: the message of a failed command


def test_no_string_names_a_path_of_some_machine() -> None:
    foreign = re.compile(r"(^|[\s\"'=(`])/(home|root|opt|usr|tmp|Users|mnt|work|data)/")
    found = [
        f"{module}:{node.lineno}: {node.value!r}"
        for module, path in modules().items()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if foreign.search(node.value)
    ]
    assert found == []


@pytest.mark.parametrize("name", ["kit", "kit.cli", "kit.cli.app", "kit.competition", "kit.runs"])
def test_import_brings_nothing_heavy(name: str, tmp_path: Path) -> None:
    code = f"import sys, {name}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


@pytest.mark.parametrize("name", ["kit", "kit.cli.app", "kit.cv", "kit.providers.sample"])
def test_import_writes_nothing(name: str, tmp_path: Path) -> None:
    code = f"import {name}"
    subprocess.run(
        [sys.executable, "-B", "-c", code],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "", "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=120,
    )
    assert list(tmp_path.iterdir()) == []
