"""Tables of a results file: scores, ranks, wins, time, memory, and how honest kit's CV was.

    python tests/benchmarks/strength/table.py results.jsonl [--budget 120] [--against autogluon]

A mean over seeds is taken over the seeds that all systems shown were run for; a system that left no
valid submission there is last. Of repeated runs the one least disturbed by others counts. The file
may hold several labels of kit: `--systems` says which to compare. Output is Markdown.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from measure import DISTURBED
from run import key_of, read_results
from tasks import GREATER_IS_BETTER

Line = dict[str, Any]
Scores = dict[str, dict[str, float]]  # task -> system -> mean score


def best_lines(lines: list[Line]) -> list[Line]:
    """One line per key: with a score if there is one, then the least disturbed."""
    chosen: dict[Any, Line] = {}

    def worth(line: Line) -> tuple[bool, float]:
        return line["score"] is not None, -line.get("others", math.inf)

    for line in lines:
        key = key_of(line)
        if key not in chosen or worth(line) > worth(chosen[key]):
            chosen[key] = line
    return list(chosen.values())


def mean_scores(lines: list[Line], systems: list[str]) -> tuple[Scores, dict[str, list[int]]]:
    """Mean score per task and system over the seeds that every system was run for.

    A system that left no valid submission for one of them has no mean (NaN).
    """
    cells: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for line in lines:
        score = line["score"]
        cells[line["task"], line["seed"]][line["label"]] = math.nan if score is None else score
    seeds: dict[str, list[int]] = defaultdict(list)
    for (task, seed), scores in sorted(cells.items()):
        if all(system in scores for system in systems):
            seeds[task].append(seed)
    means = {
        task: {
            system: statistics.fmean(cells[task, seed][system] for seed in common)
            for system in systems
        }
        for task, common in seeds.items()
    }
    return means, seeds


def ranks(scores: dict[str, float], metric: str) -> dict[str, float]:
    """1 is best; equal scores share the mean of their ranks; no score is last."""
    sign = -1 if metric in GREATER_IS_BETTER else 1
    ordered = {
        system: math.inf if math.isnan(score) else sign * score for system, score in scores.items()
    }
    return {
        system: 1
        + sum(other < value for other in ordered.values())
        + (sum(other == value for other in ordered.values()) - 1) / 2
        for system, value in ordered.items()
    }


def row(cells: list[Any]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(head: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table."""
    return "\n".join([row(head), row(["---"] * len(head)), *map(row, rows)])


def score_table(lines: list[Line], systems: list[str], against: str) -> str:
    """Mean hidden score per task, the mean rank, and wins, ties and losses against one system."""
    metric = {line["task"]: line["metric"] for line in lines}
    means, seeds = mean_scores(lines, systems)
    by_task = {task: ranks(scores, metric[task]) for task, scores in means.items()}
    rows: list[list[Any]] = []
    for task, scores in means.items():
        cells = [
            f"**{scores[s]:.5f}**"
            if by_task[task][s] == min(by_task[task].values())
            else f"{scores[s]:.5f}"
            for s in systems
        ]
        rows.append([task, metric[task], len(seeds[task]), *cells])
    if means:
        mean = [statistics.fmean(by_task[task][s] for task in means) for s in systems]
        rows.append(["mean rank", "", "", *[f"{value:.2f}" for value in mean]])
        if against in systems:
            rows.append(
                [
                    f"wins/ties/losses vs {against}",
                    "",
                    "",
                    *[wins(by_task, system, against) for system in systems],
                ]
            )
    return table(["data set", "metric", "seeds", *systems], rows)


def wins(by_task: dict[str, dict[str, float]], system: str, against: str) -> str:
    """How often the system's rank is better, equal, worse."""
    if system == against:
        return ""
    differences = [scores[system] - scores[against] for scores in by_task.values()]
    return "/".join(
        str(sum(test(d) for d in differences))
        for test in (lambda d: d < 0, lambda d: d == 0, lambda d: d > 0)
    )


