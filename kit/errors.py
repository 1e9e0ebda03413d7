"""Errors of kit. Everything a user can cause derives from KitError.

* KitError                     exit 1
  + ConfigError                kit.toml, an override or a flag is wrong (where, key, value, nearest)
    - UnknownName              a model, metric, splitter, ... that no registry knows
    - NoCompetition            there is no kit.toml where one is looked for
  + DataError                  the files contradict kit.toml (missing column, repeated ids, ...)
  + UserCodeError              features.py, model.py, metric.py or splits.py failed: file, line
  + RunError                   a run is not there, or its folder is damaged
    - FoldMismatch             runs validated on different folds cannot be compared or blended
  + SubmissionError            the file would be rejected; names the first offending rows
  + ModelError                 a model could not be fitted; names the model and the fold
  + DiskFull                   nothing under a final name was touched
  + MissingDependency          says which extra to install
  + ProviderError              exit 3
    - RefusedError             the server said no, and nothing changed there
      . AuthError              says how to log in
      . QuotaError             says when the next submission is possible

A message has at most four parts: where, the rule, the value found, the way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class KitError(Exception):
    """A mistake the user can see and mend; shown without a traceback."""

    exit_code = 1


class ConfigError(KitError):
    """`kit.toml`, `--set` or a flag holds something kit cannot use."""


class UnknownName(ConfigError):
    """A name that no registry knows."""


class NoCompetition(ConfigError):
    """No `kit.toml` where one was looked for."""


class DataError(KitError):
    """The data files contradict `kit.toml` or each other."""


class NoRecords(DataError):
    """JSON that is no table: names of labels by their numbers, say."""


class UserCodeError(KitError):
    """The competition's own code failed or does not hold its contract."""


class RunError(KitError):
    """A run does not exist, is ambiguous, or its folder is damaged."""


class FoldMismatch(RunError):
    """Runs that were validated on different folds."""


class SubmissionError(KitError):
    """The submission file would be rejected, or was submitted before."""


class ModelError(KitError):
    """A model could not be fitted or loaded."""


class Pruned(KitError):
    """A fit was ended because it was behind earlier ones; only `kit tune` asks for that.

    `step` is the boosting round or the epoch.
    """

    step: int = 0


class DiskFull(KitError):
    """The disk is full; no file under a final name was touched."""


class MissingDependency(KitError):
    """A package of an extra is not installed."""


class ProviderError(KitError):
    """The competition's server (or what plays it) refused or failed."""

    exit_code = 3


class RefusedError(ProviderError):
    """The server said no, or could not be asked: nothing was taken, nothing is counted.

    `sure` is false where the words of a refusal are none that kit knows, and something may have
    been made all the same.
    """

    sure: bool = True


class Unreached(RefusedError):
    """It failed on the way, in connecting or uploading: nothing can have been made of it."""


class RefusedVersion(RefusedError):
    """This version of a kernel is not taken, now or later; a new one may be."""


class AuthError(RefusedError):
    """Credentials are missing or refused."""


class QuotaError(RefusedError):
    """No submission is left for now."""


class NothingSent(KeyboardInterrupt):
    """Ctrl-C at a moment when nothing can have been handed in yet: no trace of it is needed."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C at a moment when the user must know what became of something; the message says."""


def counted(number: int, one: str, many: str) -> str:
    """A number and what it counts.

    >>> counted(1, "row is", "rows are")
    '1 row is'
    """
    return f"{number} {one if number == 1 else many}"


def nearest(name: str, known: Iterable[str]) -> str:
    """The sentence that helps after an unknown name: a guess, then everything known.

    >>> nearest("lightgmb", ["lightgbm", "ridge"])
    "Did you mean 'lightgbm'? Known: lightgbm, ridge."
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    guess = f"Did you mean {close[0]!r}? " if close else ""
    return f"{guess}Known: {', '.join(names) or '(none)'}."
