"""What the cells of a sample submission say of the answers to classes.

Owns: labels or probabilities, how many labels a cell holds, and how classes are spelled there.
"""

from __future__ import annotations

from collections.abc import Sequence

from kit.scaffold.facts import Inference
from kit.scaffold.look import SampleLook, TargetLook
from kit.spelling import number, respell

_KNOWN = 0.75  # of the labels in lists that train has
_RARE = 0.3  # share of the rarer of two classes below which accuracy says little


def wants_by_look(
    task: str, look: TargetLook, classes: Sequence[str], sample: SampleLook, inference: Inference
) -> tuple[str, str, bool]:
    """Whether labels or probabilities are wanted, why, and whether that is sure.

    Args:
        task: binary, multiclass or multilabel.
        look: the target, of several the first.
        classes: in the order of their codes.
        sample: the sample submission.
        inference: takes the question that is left.
    """
    value = sample.values[0] if sample.values else ""
    if sample.kind == "words":
        return "label", f"the sample submission holds labels, such as {value!r}", True
    if sample.kind == "none":
        inference.ask("whether labels or probabilities are wanted: --submission label|probability")
        return "label", "the files do not say", False
    if task == "multiclass":
        if sample.kind == "fractions":
            inference.ask(
                f"the sample submission holds {value!r} for {len(classes)} classes; if the target "
                "is an amount, say --task regression"
            )
        return "label", "one column for all classes", sample.kind == "whole"
    if sample.kind == "fractions":
        return "probability", f"the sample submission holds numbers such as {value}", True
    if sample.says_probability:
        return "probability", "the sample submission's column is called so", True
    dotted = sample.dotted and not all("." in label for label in classes)
    if sample.constant and (dotted or task == "multilabel"):
        inference.ask(
            f"the sample submission says {value} everywhere, taken for a probability; "
            "if labels are wanted: --submission label"
        )
        return "probability", f"the sample submission says {value} everywhere", False
    rare = min(look.counts, default=0) / max(1, sum(look.counts))
    if sample.constant and task == "binary" and rare < _RARE:
        inference.ask(
            f"the sample submission says {value} everywhere, taken for a probability, since "
            f"{rare:.1%} of train are of the rarer class: few hosts want labels of such; if labels "
            "are wanted: --submission label"
        )
        return "probability", f"a class of {rare:.1%} is rather ranked than named", False
    if sample.constant:
        inference.ask(
            f"the sample submission says {value} everywhere, which may be a label or a probability;"
            " labels are assumed. Else: --submission probability, or --metric roc_auc"
        )
        return "label", f"the sample submission says {value} everywhere", False
    return "label", "the sample submission holds whole numbers", True


def labels_in_a_cell(classes: Sequence[str], sample: SampleLook) -> int:
    """How many labels a cell of the sample submission holds, with blanks between; 0: one.

    Train may lack some of the labels. Of whole numbers, as many in each cell, it may lack all.
    """
    if any(" " in label for label in classes):
        return 0
    lists = [value.split() for value in sample.values]
    longest = max(map(len, lists), default=0)
    labels = {label for each in lists for label in each}
    numbers = all(map(str.isdecimal, (*labels, *classes))) and {*map(len, lists)} == {longest}
    known = len(labels & {*classes}) >= _KNOWN * len(labels)
    return longest if longest > 1 and (known or numbers) else 0


def note_labels(classes: Sequence[str], sample: SampleLook, inference: Inference) -> None:
    """Note how the submission spells the classes, where it is not as in train."""
    if sample.kind == "none":
        return
    spelled = respell(classes, sample.values)
    if spelled:
        because = f"train's classes as the sample submission spells them: {sample.values[0]!r}"
        inference.add("submission.labels", list(spelled), because)
    if spelled is not None:
        return
    # of numbers one that is no class is a place to fill in rather than another spelling
    placeholder = sample.constant and None not in map(number, classes)
    for first in () if placeholder else (0, 1):
        codes = tuple(str(code) for code in range(first, first + len(classes)))
        if set(sample.values) <= set(codes):
            inference.add("submission.labels", list(codes), "classes numbered", sure=False)
            inference.ask(
                f"the sample submission numbers the classes; assumed: {codes[0]} is {classes[0]!r}"
                f", {codes[1]} is {classes[1]!r}. Else edit submission.labels in kit.toml"
            )
            return
    strange = [value for value in sample.values if value not in classes][:3]
    inference.ask(
        f"the sample submission holds {', '.join(map(repr, strange))}, which train's target never "
        "takes; is it the right target? --target NAME, or edit submission.labels in kit.toml"
    )
