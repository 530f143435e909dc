"""The script that one writes without timnet: torchvision's ResNet-18, PIL, transforms, DataLoader, fp32.

What `finetune_speed.py` and `curve_speed.py` compare with: every film is decoded each time it is seen, and
the test films are looked at after every epoch, as such scripts do; `--test end` looks once, as timnet does.
Prints one JSON object.

    .venv/bin/python benchmarks/plain_finetune.py FOLDER --fraction 0.01 --epochs 5
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Films(Dataset):
    """Films of train|val|test / NORMAL|PNEUMONIA with their labels."""

    def __init__(self, paths: list[Path], change: Callable[[Image.Image], Tensor]) -> None:
        self.paths, self.change = paths, change

    def __len__(self) -> int:
        """Return the number of films."""
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, float]:
        """Decode one film and return it, changed, with its label."""
        path = self.paths[index]
        return self.change(Image.open(path).convert("RGB")), float(path.parent.name == "PNEUMONIA")


def main() -> None:
    """Train, test, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fraction", type=float, default=1.0)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", default="base", help="base, or a state dict of torchvision's ResNet-18")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--test", choices=["epoch", "end", "never"], default="epoch")
    words = parser.parse_args()
    begun = time.perf_counter()
    torch.manual_seed(words.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    resized = [transforms.Resize((words.side, words.side))]
    changed = [
        transforms.RandomAffine(20, translate=(0.06, 0.06), scale=(0.8, 1.2)),
        transforms.ColorJitter(brightness=0.16, contrast=0.4),
    ]
    ready = [transforms.ToTensor(), transforms.Normalize(MEAN, DEVIATION)]
    paths = {part: sorted((words.folder / part).glob("*/*.jp*g")) for part in ("train", "val", "test")}
    train = paths["train"] + paths["val"]
    drawn = torch.randperm(len(train), generator=torch.Generator().manual_seed(words.seed))
    train = [train[int(i)] for i in drawn[: round(words.fraction * len(train))]]
    learn = DataLoader(
        Films(train, transforms.Compose([*resized, *changed, *ready])),
        batch_size=words.batch,
        shuffle=True,
        drop_last=len(train) > words.batch,
        num_workers=words.workers,
    )
    test = DataLoader(
        Films(paths["test"], transforms.Compose([*resized, *ready])), batch_size=64, num_workers=words.workers
    )
    network = models.resnet18()
    if words.start != "base":
        network.load_state_dict(torch.load(words.start, weights_only=True))
    network.fc = nn.Sequential(nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 1))
    network.to(device)
    optimizer, loss_of = torch.optim.Adam(network.parameters(), lr=1e-4), nn.BCEWithLogitsLoss()
    stamps, area = [], None
    for epoch in range(words.epochs):
        network.train()
        for films, labels in learn:
            optimizer.zero_grad()
            loss = loss_of(network(films.to(device))[:, 0], labels.to(device).float())
            loss.backward()
            optimizer.step()
            loss.item()
            stamps.append(time.perf_counter())
        if words.test == "epoch" or (words.test == "end" and epoch == words.epochs - 1):
            area = tested(network, test, device)
    steps = len(stamps)
    fields = {"steps": steps, "films": len(train), "auROC": area}
    fields["step_seconds"] = (stamps[-1] - stamps[0]) / (steps - 1) if steps > 1 else None
    fields["seconds"] = time.perf_counter() - begun
    print(json.dumps(fields))


@torch.inference_mode()
def tested(network: nn.Module, test: DataLoader, device: torch.device) -> float:
    """Return the auROC on the test films."""
    network.eval()
    said, truth = [], []
    for films, labels in test:
        said.append(network(films.to(device))[:, 0].cpu())
        truth.append(labels)
    return float(roc_auc_score(torch.cat(truth), torch.cat(said)))


if __name__ == "__main__":
    main()
