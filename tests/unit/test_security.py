"""No code and no path from outside the competition's folder, no secret in what kit writes."""

from __future__ import annotations

import ast
import json
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import pytest
import typer

import kit
from kit.cli.app import app
from kit.competition import Competition
from kit.cv import cross_validate
from kit.errors import KitError, RunError, UnknownName
from kit.refit.saved import Scale, load_plan, refuse_foreign
from kit.session import open_session
from kit.usercode import UserCode

PACKAGE = Path(kit.__file__).parent
# every call that reads a format which can hold code, and what protects it
LOADS = {
    "joblib.load": {"models/neighbors.py", "models/forests.py", "models/linear.py",
                    "models/adapter.py", "refit/saved.py"},  # saved.py: own runs only
    "pickle.Unpickler": {"images/torch_weights.py"},  # an allow-list of names
    "load_model": {"images/backbones.py", "models/neural/mlp.py",
                   "models/neural/image_network.py", "models/neural/unet.py",
                   "models/neural/spans.py", "models/catboost.py"},
    "np.load": {"images/embeddings.py", "images/store.py", "export/proof.py",
                "export/exportable.py", "large.py", "models/neural/folds.py",
                "pretrained/store.py", "pretrained/words.py", "refit/saved.py"},
}  # fmt: skip


@cache
def calls() -> list[tuple[str, str, ast.Call]]:
    return [
        (path.relative_to(PACKAGE).as_posix(), ast.unparse(node.func), node)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]


def keyword(call: ast.Call, name: str) -> object:
    return next((ast.literal_eval(k.value) for k in call.keywords if k.arg == name), None)


def test_every_load_that_could_run_code_is_known_and_guarded() -> None:
    for name, known in LOADS.items():
        short = name.rpartition(".")[2] if name == "load_model" else name
        found = {f for f, c, _ in calls() if c == name or c.endswith(f".{short}")}
        found = {f for f in found if not f.startswith("_templates")}
        assert found <= known, f"{name}: {found - known}"
    for file, name, call in calls():
        if name == "np.load":
            assert keyword(call, "allow_pickle") in (None, False), file  # NumPy's default is False
        if name.endswith("saving.load_model"):
            assert keyword(call, "safe_mode") is True, file
        assert not name.endswith(("read_pickle", "pickle.load", "pickle.loads", "torch.load")), file
        assert name not in ("eval", "os.system"), file
        assert keyword(call, "shell") is not True if name.startswith("subprocess") else True, file


def test_files_are_parsed_by_what_takes_endless_brackets() -> None:
    """`json.loads` and `tomllib.loads` fail on them with an error that no reader expects."""
    own = {"atomic.py", "config.py"}
    alone = {"export/guard.py", "export/kernel.py"}  # run where kit is not
    made_here = {"export/inference.py", "export/proof.py", "export/bundle.py"}  # under a checksum
    made_here |= {"tune/search.py", "tune/study.py", "tune/applying.py"}  # what was dumped just now
    caught = {"preprocessing/tokens.py"}
    found = {f for f, name, _ in calls() if name in ("json.load", "json.loads", "tomllib.loads")}
    found |= {f for f, _, c in calls() for a in c.args if ast.unparse(a) == "json.loads"}
    found = {f for f in found if not f.startswith("_templates")}
    assert found <= own | alone | made_here | caught


