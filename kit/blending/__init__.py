"""Ways to combine out-of-fold predictions, and the honest choice between them; arrays only.

Owns: the losses a search minimises, the searches, the second level, calibration, the nested choice.
Must not know runs or folders: `kit.blend` aligns and publishes them, `kit auto` brings its own.
"""
