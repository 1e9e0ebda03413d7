"""Models: scikit-learn estimators that know their family, stop early and save natively."""