class Bomb:
    """Unpickling it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_the_bomb_is_one(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Bomb(tmp_path / "boom")))
    assert (tmp_path / "boom").exists()


@pytest.fixture
def planted(
    tmp_path: Path, without_data: Callable[..., Competition], make_run: Callable[..., Any]
) -> tuple[Competition, Any, Path]:
    """A run of another folder, with a bomb for a recipe, linked into the runs."""
    competition = without_data("rmse")
    foreign = make_run(tmp_path / "elsewhere", "linear", [0.1, 0.2])
    folder = foreign.path / "models" / "fold-0"
    folder.mkdir(parents=True)
    joblib.dump(Bomb(tmp_path / "boom"), folder / "recipe.joblib")
    competition.runs.mkdir()
    return competition, foreign, tmp_path / "boom"


def test_models_of_a_linked_run_are_not_unpickled(planted: Any) -> None:
    competition, foreign, boom = planted
    (competition.runs / foreign.id).symlink_to(foreign.path)
    linked = type(foreign)(competition.runs / foreign.id, foreign.record)
    with pytest.raises(RunError, match="own runs only"):
        refuse_foreign(linked, competition)
    assert not boom.exists()


def test_linked_models_of_an_own_run_are_not_unpickled(planted: Any, make_run: Any) -> None:
    competition, foreign, boom = planted
    own = make_run(competition.runs, "linear", [0.1, 0.2])
    refuse_foreign(own, competition)
    (own.path / "models").symlink_to(foreign.path / "models")
    with pytest.raises(RunError, match="own runs only"):
        refuse_foreign(own, competition)
    assert not boom.exists()


def test_a_stored_plan_cannot_name_a_folder_elsewhere(planted: Any) -> None:
    competition, foreign, boom = planted
    here = competition.runs / "x" / "models"
    here.mkdir(parents=True)
    for name in (str(foreign.path / "models"), f"../../../elsewhere/{foreign.id}/models", ".."):
        plan = {"run": name, "use": "linear", "recipe": "", "params": {}, "name": "linear"}
        with pytest.raises(RunError, match="is no name below it"):
            load_plan(plan, here, Scale("", "regression"), UserCode(competition.root))
    assert not boom.exists()


@pytest.mark.parametrize("module", ["../outside/evil", "{absolute}/evil", "sub/evil", "..evil", ""])
def test_code_from_outside_the_folder_is_not_run(tmp_path: Path, module: str) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside, inside / "sub"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evil.py").write_text(f"open({str(tmp_path / 'boom')!r}, 'w')\nf = 1\n")
    (inside / "evil.py").unlink()
    with pytest.raises(UnknownName):
        UserCode(inside).resolve(f"{module.format(absolute=outside)}:f")
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize(
    "name", ["os:system", "subprocess:Popen", "builtins:exec", "os.path:join", "json:x"]
)
def test_the_standard_library_is_no_model(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownName, match="standard library"):
        UserCode(tmp_path).resolve(name)


def test_a_provider_of_the_standard_library_is_refused(
    without_data: Callable[..., Competition], run_kit: Any
) -> None:
    root = without_data("rmse", provider="subprocess:call").root
    done = run_kit("data", "-C", root, "--set", "competition.slug=/bin/true")
    assert done.code == 1
    assert "standard library" in done.err


@pytest.mark.parametrize("key", ["train", "test", "sample_submission"])
@pytest.mark.parametrize("value", ["../x.csv", "/x.csv", "a/../../x.csv", "C:/x.csv", "..\\x.csv"])
def test_data_files_lie_below_data_raw(
    without_data: Callable[..., Competition], key: str, value: str
) -> None:
    root = without_data("rmse").root
    with pytest.raises(KitError, match=f"files.{key} must be a name below data/raw"):
        Competition.load(root, [f"files.{key}={json.dumps(value)}"])


SECRET = "a5ecre7" * 5


def test_no_secret_in_what_is_written_or_said_even_with_tracebacks(
    make_competition: Any, mixed: Any, run_kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    competition = make_competition(*mixed, provider={"name": "local", "source": "data/raw"})
    for name in ("KAGGLE_KEY", "KAGGLE_API_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("KAGGLE_USERNAME", "me")
    place = ("-C", competition.root)
    said = [run_kit("cv", "linear", "--keep-models", *place)]
    said += [run_kit("report", "linear", *place), run_kit("doctor", *place)]
    monkeypatch.setenv("KIT_DEBUG", "1")
    (competition.root / "features.py").write_text("def features(df):\n    raise ValueError\n")
    with pytest.raises(KitError) as failed:
        run_kit("cv", "linear", *place)
    assert all(SECRET not in each.out + each.err for each in said)
    assert SECRET not in str(failed.value)
    written = [path for path in competition.root.rglob("*") if path.is_file()]
    assert len(written) > 10
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]


def test_looking_at_a_run_does_not_run_its_code(
    make_competition: Any, mixed: Any, run_kit: Any
) -> None:
    """`show`, `runs`, `diff`, `doctor`, `gc` and `ledger` read records; `kit rerun` runs code."""
    competition = make_competition(*mixed)
    boom = competition.root / "boom"
    assert run_kit("cv", "linear", "-C", competition.root).code == 0
    code = next(competition.runs.glob("2*/code"))
    for folder in (code, competition.root):
        (folder / "features.py").write_text(f"open({str(boom)!r}, 'w')\n")
    for command in (
        ("runs",),
        ("show", "linear"),
        ("diff", "linear", "linear"),
        ("doctor",),
        ("gc",),
    ):
        run_kit(*command, "-C", competition.root)
        assert not boom.exists(), command


COMMANDS = (
    "data", "check", "cv linear", "tune linear --trials 2", "blend", "auto linear --budget 5s",
    "submit linear --dry-run", "fit linear", "predict linear data/raw/test.csv", "export linear",
    "runs", "show linear", "diff linear extra_trees", "report", "rerun linear", "ledger",
    "leaderboard", "portfolio", "plugins", "doctor --fix", "gc", "oof export linear out.csv",
    "oof import mine.csv", "new other --from data/raw", "cluster status 127.0.0.1:9",
)  # fmt: skip


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition with runs, whose files all leave a mark when they are run."""
    root = tmp_path_factory.mktemp("marked")
    lines = "\n".join(f"r{k},{k * 7 % 11},{k % 2}" for k in range(40))
    raw = root / "data" / "raw"
    raw.mkdir(parents=True)
    (raw / "train.csv").write_text(f"id,a,y\n{lines}\n")
    (raw / "test.csv").write_text("id,a\nt1,3\nt2,8\n")
    (raw / "sample_submission.csv").write_text("id,y\nt1,0.5\nt2,0.5\n")
    (root / "kit.toml").write_text(
        'schema = 1\n[competition]\nslug = "marked"\n[provider]\nname = "local"\n'
        'source = "data/raw"\n[files]\ntrain = "train.csv"\ntest = "test.csv"\n'
        'sample_submission = "sample_submission.csv"\n[columns]\nid = "id"\ntarget = "y"\n'
        '[task]\ntype = "binary"\nmetric = "metric:score"\nclasses = ["0", "1"]\n'
        '[submission]\nid = "id"\nwants = "probability"\ncolumns = ["y"]\n'
        '[cv]\nsplitter = "kfold"\nn_splits = 2\n[execution]\nthreads = 1\n'
    )
    codes = {
        "features.py": "def features(df):\n    return df\n",
        "metric.py": "def score(y_true, y_pred):\n    return abs(y_true - y_pred).mean()\n"
        "score.greater_is_better = False\nscore.needs = 'proba'\n",
    }
    for name, code in codes.items():
        (root / name).write_text(code)
    with open_session(Competition.load(root)) as session:
        for model in ("linear", "extra_trees"):
            cross_validate(session, model)
    mark = f"open({str(root / 'mark')!r}, 'w').close()\n"
    for name, code in codes.items():
        (root / name).write_text(mark + code)
    (root / "model.py").write_text(mark)
    (root / "mine.csv").write_text("id,fold,pred\nr1,0,0.5\n")
    return root


