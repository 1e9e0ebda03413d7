"""Images: from files, archives or pixel columns to arrays, and from those to embeddings.

* `files`: which images there are below a folder, zips included, and what each holds (a digest)
* `decode`: the bytes of one file as pixels, or why not
* `masks`: masks as run-length codes, and in another size
* `store`: all images of a column, decoded once into one memory-mapped array
* `column`: a column of a DataFrame that points into a store
* `attach`: puts such columns into the frames of a competition
* `torch_weights`: reads PyTorch's weight files without running what they hold
* `efficientnet`: EfficientNet-Lite0 in Keras
* `backbones`: pretrained networks by name
* `embeddings`: what a backbone makes of a store, computed once
"""
