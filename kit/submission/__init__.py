"""From a run to a receipt: build the file, check it, hand it in once, remember what was said.

* `shape`: what the sample submission prescribes (header, ids, order)
* `building`: predictions -> ``submissions/<run id>.csv``
* `checking`: would the file be rejected, and why
* `receipts`: ``submissions/<stem>.json``, one per submission
* `sending`: the one place that calls `Provider.submit`

pandas is imported inside functions only.
"""

from kit.submission.building import build
from kit.submission.checking import validate
from kit.submission.receipts import Receipt, read_receipts
from kit.submission.sending import refresh, submit

__all__ = ["Receipt", "build", "read_receipts", "refresh", "submit", "validate"]
