"""What the competition's own code does that cannot work where it will run.

Files, the network, other programs (which may use both, out of reach of the audit hook of `guard`).
A look at the source before anything is built. What it overlooks, the proof finds: there the code
runs without the competition's folder and without a network.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from kit.usercode import UserCode

_READERS = {
    "open", "read_bytes", "read_csv", "read_excel", "read_feather", "read_json", "read_parquet",
    "read_pickle", "read_table", "read_text", "genfromtxt", "loadtxt", "fromfile", "memmap",
}  # fmt: skip
_LOADERS = {"joblib", "json", "np", "numpy", "pickle", "torch"}  # their `load` reads a file
_NETWORK = {
    "aiohttp", "boto3", "ftplib", "http", "httpx", "huggingface_hub", "kaggle", "kagglehub",
    "requests", "smtplib", "socket", "urllib3", "urllib.request",
}  # fmt: skip
_PROGRAMS = {"subprocess", "pty"}
_OF_OS = re.compile(r"os\.(system|popen|startfile|(exec|posix_spawn|spawn)\w*)$")


def reaches_out(code: UserCode, modules: Iterable[str]) -> list[str]:
    """One sentence for each place that reads a file, uses the network or starts a program.

    Args:
        code: the competition's code.
        modules: names of the modules that predict, e.g. "features"; what they import is looked at.
    """
    return [
        sentence
        for path in sorted(code.files(*modules))
        for sentence in _places(path, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    ]


def _places(path: Path, tree: ast.Module) -> Iterator[str]:
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).startswith("__name__ =="):
            skipped.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Call) and _reads(node.func):
            yield f"{path.name}:{node.lineno} reads a file: {ast.unparse(node)[:60]}"
        if isinstance(node, ast.Attribute) and _OF_OS.match(ast.unparse(node)):
            yield f"{path.name}:{node.lineno} starts another program: {ast.unparse(node)}"
        for name in _imported(node):
            if name in _NETWORK or name.split(".")[0] in _NETWORK:
                yield f"{path.name}:{getattr(node, 'lineno', 0)} uses the network: imports {name}"
            elif name in _PROGRAMS or _OF_OS.match(name):
                line = getattr(node, "lineno", 0)
                yield f"{path.name}:{line} starts another program: imports {name}"


def _reads(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id in _READERS
    if not isinstance(function, ast.Attribute):
        return False
    if function.attr == "load":
        return isinstance(function.value, ast.Name) and function.value.id in _LOADERS
    return function.attr in _READERS


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
