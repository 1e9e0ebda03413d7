"""Kaggle: the only package that imports `kagglesdk`, and only when something is asked of it.

* `credentials`: where they are found, in the official order; `doctor`: what is wrong with them
* `client`: calls with timeouts and repetitions; `refusals`: what went wrong, in one sentence
* `reading`: JSON to facts; `metrics`: names of metrics; `pages`, `text`: the host's words as text
* `download`: one object of the storage; `files`: the data of a competition
* `submitting`: one submission, once; `uploads`: the bytes of it; `board`: the leaderboard
* `publishing`: datasets and kernels, for code competitions; `archives`: folders as zips
* `provider`: the contract of `kit.providers.base`, by means of the above

The wire contract is that of kagglesdk 0.1.37 and 0.1.38. Of the SDK kit uses its requests, its
addresses and its client; answers are read as JSON, so that a value the SDK does not know yet (a new
status) does not take the whole list with it.
"""

from kit.providers.kaggle.provider import KaggleProvider

__all__ = ["KaggleProvider"]
