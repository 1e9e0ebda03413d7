"""`kit tune`: a search for hyper-parameters whose trials are runs.

* `space`: what is searched, on this data, with what `kit.toml` says about it
* `points`: the configurations that are tried first, or only
* `study`: Optuna's study in the competition's folder, and who works on which trial
* `search`: trials through the workers until the number or the time is reached
* `rescoring`: the best ones again, on folds they were not chosen by
* `loop`: all of it in order
* `report`, `applying`: what comes of it: tables, pictures, `kit.toml`
"""
