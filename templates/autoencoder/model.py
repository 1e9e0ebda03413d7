"""A denoising autoencoder that makes columns: `kit cv linear model:hidden_classes`.

Some cells of every row are swapped for the same column's cell of another row, and a network has to
say what the row was. It never sees the target. To restore a cell it must know how the columns hang
together; what its layers answer to a row is then a description of the row, and a plain model that
reads this description can find what it could not find in the columns themselves.

Source: Vincent et al., "Extracting and composing robust features with denoising autoencoders"
(2008); swapped cells and all hidden layers as columns: Michael Jahrer's first place in Porto
Seguro's Safe Driver Prediction (2017).
"""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kit.keras import load_keras


class Denoiser(TransformerMixin, BaseEstimator):
    """Table `(n, d)` in, answers of the hidden layers `(n, sum(widths))` out.

    kit fits it inside each fold, on that fold's training rows alone.

    widths: neurons of each hidden layer.
    noise: share of the cells that are swapped.
    passes: over the rows, with other cells swapped each time.
    """

    def __init__(self, widths=(256, 256), noise=0.2, passes=60, random_state=0):
        self.widths = widths
        self.noise = noise
        self.passes = passes
        self.random_state = random_state

    def fit(self, X, y=None):
        """Learn to restore rows. `y` is there because scikit-learn passes it on; it is not used."""
        keras = load_keras()
        keras.utils.set_random_seed(self.random_state)
        rng = np.random.default_rng(self.random_state)
        rows = as_table(X)

        # 1. the network: as many numbers out as in
        hidden = [keras.layers.Dense(width, activation="relu") for width in self.widths]
        network = keras.Sequential([*hidden, keras.layers.Dense(rows.shape[1])])
        network.compile(optimizer="adam", loss="mean_squared_error", jit_compile=False)

        # 2. the training: noisy rows in, clean rows wanted
        self.losses_ = []  # mean squared error of every pass
        for _ in range(self.passes):
            told = network.fit(self.swapped(rows, rng), rows, batch_size=64, verbose=0)
            self.losses_.append(told.history["loss"][0])

        # 3. what is kept: the numbers in the network. A dense layer is one product and one sum
        self.layers_ = [layer.get_weights() for layer in network.layers]
        return self

    def swapped(self, rows, rng):
        """Every cell has the chance `noise` to come from another row; columns keep their values."""
        donors = rng.integers(len(rows), size=rows.shape)
        others = np.take_along_axis(rows, donors, axis=0)
        return np.where(rng.random(rows.shape) < self.noise, others, rows)

    def transform(self, X):
        """The answers of the hidden layers to clean rows."""
        return np.hstack(self.answers(X)[:-1])

    def restored(self, X):
        """The answer of the last layer: what the network thinks the rows are."""
        return self.answers(X)[-1]

    def answers(self, X):
        """Layer by layer, without Keras."""
        x, found = as_table(X), []
        for number, (weights, bias) in enumerate(self.layers_):
            x = x @ weights + bias
            if number < len(self.widths):  # relu; the last layer has none
                x = np.maximum(x, 0)
            found.append(x)
        return found


def as_table(X):
    """kit's recipe for linear models: scaled numbers, a column of 0 and 1 for each level."""
    return np.asarray(X.todense() if hasattr(X, "todense") else X, dtype=np.float32)


def hidden_classes(widths=(256, 256), noise=0.2, passes=60, C=1.0):
    """For classes: logistic regression on the hidden layers."""
    reader = LogisticRegression(C=C, max_iter=1000)
    return make_pipeline(Denoiser(tuple(widths), noise, passes), StandardScaler(), reader)


def hidden_numbers(widths=(256, 256), noise=0.2, passes=60):
    """For numbers: ridge regression on the hidden layers."""
    reader = RidgeCV(np.logspace(-1, 4, 11))
    return make_pipeline(Denoiser(tuple(widths), noise, passes), StandardScaler(), reader)
