"""The worst rows: their images and texts beside them, whatever is in them."""

from __future__ import annotations

import base64
import io
import re
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from kit.dataset import Dataset
from kit.decision import default_decision
from kit.images.column import ImageArray
from kit.images.store import Store
from kit.report.material import Truth
from kit.report.rows import worst_card

N = 4


def worst(columns: dict[str, Any], kinds: dict[str, str]) -> str:
    """The card of four rows that are worse from one to the next."""
    truth = Truth(
        task="binary", ids=np.array([f"r{k}" for k in range(N)]), fold=np.zeros(N, dtype=np.int8),
        y=np.ones(N, dtype=np.int64), weight=None, pred=np.array([[0.9], [0.6], [0.3], [0.1]]),
        names=("",), classes=("no", "yes"), metric=None, labels=np.ones(N, dtype=np.int64),
        decision=default_decision("binary", 1), rows=np.arange(N),
    )  # fmt: skip
    dataset = SimpleNamespace(X=pd.DataFrame(columns), kinds=kinds)
    return str(worst_card(truth, cast(Dataset, dataset), list(columns)))


@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_first_and_belong_to_their_rows(channels: int) -> None:
    pixels = np.zeros((N, 8, 8, channels), dtype=np.uint8)
    pixels += (np.arange(N) * 50).astype(np.uint8)[:, None, None, None]
    images = ImageArray(Store.of(pixels), np.array([0, 1, -1, 3]))
    card = worst({"a": range(N), "scan": images}, {"a": "numeric", "scan": "image"})
    first, *others = re.findall(r"<tr>(.*?)</tr>", card.partition("<tbody>")[2])
    cell = re.search(r'<td><img src="data:image/png;base64,([\w+/=]+)"', first)
    assert cell
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(cell[1]))))
    assert (shown == 150).all()
    assert "r3" in first
    assert "<td>–</td>" in others[0]  # r2 has no image
    assert card.index("scan") < card.index(">id<")


def test_the_longest_text_is_shown_at_length_and_stays_text() -> None:
    long = "<script>alert(1)</script> " + "word " * 100
    card = worst(
        {"a": range(N), "short": ["x"] * N, "body": [long] * 3 + [None]},
        {"a": "numeric", "short": "text", "body": "text"},
    )
    assert "<script>" not in card
    assert card.count('class="prose"') == 3
    shown = re.search(r'class="prose">(.*?)</div>', card)
    assert shown
    assert shown[1].startswith("&lt;script&gt;alert(1)")
    assert 100 < len(shown[1]) < 300
    assert card.index(">body<") < card.index(">a<")
    assert "None" not in card
