"""What many models need is computed before them: once, counted, and within the time.

It is computed by a process of its own: it can be ended, it takes the deep-learning library along
when it goes, and while it works it has all cores.
"""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


def too_slow(
    work: Callable[[Any, Connection], None], what: Any, n: float, limit: float, trial: float
) -> float | None:
    """Have something computed, and give it up where it would not be there in time.

    Args:
        work: a module's function; computes and sends after every step how much is done so far.
        what: its first argument.
        n: how much there is to do.
        limit: `time.monotonic()` by which all is there.
        trial: how much has to be done before the time of the rest is guessed from it.

    Returns:
        None where it ended in time, else the seconds that it would have taken from its first step
        on (infinite: there was none). An error of the work is not told here: whoever misses what
        was to be made meets it again.
    """
    method = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    ours, theirs = method.Pipe(duplex=False)
    process = method.Process(target=work, args=(what, theirs), daemon=True)
    process.start()
    theirs.close()
    first: tuple[float, float] | None = None  # when it was told of a step, and what was done then
    whole = math.inf
    try:
        while ours.poll(max(0.0, limit - time.monotonic())):
            done, now = ours.recv(), time.monotonic()
            begun, before = first = first or (now, done)
            each = (now - begun) / max(done - before, 1e-9)
            whole = each * n if done > before else math.inf
            if done >= trial and now + each * (n - done) > limit:
                break
        return whole
    except EOFError:  # it has ended
        process.join()
        return None
    finally:
        process.kill()
        process.join()
        ours.close()
