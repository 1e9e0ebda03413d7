"""Every check as a line of a table: code, title, usual severity, what it needs, function.

KIT0xx files, ids, target; KIT1xx rows and columns; KIT2xx leaks; KIT3xx validation; KIT4xx the
null-label proof. Codes are stable: a check that goes takes its code with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kit.checks import (
    code,
    columns,
    gaps,
    ids,
    images,
    leaks,
    nulls,
    rows,
    schema,
    series,
    target,
    texts,
    validation,
)
from kit.checks.deep import drift, near, noise, splits
from kit.checks.deep import target as hidden
from kit.checks.finding import Evidence, Severity
from kit.checks.material import Material, Part


@dataclass(frozen=True)
class Check:
    """One line of the catalogue.

    Attributes:
        code: stable, unique.
        title: what a finding is about.
        severity: of its findings, unless the evidence says otherwise.
        needs: parts of the material without which it cannot run.
        function: yields evidence; none: nothing found.
        deep: whether it runs with `kit check --deep` only.
    """

    code: str
    title: str
    severity: Severity
    needs: tuple[Part, ...]
    function: Callable[[Material], Iterable[Evidence]]
    deep: bool = False


_TABLES: tuple[Part, ...] = ("tables",)
_FEATURES: tuple[Part, ...] = ("tables", "features")
_LEARN: tuple[Part, ...] = ("tables", "features", "target")
_FOLDS: tuple[Part, ...] = ("tables", "features", "target", "folds")

CATALOGUE: tuple[Check, ...] = (
    Check("KIT001", "a file is missing or unreadable", "error", (), schema.files),
    Check("KIT002", "kit.toml names a column no file has", "error", _TABLES, schema.unknown_names),
    Check("KIT003", "a column that test lacks", "error", _TABLES, schema.train_only),
    Check("KIT004", "a column that train lacks", "info", _TABLES, schema.test_only),
    Check(
        "KIT005", "numbers in one file, text in the other", "warning", _TABLES, schema.other_types
    ),
    Check("KIT006", "a column contradicts its kind", "error", _FEATURES, schema.unfit_kinds),
    Check("KIT007", "a kind for a column there is not", "error", _FEATURES, schema.unknown_kinds),
    Check("KIT008", "values lost to their column's kind", "warning", _FEATURES, schema.lost_values),
    Check("KIT009", "a file that is not UTF-8", "warning", _TABLES, texts.encodings),
    Check("KIT011", "ids missing or repeated", "error", _TABLES, ids.unusable),
    Check("KIT012", "the same ids in train and test", "warning", _TABLES, ids.shared),
    Check(
        "KIT013",
        "sample submission and test differ",
        "error",
        ("tables", "sample"),
        ids.sample_differs,
    ),
    Check(
        "KIT014",
        "sample submission shorter than test",
        "warning",
        ("tables", "sample"),
        ids.sample_short,
    ),
    Check("KIT021", "target missing", "error", _TABLES, target.missing),
    Check("KIT022", "target with one value", "error", _TABLES, target.one_value),
    Check("KIT023", "labels and task.classes differ", "error", _TABLES, target.other_labels),
    Check("KIT024", "target unusable", "error", _TABLES, target.unusable),
    Check("KIT025", "classes rarer than folds", "error", ("tables", "target"), target.rare_classes),
    Check("KIT031", "images missing or corrupt", "warning", _FEATURES, images.unusable),
    Check("KIT101", "repeated rows", "warning", _LEARN, rows.repeated),
    Check("KIT102", "equal rows, different targets", "warning", _LEARN, rows.contradicting),
    Check("KIT103", "rows of test found in train", "warning", _FEATURES, rows.in_both_files),
    Check("KIT104", "rows that nearly repeat", "warning", _FEATURES, near.within_train, deep=True),
    Check(
        "KIT105",
        "near-copies, different targets",
        "warning",
        _LEARN,
        near.contradicting,
        deep=True,
    ),
    Check("KIT106", "near-copies in train and test", "warning", _FEATURES, near.across, deep=True),
    Check("KIT107", "labels a model contradicts", "warning", _LEARN, noise.suspects, deep=True),
    Check("KIT111", "a constant column", "info", _FEATURES, columns.constant),
    Check(
        "KIT112", "constant in train, not in test", "warning", _FEATURES, columns.constant_in_train
    ),
    Check("KIT113", "an id used as a feature", "warning", _FEATURES, columns.ids_as_features),
    Check("KIT114", "a column almost entirely missing", "info", _FEATURES, columns.mostly_missing),
    Check("KIT115", "columns that are equal", "info", _FEATURES, columns.duplicates),
    Check(
        "KIT116",
        "categories of test unseen in train",
        "warning",
        _FEATURES,
        columns.unseen_categories,
    ),
    Check("KIT121", "blank texts", "info", _FEATURES, texts.blank),
    Check("KIT122", "texts too long to be read whole", "info", _FEATURES, texts.cut),
    Check("KIT123", "texts decoded wrongly", "warning", _FEATURES, texts.undecodable),
    Check(
        "KIT131",
        "train and test can be told apart",
        "warning",
        _FEATURES,
        drift.told_apart,
        deep=True,
    ),
    Check("KIT132", "a column drifts", "warning", _FEATURES, drift.by_column, deep=True),
    Check("KIT201", "one column gives the target away", "warning", _LEARN, leaks.by_values),
    Check("KIT202", "missing values give the target away", "warning", _LEARN, leaks.by_missingness),
    Check("KIT203", "a golden column", "warning", _LEARN, hidden.golden, deep=True),
    Check("KIT204", "gaps follow the target", "warning", _LEARN, hidden.gaps, deep=True),
    Check("KIT205", "row order tells the target", "warning", _LEARN, hidden.row_order, deep=True),
    Check("KIT206", "ids tell the target", "warning", _LEARN, hidden.ids, deep=True),
    Check("KIT207", "files tell the target", "warning", _LEARN, hidden.files, deep=True),
    Check(
        "KIT208",
        "the spelling of values tells the target",
        "warning",
        _LEARN,
        hidden.spelling,
        deep=True,
    ),
    Check("KIT211", "features.py looks at other rows", "error", _FEATURES, code.not_row_by_row),
    Check("KIT212", "no features can be made", "error", _TABLES, code.failing),
    Check("KIT213", "features.py is not repeatable", "error", _FEATURES, code.not_repeatable),
    Check("KIT301", "folds cannot be made", "error", _TABLES, validation.no_folds),
    Check("KIT302", "groups in two folds", "error", _FOLDS, validation.split_groups),
    Check("KIT303", "folds mix what time separates", "warning", _FOLDS, validation.shuffled_time),
    Check(
        "KIT304", "folds.parquet holds other folds", "warning", _FOLDS, validation.other_folds_file
    ),
    Check("KIT305", "test is later, folds are not", "warning", _FOLDS, series.later_test),
    Check("KIT306", "test fills longer gaps than folds", "warning", _FOLDS, gaps.easier),
    Check("KIT311", "optimistic early stopping", "info", (), validation.optimistic_stopping),
    Check("KIT321", "[series] cannot be used", "error", _FEATURES, series.unusable),
    Check("KIT322", "a series and time twice", "warning", _FEATURES, series.repeated),
    Check("KIT323", "test beyond the horizon", "error", _FEATURES, series.short_horizon),
    Check("KIT324", "series of test unseen in train", "warning", _FEATURES, series.unseen_series),
    Check("KIT325", "rows without a past", "warning", _FEATURES, series.without_past),
    Check("KIT331", "test has other groups", "warning", _FOLDS, splits.other_groups, deep=True),
    Check("KIT332", "test lies later", "warning", _FOLDS, splits.later, deep=True),
    Check("KIT333", "folds are stricter than test", "info", _FOLDS, splits.stricter, deep=True),
    Check("KIT334", "classes uneven over folds", "info", _FOLDS, splits.uneven_classes, deep=True),
    Check("KIT401", "permuted labels are predicted", "error", ("null",), nulls.above_chance),
)
