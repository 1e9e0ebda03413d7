"""Give `kit` damaged input and look how it takes it.

Four kinds of input, each a mutation of a good one: `kit.toml`, the CSV files, a zip for `kit new`,
and the folders of runs. A command is run on it in a process of its own, and these are findings:

* a traceback, "this is a bug in kit", or an exit code that kit does not have;
* a call that does not end;
* a file made, changed or removed outside the competition's folder (a home, a folder for temporary
  files and some neighbours are watched), or a damaged run that is changed;
* for a zip: anything left behind after a refusal.

Mutations depend on the kind and a number alone, so that `--only toml:17` does it again. Run it as

    python tests/benchmarks/fuzz.py [--count 1000] [--first 0] [--kinds toml,csv,zip,run]

"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ["KIT_PLUGINS"] = "0"

CODES = {0, 1, 2, 3}
PATIENCE = 120.0
MEMORY = 6 << 30
STRINGS = (
    "", "..", "../../outside/x", "{box}/outside/x", "../outside/train.csv", "\\u0000", "a\\nb",
    "\\u202e", "C:\\\\x", "con", "~/x", "id", "y", "a:b", "os:system", "subprocess:run", "nan",
    "{}", "%s", "x" * 3000, "\\ud7ff", "*",
    "linear", "file", "1D", "-1D", "[id]", "features:features",
)  # fmt: skip
VALUES = (
    "0", "-1", "1e308", "nan", "inf", "true", "99999999999999999999999", "[]", "{}", '[""]',
    "[1, 2]", '["a", "a"]', "2024-01-01", "0.5", "{ a = 1 }", "[[1]]",
)  # fmt: skip
CELLS = (
    "", "nan", "inf", "-1e999", "1e400", "\x00", '"', "é", "9" * 400, "=1+1", "2020-13-45", "None",
    "r1", "x,y", "\u202e", "true", "-", "1_000", "0x10", " 1 ", "\ufeff", "1e5e5", "../../etc",
)  # fmt: skip


# -- mutations ----------------------------------------------------------------------------------


def damage(rng: random.Random, data: bytes) -> bytes:
    """Bytes as a bad disk, a broken download or a careless editor leaves them."""
    how = rng.randrange(9)
    at = rng.randrange(len(data) + 1)
    upto = min(len(data), at + rng.choice((1, 2, 8, 100)))
    if how == 0:
        return data[:at]
    if how == 1:
        return data[:at] + rng.randbytes(upto - at) + data[upto:]
    if how == 2:
        return data[:at] + data[upto:]
    if how == 3:
        return data[:at] + data[at:upto] * rng.choice((2, 50)) + data[upto:]
    if how == 4:
        return b""
    if how == 5:
        return rng.randbytes(rng.choice((1, 100, 5000)))
    if how == 6:
        return data[:at] + bytes(upto - at) + data[upto:]
    if how == 7:  # deeper than a parser goes
        return data[:at] + rng.choice((b"[", b"{", b'{"a":')) * 100_000 + data[upto:]
    return (
        rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"PAR1", b"{", b"PK\x03\x04")) + data
    )


def mutate_toml(rng: random.Random, box: Path, root: Path) -> str:
    path = root / "kit.toml"
    text = path.read_text()
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        lines = text.split("\n")
        at = rng.choice([k for k, line in enumerate(lines) if line.strip()] or [0])
        string = json.dumps(rng.choice(STRINGS).replace("{box}", str(box))).replace("\\\\u", "\\u")
        how = rng.randrange(7)
        if how <= 2 and "=" in lines[at]:
            value = string if rng.random() < 0.6 else rng.choice(VALUES)
            lines[at] = f"{lines[at].partition('=')[0]}= {value}"
        elif how == 3:
            lines.pop(at)
        elif how == 4:
            lines.insert(rng.randrange(len(lines) + 1), lines[at])
        elif how == 5:
            table, key = rng.choice(TABLES)
            lines += [
                f"[{table}]",
                f"{key} = {string if rng.random() < 0.6 else rng.choice(VALUES)}",
            ]
        else:
            text = damage(rng, text.encode()).decode("latin-1")
            continue
        text = "\n".join(lines)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return "kit.toml"


TABLES = (
    ("text", "encoder"), ("images.a", "train"), ("images.a", "backbone"), ("series", "step"),
    ("models.linear", "use"), ("models.linear.params", "C"), ("models.linear", "recipe"),
    ("tune.linear.C", "low"), ("check", "mute"), ('columns.kinds."a"', "x"), ("extra", "x"),
    ("columns.kinds", "a"), ("columns.kinds", "c"), ('models."../../outside/m"', "use"),
    ("provider", "source"), ("provider", "solution"), ("competition", "slug"),
    ("execution", "threads"), ("cv", "holdout"), ("cv", "block"), ("models.linear.params", "seed"),
)  # fmt: skip


def mutate_csv(rng: random.Random, box: Path, root: Path) -> str:
    name = rng.choice(("train.csv", "train.csv", "test.csv", "sample_submission.csv"))
    path = root / "data" / "raw" / name
    rows = [line.split(",") for line in path.read_text().splitlines()]
    for _ in range(rng.choice((1, 1, 3))):
        how = rng.randrange(10)
        i, j = rng.randrange(len(rows)), rng.randrange(len(rows[0]))
        if how <= 2 and j < len(rows[i]):
            rows[i][j] = rng.choice(CELLS)
        elif how == 3:
            for row in rows[1:]:
                if j < len(row):
                    row[j] = rng.choice(CELLS)
        elif how == 4:
            rows[i] = rows[i][:-1] if rng.random() < 0.5 else [*rows[i], "1"]
        elif how == 5:
            rows.append(list(rows[i]))
        elif how == 6:
            rows = [row[:j] + row[j + 1 :] for row in rows] if len(rows[0]) > 1 else rows
        elif how == 7:
            rows = rows[: rng.choice((0, 1, 2, 3))] or [[""]]
        elif how == 8:
            rng.shuffle(rows)
        else:
            path.write_bytes(damage(rng, "\n".join(map(",".join, rows)).encode("utf-8")))
            return name
    path.write_bytes("\n".join(map(",".join, rows)).encode("utf-8", "surrogatepass"))
    return name


def mutate_zip(rng: random.Random, box: Path, root: Path) -> str:
    """`work/in.zip`, made of the competition's files."""
    names = sorted((root / "data" / "raw").glob("*.csv"))
    buffer = io.BytesIO()
    how = rng.randrange(5)
    with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED))) as z:
        for path in names:
            z.writestr(path.name, path.read_bytes())
        if how == 0:
            bad = (
                "../../outside/x", f"{box}/outside/x", "a/../../x", "..\\x", "C:/x", "a\nb.csv",
                "TRAIN.CSV", "train.csv/x", ".hidden", "x" * 300, "con", "/", "./../x",
            )  # fmt: skip
            z.writestr(rng.choice(bad), b"boom")
        elif how == 1:
            link = zipfile.ZipInfo("link.csv")
            link.external_attr = rng.choice((0o120777, 0o020666, 0o010666)) << 16
            z.writestr(link, f"{box}/outside/secret")
        elif how == 2:
            z.writestr("big.csv", bytes(40 << 20), zipfile.ZIP_DEFLATED)
    data = buffer.getvalue()
    if how >= 3:
        for _ in range(rng.choice((1, 2, 6))):
            data = damage(rng, data)
    (root.parent / "in.zip").write_bytes(data)
    return "in.zip"


