"""The competition's own Python files: loaded privately, hashed by content, reported by line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy
import pytest

from kit.errors import ConfigError, UnknownName, UserCodeError
from kit.usercode import UserCode, reported


def write(folder: Path, **files: str) -> UserCode:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return UserCode(folder)


def test_an_attribute_of_a_file_is_found(tmp_path: Path) -> None:
    assert write(tmp_path, model="value = 3\n").resolve("model:value") == 3


def test_the_folder_wins_over_installed_packages(tmp_path: Path) -> None:
    assert write(tmp_path, json="dumps = 'mine'\n").resolve("json:dumps") == "mine"


def test_an_installed_package_is_found_without_a_file(tmp_path: Path) -> None:

    assert write(tmp_path).resolve("numpy:sqrt") is numpy.sqrt


def test_files_may_import_one_another(tmp_path: Path) -> None:
    code = write(tmp_path, helper="two = 2\n", model="from .helper import two\nfour = two * 2\n")
    assert code.resolve("model:four") == 4


@pytest.mark.parametrize("line", ["import helper", "from helper import two"])
def test_a_file_imported_like_a_package_is_told_the_dot(tmp_path: Path, line: str) -> None:
    code = write(tmp_path, helper="two = 2\n", model=f"{line}\n")
    with pytest.raises(UserCodeError, match=r"model\.py:1 failed.*\n.*\n.*`from \.helper import"):
        code.resolve("model:four")


def test_two_competitions_with_the_same_file_names_do_not_collide(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", model="x = 'a'\n"), write(tmp_path / "b", model="x = 'b'\n")
    assert (a.resolve("model:x"), b.resolve("model:x")) == ("a", "b")
    assert a.resolve("model:x") == "a"


def test_nothing_is_put_on_the_path(tmp_path: Path) -> None:
    before = list(sys.path)
    write(tmp_path, model="x = 1\n").resolve("model:x")
    assert sys.path == before
    assert "model" not in sys.modules


def test_a_file_is_executed_once_until_it_changes(tmp_path: Path) -> None:
    code = write(tmp_path, model="x = object()\n")
    first = code.resolve("model:x")
    assert code.resolve("model:x") is first
    assert write(tmp_path, model="x = 'new'\n").resolve("model:x") == "new"


def test_a_changed_helper_is_loaded_again(tmp_path: Path) -> None:
    code = write(tmp_path, helper="x = 1\n", model="from .helper import x\n")
    assert code.resolve("model:x") == 1
    write(tmp_path, helper="x = 1000\n")
    assert code.resolve("model:x") == 1000


def test_an_unknown_attribute_is_refused_with_the_nearest(tmp_path: Path) -> None:
    code = write(tmp_path, model="build = 1\n_hidden = 2\n")
    with pytest.raises(UnknownName, match=r"has no 'bild'. Did you mean 'build'\? Known: build"):
        code.resolve("model:bild")


@pytest.mark.parametrize("reference", ["nowhere:x", ":x", "numpy:nothing", "model:"])
def test_what_is_nowhere_is_refused_with_the_files_there_are(
    tmp_path: Path, reference: str
) -> None:
    with pytest.raises(UnknownName, match=r"neither in .*features\.py"):
        write(tmp_path, features="").resolve(reference)


def test_features_is_none_without_the_file(tmp_path: Path) -> None:
    assert write(tmp_path).features() is None


def test_features_is_the_function_of_the_file(tmp_path: Path) -> None:
    function = write(tmp_path, features="def features(df):\n    return df + 1\n").features()
    assert function is not None
    assert function(1) == 2


def test_a_features_file_without_the_function_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"has no 'features'. Did you mean 'feature'\?"):
        write(tmp_path, features="def feature(df):\n    return df\n").features()


def test_a_digest_changes_with_the_module_and_with_what_it_imports(tmp_path: Path) -> None:
    code = write(tmp_path, features="from . import a\n", a="from .b import x\n", b="x = 1\n")
    digests = {code.digest("features")}
    for name, text in (("b", "x = 2\n"), ("a", "from .b import x  # new\n"), ("features", "#\n")):
        write(tmp_path, **{name: text})
        digests.add(code.digest("features"))
    assert len(digests) == 4


def test_a_digest_does_not_change_with_other_files(tmp_path: Path) -> None:
    code = write(tmp_path, features="x = 1\n")
    before = code.digest("features")
    write(tmp_path, model="y = 1\n", notes="z = 1\n")
    assert code.digest("features") == before


def test_a_digest_does_not_depend_on_the_folder(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", features="x = 1\n"), write(tmp_path / "b", features="x = 1\n")
    assert a.digest("features") == b.digest("features")


def test_modules_that_import_one_another_have_a_digest(tmp_path: Path) -> None:
    code = write(tmp_path, features="from . import a\n", a="from . import features\n")
    assert code.digest("features") == code.digest("a", "features")


def test_sources_are_all_python_files(tmp_path: Path) -> None:
    code = write(tmp_path, b="1\n", a="2\n")
    (tmp_path / "kit.toml").write_text("")
    assert code.sources() == {"a.py": b"2\n", "b.py": b"1\n"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\ny = x / 0\n", r"model\.py:2 failed: ZeroDivisionError: .*\n    y = x / 0"),
        ("x = (\n", r"model\.py:1 failed: SyntaxError"),
        ("import no_such_module\n", r"model\.py:1 failed: ModuleNotFoundError"),
        ("import sys\nsys.exit(1)\n", r"model\.py:2 failed: SystemExit: 1"),
    ],
)
def test_a_file_that_fails_is_reported_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(UserCodeError, match=message):
        write(tmp_path, model=text).resolve("model:x")


def test_a_file_that_failed_can_be_mended(tmp_path: Path) -> None:
    with pytest.raises(UserCodeError):
        write(tmp_path, model="1 / 0\n").resolve("model:x")
    assert write(tmp_path, model="x = 1\n").resolve("model:x") == 1


def test_the_reported_line_is_the_users_not_the_librarys(tmp_path: Path) -> None:
    source = "import json\n\ndef read():\n    return json.loads('{')\n"
    read = write(tmp_path, model=source).resolve("model:read")
    failed = pytest.raises(UserCodeError, match=r"model\.py:4 failed: JSONDecodeError")
    with failed, reported(tmp_path / "model.py"):
        read()


@pytest.mark.parametrize("error", [ConfigError("kit's own"), MemoryError(), KeyboardInterrupt()])
def test_what_is_not_the_users_fault_passes_through(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), reported(tmp_path / "model.py"):
        raise error


def test_loading_writes_no_bytecode_into_the_folder(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("FACTOR = 2\n")
    (tmp_path / "features.py").write_text(
        "from .helper import FACTOR\n\n\ndef features(df):\n    return df * FACTOR\n"
    )
    function = UserCode(tmp_path).features()

    assert function is not None
    assert function(3) == 6
    assert not (tmp_path / "__pycache__").exists()
