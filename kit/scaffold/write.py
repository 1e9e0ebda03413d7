"""Make a competition's folder: all of it, or nothing.

Owns: `kit new` below the command line. Everything is built in a hidden folder beside the final one
(`.<name>.new-xxxxxxxx`) and gets its name by one rename.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Any

from kit.atomic import disk_errors, token
from kit.competition import CONFIG_NAME, Competition
from kit.errors import ConfigError, KitError, ProviderError
from kit.providers.base import Description, Progress, Provider, Tidies, Verifies
from kit.providers.manifest import write_manifest
from kit.scaffold.coco import make_annotated
from kit.scaffold.extraction import infer_extraction
from kit.scaffold.host import PAGES_NAME, fact_lines, pages_text, plain
from kit.scaffold.images import make_tables
from kit.scaffold.infer import Inference, infer
from kit.scaffold.made import make_row_tables
from kit.scaffold.masks import infer_masks
from kit.scaffold.media import unread
from kit.scaffold.render import render
from kit.scaffold.restoration import infer_restoration
from kit.scaffold.templates import copy_template, template_path
from kit.settings import ProviderSpec

__all__ = ["create", "render"]


def create(
    root: Path,
    provider: Provider,
    spec: ProviderSpec,
    *,
    flags: Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    template: str | None,
    progress: Progress,
) -> Inference:
    """Fetch the data, infer `kit.toml` and write the folder.

    Masks as run-length codes, pieces of texts and images as answers get a folder with a script and
    `settings.toml` instead.

    Args:
        root: the folder to make.
        provider: who describes the competition and hands out the data.
        spec: becomes the `[provider]` table; paths in it are relative to `root`.
        flags: what the user typed, see `kit.scaffold.facts.FLAGS`.
        overrides: dotted keys of `kit.toml` that are taken instead of what the files suggest.
        template: name of a folder of `templates/`; None: the one that suits the features.
        progress: told of every file that is fetched.

    Raises:
        ConfigError: `root` holds something already, an unknown template or flag, or files that
            leave several readings.
        DataError: a file is unreadable.
        ProviderError: the data could not be fetched.
        DiskFull: nothing is left behind.
    """
    if template is not None:
        template_path(template)  # a wrong name is said before anything is fetched
    _refuse_existing(root)
    with _built_aside(root) as folder:
        description = provider.describe()
        _refuse_games(description)
        raw = folder / "data" / "raw"
        raw.mkdir(parents=True)
        provider.fetch(raw, progress)
        with _named_as_in(spec, root, raw):
            annotated = "" if flags.get("train") else make_annotated(raw)
            scripted = _scripted(raw, flags, overrides or {}, template)
            inference = scripted or _inferred(raw, description, flags, overrides)
        if annotated:
            inference.ask(annotated)
        source = template_path(template or inference.template)
        copy_template(source, folder, _facts(inference, description))
        if description.pages:
            (folder / PAGES_NAME).write_text(pages_text(description), encoding="utf-8")
        if scripted is None:
            text = render(inference, description, spec)
            (folder / CONFIG_NAME).write_text(text, encoding="utf-8")
            written = Competition.load(folder)  # what kit writes kit must be able to read
            if isinstance(provider, Verifies):
                inference.questions.extend(provider.verify(written))
        write_manifest(raw, folder / "data" / "manifest.json")
    if isinstance(provider, Tidies):
        provider.tidy()
    return inference


def _scripted(
    raw: Path, flags: Mapping[str, Any], overrides: Mapping[str, Any], template: str | None
) -> Inference | None:
    """The settings of a template whose script does the whole work, where the files need one."""
    for infer_settings in (infer_masks, infer_extraction, infer_restoration):
        found = infer_settings(raw, flags=flags, overrides=overrides, template=template)
        if found is not None:
            return found
    return None


def _inferred(
    raw: Path,
    description: Description,
    flags: Mapping[str, Any],
    overrides: Mapping[str, Any] | None,
) -> Inference:
    """What the files say, with the questions that are left."""
    foreign = unread(raw)
    try:
        made = make_tables(raw, str(flags.get("sample") or ""))
        asked = {"train", "test", "sample"} & {name for name, value in flags.items() if value}
        rows = "" if asked else make_row_tables(raw)
        inference = infer(raw, hints=description.hints, flags=flags, overrides=overrides)
    except KitError as error:
        if foreign:  # what is missing is not the whole trouble
            error.args = (f"{error}\n  {foreign}.",)
        raise
    if foreign:
        inference.ask(foreign)
    if rows:
        inference.ask(rows)
    if flags.get("metric") is None:
        inference.questions.extend(description.questions)
    if made:
        inference.ask(f"kit wrote {' and '.join(made)} from the names of the images: look at them")
    return inference


def _refuse_games(description: Description) -> None:
    """Nothing is downloaded for what kit's loop (tables, folds, a file of predictions) is not."""
    if description.kind == "simulation":
        raise ProviderError(
            f"{description.slug} is a simulation: agents play against one another, there is no "
            f"file of predictions.\n  kit cannot help there; see {description.url}."
        )


@contextmanager
def _named_as_in(spec: ProviderSpec, root: Path, raw: Path) -> Iterator[None]:
    """Errors name the files where the user has them: the copies go away with the folder."""
    try:
        yield
    except KitError as error:
        source, text = Path(os.path.normpath(root / spec.source)), str(error)
        if spec.source and source.is_dir():
            text = text.replace(str(raw), str(source))
        text = text.replace(f"{raw}{os.sep}", "")
        text = text.replace(str(raw), str(source) if spec.source else f"the files of {spec.name}")
        error.args = (text.replace("`kit data --force`", "`kit new`"),)
        raise


@contextmanager
def _built_aside(root: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `root`; rename it to `root`, or remove every trace of it."""
    missing = [parent for parent in root.parents if not parent.exists()]
    folder = root.with_name(f".{root.name}.new-{token()}")
    try:
        with disk_errors(root):
            folder.mkdir(parents=True)
            yield folder
            _rename(folder, root)
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        for parent in missing:  # the deepest first
            with suppress(OSError):
                parent.rmdir()
        if isinstance(error, KitError):  # the user has never heard of the hidden folder
            error.args = (str(error).replace(str(folder), str(root)),)
        raise


def _rename(folder: Path, root: Path) -> None:
    try:
        os.rename(folder, root)  # an empty folder is replaced
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            _refuse_existing(root)  # somebody else made it meanwhile
        raise


def _refuse_existing(root: Path) -> None:
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return
    found = "a file"
    if root.is_dir():
        found = ", ".join(sorted(path.name for path in root.iterdir())[:6])
    way_out = "Choose another folder, or move this one away"
    if (root / CONFIG_NAME).is_file():
        way_out = f"Go on in it (`kit check -C {root}`), or move it away first"
    raise ConfigError(f"{root} must be new or empty. Received: {found}.\n  {way_out}.")


def _facts(inference: Inference, description: Description) -> dict[str, str]:
    """What templates may mention."""
    target = inference.get("columns.target", "")
    return {
        "title": plain(description.title) or description.slug,
        "slug": description.slug,
        "url": description.url,
        "about": plain(description.about),
        "facts": fact_lines(description),
        "target": target if isinstance(target, str) else ", ".join(target),
        "task": str(inference.get("task.type", "")),
        "metric": str(inference.get("task.metric", "")),
        "date": date.today().isoformat(),
        **{item.key: json.dumps(item.value) for item in inference.values if "." not in item.key},
    }
