"""A network of your own: `kit cv model:OwnNetwork`. As it stands it is the article's.

kit makes the batches, changes the training pictures a little each time, stops, saves and predicts.
Here stands only what happens to a picture between its pixels and a list of numbers; kit puts the
last layer behind it, one that fits the task.
"""

from keras import layers

from kit.models.neural.image_network import ImageNetwork


class OwnNetwork(ImageNetwork):
    """Convolutions find patterns; pooling keeps the strongest and halves the picture."""

    def tower(self, images, backbone):
        """Pictures `(n, size, size, channels)` of 0 to 255 in, `(n, width)` out."""
        x = layers.Rescaling(1 / 255)(images)  # small numbers learn better
        # of 28 pixels nothing would be left in the end: there, filters go over the edges
        edges = "valid" if images.shape[1] >= 46 else "same"
        for filters in (32, 64, 128, 128):  # the deeper, the more patterns
            # every filter looks at 3 x 3 pixels at a time, everywhere, for one pattern
            x = layers.Conv2D(filters, 3, padding=edges, activation="relu")(x)
            x = layers.MaxPooling2D(2)(x)
        x = layers.Flatten()(x)  # no longer where, only what
        x = layers.Dropout(0.5)(x)  # silence half while training: no pattern is relied on alone
        return layers.Dense(512, activation="relu")(x)
