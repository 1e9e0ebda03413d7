"""The command line: parses, calls the library, prints. `main` is the only place errors end."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import NoReturn

from kit.errors import Interrupted, KitError


def main() -> None:
    """Entry point of `kit`: run a command, turn errors into one message and an exit code."""
    # waiting OpenMP threads sleep instead of spinning: two fits on two cores do not collapse
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    before, hook = signal.signal(signal.SIGTERM, _interrupt), sys.unraisablehook
    sys.unraisablehook = _unraisable
    try:
        _run()
    finally:
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> NoReturn:
    """A request to end is as good as Ctrl-C: workers are stopped, finished folds kept."""
    raise KeyboardInterrupt


def _unraisable(lost: sys.UnraisableHookArgs) -> None:
    """Interrupt again, where Python dropped the interruption.

    It does so where an exception has nowhere to go: in `__del__` and in callbacks of libraries.
    """
    if issubclass(lost.exc_type, KeyboardInterrupt):
        main = threading.main_thread().ident or 0  # a signal wakes it up, whatever it waits for
        threading.Timer(0.02, signal.pthread_kill, (main, signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(lost)


def _run() -> None:
    try:
        from kit.cli.app import app

        try:
            app(prog_name="kit")
        finally:
            sys.stdout.flush()  # what a full disk does not take is told here, not at Python's end
    except SystemExit as error:
        if error.code == _INTERRUPTED:  # what typer makes of Ctrl-C
            _fail(_interruption(error), "KeyboardInterrupt", _INTERRUPTED)
        if error.code == _USAGE and "--json" in sys.argv:
            _fail("wrong usage, as said above; --help shows what there is", "UsageError", _USAGE)
        raise
    except KitError as error:
        _fail(str(error), type(error).__name__, error.exit_code)
    except KeyboardInterrupt as error:
        _fail(_interruption(error), "KeyboardInterrupt", _INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except MemoryError:
        _fail("out of memory. Fewer rows, columns or workers help.", "MemoryError", 1)
    except OSError as error:
        if os.environ.get("KIT_DEBUG"):
            raise
        where = f"{error.filename}: " if error.filename else ""
        if error.errno == errno.ENOSPC and not where:
            where = "writing the output: "
        hint = _HINTS.get(error.errno or 0, "")
        _fail(f"{where}{error.strerror or error}{hint}", type(error).__name__, 1)
    except Exception as error:
        if os.environ.get("KIT_DEBUG"):
            raise
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        at = f" ({place.tb_frame.f_code.co_filename}:{place.tb_lineno})" if place else ""
        _fail(
            f"this is a bug in kit: {type(error).__name__}: {error}{at}\n"
            "  Nothing that was finished is lost. KIT_DEBUG=1 shows the whole traceback; "
            "please report it.",
            type(error).__name__,
            1,
        )


_USAGE, _INTERRUPTED = 2, 130
_NO_LOCKS = (
    ".\n  Is it a network disk? `kit doctor` tries the locks and renames that kit needs; a local "
    "disk has both."
)
_HINTS = {
    errno.ENOLCK: _NO_LOCKS,
    errno.EOPNOTSUPP: _NO_LOCKS,
    errno.EROFS: ".\n  What computes writes into the competition's folder: copy it to where that "
    "is allowed. `kit runs`, `show` and `ledger` only read.",
}
_KEPT = "interrupted; what was finished is kept, and the same command goes on from there"


def _interruption(error: BaseException | None) -> str:
    """What Ctrl-C means where it came; typer hides the exception behind its own."""
    while error is not None:
        if isinstance(error, Interrupted):
            return str(error)
        error = error.__cause__ or error.__context__
    return _KEPT


def _fail(message: str, kind: str, code: int) -> None:
    if os.environ.get("KIT_DEBUG") and code != _INTERRUPTED:
        raise
    with suppress(OSError):  # the terminal or the disk behind stderr may be gone, too
        sys.stderr.write(f"kit: {message}\n")
    try:
        if "--json" in sys.argv:
            document = {"error": {"type": kind, "message": message, "exit_code": code}}
            sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        sys.stdout.flush()
    except OSError:  # full or closed: what is left in its buffer must not fail once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)
