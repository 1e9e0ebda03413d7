"""`kit check --null-labels`: on permuted labels the whole pipeline must score at chance."""

from kit.permutation.proof import Proof, prove

__all__ = ["Proof", "prove"]
