"""What the host of a competition says, as text in Markdown files: never as markup.

Standard library only.
"""

from __future__ import annotations

import re
import textwrap

from kit.providers.base import Description

PAGES_NAME = "COMPETITION.md"
_WIDTH = 100
_KINDS = {
    "notebooks": "code competition: notebooks are handed in, not files",
    "hackathon": "hackathon: no metric, people judge",
    "simulation": "simulation: agents play against one another",
}


def plain(text: str) -> str:
    """One line of foreign text that Markdown shows as it is: no HTML, links, images or code."""
    one = " ".join(text.split())
    return re.sub(r"([\\`\[\]|])", r"\\\1", one).replace("<", "&lt;")


def fact_lines(description: Description) -> str:
    """What is known of the competition, a list item each; empty where nothing is."""
    accepted = {True: "accepted", False: f"**not accepted yet**: {description.url}/rules"}
    facts = {
        "Metric": plain(description.metric),
        "Deadline": _moment(description.deadline),
        "Last day to join teams": _moment(description.merger_deadline),
        "Submissions a day": description.daily_limit,
        "Largest team": description.team_size,
        "Teams": description.teams,
        "Prize": plain(description.prize),
        "Kind": _KINDS.get(description.kind, ""),
        "Rules": "" if description.rules_accepted is None else accepted[description.rules_accepted],
        "Submissions": "none are taken" if description.closed else "",
        "The host's pages": f"in `{PAGES_NAME}`" if description.pages else "",
    }
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value)


def pages_text(description: Description) -> str:
    """All pages of the host, each as a block of plain text."""
    blocks = [
        f"# {plain(description.title)}",
        f"What the host wrote at {description.url}, as plain text, when this folder was made. "
        "Look there for changes.",
    ]
    for page in description.pages:
        text = "\n".join(_wrapped(line) for line in page.text.split("\n"))
        # a fence longer than any in the text: nothing in it ends the block
        longest = max((len(run) for run in re.findall("~+", text)), default=0)
        fence = "~" * max(3, longest + 1)
        blocks += [f"## {plain(page.name)}", f"{fence}text\n{text}\n{fence}"]
    return "\n\n".join(blocks) + "\n"


def _wrapped(line: str) -> str:
    if len(line) <= _WIDTH:
        return line
    return textwrap.fill(line, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _moment(text: str) -> str:
    return text.replace("T", " ").removesuffix("Z")[:16] + " UTC" if text else ""