def mutate_run(rng: random.Random, box: Path, root: Path) -> str:
    """A file of a run, or of what lies beside the runs."""
    files = [p for p in sorted((root / "runs").rglob("*")) if p.is_file()]
    files += [root / "folds.parquet", *sorted((root / "submissions").glob("*.json"))]
    path = rng.choice([p for p in files if p.suffix in (".json", ".parquet", ".toml", ".py")])
    how = rng.randrange(7)
    if how == 0:
        path.unlink()
    elif how == 1:
        other = rng.choice(files)
        path.write_bytes(other.read_bytes())
    elif how == 2:
        path.unlink()
        path.mkdir()
    elif path.suffix == ".json" and how <= 5:
        path.write_text(json.dumps(_mutated(rng, json.loads(path.read_text()), box)))
    elif path.suffix == ".parquet" and how <= 5:
        _mutate_frame(rng, path)
    else:
        path.write_bytes(damage(rng, path.read_bytes()))
    return str(path.relative_to(root))


def _mutated(rng: random.Random, document: object, box: Path) -> object:
    """A JSON document with one value that is another, missing, or of another type."""
    if isinstance(document, dict) and document and rng.random() < 0.93:
        key = rng.choice(sorted(document))
        if rng.random() < 0.15:
            return {k: v for k, v in document.items() if k != key}
        return {**document, key: _mutated(rng, document[key], box)}
    if isinstance(document, list) and document and rng.random() < 0.6:
        at = rng.randrange(len(document))
        return [*document[:at], _mutated(rng, document[at], box), *document[at + 1 :]]
    text = rng.choice(STRINGS).replace("{box}", str(box))
    values = (None, [], {}, -1, 1e308, float("nan"), True, text, [text], {"a": text}, 10**30, 2)
    return rng.choice(values)


