"""Where folds are computed. One description in, one result file out, wherever it runs."""
