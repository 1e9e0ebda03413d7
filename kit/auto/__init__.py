"""`kit auto`: a portfolio, a blend and a validated submission inside a hard time limit.

* `budget`: the time that is left, what is kept back for the ending
* `memory`: what a fit will need, what there is
* `job`, `schedule`: who works on what until the time is over
* `loop`: all of it in order
"""
