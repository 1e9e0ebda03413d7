"""Parts of the export without a run: the scan of code, wheels, the guard, the script's search."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kit.errors import ConfigError
from kit.export import kernel, wheels
from kit.export.guard import Guard
from kit.export.scan import reaches_out
from kit.export.wheels import collect, lacking, read_image
from kit.usercode import UserCode


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pandas as pd\nX = pd.read_csv('x.csv')\n", "features.py:2 reads a file"),
        ("def features(df):\n    return open('x')\n", "features.py:2 reads a file"),
        ("import numpy as np\nw = np.load('w.npy')\n", "features.py:2 reads a file"),
        ("from pathlib import Path\nt = Path('x').read_text()\n", "features.py:2 reads a file"),
        ("import requests\n", "features.py:1 uses the network: imports requests"),
        ("from urllib import request\n", "imports urllib.request"),
        (
            "import subprocess as s\ns.run(['curl'])\n",
            "features.py:1 starts another program: imports subprocess",
        ),
        ("from subprocess import run\nrun(['curl'])\n", "program: imports subprocess"),
        ("import os\nos.system('curl')\n", "features.py:2 starts another program: os.system"),
        ("import os\nos.execvp('curl', [])\n", "starts another program: os.execvp"),
        ("import os\nos.posix_spawn('curl', [], {})\n", "another program: os.posix_spawn"),
        ("from os import spawnlp\n", "another program: imports os.spawnlp"),
        ("import pty\npty.spawn('curl')\n", "starts another program: imports pty"),
    ],
)
def test_code_that_reaches_out_is_seen(tmp_path: Path, source: str, found: str) -> None:
    (tmp_path / "features.py").write_text(source)
    (place,) = reaches_out(UserCode(tmp_path), ["features"])
    assert found in place


def test_code_that_computes_is_not_and_imports_are_followed(tmp_path: Path) -> None:
    (tmp_path / "features.py").write_text(
        "from .more import f\nfrom urllib.parse import quote\n"
        "def features(df):\n    return df.assign(z=df['a'].map(f)).loc[:, ['z']]\n"
        "if __name__ == '__main__':\n    open('x')\n"
    )
    (tmp_path / "more.py").write_text("def f(x):\n    return x\n")
    (tmp_path / "metric.py").write_text("open('never run there')\n")
    assert reaches_out(UserCode(tmp_path), ["features"]) == []
    (tmp_path / "more.py").write_text("f = open\ng = open('y')\n")
    assert reaches_out(UserCode(tmp_path), ["features"]) == ["more.py:2 reads a file: open('y')"]


def test_what_the_image_lacks_is_what_it_has_not_in_that_version(tmp_path: Path) -> None:
    freeze = tmp_path / "freeze.txt"
    freeze.write_text("numpy==2.1.0\nScikit_Learn==1.9.1\n# x\ntorch @ file:///w.whl\n-e git+x\n")
    image = read_image(freeze)
    assert image == {"numpy": "2.1.0", "scikit-learn": "1.9.1"}
    used = {"numpy": "2.1.0", "scikit-learn": "1.9.2", "lightgbm": "4.7.0"}
    assert lacking(used, image) == {"scikit-learn": "1.9.2", "lightgbm": "4.7.0"}
    assert lacking(used, {}) == used


def test_an_image_file_without_packages_is_refused(tmp_path: Path) -> None:
    (tmp_path / "freeze.txt").write_text("Package Version\nnumpy 2.1.0\n")
    with pytest.raises(ConfigError, match="no line like numpy==2"):
        read_image(tmp_path / "freeze.txt")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_image(tmp_path / "nothing.txt")


def wheel(folder: Path, name: str, version: str, tag: str = "py3-none-any") -> Path:
    """A wheel with nothing but its description in it."""
    import zipfile

    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        file.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        file.writestr(f"{info}/RECORD", "")
        file.writestr(f"{name}.py", f"VERSION = {version!r}\n")
    return path


def test_wheels_come_from_a_folder_and_what_is_missing_is_named(tmp_path: Path) -> None:
    source = tmp_path / "wheels"
    wheel(source, "one_two", "1.0")
    wheel(source, "three", "3.0", "cp312-cp312-manylinux_2_28_x86_64")
    wheel(source, "four", "4.0", "cp311-cp311-manylinux_2_28_x86_64")
    wanted = {"one-two": "1.0", "three": "3.0", "four": "4.0", "five": "5.0"}
    got = collect(wanted, tmp_path / "out", python="3.12", source=source)
    assert set(got.files.values()) == {"one-two", "three"}
    assert got.missing == {"four": "4.0", "five": "5.0"}
    text = got.way_out(Path("dataset/wheels"), "3.12")
    assert "2 packages could not be fetched" in text
    assert "--python-version=3.12" in text
    assert "-d wheels four==4.0 five==5.0" in text
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(got.files)


def test_without_an_index_the_missing_wheels_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")  # nobody listens there
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    got = collect({"one": "1.0"}, tmp_path / "out", python="3.12")
    assert got.missing == {"one": "1.0"}
    assert got.why.startswith("ERROR")


def test_no_folder_of_wheels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--wheels: there is no folder"):
        collect({"one": "1.0"}, tmp_path / "out", python="3.12", source=tmp_path / "nothing")


def test_the_script_installs_what_is_missing_or_of_another_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    at_exit: list[Callable[[], object]] = []
    monkeypatch.setattr(
        kernel.atexit, "register", lambda do, *a, **k: at_exit.append(partial(do, *a, **k))
    )
    path = wheel(tmp_path / "deep", "kit_test_package", "1.5")
    bundle: dict[str, Any] = {
        "packages": {"kit-test-package": "1.5", "numpy": kernel.installed("numpy")},
        "wheels": {path.name: "kit-test-package"},
    }
    kernel.install_wheels(bundle, tmp_path)
    assert kernel.installed("kit-test-package") == "1.5"
    before = list(sys.path)
    kernel.install_wheels(bundle, tmp_path)
    assert sys.path == before  # it is there now
    bundle = {"packages": {"kit-not-there": "1.0"}, "wheels": {}}
    with pytest.raises(SystemExit, match="this image lacks kit-not-there, and so does the bundle"):
        kernel.install_wheels(bundle, tmp_path)
    for do in at_exit:
        do()
    assert list((tmp_path / "temporary").glob("kit-packages-*")) == []


def test_another_python_than_that_of_the_wheels_is_an_error() -> None:
    kernel.check_python({"wheels": {}, "python": "3.99"})
    with pytest.raises(SystemExit, match=r"the wheels of the bundle are for 3\.99"):
        kernel.check_python({"wheels": {"x.whl": "x"}, "python": "3.99"})


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    found = {"competition": "Some-Cup", "dataset": "ann/models", "digest": "d1"}
    monkeypatch.setattr(kernel, "SETTINGS", found)
    return found


@pytest.mark.parametrize(
    "place",
    ["competitions/some-cup", "competitions/Some-Cup/a/b", "some-cup", "Some-Cup/deep", "other/x"],
)
def test_competition_files_are_found_wherever_they_are_mounted(
    tmp_path: Path, settings: dict[str, Any], place: str
) -> None:
    inputs = tmp_path / "input"
    bundle = inputs / "datasets" / "ann" / "models"
    bundle.mkdir(parents=True)
    (bundle / "test.csv").write_text("not this one")
    (inputs / place).mkdir(parents=True, exist_ok=True)
    (inputs / place / "test.csv").write_text("id\n1\n")
    assert kernel.find_file(inputs, bundle, "test.csv") == inputs / place / "test.csv"
    with pytest.raises(SystemExit, match="are its rules accepted"):
        kernel.find_file(inputs, bundle, "sample.csv")


@pytest.mark.parametrize("place", ["datasets/ann/models", "models", "datasets/models/1", "x/y/z"])
def test_the_bundle_is_found_wherever_it_is_mounted(
    tmp_path: Path, settings: dict[str, Any], place: str
) -> None:
    folder = tmp_path / place
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text('{"digest": "d1"}')
    assert kernel.find_bundle(tmp_path) == ({"digest": "d1"}, folder)
    (folder / "bundle.json").write_text('{"digest": "old"}')
    with pytest.raises(SystemExit, match="is another version of the bundle"):
        kernel.find_bundle(tmp_path)
    (folder / "bundle.json").unlink()
    with pytest.raises(SystemExit, match="is the dataset ann/models attached"):
        kernel.find_bundle(tmp_path)


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    rules = {
        "log": str(tmp_path / "log"),
        "denied": ["/base/home", "/base/home/.venv/x/competition"],
        "allowed": ["/base/home/.venv"],
        "read_only": "/base/input",
    }
    return Guard(rules)


@pytest.mark.parametrize(
    ("event", "arguments", "code"),
    [
        ("socket.connect", (None, ("192.0.2.1", 80)), errno.ENETUNREACH),
        ("socket.sendto", (None, ("192.0.2.1", 53)), errno.ENETUNREACH),
        ("socket.getaddrinfo", ("example.invalid", 80, 0, 0, 0), errno.ENETUNREACH),
        ("socket.gethostbyname", (b"example.invalid",), errno.ENETUNREACH),
        ("open", ("/base/home/data.csv", "r", os.O_RDONLY), errno.ENOENT),
        ("open", (b"/base/home/data.csv", "r", os.O_RDONLY), errno.ENOENT),
        ("open", ("/base/home/.venv/x/competition/kit.toml", "r", os.O_RDONLY), errno.ENOENT),
        ("open", ("/base/input/a.txt", "w", os.O_WRONLY | os.O_CREAT), errno.EROFS),
    ],
)
def test_guard_refuses(guard: Guard, event: str, arguments: Any, code: int, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"refused by|Read-only") as caught:
        guard(event, arguments)
    assert caught.value.errno == code
    written = (tmp_path / "log").read_text()
    assert bool(written) is (code != errno.EROFS)  # Kaggle refuses that, too: code may expect it


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.connect", (None, ("127.0.0.1", 80))),
        ("socket.connect", (None, "unix-socket")),
        ("socket.getaddrinfo", ("localhost", 80, 0, 0, 0)),
        ("open", (3, "r", os.O_RDONLY)),
        ("open", ("/base/homes/data.csv", "r", os.O_RDONLY)),
        ("open", ("/base/home/.venv/lib/x.py", "r", os.O_RDONLY)),
        ("open", ("/base/input/a.txt", "r", os.O_RDONLY)),
        ("import", ("socket",)),
    ],
)
def test_guard_lets_pass(guard: Guard, event: str, arguments: Any, tmp_path: Path) -> None:
    guard(event, arguments)
    assert (tmp_path / "log").read_text() == ""


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("subprocess.Popen", ("/usr/bin/curl", ["curl"], None, None)),
        ("os.posix_spawn", ("/usr/bin/curl", ["curl"], {})),
        ("os.exec", (b"/usr/bin/curl", ["curl"], None)),
        ("os.system", ("/usr/bin/curl",)),
    ],
)
def test_guard_writes_down_the_programs_it_cannot_follow(
    guard: Guard, event: str, arguments: Any, tmp_path: Path
) -> None:
    guard(event, arguments)
    assert (tmp_path / "log").read_text() == "program '/usr/bin/curl'\n"


def test_platforms_are_those_of_kaggle() -> None:
    assert "--platform=manylinux_2_28_x86_64" in wheels._arguments("3.12")
