"""Configurations for images.

With a pretrained backbone the vectors of all images are computed once (`kit.images.embeddings`);
every model of tables then takes seconds. Networks that learn from the pixels take as long as all
others together; `row_seconds` is a third of what their whole schedule takes on two cores.
"""

from __future__ import annotations

from kit.portfolio.entry import Entry

IMAGES: tuple[Entry, ...] = (
    Entry(
        name="image-linear",
        use="linear",
        why="a straight line through what a pretrained network sees",
        params={"strengths": (30.0, 100.0, 300.0, 1000.0)},
        kinds=("image",),
        seeded=False,
        weight=1.5,
    ),
    Entry(
        name="image-mlp",
        use="mlp",
        why="a dense head on the same vectors",
        recipe="neural_vectors",
        params={"layers": (256,), "epochs": 30, "dropout": 0.5},
        kinds=("image",),
        min_seconds=15,
        weight=2,
    ),
    Entry(
        name="finetune",
        use="finetune",
        why="the last layers of the pretrained network learn along",
        kinds=("image",),
        row_seconds=3.0,
        weight=6,
    ),
    Entry(
        name="resnet",
        use="resnet",
        why="sees the pixels themselves",
        kinds=("image",),
        row_seconds=0.3,
        side=64,
        weight=4,
    ),
    Entry(
        name="cnn",
        use="cnn",
        why="four convolutions",
        kinds=("image",),
        row_seconds=4.0,
        side=150,
        weight=4,
    ),
)