def _mutate_frame(rng: random.Random, path: Path) -> None:
    import numpy as np
    import pandas as pd

    frame = pd.read_parquet(path)
    name = rng.choice(list(frame.columns))
    how = rng.randrange(7)
    if how == 0:
        frame = frame.drop(columns=name)
    elif how == 1:
        frame = frame.iloc[: rng.choice((0, 1, len(frame) - 1))]
    elif how == 2:
        frame[name] = rng.choice((np.nan, np.inf, "text", None, -5))
    elif how == 3:
        frame = pd.concat([frame, frame.iloc[:3]])
    elif how == 4:
        frame = frame.rename(columns={name: rng.choice(("", "pred_x", "id2", "é"))})
    elif how == 5:
        frame = frame.iloc[::-1].reset_index(drop=True)
    else:
        frame[name] = frame[name].astype("str")
    frame.to_parquet(path)


Mutator = Callable[[random.Random, Path, Path], str]
KINDS: dict[str, tuple[Mutator, tuple[tuple[str, ...], ...]]] = {
    "toml": (
        mutate_toml,
        (
            ("check",), ("runs",), ("cv", "linear"), ("submit", "--dry-run"), ("doctor",),
            ("data",), ("report",), ("gc",), ("portfolio",), ("plugins",), ("ledger",),
            ("tune", "linear", "--show-space"), ("blend",), ("submit", "-m", "x", "--again"),
        ),
    ),
    "csv": (
        mutate_csv,
        (
            ("check",), ("cv", "linear"), ("submit", "--dry-run"), ("report", "linear"),
            ("data",), ("new", "fresh", "--from", "toy/data/raw"), ("blend",),
        ),
    ),
    "zip": (mutate_zip, (("new", "fresh", "--from", "in.zip"),)),
    "run": (
        mutate_run,
        (
            ("runs",), ("show", "last"), ("show", "linear"), ("diff", "linear", "lightgbm"),
            ("blend",), ("submit", "--dry-run"), ("submit", "linear", "--dry-run"), ("report",),
            ("report", "linear"), ("oof", "export", "linear", "out.parquet"), ("ledger",),
            ("rerun", "linear"), ("rerun", "blend"), ("cv", "linear"), ("doctor",), ("gc",),
            ("export", "linear", "--no-proof"), ("predict", "linear", "data/raw/test.csv"),
            ("fit", "linear", "--seeds", "1"), ("oof", "import", "runs/.x.parquet"),
            ("doctor", "--fix"), ("ledger", "--run", "linear"), ("show", "blend"),
        ),
    ),
}  # fmt: skip


# -- one input ----------------------------------------------------------------------------------


def good(root: Path) -> None:
    """A small competition with runs, a blend and a receipt."""
    import forked
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"id": [f"r{k}" for k in range(80)], "a": rng.normal(size=80).round(3)})
    frame["c"] = rng.choice(["u", "v"], 80)
    frame["y"] = (frame["a"] + rng.normal(size=80) > 0).astype(int)
    raw = root / "data" / "raw"
    raw.mkdir(parents=True)
    frame[:60].to_csv(raw / "train.csv", index=False)
    frame[60:].drop(columns="y").to_csv(raw / "test.csv", index=False)
    frame[60:][["id"]].assign(y=0.5).to_csv(raw / "sample_submission.csv", index=False)
    (root / "kit.toml").write_text(
        'schema = 1\n[competition]\nslug = "toy"\n[provider]\nname = "local"\nsource = "data/raw"\n'
        '[files]\ntrain = "train.csv"\ntest = "test.csv"\nsample_submission = '
        '"sample_submission.csv"\n[columns]\nid = "id"\ntarget = ["y"]\ndrop = []\n'
        '[columns.kinds]\nc = "category"\n[task]\ntype = "binary"\nmetric = "roc_auc"\n'
        'classes = ["0", "1"]\n[submission]\nid = "id"\nwants = "probability"\ncolumns = ["y"]\n'
        '[cv]\nsplitter = "stratified_kfold"\nn_splits = 2\nseed = 42\nmodels = ["linear"]\n'
        "[models.lightgbm.params]\nn_estimators = 5\n[execution]\nthreads = 1\n"
    )
    for args in (
        ("cv", "linear", "lightgbm", "--keep-models"),
        ("blend",),
        ("submit", "linear", "-m", "a"),
        ("oof", "export", "linear", "runs/.x.parquet"),
    ):
        child = forked.start(args, root, root.parent / "log")
        if not child.wait(PATIENCE) or child.code:
            sys.exit(f"the good competition does not work: kit {' '.join(args)}: {child.err}")


