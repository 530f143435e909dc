"""The downstream classifier: the image branch's convolutional layers under a new shallow head.

Sec. III-C: a 1x1 convolution, a fully connected layer with 512 neurons and an output layer. The 1x1
convolution is followed by batch norm and ReLU like those of the branches. One logit a label; a binary task
has one label. `Probe` is the classifier of a trunk left as it is: one linear layer on its pooled features.

Shapes: B batch, S side, C channels, h w grid, L labels.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from timnet.model.branches import Trunk


class Classifier(nn.Module):
    """Film -> one logit a label."""

    def __init__(self, trunk: Trunk, labels: int, width: int = 512, hidden: int = 512) -> None:
        super().__init__()
        self.trunk = trunk
        self.conv = nn.Conv2d(trunk.channels, width, kernel_size=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width, hidden)
        self.out = nn.Linear(hidden, labels)

    def grid(self, x_B1SS: Tensor) -> Tensor:
        """Return the last grid before pooling, (B, C, h, w), non-negative: the tap of every map."""
        return F.relu(self.bn(self.conv(self.trunk(x_B1SS))))

    def head(self, pooled_BC: Tensor) -> Tensor:
        """Return the logits (B, L) of the pooled grid."""
        return self.out(F.relu(self.fc(pooled_BC)))

    def forward(self, x_B1SS: Tensor) -> Tensor:
        """Return the logits (B, L) of films in [0, 1]."""
        return self.head(self.grid(x_B1SS).mean((2, 3)))


class Probe(nn.Module):
    """Film -> one logit a label, linear in the trunk's pooled features."""

    def __init__(self, trunk: Trunk, labels: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.out = nn.Linear(trunk.channels, labels)

    def grid(self, x_B1SS: Tensor) -> Tensor:
        """Return the trunk's last features, (B, C, h, w), non-negative: the tap of every map."""
        return self.trunk(x_B1SS)

    def head(self, pooled_BC: Tensor) -> Tensor:
        """Return the logits (B, L) of the pooled grid."""
        return self.out(pooled_BC)

    def forward(self, x_B1SS: Tensor) -> Tensor:
        """Return the logits (B, L) of films in [0, 1]."""
        return self.head(self.grid(x_B1SS).mean((2, 3)))
