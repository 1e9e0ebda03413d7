"""Networks in Keras 3 on `keras.ops`: the same code on TensorFlow (default), JAX and torch."""
