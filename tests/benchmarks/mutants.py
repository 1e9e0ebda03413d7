"""Plant small faults into kit's own code and look which of them no test notices.

A mutant is one module with one change: a comparison, a sign, a constant, a condition, `min` for
`max`. Each is imported in a forked process, from memory (no file is touched), and the tests of that
part run there until the first failure. A mutant that all of them pass is a survivor: either the
change means nothing, or a test is missing. Run it as

    python tests/benchmarks/mutants.py [--each 25] [--seed 0] [--parts metrics] [--only FILE:N]

Survivors that were looked at and mean the same: `reshape(n, -2)` for -1, another fixed seed, a zip
of equal lengths that is not strict, 0 divided by another number, the order of negative floats asked
for where none is negative (`area`), a class without rows among the counts (`_Labels`), the largest
step of the hill, which smaller ones reach as well, the number of rows that no split leaves over
(`_numbered`), the fold that the first block of time may not have (`_rounds`), and the number of
tenths that a value is cut into (`_strata`): other folds, as good.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).resolve().parents[2]
PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "metrics": (
        ("kit/metrics/*.py",),
        ("tests/unit/test_metrics.py", "tests/contract/test_metrics.py",
         "tests/unit/test_weighted.py", "tests/unit/test_decision.py",
         "tests/unit/test_balanced.py", "tests/unit/test_rle.py"),
    ),
    "splitters": (
        ("kit/splitters.py", "kit/time_splitters.py", "kit/folds.py",
         "kit/inner.py"),
        ("tests/unit/test_splitters.py", "tests/unit/test_time_splitters.py",
         "tests/contract/test_splitters.py", "tests/leaks/test_holdout.py",
         "tests/unit/test_inner_rows.py", "tests/unit/test_all_rows.py"),
    ),
    "blend": (
        ("kit/blend.py", "kit/blending/*.py"),
        ("tests/unit/test_blend_ways.py", "tests/unit/test_blend.py",
         "tests/leaks/test_holdout.py", "tests/unit/test_all_rows.py"),
    ),
    "submission": (
        ("kit/submission/*.py",),
        ("tests/unit/test_submission.py", "tests/unit/test_ledger_merging.py",
         "tests/kaggle/test_submitting.py", "tests/kaggle/test_submitting_once.py"),
    ),
}  # fmt: skip
PATIENCE = 300.0
OTHER: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
NAMES = {
    "min": "max", "max": "min", "argmin": "argmax", "argmax": "argmin", "any": "all", "all": "any",
    "minimum": "maximum", "maximum": "minimum", "mean": "sum", "sum": "mean", "floor": "ceil",
}  # fmt: skip


def places(tree: ast.AST) -> Iterator[tuple[ast.AST, int]]:
    """Nodes that can be changed, and the number of ways of each; no types, no messages."""
    hidden: set[int] = set()
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if (found := getattr(node, name, None)) is not None:
                hidden |= {id(each) for each in ast.walk(found)}
        if isinstance(node, ast.Raise | ast.JoinedStr):
            hidden |= {id(each) for each in ast.walk(node)} - {id(node)}
    for node in ast.walk(tree):
        if id(node) not in hidden and change(copy.deepcopy(node)) is not None:
            yield node, node.lineno


def change(node: ast.AST) -> ast.AST | None:
    """The node, changed in place; None where there is nothing to change."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER:
        node.ops[0] = OTHER[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in OTHER:
        node.op = OTHER[type(node.op)]()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node.op = ast.UAdd()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        node.operand = ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        node.value = not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        node.value = node.value + 1
    elif isinstance(node, ast.Attribute) and node.attr in NAMES:
        node.attr = NAMES[node.attr]
    elif isinstance(node, ast.Name) and node.id in NAMES:
        node.id = NAMES[node.id]
    elif isinstance(node, ast.If | ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)
    else:
        return None
    return node


def mutants(path: Path) -> int:
    """How many there are of a file."""
    return sum(1 for _ in places(ast.parse(path.read_text(encoding="utf-8"))))


def mutant(path: Path, number: int) -> tuple[ast.Module, str]:
    """One of them, and what it changes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    node, line = list(places(tree))[number]
    before = ast.unparse(node).splitlines()[0]
    change(node)
    after = ast.unparse(node).splitlines()[0]
    return ast.fix_missing_locations(tree), f"{line}: {before[:70]}  ->  {after[:70]}"


class Planted(MetaPathFinder):
    """Imports one module changed."""

    def __init__(self, path: Path, tree: ast.Module) -> None:
        name = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        self.path, self.tree, self.name = path, tree, name.removesuffix(".__init__")

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if name != self.name:
            return None
        tree = self.tree

        class Loader(SourceFileLoader):
            def get_code(self, fullname: str) -> object:
                return compile(tree, self.path, "exec")

        package = [str(self.path.parent)] if self.path.name == "__init__.py" else None
        loader = Loader(name, str(self.path))
        return spec_from_file_location(
            name, self.path, loader=loader, submodule_search_locations=package
        )


def survives(path: Path, tree: ast.Module | None, tests: tuple[str, ...]) -> bool:
    """Whether all tests pass with a mutant (None: with the code as it is)."""
    pid = os.fork()
    if pid == 0:
        code = 9
        try:
            os.setsid()
            quiet = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(quiet, number)
            if tree is not None:
                sys.meta_path.insert(0, Planted(path, tree))
            import pytest

            options = ["-q", "-x", "-o", "addopts=--strict-markers --import-mode=importlib",
                       "-p", "no:xdist", "-p", "no:cacheprovider", "-m", "not slow"]  # fmt: skip
            code = int(pytest.main([*options, *tests]))
        finally:
            os._exit(code)
    end = time.monotonic() + PATIENCE
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status) == 0
        if time.monotonic() > end:  # it hangs: that is noticed, too
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return False
        time.sleep(0.02)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=25, help="mutants per part")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--only", default="", help="FILE:N, with commas: these mutants")
    chosen = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    sys.path.insert(0, str(ROOT / "tests" / "kaggle"))
    for name in ("pytest", "numpy", "pandas", "sklearn.linear_model", "sklearn.ensemble", "pyarrow",
                 "pyarrow.parquet", "scipy.stats", "typer", "sklearn.model_selection"):  # fmt: skip
        __import__(name)
    total = 0
    for part in chosen.parts.split(","):
        patterns, tests = PARTS[part]
        if not survives(ROOT, None, tests):
            sys.exit(f"{part}: the tests fail without a mutant")
        files = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
        pool = [(path, k) for path in files for k in range(mutants(path))]
        drawn = random.Random(f"{part} {chosen.seed}").sample(pool, min(chosen.each, len(pool)))
        if chosen.only:
            named = [each.rsplit(":", 1) for each in chosen.only.split(",")]
            drawn = [(ROOT / name, int(k)) for name, k in named if (ROOT / name) in files]
        left = 0
        for path, number in sorted(drawn):
            tree, what = mutant(path, number)
            if survives(path, tree, tests):
                left += 1
                name = path.relative_to(ROOT)
                print(f"SURVIVES {name}:{number}  line {what}", flush=True)
        total += left
        told = f"{len(drawn)} of {len(pool)} mutants, {left} survive"
        print(f"{part}: {told}", flush=True)


if __name__ == "__main__":
    main()
