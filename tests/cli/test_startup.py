"""Commands that read small files start without the libraries that compute."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kit.runs import publish

HEAVY = (
    "numpy", "pandas", "pyarrow", "scipy", "sklearn", "lightgbm", "catboost", "tensorflow", "keras",
    "kaggle", "rich", "optuna", "matplotlib", "tomlkit",
)  # fmt: skip
_SCRIPT = """
import sys
sys.argv = ["kit", *sys.argv[1:]]
from kit.cli import main
try:
    main()
except SystemExit as end:
    code = end.code or 0
print("loaded:", code, *[name for name in {heavy!r} if name in sys.modules])
"""
COMMANDS = (
    "--help", "--version", "new --help", "cv --help", "submit --help", "runs", "runs --json",
    "show last", "diff lightgbm linear", "plugins", "ledger", "ledger --offline",
    "leaderboard", "doctor", "gc", "export --help", "tune --help",
)  # fmt: skip


@pytest.fixture(scope="module")
def competition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition with two small runs, none of which was computed."""
    root = tmp_path_factory.mktemp("startup")
    (root / "kit.toml").write_text(
        'schema = 1\n[competition]\nslug = "toy"\n[columns]\nid = "id"\ntarget = ["y"]\n'
        '[task]\ntype = "regression"\nmetric = "rmse"\n[submission]\nwants = "value"\n'
    )
    for model, score in (("lightgbm", 1.0), ("linear", 2.0)):
        record = {
            "hash": model * 4, "kind": "cv", "model": model, "competition": "toy",
            "task": "regression", "metric": {"name": "rmse", "greater_is_better": False},
            "score": {
                "value": score, "oof": score, "folds": [score, score], "mean": score, "std": 0.0,
                "default": score,
            },
            "digests": {"data": "a", "features": "b", "folds": "c", "code": "d"},
            "early_stopping": "inner", "parents": [], "weights": None, "overrides": {},
            "params": {}, "seconds": {"fit": 1.0, "predict": 1.0}, "seed": 1, "kit": "0",
        }  # fmt: skip
        publish(root / "runs", record, config={}, frames={}, code={})
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_command_loads_nothing_heavy(command: str, competition: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(heavy=HEAVY), *command.split()],
        cwd=competition,
        capture_output=True,
        text=True,
        timeout=60,
    )
    told = "loaded: 0 numpy" if command == "doctor" else "loaded: 0"  # joblib counts the cores
    assert done.stdout.splitlines()[-1:] == [told], done.stdout + done.stderr
