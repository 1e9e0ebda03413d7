"""Predictions that change hands: out-of-fold and test predictions of a team mate or a notebook.

* `files`: what an exchanged file holds, as parquet or CSV; no pickles
* `importing`: whether it fits, and a run of kind "import" of what does

What is scored is always computed here, from the predictions and the truth; no score of a file is
believed.
"""

from kit.exchange.files import Exchanged, export_run
from kit.exchange.importing import import_file

__all__ = ["Exchanged", "export_run", "import_file"]
