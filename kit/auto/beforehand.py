"""What many models need is computed before them: once, counted, and within the time.

It is computed by a process of its own: it can be ended, it takes the deep-learning library along
when it goes, and while it works it has all cores.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


def made_in_time(
    work: Callable[[Any, Connection], None], what: Any, n: float, limit: float, trial: float
) -> bool:
    """Have something computed, and give it up where it would not be there in time.

    Args:
        work: a module's function; computes and sends after every step how much is done so far.
        what: its first argument.
        n: how much there is to do.
        limit: `time.monotonic()` by which all is there.
        trial: how much has to be done before the time of the rest is guessed from it.

    Returns:
        False where it was given up. An error of the work is not told here: whoever misses what was
        to be made meets it again.
    """
    method = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    ours, theirs = method.Pipe(duplex=False)
    process = method.Process(target=work, args=(what, theirs), daemon=True)
    process.start()
    theirs.close()
    first: tuple[float, float] | None = None  # when it was told of a step, and what was done then
    try:
        while ours.poll(max(0.0, limit - time.monotonic())):
            done, now = ours.recv(), time.monotonic()
            first = first or (now, done)
            begun, before = first
            if (
                done >= trial
                and now + (now - begun) / max(done - before, 1e-9) * (n - done) > limit
            ):
                return False
        return False
    except EOFError:  # it has ended
        process.join()
        return True
    finally:
        process.kill()
        process.join()
        ours.close()
