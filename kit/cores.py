"""How many processor cores there are for this process; imports nothing heavier than numpy."""

from __future__ import annotations


def usable_cores() -> int:
    """Cores this process may use: what affinity (SLURM, taskset) and a container's quota leave.

    A machine's own number can be many times that, and so many threads on few cores wait for one
    another more than they work.
    """
    from joblib import cpu_count

    return int(cpu_count())
