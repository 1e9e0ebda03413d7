"""`kit check`: what is wrong, or suspicious, before any model is trained.

`check` runs every entry of the catalogue on one competition and returns a `Report`. A finding has
a code (`KIT201`) by which `[check] mute` in `kit.toml` accepts it.
"""

from kit.checks.finding import Finding, Report, Severity
from kit.checks.runner import check

__all__ = ["Finding", "Report", "Severity", "check"]
