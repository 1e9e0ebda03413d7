"""kit: the whole loop of a Kaggle competition behind one command line.

Nothing happens at import: no network, no folder, no logging, no seeds.
"""

__version__ = "0.1.0"
