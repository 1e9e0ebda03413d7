"""Where several folds at a time are computed: in processes here, or on the cluster."""

from __future__ import annotations

from kit.competition import Competition
from kit.execution.context import context_factory
from kit.execution.workers import FoldWorkers, Workers


def make_workers(competition: Competition, size: int) -> FoldWorkers:
    """The workers that `[execution]` names.

    Args:
        competition: the competition.
        size: how many processes where they are on this machine; a cluster has its own.
    """
    if competition.settings.execution.on:
        from kit.execution.cluster import ClusterWorkers

        return ClusterWorkers(competition)
    return Workers(size, context_factory(competition.root, competition.flags))
