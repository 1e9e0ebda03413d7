"""Metrics: what a competition's leaderboard computes, with its direction and what it needs."""

from kit.metrics.base import Metric, UndefinedMetric, check_metric, load_metric

__all__ = ["Metric", "UndefinedMetric", "check_metric", "load_metric"]
