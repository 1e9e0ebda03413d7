"""The two things Keras has no common name for: gradients of a function, and compiling one.

Everything else of the batched networks is written once on `keras.ops`. Functions given to these
two take and return tensors (and lists of them) only, and change nothing outside.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

Tensors = list[Any]


def gradients(
    function: Callable[[Tensors], tuple[Any, Any]],
) -> Callable[[Tensors], tuple[Any, Tensors]]:
    """Gradients of a scalar function of a list of tensors.

    Args:
        function: returns the scalar and something to keep.

    Returns:
        A function that returns what is to be kept, and the gradients.
    """
    import keras

    name = keras.backend.backend()
    if name == "tensorflow":
        return _tensorflow_gradients(function)
    if name == "jax":
        return _jax_gradients(function)
    return _torch_gradients(function)


def compiled(function: Callable[..., Any], *, xla: bool) -> Callable[..., Any]:
    """The function, compiled once per shape of its arguments; as it is on torch.

    Args:
        function: of tensors, without side effects.
        xla: TensorFlow only: let XLA fuse the operations (a second or more to compile).
    """
    import keras

    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=xla, autograph=False)
    if name == "jax":
        return import_module("jax").jit(function)
    return function


def _tensorflow_gradients(function: Callable[[Tensors], Any]) -> Callable[[Tensors], Any]:
    import tensorflow as tf

    def both(weights: Tensors) -> tuple[Any, Tensors]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            value, kept = function(weights)
        zero = tf.UnconnectedGradients.ZERO
        return kept, tape.gradient(value, weights, unconnected_gradients=zero)

    return both


def _jax_gradients(function: Callable[[Tensors], Any]) -> Callable[[Tensors], Any]:
    found = import_module("jax").value_and_grad(function, has_aux=True)

    def both(weights: Tensors) -> tuple[Any, Tensors]:
        (_, kept), slopes = found(weights)
        return kept, slopes

    return both


def _torch_gradients(function: Callable[[Tensors], Any]) -> Callable[[Tensors], Any]:
    torch = import_module("torch")

    def both(weights: Tensors) -> tuple[Any, Tensors]:
        leaves = [weight.detach().requires_grad_(True) for weight in weights]
        with torch.enable_grad():
            value, kept = function(leaves)
            found = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
        return kept.detach(), list(found)

    return both
