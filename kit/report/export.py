"""Learning curves for other programs: a PNG, and TensorBoard logs."""

from __future__ import annotations

import os
from pathlib import Path

from kit.atomic import atomic_path
from kit.curves import step_of, verdict
from kit.errors import ConfigError, RunError
from kit.keras import quiet_stderr
from kit.runs import Run


def write_png(run: Run, path: Path) -> None:
    """Draw the curves of all folds.

    Args:
        run: a run with curves.
        path: the file, which ends in .png.

    Raises:
        ConfigError: it does not.
    """
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--png takes the name of a .png file. Received: {str(path)!r}")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for fold, curve in run.curves.items():
        for name, colour in (("train", "tab:blue"), ("valid", "tab:orange")):
            losses = curve.get(name) or []
            label = {"train": "training", "valid": "validation"}[name]
            steps = range(1, len(losses) + 1)
            shown = label if fold == next(iter(run.curves)) else None
            axes.plot(steps, losses, color=colour, alpha=0.7, linewidth=1, label=shown)
    told = verdict(run.curves, step_of(run.record))
    title = run.id if told is None else f"{run.id}\n{told.kind}: {told.text}"
    axes.set_title(title.replace("$", r"\$"), fontsize=9, loc="left")
    axes.set_xlabel(step_of(run.record))
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


def write_tensorboard(run: Run, folder: Path) -> None:
    """Write event files, ``<folder>/<run id>/fold-<k>/{train,valid}``, one scalar "loss" per step.

    Raises:
        RunError: there are logs of this run already.
    """
    target = folder / run.id
    if target.exists():
        raise RunError(f"{target} exists: two logs of one run in a folder are drawn as one line")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr():
        import tensorflow as tf
    kind = tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    metadata = tf.compat.v1.SummaryMetadata(plugin_data=kind, data_class=1)  # 1: scalars
    for fold, curve in run.curves.items():
        for name, losses in curve.items():
            writer = tf.summary.create_file_writer(str(target / f"fold-{fold}" / name))
            with writer.as_default():
                for step, loss in enumerate(losses, start=1):
                    tf.summary.write("loss", tf.constant(loss, tf.float32), step, metadata)
            writer.close()
