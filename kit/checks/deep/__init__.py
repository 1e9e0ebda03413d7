"""`kit check --deep`: checks that fit small models or compare many rows. Each samples, and says so.

Thresholds are two: an effect large enough to matter, and one that chance does not explain at the
size of the sample (five standard errors, or a corrected p-value below 0.001).
"""