@pytest.mark.parametrize("command", COMMANDS)
def test_code_of_the_folder_runs_only_by_commands_that_say_so(
    command: str, marked: Path, run_kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = command.split()
    name = " ".join(words[:2]) if words[0] in ("oof", "cluster") else words[0]
    says = "Python files" in run_kit(*name.split(), "--help").out
    if not says:
        monkeypatch.chdir(marked)
        run_kit(*words)
        assert not (marked / "mark").exists()
    runs_code = {"check", "cv", "tune", "blend", "auto", "submit", "fit", "predict", "export",
                 "report", "rerun", "oof import"}  # fmt: skip
    assert says == (name in runs_code)


def test_every_command_is_in_that_list() -> None:
    known = {" ".join(c.split()[:2]) if c.startswith(("oof", "cluster")) else c.split()[0]
             for c in COMMANDS}  # fmt: skip
    tree = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = {f"{n} {s}".strip() for n, c in tree.items() for s in getattr(c, "commands", {"": c})}
    assert found - known == {"cluster up"}  # it serves until it is interrupted


def test_the_mark_is_left_by_a_command_that_says_so(
    marked: Path, run_kit: Any, tmp_path: Path
) -> None:
    run_kit("check", "-C", marked)
    assert (marked / "mark").exists()
    (marked / "mark").unlink()
