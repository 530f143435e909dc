"""Maps by other methods, for comparison: pytorch-grad-cam's, one at a time.

Owns the choice of methods and the lock: the library hangs hooks on the network and leaves gradients in it, so
that two threads at once would read each other's, or crash. It works behind the last grid alone, the trunk is
not run again. Its maps are stretched to 0..1: the hottest point says nothing of how much evidence there is.
For the project's own maps see `cam`.

Shapes: C channels, h w grid, L logits.
"""

from __future__ import annotations

import threading
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from timnet.evaluation.maps.cam import Head

Method = Literal["GradCAM++", "LayerCAM", "HiResCAM", "EigenCAM"]
METHODS: tuple[Method, ...] = get_args(Method)
_LOCK = threading.Lock()


class _Behind(nn.Module):
    """What comes after the last grid, which passes through a layer of its own for the library to hook."""

    def __init__(self, network: nn.Module, head: Head) -> None:
        super().__init__()
        self.network, self.head, self.tap = network, head, nn.Identity()

    def forward(self, grid_BChw: Tensor) -> Tensor:
        return self.head(self.tap(grid_BChw).mean((2, 3)))


def stretched(
    method: Method, network: nn.Module, grid_1Chw: Tensor, head: Head, logit: int
) -> NDArray[np.float32]:
    """Return one logit's map (h, w) by a method of pytorch-grad-cam, stretched to 0..1.

    EigenCAM knows no logit: its map is the same for all.

    Raises:
        ValueError: another method.
    """
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    if method not in METHODS:
        raise ValueError(f"method: expected {' or '.join(METHODS)}, got {method!r}")
    kind = getattr(pytorch_grad_cam, {"GradCAM++": "GradCAMPlusPlus"}.get(method, method))
    behind = _Behind(network, head)
    with _LOCK, kind(behind, [behind.tap]) as library:
        # Maps stay at the grid's size: the library would enlarge them to its input's.
        library.get_target_width_height = lambda _: None
        map_1hw = library(grid_1Chw.detach().clone().requires_grad_(), [ClassifierOutputTarget(logit)])
        network.zero_grad(set_to_none=True)
    return np.asarray(map_1hw[0], np.float32)
