"""The competition's own Python files, loaded as a private package that clashes with nothing.

`features.py`, `model.py`, `metric.py`, `splits.py` beside `kit.toml` may import one another with
relative imports. Nothing is put on `sys.path`; only the user's own folder is ever executed.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from kit.errors import KitError, UnknownName, UserCodeError, nearest
from kit.registry import refuse_standard_library

HINT = "  This is your own code; KIT_DEBUG=1 shows the whole traceback."


class UserCode:
    """Loads modules of one competition folder and knows what they consist of.

    Args:
        root: the competition's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def resolve(self, reference: str) -> Any:
        """The object behind ``module:attribute``: from the folder if it has the module.

        Raises:
            UnknownName: neither the folder nor an installed package has it.
            UserCodeError: the module raised while it was loaded.
        """
        name, _, attribute = reference.partition(":")
        if name and not all(part.isidentifier() for part in name.split(".")):
            # a path would run code that is not of this folder
            raise UnknownName(
                f"{reference!r} must be module:attribute, the module a .py file beside "
                f"{self.root / 'kit.toml'} or an installed one"
            )
        if not (self.root / f"{name}.py").is_file():
            return self._installed(reference, name, attribute)
        module = self._load(name)
        if not hasattr(module, attribute):
            known = [key for key in vars(module) if not key.startswith("_")]
            raise UnknownName(
                f"{self.root / name}.py has no {attribute!r}. {nearest(attribute, known)}"
            )
        return getattr(module, attribute)

    def features(self) -> Callable[[Any], Any] | None:
        """The function `features` of `features.py`, or None where there is no such file.

        Raises:
            UnknownName: the file defines no `features`.
            UserCodeError: the file raised while it was loaded.
        """
        if not (self.root / "features.py").is_file():
            return None
        function: Callable[[Any], Any] = self.resolve("features:features")
        return function

    def digest(self, *modules: str) -> str:
        """Hash of the named modules and of all they import from the folder; order-free."""
        content = hashlib.sha256()
        for path in sorted(self._closure(modules)):
            content.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return content.hexdigest()[:16]

    def files(self, *modules: str) -> set[Path]:
        """The files of the named modules and of all they import from the folder."""
        return self._closure(modules)

    def sources(self) -> dict[str, bytes]:
        """Every Python file of the folder, for the record of a run."""
        return {path.name: path.read_bytes() for path in sorted(self.root.glob("*.py"))}

    def _load(self, name: str) -> ModuleType:
        package = self._package()
        full = f"{package}.{name}"
        stamp = self.digest(name)
        loaded = sys.modules.get(full)
        if loaded is not None and getattr(loaded, "__kit_stamp__", None) == stamp:
            return loaded
        for stale in [key for key in sys.modules if key.startswith(f"{package}.")]:
            del sys.modules[stale]  # what it imports from the folder may have changed as well
        module = self._execute(name, set())
        vars(module)["__kit_stamp__"] = stamp
        return module

    def _execute(self, name: str, above: set[str]) -> ModuleType:
        """Run a file and, first, the files it imports from the folder.

        Compiled here, not by the import system: its cached bytecode may be that of an edit within
        the same second, while the run's hash covers the new source.
        """
        path, full = self.root / f"{name}.py", f"{self._package()}.{name}"
        if full in sys.modules:
            return sys.modules[full]
        with reported(path):
            source = path.read_bytes()
            tree = ast.parse(source, str(path))
        for other in _relative_imports(tree):
            if other not in above and (self.root / f"{other}.py").is_file():
                self._execute(other, above | {name})
        module = ModuleType(full)
        module.__file__, module.__package__ = str(path), self._package()
        sys.modules[full] = module
        try:
            with reported(path):
                exec(compile(source, str(path), "exec"), vars(module))
        except BaseException:
            del sys.modules[full]
            raise
        return module

    def _package(self) -> str:
        """The private parent package; one per folder, so two competitions never collide."""
        tag = hashlib.sha256(str(self.root).encode()).hexdigest()[:8]
        name = f"kit_competition_{tag}"
        if name not in sys.modules:
            package = ModuleType(name)
            package.__path__ = [str(self.root)]
            sys.modules[name] = package
        return name

    def _closure(self, modules: tuple[str, ...]) -> set[Path]:
        """The files of `modules` and, through relative imports, all they are made of."""
        todo = [self.root / f"{name}.py" for name in modules]
        found: set[Path] = set()
        while todo:
            path = todo.pop()
            if path in found or not path.is_file():
                continue
            found.add(path)
            with reported(path):
                tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
            todo += [self.root / f"{name}.py" for name in _relative_imports(tree)]
        return found

    def _installed(self, reference: str, name: str, attribute: str) -> Any:
        refuse_standard_library(reference)
        try:
            return getattr(importlib.import_module(name), attribute)
        except (ImportError, AttributeError, ValueError):
            files = ", ".join(sorted(p.name for p in self.root.glob("*.py"))) or "no .py file"
            raise UnknownName(
                f"{reference!r} is neither in {self.root} ({files}) nor in an installed package"
            ) from None


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn any failure of user code into one message with file, line and reason.

    What it prints goes to stderr: stdout holds results only.

    Raises:
        UserCodeError: for whatever the block raised, except kit's own errors.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (KitError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).parent == path.parent]
        line = own[-1].lineno if own else getattr(error, "lineno", None)
        code = f"\n    {own[-1].line}" if own and own[-1].line else ""
        where = f"{own[-1].filename if own else path}" + (f":{line}" if line else "")
        hint = _beside(error, path.parent) or HINT
        raise UserCodeError(
            f"{where} failed: {type(error).__name__}: {error}{code}\n{hint}"
        ) from error


def _beside(error: BaseException, folder: Path) -> str:
    """The way out where a file of the folder is imported as if it were a package; else empty."""
    name = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
    if not name.isidentifier() or not (folder / f"{name}.py").is_file():
        return ""
    return f"  {name}.py lies beside it: write `from . import {name}` or `from .{name} import ...`."


def _relative_imports(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            if node.module:
                yield node.module.split(".")[0]
            else:
                yield from (alias.name for alias in node.names)
