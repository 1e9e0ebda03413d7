"""Optimizers and learning-rate schedules of Keras by name, as `kit.toml` sets them."""

from __future__ import annotations

from typing import Any, Literal

Optimizer = Literal["adamw", "adam", "nadam", "sgd", "rmsprop", "lion"]
Schedule = Literal["cosine", "warmup_cosine", "restarts", "step", "exponential", "constant"]

_WARMUP = 0.1  # of all steps
_LAST = 0.01  # of the learning rate: where "exponential" ends


def schedule(keras: Any, name: Schedule, rate: float, steps: int) -> Any:
    """How the step size moves over a training of `steps` steps.

    Args:
        keras: the module.
        name: "cosine": down to 0 along half a wave; "warmup_cosine": up for a tenth of the steps
            first (Goyal et al., 2017); "restarts": waves, each twice as long as the one before
            (SGDR, Loshchilov and Hutter, 2017); "step": a tenth of it after one half and again
            after three quarters (He et al., 2016); "exponential": down to a hundredth;
            "constant".
        rate: its peak.
        steps: of the whole training.
    """
    made = keras.optimizers.schedules
    if name == "cosine":
        return made.CosineDecay(rate, steps)
    if name == "warmup_cosine":
        warm = max(1, round(_WARMUP * steps))
        return made.CosineDecay(
            rate / warm, max(1, steps - warm), warmup_target=rate, warmup_steps=warm
        )
    if name == "restarts":
        return made.CosineDecayRestarts(rate, max(1, steps // 7), t_mul=2.0)  # 1 + 2 + 4 waves
    if name == "step":
        return made.PiecewiseConstantDecay(
            [steps // 2, steps * 3 // 4], [rate, rate / 10, rate / 100]
        )
    if name == "exponential":
        return made.ExponentialDecay(rate, steps, _LAST)
    return rate


def optimizer(
    keras: Any, name: Optimizer, rate: Any, *, momentum: float, weight_decay: float
) -> Any:
    """An optimizer with decoupled weight decay (Loshchilov and Hutter, 2019).

    Args:
        keras: the module.
        name: "adamw" and "adam" are the same but for the decay's default: here both decay as told.
        rate: the learning rate, or a schedule.
        momentum: how much of the last step is kept; of the Adam family and Lion the first beta.
            With "sgd" it is Nesterov's (1983; Sutskever et al., 2013); 0: plain gradient descent.
        weight_decay: share of the weights lost per step, times the learning rate.
    """
    made, decay = keras.optimizers, {"weight_decay": weight_decay or None}
    if name == "sgd":
        return made.SGD(rate, momentum=momentum, nesterov=momentum > 0, **decay)
    if name == "rmsprop":
        return made.RMSprop(rate, momentum=momentum, **decay)
    classes = {"adamw": made.AdamW, "adam": made.Adam, "nadam": made.Nadam, "lion": made.Lion}
    if name == "adamw":
        decay = {"weight_decay": weight_decay}
    return classes[name](rate, beta_1=momentum, **decay)
