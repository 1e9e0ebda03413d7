"""Metrics: what a competition's leaderboard computes, with its direction and what it needs."""

from kit.metrics.base import Metric, UndefinedMetric, load_metric
from kit.metrics.contract import check_metric

__all__ = ["Metric", "UndefinedMetric", "check_metric", "load_metric"]
