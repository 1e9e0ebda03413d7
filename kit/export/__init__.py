"""A run as a code competition wants it: a dataset with models and code, a kernel that predicts.

* `names`: user, slugs, titles, file names, and what Kaggle allows of them
* `scan`: what the competition's code must not do where it will run
* `exportable`: what of a run goes into the bundle, or why it cannot
* `bundle`: write the two folders
* `kernel`: the script that runs on Kaggle; standard library only until it has found the bundle
* `inference`: what the script calls: a test file in, a checked submission file out
* `guard`, `proof`: the bundle is run without network in a clean environment, and compared
* `wheels`: packages that the image lacks
* `ready`: all of that in order
* `publishing`: upload, push, poll, check what came out, submit
"""
