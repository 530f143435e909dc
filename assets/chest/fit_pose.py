"""Fit what tells how a frontal chest film lies (timnet/films/pose.py) and write pose.safetensors.

Films: the demo cohort's training films (simulated), half of Mendeley-V2's training split (CC BY 4.0) and two
thirds of the patients of selections of NIH ChestX-ray14 (no restriction). No label is needed: each film is
seen in eight poses, four quarter turns and their mirror images, and its own is the right one. Some films of
public sets lie on their side: what a first fit finds turned or mirrored, the second does not learn from.

    .venv/bin/python assets/chest/fit_pose.py --mendeley FOLDER --nih FOLDER...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "assets" / "chest")]

import fit  # noqa: E402

from timnet.films.frontal_check import SIDE  # noqa: E402
from timnet.films.pose import WEIGHTS  # noqa: E402

FIRST, SECOND, BATCH, RATE = 1000, 3000, 48, 3e-3
"""Steps of the two fits, films a step, and the largest step size."""
TURNED, MIRRORED = 0.5, 0.9
"""Probabilities from which a film is left out of the second fit."""


class Pose(torch.nn.Module):
    """Film at 32 x 32, standardised -> how upright and unmirrored it looks (B, 1)."""

    def __init__(self) -> None:
        super().__init__()
        made = fit.Detector()
        self.grid = made.grid
        self.head = torch.nn.Sequential(*list(made.head)[:3], torch.nn.Linear(32, 1))

    def forward(self, x_B1SS: torch.Tensor) -> torch.Tensor:
        """Return a number a film."""
        return self.head(F.dropout(self.grid(x_B1SS), 0.3, self.training))


def poses(x_BSS: torch.Tensor) -> torch.Tensor:
    """Return films in eight poses (B, 8, S, S), in the order of `pose.poses`."""
    turned = [torch.rot90(x, k, (1, 2)) for x in (x_BSS, x_BSS.flip(2)) for k in range(4)]
    return torch.stack(turned, 1)


def logits(network: Pose, x_BSS: torch.Tensor) -> torch.Tensor:
    """Return a logit a pose (B, 8)."""
    x_B8SS = poses(x_BSS)
    return network(x_B8SS.flatten(0, 1)[:, None]).reshape(len(x_BSS), 8)


def changed(x_BSS: torch.Tensor) -> torch.Tensor:
    """Return films a little turned, scaled, shifted and of other contrast, standardised again."""
    number = len(x_BSS)
    angle, x_scale, y_scale = torch.randn(number) * 0.07, *(1 + torch.randn(2, number) * 0.08)
    rows = [angle.cos() * x_scale, -angle.sin() * y_scale, angle.sin() * x_scale, angle.cos() * y_scale]
    theta = torch.cat([torch.stack(rows, 1).reshape(number, 2, 2), torch.randn(number, 2, 1) * 0.06], 2)
    grid = F.affine_grid(theta, [number, 1, SIDE, SIDE], align_corners=False)
    moved = F.grid_sample(x_BSS[:, None], grid, align_corners=False, padding_mode="border")[:, 0]
    moved = moved.sign() * moved.abs() ** (torch.randn(number) * 0.15).exp()[:, None, None]
    return (moved - moved.mean((1, 2), keepdim=True)) / (moved.std((1, 2), keepdim=True) + 0.01)


def fitted(x_NSS: torch.Tensor, steps: int) -> Pose:
    """Return a network fitted to films that all count as upright."""
    torch.manual_seed(0)
    network = Pose()
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps)
    right = torch.zeros(BATCH, dtype=torch.long)
    for step in range(steps):
        batch = changed(x_NSS[torch.randint(len(x_NSS), (BATCH,))])
        loss = F.cross_entropy(logits(network, batch), right)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 200 == 0:
            print(f"step {step}: {loss.item():.4f}", flush=True)
    return network.eval()


def gathered(mendeley: Path, nih: list[Path]) -> np.ndarray:
    """Return films to fit on, uint8 (N, LARGE, LARGE)."""
    demo = pd.read_csv(ROOT / "assets" / "demo" / "studies.csv")
    demo = demo[(demo["split"] == "train") & (demo["view"] != "LATERAL")]
    paths = [ROOT / "assets" / "demo" / path for path in demo["path"]]
    paths += sorted((mendeley / "train").glob("*/*.jpeg"))[::2]
    for folder in nih:
        table = pd.read_csv(folder / "labels.csv")
        both = zip(table["path"], table["patient_id"], strict=True)
        paths += [folder / path for path, who in both if not held_out(who)]
    return np.stack([fit.small(Image.open(path)) for path in paths])


def held_out(patient: object) -> bool:
    """Return whether a patient of NIH is one of the third that is not learned from."""
    return fit.bucket(f"pose {patient}", 3) == 0


def main() -> None:
    """Gather, fit, leave out what lies otherwise, fit again, write."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--mendeley", type=Path, required=True, help="folder with train/*/*.jpeg")
    asked.add_argument("--nih", type=Path, nargs="+", required=True, help="folders with labels.csv")
    words = asked.parse_args()
    films = gathered(words.mendeley, words.nih).astype(np.float32) / 255
    small = films.reshape(len(films), SIDE, fit.LARGE // SIDE, SIDE, fit.LARGE // SIDE).mean((2, 4))
    small = (small - small.mean((1, 2), keepdims=True)) / (small.std((1, 2), keepdims=True) + 0.01)
    x_NSS = torch.from_numpy(small)
    network = fitted(x_NSS, FIRST)
    with torch.inference_mode():
        p_N8 = torch.cat([logits(network, part).softmax(1) for part in x_NSS.split(256)])
    turned = 1 - p_N8[:, 0] - p_N8[:, 4] > TURNED
    mirrored = p_N8[:, 4] / (p_N8[:, 0] + p_N8[:, 4]) > MIRRORED
    print(
        f"{len(films)} films; left out {int(turned.sum())} turned, {int((mirrored & ~turned).sum())} mirrored"
    )
    network = fitted(x_NSS[~(turned | mirrored)], SECOND)
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    save_file(state, WEIGHTS)
    print(f"{WEIGHTS.name}: {WEIGHTS.stat().st_size} bytes")


if __name__ == "__main__":
    main()
