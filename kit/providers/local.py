"""A folder or a zip with Kaggle-shaped files plays the server; it grades if it has the answers.

State (earlier submissions) lies in ``<root>/.local``.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from kit.competition import Competition
from kit.errors import ProviderError, SubmissionError
from kit.providers.base import Contest, Description, Limits, Progress, Standing, Submitted
from kit.providers.manifest import files_below
from kit.providers.record import Record
from kit.providers.unpacking import Member, take, unpack
from kit.settings import ProviderSpec

if TYPE_CHECKING:
    import pandas as pd

    from kit.providers.grading import Rules


class LocalProvider:
    """Takes data from ``spec.source`` and grades with ``spec.solution`` where that is set.

    Args:
        slug: the competition's short name.
        spec: `source`, a folder or zip; `solution`, a CSV file with the answers, or empty.
        root: the competition's folder.
    """

    def __init__(self, slug: str, spec: ProviderSpec, root: Path) -> None:
        self.slug, self.spec, self.root = slug, spec, root
        self.record = Record(root / ".local")

    def describe(self) -> Description:
        """The slug; a folder of files says nothing else."""
        return Description(slug=self.slug, title=self.slug, about=f"Files from {self.spec.source}")

    def fetch(self, destination: Path, progress: Progress) -> list[Path]:
        """Copy or unpack the source; files that are there already, byte for byte, are skipped.

        Args:
            destination: usually `data/raw`.
            progress: called with a file's name, the bytes of it done so far, and all of them.

        Raises:
            ProviderError: the source is missing, empty, unsafe or lies in the competition.
            DiskFull: it does not fit; nothing was written.
        """
        source = self._source()
        if source.is_dir():
            return take(self._members(source), destination, progress)
        return unpack(source, destination, progress)

    def submit(self, path: Path, message: str) -> Submitted:
        """Grade the file if a solution is configured; note it in any case."""
        if not self.spec.solution:
            ungraded = "(nothing grades here: kit.toml names no provider.solution)"
            return self.record.add(
                status="complete", file_name=path.name, message=f"{message} {ungraded}".strip()
            )
        from kit.providers.grading import Grade, grade, read_cells

        answers, rules = self._answers(Competition.load(self.root))
        try:
            result, error = grade(read_cells(path), answers, rules), ""
        except SubmissionError as problem:
            result, error = Grade(public=None), str(problem)
        return self.record.add(
            status="error" if error else "complete",
            file_name=path.name,
            message=message,
            public=result.public,
            private=result.private,
            error=error,
        )

    def verify(self, competition: Competition) -> list[str]:
        """Remarks on a solution that does not grade every row.

        Args:
            competition: as `kit new` has just written it, maybe not in its place yet.

        Raises:
            ProviderError: the solution does not fit the competition.
        """
        if not self.spec.solution:
            return []
        from kit.providers.grading import check_solution, read_cells, with_ids

        answers, rules = self._answers(competition)
        sample = competition.settings.files.sample_submission
        if not sample:
            return check_solution(answers, None, rules)
        cells = with_ids(read_cells(competition.raw / sample), rules.submission)
        return check_solution(answers, cells[rules.submission.id], rules)

    def submissions(self) -> list[Submitted]:
        """Everything handed in so far, newest first."""
        return self.record.read()

    def limits(self) -> Limits:
        """There are none."""
        return Limits()

    def contest(self) -> Contest:
        """A board of one's own, played here; nothing ends."""
        return Contest(category="local")

    def leaderboard(self) -> list[Standing]:
        """One's own graded submissions, best first; empty where nothing grades."""
        scored = [(entry.public, entry) for entry in self.submissions() if entry.public is not None]
        if not scored:
            return []
        from kit.metrics.base import load_metric
        from kit.usercode import UserCode

        task = Competition.load(self.root).settings.task
        metric = load_metric(task.metric, task.type, UserCode(self.root).resolve)
        scored.sort(key=lambda pair: pair[0], reverse=metric.greater_is_better)
        return [
            Standing(rank=rank, team=entry.message or entry.file_name, score=score, mine=True)
            for rank, (score, entry) in enumerate(scored, start=1)
        ]

    def _answers(self, competition: Competition) -> tuple[pd.DataFrame, Rules]:
        """The solution's cells, and the rules to grade by."""
        from kit.providers.grading import Rules, read_cells
        from kit.usercode import UserCode

        solution = self._path(self.spec.solution)
        if not solution.is_file():
            raise ProviderError(
                f"provider.solution is not a file: {solution}.\n"
                "  Correct it in kit.toml, or remove it: then nothing is graded."
            )
        settings = competition.settings
        return read_cells(solution), Rules(
            task=settings.task,
            submission=settings.submission,
            target=settings.columns.target,
            local=UserCode(competition.root).resolve,
        )

    def _path(self, text: str) -> Path:
        return (self.root / Path(text).expanduser()).resolve()

    def _source(self) -> Path:
        """The source, if it is a folder or zip that the competition does not contain."""
        if not self.spec.source:
            raise ProviderError("provider.source is empty; name a folder or a zip with the files")
        source, root = self._path(self.spec.source), self.root.resolve()
        if not source.exists():
            raise ProviderError(
                f"the source does not exist: {source}.\n  Correct provider.source in kit.toml."
            )
        if source.is_relative_to(root) or root.is_relative_to(source):
            raise ProviderError(
                f"source and competition must lie apart, however one contains the other: {source} "
                f"and {root}.\n  Move the files elsewhere; kit copies them into data/raw."
            )
        if source.is_file() and not zipfile.is_zipfile(source):
            way = "Name the folder that it lies in, with the other files; unpack an archive first"
            if source.suffix.lower() == ".zip":
                way = "It is named like a zip, but broken: get it again"
            raise ProviderError(
                f"the source must be a folder or a zip. Received: {source}.\n  {way}."
            )
        return source

    def _members(self, source: Path) -> list[Member]:
        """The files of a folder; the answers are left where they are."""
        hidden = self._path(self.spec.solution) if self.spec.solution else None
        members = [
            Member(
                name=path.relative_to(source).as_posix(),
                size=path.stat().st_size,
                open=lambda path=path: path.open("rb"),  # type: ignore[misc]
            )
            for path in files_below(source)
            if path.is_file() and path.resolve() != hidden
        ]
        if not members:
            raise ProviderError(f"the folder {source} has no files (hidden ones do not count)")
        return members
