"""What was handed in, what it scored, and what that says about the next one.

* `merging`: receipts and the server's list become one list, each submission once
* `book`: the rows with CV, public and private score, the gap and the residual
* `line`: the CV-LB line and whether it can be trusted
* `forecast`: is a run worth a submission
* `likeness`: how alike two submissions are
* `final`: which two to choose at the end
* `listed`: the server's list as it was when it was last seen

`kit ledger` must not wait for NumPy: what needs it is imported inside functions.
"""

from kit.ledger.book import Ledger, Row, ledger
from kit.ledger.line import Line, fit_line
from kit.ledger.merging import Entry, merge

__all__ = ["Entry", "Ledger", "Line", "Row", "fit_line", "ledger", "merge"]
