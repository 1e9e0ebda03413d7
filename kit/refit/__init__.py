"""Models fitted on all rows (`kit fit`), and predictions for new rows (`kit predict`).

* `members`: what a run stands for: specs, stopping points
* `mixing`: how a blend makes one prediction of its parents'
* `saved`: fitted models in a run's folder, and what predicts with them
* `final`: fit the members on all training rows and publish them as a run
* `rows`: rows of a file as the recipes know them
* `predict`: a file in, a file out, chunk by chunk
"""
