"""Layers that are computed again for their gradients rather than kept: memory for time.

PyTorch's checkpoint, with the one thing that it leaves open: the second time, the running means of batch norm
stay as the first left them. Numbers drawn, such as those of dropout, are the same both times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def again(module: nn.Module, run: Callable[..., Any], *inputs: Any) -> Any:
    """Return `run(*inputs)`, a part of `module`; what lies between is computed again when it is wanted."""
    if not torch.is_grad_enabled():
        return run(*inputs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _still(module)

    return checkpoint(run, *inputs, use_reentrant=False, context_fn=contexts)


@contextmanager
def _still(module: nn.Module) -> Iterator[None]:
    """Let a module work on copies of its buffers."""
    # Copied back over the originals, they would seem changed to what has been kept for the gradients.
    held = [(each._buffers, dict(each._buffers)) for each in module.modules()]
    for buffers, originals in held:
        buffers.update({name: None if one is None else one.clone() for name, one in originals.items()})
    try:
        yield
    finally:
        for buffers, originals in held:
            buffers.update(originals)
