"""Images that are missing, corrupt or no images."""

from __future__ import annotations

from collections.abc import Iterator

from kit.checks.finding import Evidence
from kit.checks.material import Material
from kit.errors import ConfigError, DataError, MissingDependency
from kit.images.attach import Images


def unusable(m: Material) -> Iterator[Evidence]:
    """Images for which neutral ones stand, and too many of them; decodes what is not yet."""
    images = Images(m.competition)
    if not images.specs or not m.has(["features"]):
        return
    try:
        for frame, part in ((m.train, "train"), (m.test, "test")):
            images.attach(frame, part)  # type: ignore[arg-type]
    except (DataError, ConfigError, MissingDependency) as error:
        first, _, rest = str(error).partition("\n")
        yield Evidence(
            text=first.rstrip("."), remedy=rest.strip() or "see kit.toml", severity="error"
        )
    for note in images.notes:
        yield Evidence(
            text=note.removesuffix("; neutral images stand for them"),
            remedy="neutral images stand for them; fetch them again, or remove the rows",
        )
