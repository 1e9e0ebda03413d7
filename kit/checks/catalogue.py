"""Every check as a line of a table: code, title, usual severity, what it needs, function.

KIT0xx files, ids, target; KIT1xx rows and columns; KIT2xx leaks; KIT3xx validation. Codes are
stable: a check that goes takes its code with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kit.checks import code, columns, ids, images, leaks, rows, schema, target, validation
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
    """

    code: str
    title: str
    severity: Severity
    needs: tuple[Part, ...]
    function: Callable[[Material], Iterable[Evidence]]


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
    Check("KIT201", "one column gives the target away", "warning", _LEARN, leaks.by_values),
    Check("KIT202", "missing values give the target away", "warning", _LEARN, leaks.by_missingness),
    Check("KIT211", "features.py looks at other rows", "error", _FEATURES, code.not_row_by_row),
    Check("KIT212", "features.py fails", "error", _TABLES, code.failing),
    Check("KIT213", "features.py is not repeatable", "error", _FEATURES, code.not_repeatable),
    Check("KIT301", "folds cannot be made", "error", _TABLES, validation.no_folds),
    Check("KIT302", "groups in two folds", "error", _FOLDS, validation.split_groups),
    Check("KIT303", "folds mix what time separates", "warning", _FOLDS, validation.shuffled_time),
    Check(
        "KIT304", "folds.parquet holds other folds", "warning", _FOLDS, validation.other_folds_file
    ),
    Check("KIT311", "optimistic early stopping", "info", (), validation.optimistic_stopping),
)