def cost_table(lines: list[Line], systems: list[str]) -> str:
    """Wall time as a share of the budget, memory, failures and disturbed runs per system."""
    rows = []
    for system in systems:
        own = [line for line in lines if line["label"] == system]
        timed = [line for line in own if "wall" in line]
        if not timed:
            continue
        shares = [line["wall"] / line["budget"] for line in timed]
        over = max(line["wall"] - 1.05 * line["budget"] - 5 for line in timed)
        memory = [line["peak_mb"] for line in timed]
        rows.append(
            [
                system,
                len(own),
                f"{statistics.fmean(shares):.3f}",
                f"{max(shares):.3f}",
                f"{over:+.1f}",
                f"{statistics.median(memory):.0f}",
                f"{max(memory):.0f}",
                sum(line["score"] is None for line in own),
                sum(line["others"] > DISTURBED for line in timed),
            ]
        )
    head = ["system", "runs", "wall/budget mean", "max", "s over 1.05 T + 5 s (max)"]
    return table([*head, "peak MB median", "max", "no score", "disturbed"], rows)


def memory_table(lines: list[Line], systems: list[str]) -> str:
    """Peak memory of the process tree and wall time per task, means over the seeds."""
    cells: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        if "wall" in line:
            cells[line["task"], line["label"]].append(line)
    rows = []
    for task in dict.fromkeys(line["task"] for line in lines):
        shown = [task]
        for system in systems:
            own = cells.get((task, system), [])
            wall = statistics.fmean(line["wall"] for line in own) if own else math.nan
            peak = max((line["peak_mb"] for line in own), default=math.nan)
            shown.append(f"{wall:.0f} s, {peak:.0f} MB" if own else "")
        rows.append(shown)
    return table(["data set", *systems], rows)


def signed_gap(line: Line) -> float | None:
    """CV minus hidden score in standard deviations of the folds; positive: CV was optimistic."""
    if line["score"] is None or line.get("cv") is None or not line.get("cv_std"):
        return None
    sign = 1 if line["metric"] in GREATER_IS_BETTER else -1
    return sign * (line["cv"] - line["score"]) / line["cv_std"]


def honesty_table(lines: list[Line], system: str) -> str:
    """CV (nested for a blend) against the hidden score."""
    rows: list[list[Any]] = []
    gaps: dict[str, list[float]] = defaultdict(list)
    for line in sorted(lines, key=lambda line: (line["task"], line["seed"])):
        gap = signed_gap(line) if line["label"] == system else None
        if gap is not None:
            gaps[line["task"]].append(gap)
            rows.append(
                [
                    line["task"],
                    line["seed"],
                    f"{line['cv']:.5f}",
                    f"{line['score']:.5f}",
                    f"{line['cv_std']:.5f}",
                    f"{gap:+.2f}",
                ]
            )
    if not gaps:
        return ""
    means = [statistics.fmean(values) for values in gaps.values()]
    spread = statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    rows.append(
        ["mean over data sets", "", "", "", "", f"{statistics.fmean(means):+.2f} ± {spread:.2f}"]
    )
    head = ["data set", "seed", "CV", "hidden", "std of folds", "gap in stds (+: CV optimistic)"]
    return table(head, rows)


def main() -> None:
    """Print all tables of one budget."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path)
    parser.add_argument("--budget", type=float, default=120.0)
    parser.add_argument("--against", default="autogluon")
    parser.add_argument("--systems", nargs="+", help="default: all in the file")
    options = parser.parse_args()
    lines = [line for line in read_results(options.results) if line["budget"] == options.budget]
    systems = options.systems or list(dict.fromkeys(line["label"] for line in lines))
    lines = best_lines([line for line in lines if line["label"] in systems])
    print(f"## Hidden scores, {options.budget:g} s\n")
    print(score_table(lines, systems, options.against))
    print("\n## Time and memory\n")
    print(cost_table(lines, systems), memory_table(lines, systems), sep="\n\n")
    for system in systems:
        honest = honesty_table(lines, system)
        if honest:
            print(f"\n## CV against hidden score: {system}\n\n{honest}")


if __name__ == "__main__":
    main()
