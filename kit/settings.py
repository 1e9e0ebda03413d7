"""The schema of `kit.toml`, as frozen dataclasses. Nothing here is computed.

Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from kit.config import Within
from kit.series import SeriesSpec

MAX_FOLDS = 127  # int8

TaskType = Literal["binary", "multiclass", "multilabel", "regression", "multitarget"]
Kind = Literal["numeric", "category", "datetime", "text", "code", "image", "id"]
Wants = Literal["label", "probability", "value"]


@dataclass(frozen=True, kw_only=True)
class About:
    """What the competition is called."""

    slug: str
    title: str = ""
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class ProviderSpec:
    """Who hands out the data and takes the submissions.

    `source` is the provider's own address (a path for `local`, a name for `sample`); `solution` a
    file with the hidden answers, read by `local` only when it grades; `file` the name under which
    `kaggle` gets a submission, where the competition demands one (empty: the file's own).
    """

    name: str = "local"
    source: str = ""
    solution: str = ""
    file: str = ""


@dataclass(frozen=True, kw_only=True)
class Files:
    """File names below `data/raw`."""

    train: str = "train.csv"
    test: str = "test.csv"
    sample_submission: str = "sample_submission.csv"


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Roles and kinds of the columns. Names are as in the file, without blanks around them.

    `id` is empty where the train file has no id (rows are numbered then); `test_id` is the id
    column of the test file where it has another name, or empty where the test file has none (its
    rows are then taken in the order of the sample submission). `weight` is a number column of the
    train file: how much a row counts in the score and while models learn; it is no feature unless
    `kinds` lists it. `weights` says how much its values count where they are words (``{True = 5,
    False = 1}``). `drop` lists columns that are not used. `kinds` lists every feature that is not
    plainly numeric; "id" means: never a feature.
    """

    id: str = ""
    test_id: str | None = None  # None: same name as `id`
    target: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None
    weight: str | None = None
    weights: dict[str, float] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    kinds: dict[str, Kind] = field(default_factory=dict)

    @property
    def weighing(self) -> str | None:
        """What makes rows count differently, in a line; None where nothing does."""
        if self.weight is None or not self.weights:
            return self.weight
        return f"{self.weight} ({', '.join(f'{k} {v:g}' for k, v in sorted(self.weights.items()))})"


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """Where the images of a column of kind "image" are, and how they are kept.

    `train` and `test` name files below `data/raw`, in zips too; `{}` stands for the value of
    `column` (empty: of the column itself), one `*` for any folders ("part_*/{}.jpg"). `pixels`
    ("pixel{}") makes one image of the columns of that name, `{}` being numbers; where it is the
    column's own name, its cells hold all pixels ("238 236 ..."). `bottom` is then the darkest value
    and `top` the brightest.
    `size` is pixels per side, `channels` 1 for gray and 3 for colours. `backbone`
    turns images into numbers for models of tables: see `kit.images.backbones`.
    """

    column: str = ""
    train: str = "{}"
    test: str = "{}"
    pixels: str = ""
    bottom: Annotated[int, Within(-(2**31), 0)] = 0
    top: Annotated[int, Within(1)] = 255
    size: Annotated[int, Within(1, 1024)] = 224
    channels: Literal[1, 3] = 3
    backbone: str = "pixels"


@dataclass(frozen=True, kw_only=True)
class JoinSpec:
    """A table beside train and test; its rows are found by their keys (`kit.joins`).

    `file` is a name below `data/raw`, or several, whose rows follow one another; `on` are the key
    columns, as train and test have them; `file_on` what the file calls them, in the same order,
    where it calls them otherwise; `columns` those it brings, each called `prefix` and its own name.
    With `summarised` several rows may have the same key: their columns are summed up. With `via`
    they belong to rows of the table of that other join, and come to train and test through it.
    """

    file: tuple[str, ...]
    on: tuple[str, ...]
    file_on: tuple[str, ...] = ()
    via: str = ""
    columns: tuple[str, ...]
    prefix: str = ""
    summarised: bool = False

    @property
    def keys(self) -> tuple[str, ...]:
        """The key columns as the file calls them."""
        return self.file_on or self.on


@dataclass(frozen=True, kw_only=True)
class TaskSpec:
    """What is predicted and how it is scored.

    `classes` are the target's labels as spelled in the train file, in the order of the class codes
    0..K-1; for `binary` the second one is the positive class. Empty for regression, and for
    multilabel with a column of 0 and 1 per label. Where the cells of one column hold several labels
    ("clear road water"), `separator` is what stands between them, and `classes` lists the labels.
    Where each class has a column of 0 and 1, with one 1 in every row, these columns are the target
    and their names the classes.
    """

    type: TaskType
    metric: str
    classes: tuple[str, ...] = ()
    separator: str = ""

    def names(self, target: tuple[str, ...]) -> tuple[str, ...]:
        """What each column of the target, as numbers, is called."""
        if len(target) > 1 and self.type in ("binary", "multiclass"):
            return (f"{target[0]}, …",)  # columns of 0 and 1 become one column of class codes
        return self.classes if self.separator else target


@dataclass(frozen=True, kw_only=True)
class SubmissionSpec:
    """What the submission file holds besides the id column.

    `id` is "" where it has none: its rows are those of test, in their order. `copied` are columns
    that repeat what test says; they are handed in as the sample submission has them.
    `columns` are the others, to be predicted. With one probability column per
    class `columns` and `classes` run in parallel: `classes[i]` is the class of `columns[i]`,
    "" for one that no training row has.
    `labels` is how the classes (in the order of `task.classes`) are spelled in the submission;
    empty: as in the train file. `top` labels stand in a cell, the most probable first, with blanks
    between them (multiclass only; MAP@K).
    """

    wants: Wants
    id: str = "id"
    columns: tuple[str, ...] = ()
    copied: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    top: Annotated[int, Within(1)] = 1


@dataclass(frozen=True, kw_only=True)
class CVSpec:
    """How models are validated.

    `models` is what `kit cv` validates when none is named; empty: the short list of the portfolio.
    `splitter` is a registered name, `module:attribute` of the competition's `splits.py`, or "file":
    then `folds.parquet` in the competition's folder, a teammate's perhaps, is the truth.
    `block` is the length of the validation blocks of the splitter `time_blocks`, `horizon` that of
    the windows of `time_windows` and `group_time` (as long as the test period), `gap` the distance
    in time kept free before (`time_blocks`: around) what is scored; all as pandas reads durations
    ("11D"), see `kit.time_splitters`. `early_stopping`: "inner" holds out a part of the training
    rows; "cross" trains all folds side by side and stops each where the other folds are best
    together (models that cannot, and folds in time order, use "inner"); "fold" uses the scored
    fold itself, which is optimistic and marked `*` wherever the score is shown.
    `holdout` is the share of the rows that is sealed: no fold, threshold or blend ever sees them,
    or rows nearer to them than folds allow, and each run shows its score on them once; 0: none.
    `weighted`: where `columns.weight` is set, models are fitted with it.
    """

    splitter: str = "kfold"
    n_splits: Annotated[int, Within(2, MAX_FOLDS)] = 5
    seed: Annotated[int, Within(0, 2**32 - 1)] = 42  # what NumPy takes
    block: str = ""
    horizon: str = ""
    gap: str = ""
    models: tuple[str, ...] = ()
    early_stopping: Literal["inner", "cross", "fold"] = "inner"
    holdout: Annotated[float, Within(0, 0.5)] = 0.0
    weighted: bool = True


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A configured model: `use` is a registered name or `module:attribute` (default: its key).

    `recipe` names how columns are prepared; empty: as the model's family asks for. `pseudo_labels`
    is a probability between 0.5 and 1: every fold is fitted a second time with the test rows that
    its first model is so sure of; 0: off (see `kit.execution.pseudo`). `weighted` is as in `[cv]`:
    both must be true. `ordinal`: where the metric counts how far off a class is, the classes are
    learned as one number (see `kit.execution.learned`); false: one by one.
    """

    use: str = ""
    recipe: str = ""
    pseudo_labels: float = 0.0
    weighted: bool = True
    ordinal: bool = True
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TextSpec:
    """How texts are read.

    `encoder` is the folder of a pretrained sentence encoder, below the competition's or absolute;
    empty: that of the installed package (extra `pretrained`).
    """

    encoder: str = ""


@dataclass(frozen=True, kw_only=True)
class CheckSpec:
    """Findings of `kit check` that are known and accepted."""

    mute: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ExecutionSpec:
    """Where folds run. `threads` and `workers` 0: as many as the machine has cores.

    `on` is the address of a Dask cluster's scheduler; its workers' number and threads hold then.
    `on_disk` says whether the table lies in files of the cache rather than in memory; "auto": where
    it is large (see `kit.large`). Predictions of LightGBM do not depend on it.
    """

    executor: Literal["here", "processes"] = "here"
    on: str = ""
    workers: int = 0
    threads: int = 0
    on_disk: Literal["auto", "always", "never"] = "auto"


@dataclass(frozen=True, kw_only=True)
class AxisSpec:
    """What `kit tune` may set a parameter to: `[tune.<model>.<parameter>]`.

    What is not given stays as in the model's own space (`kit tune MODEL --show-space`).

    Attributes:
        low, high: ends of a range.
        log: search evenly on the logarithmic scale.
        choices: these values instead of a range; a single one is kept fixed.
        when: other parameters and the value they must have for this one to be searched.
    """

    low: float | None = None
    high: float | None = None
    log: bool | None = None
    choices: tuple[Any, ...] | None = None
    when: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole of `kit.toml`."""

    schema: int
    competition: About
    task: TaskSpec
    submission: SubmissionSpec
    provider: ProviderSpec = field(default_factory=ProviderSpec)
    files: Files = field(default_factory=Files)
    columns: Columns = field(default_factory=Columns)
    images: dict[str, ImageSpec] = field(default_factory=dict)
    joins: dict[str, JoinSpec] = field(default_factory=dict)
    cv: CVSpec = field(default_factory=CVSpec)
    series: SeriesSpec | None = None
    models: dict[str, ModelSpec] = field(default_factory=dict)
    text: TextSpec = field(default_factory=TextSpec)
    tune: dict[str, dict[str, AxisSpec]] = field(default_factory=dict)
    check: CheckSpec = field(default_factory=CheckSpec)
    execution: ExecutionSpec = field(default_factory=ExecutionSpec)