def seen(box: Path) -> dict[str, object]:
    """Everything in a box, except the competition and what the command is to make."""
    found: dict[str, object] = {}
    for path in box.rglob("*"):
        name = path.relative_to(box).as_posix()
        if not re.match(r"(work/(toy|fresh)(/|$)|log$|home/\.keras)", name):
            stat = path.lstat()
            found[name] = (stat.st_mode, stat.st_size, stat.st_mtime_ns if path.is_file() else 0)
    return found


def try_one(template: Path, box: Path, kind: str, number: int) -> str:
    """Do one input; what is wrong with how kit took it, or an empty string."""
    import forked

    rng = random.Random(f"{kind} {number}")
    mutate, commands = KINDS[kind]
    work = box / "work"
    for name in ("home", "tmp", "outside"):
        (box / name).mkdir(parents=True)
    (box / "outside" / "secret").write_text("SECRET")
    (box / "outside" / "train.csv").write_text("id,a,y\nSECRET,1,0\n")
    shutil.copytree(template, work / "toy", symlinks=True)
    command = rng.choice(commands)
    where = mutate(rng, box, work / "toy")
    before = seen(box)
    environment = {"HOME": str(box / "home"), "TMPDIR": str(box / "tmp")}
    cwd = work if command[0] == "new" else work / "toy"
    child = forked.start(command, cwd, box / "log", environment=environment, memory=MEMORY)
    told = f"{kind}:{number} kit {' '.join(command)} [{where}]"
    if not child.wait(PATIENCE):
        return f"{told}: hangs; {child.err[-300:]}"
    said = child.err
    if child.code not in CODES or "Traceback" in said or "bug in kit" in said:
        return f"{told}: exit code {child.code}: {said[-700:]}"
    if not said.strip() and child.code:
        return f"{told}: failed without a word"
    if "SECRET" in said:
        return f"{told}: shows a file from outside: {said[-300:]}"
    after = seen(box)
    changed = [n for n in {*before, *after} if before.get(n) != after.get(n)]
    if changed:
        return f"{told}: outside the folder: {sorted(changed)[:5]}"
    if command[0] == "new" and child.code and (work / "fresh").exists():
        return f"{told}: refused, and left the folder"
    return ""


def findings(inputs: list[tuple[str, int]]) -> Iterator[str]:
    """Try inputs; yields what was found, and an empty string for each that was taken well."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        base = Path(scratch).resolve()
        (base / "good").mkdir()
        good(base / "good" / "toy")
        for kind, number in inputs:
            box = base / "box"
            try:
                yield try_one(base / "good" / "toy", box, kind, number)
            finally:
                shutil.rmtree(box, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="inputs, of all kinds together")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--only", default="", help="kind:number, with commas")
    chosen = parser.parse_args()
    kinds = chosen.kinds.split(",")
    inputs = [(kinds[k % len(kinds)], chosen.first + k // len(kinds)) for k in range(chosen.count)]
    if chosen.only:
        pairs = (each.split(":") for each in chosen.only.split(","))
        inputs = [(kind, int(number)) for kind, number in pairs]
    import forked

    forked.load()
    bad = 0
    began = time.monotonic()
    for done, found in enumerate(findings(inputs), 1):
        if time.monotonic() - began > 20:
            print(f"slow: {inputs[done - 1]} {time.monotonic() - began:.0f} s", flush=True)
        began = time.monotonic()
        if found:
            bad += 1
            print(f"FOUND {found}", flush=True)
        if done % 100 == 0:
            print(f"{done} inputs, {bad} findings", flush=True)
    print(f"{len(inputs)} inputs, {bad} findings", flush=True)
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
