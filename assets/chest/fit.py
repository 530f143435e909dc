"""Fit the detector of frontal chest films (timnet/films/frontal_check.py) and write chest.safetensors.

Frontal films: the demo cohort's training films (simulated), half of Mendeley-V2's training split (CC BY 4.0)
and two thirds of the patients of a selection of NIH ChestX-ray14 (no restriction). Lateral films: the demo
cohort's of its training patients, and rays summed through the CT of `make ct` from about the side. Everything
else is drawn here: leaves upon leaves with textures, noise of many spectra, pages, charts, shapes, sagittal
and oblique CT slices, and chest films cut up, cropped or shuffled. No photograph, no axial slice and no real
lateral film is seen: those are what benchmarks/refusal.py measures on.

    .venv/bin/python assets/chest/fit.py --mendeley FOLDER --nih FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from safetensors.torch import load_file, save_file
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from timnet.films.frontal_check import FRONTAL, LATERAL, OTHER, SIDE, WEIGHTS  # noqa: E402
from timnet.simulation import anatomy  # noqa: E402

LARGE, MIDDLE = 96, 48
"""Side of the pictures as they are drawn, and from which they are changed at random into SIDE x SIDE."""
STEPS, FRONTALS, LATERALS, OTHERS = 2000, 80, 40, 104
"""Steps, and pictures of each class in a batch."""
DOUBTED = 0.98
"""Share of the drawn pictures kept aside that are doubted. No more: a film doubted wrongly stops a reader,
and films of other hospitals differ more than those kept aside."""


class Detector(torch.nn.Module):
    """Film at 32 x 32, standardised -> logits of FRONTAL, LATERAL and OTHER."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        channels = [1, width, 2 * width, 4 * width]
        for before, after in itertools.pairwise(channels):
            layers += [torch.nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)]
            layers += [torch.nn.BatchNorm2d(after), torch.nn.ReLU()]
        self.grid = torch.nn.Sequential(*layers)
        # No pooling: where the dark fields lie is what makes a chest.
        self.head = torch.nn.Sequential(
            torch.nn.Flatten(),
            torch.nn.Linear(4 * width * (SIDE // 8) ** 2, 32),
            torch.nn.ReLU(),
            torch.nn.Linear(32, 3),
        )

    def forward(self, x_B1SS: torch.Tensor) -> torch.Tensor:
        """Return logits (B, 3)."""
        logits: torch.Tensor = self.head(self.grid(x_B1SS))
        return logits


@torch.inference_mode()
def judged(detector: Detector, x_B1SS: torch.Tensor) -> torch.Tensor:
    """Return the probabilities of the classes (B, 3), the mean of each film's and its mirror image's."""
    # A mirrored chest is as much a chest, and what the detector errs on it rarely errs on twice.
    return torch.stack([detector(x).double().softmax(1) for x in (x_B1SS, x_B1SS.flip(-1))]).mean(0)


def loaded() -> Detector:
    """Return the detector that is shipped."""
    detector = Detector()
    detector.load_state_dict({name: each.float() for name, each in load_file(WEIGHTS).items()}, strict=False)
    return detector.eval()


def main() -> None:
    """Gather, fit, choose the threshold on films kept aside, write."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument(
        "--mendeley", type=Path, required=True, help="folder with train/NORMAL, train/PNEUMONIA"
    )
    asked.add_argument("--nih", type=Path, required=True, help="folder with labels.csv (path, patient_id)")
    asked.add_argument("--ct", type=Path, default=ROOT / "build" / "ct")
    asked.add_argument("--laterals", type=int, default=240)
    asked.add_argument("--drawn", type=int, default=3600)
    asked.add_argument("--kept", type=Path, help="file that keeps the drawn pictures between runs")
    asked.add_argument("--threshold", action="store_true", help="keep the weights, choose the threshold anew")
    words = asked.parse_args()
    frontal, aside = frontals(words.mendeley, words.nih)
    laterals = lateral_films(words.ct, words.laterals)
    if words.kept and words.kept.is_file():
        others = np.load(words.kept)
    else:
        others = pictures(words.drawn, words.ct)
        if words.kept:
            np.save(words.kept, others)
    print(f"{len(frontal)} frontal, {len(aside)} aside, {len(laterals)} lateral, {len(others)} others")
    others_aside = others[::8]
    rest = np.delete(others, np.s_[::8], 0)
    detector = loaded() if words.threshold else fitted(frontal, laterals, rest)
    least = threshold(detector, aside, others_aside)
    state = {
        name: value.half() if value.is_floating_point() else value
        for name, value in detector.state_dict().items()
    }
    save_file(state, WEIGHTS, metadata={"least_frontal": f"{least:.4f}"})
    print(f"doubts below {least:.4f}; {WEIGHTS.stat().st_size} bytes")


def frontals(mendeley: Path, nih: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return frontal films to fit on and those kept aside, uint8 (N, LARGE, LARGE); by patient."""
    fit: list[np.ndarray] = []
    aside: list[np.ndarray] = []
    demo = pd.read_csv(ROOT / "assets" / "demo" / "studies.csv")
    demo = demo[(demo["split"] == "train") & (demo["view"] != "LATERAL")]
    named = [
        (ROOT / "assets" / "demo" / path, f"demo {who}")
        for path, who in zip(demo["path"], demo["patient"], strict=True)
    ]
    for path in sorted((mendeley / "train").glob("*/*.jpeg"))[::2]:
        # The file's name up to its second hyphen or underscore is its patient's.
        named.append((path, "mendeley " + "-".join(path.stem.replace("_", "-").split("-")[:2])))
    table = pd.read_csv(nih / "labels.csv")
    for path, who in zip(table["path"], table["patient_id"], strict=True):
        if not held_out(f"nih {who}"):
            named.append((nih / path, f"nih {who}"))
    for path, who in named:
        (aside if bucket(who, 8) == 0 else fit).append(small(Image.open(path)))
    return np.stack(fit), np.stack(aside)


def held_out(patient: str) -> bool:
    """Return whether a patient is one of the third that benchmarks/refusal.py measures on."""
    return bucket(f"refusal {patient}", 3) == 0


def bucket(words: str, buckets: int) -> int:
    """Return a number in 0..buckets - 1, always the same for the same words."""
    return int(hashlib.sha256(words.encode()).hexdigest()[:8], 16) % buckets


def small(image: Image.Image) -> np.ndarray:
    """Return a picture pressed into LARGE x LARGE greys."""
    image.draft("L", (LARGE, LARGE))
    return np.asarray(image.convert("L").resize((LARGE, LARGE), Image.Resampling.BOX))


def lateral_films(ct: Path, number: int) -> np.ndarray:
    """Return lateral films: the demo cohort's of its training patients, and rays through the CT."""
    demo = pd.read_csv(ROOT / "assets" / "demo" / "studies.csv")
    demo = demo[(demo["split"] == "train") & (demo["view"] == "LATERAL")]
    made = [small(Image.open(ROOT / "assets" / "demo" / path)) for path in demo["path"]]
    chest = anatomy.load(ct)
    tissue, bone = (part[::2, ::3, ::3] for part in (chest.tissue, chest.bone))
    for i in range(number):
        rng = np.random.default_rng((11, i))
        volume = tissue + bone * rng.uniform(0.5, 1.6)
        turned = ndimage.rotate(volume, rng.normal(0, 7), (1, 2), order=1, reshape=False)
        turned = ndimage.rotate(turned, rng.normal(0, 6), (0, 1), order=1, reshape=False)
        low, high = int(rng.integers(0, 12)), len(turned) - int(rng.integers(0, 16))
        water = turned[low:high, int(rng.integers(0, 8)) :].sum(2)[::-1]
        picture = 1 - np.exp(-water / np.quantile(water, 0.9) * rng.uniform(0.6, 2.6))
        picture = np.clip((picture - rng.uniform(0, 0.3)) / rng.uniform(0.6, 1), 0, 1)
        made.append(small(Image.fromarray(np.rint(picture * 255).astype(np.uint8))))
    return np.stack(made)


def pictures(number: int, ct: Path) -> np.ndarray:
    """Return pictures that are no chest films, uint8 (number, LARGE, LARGE)."""
    chest = anatomy.load(ct)
    volume = chest.tissue + chest.bone
    drawn = []
    kinds = (leaves, leaves, leaves, spectrum, page, chart, shapes, slices, body)
    for i in range(number):
        rng = np.random.default_rng((12, i))
        picture = kinds[i % len(kinds)](rng, volume)
        spread = max(float(picture.max() - picture.min()), 1e-6)
        drawn.append(np.rint((picture - picture.min()) / spread * 255).astype(np.uint8))
    return np.stack(drawn)


def spectrum(rng: np.random.Generator, _: object = None) -> np.ndarray:
    """Noise whose power falls with frequency, from white to clouds, stretched in one direction."""
    across, down = np.meshgrid(np.fft.rfftfreq(LARGE), np.fft.fftfreq(LARGE))
    stretch = np.exp(rng.normal(0, 0.6))
    frequency = np.hypot(across * stretch, down / stretch) + 1 / LARGE
    waves = np.fft.rfft2(rng.normal(size=(LARGE, LARGE))) / frequency ** rng.uniform(0, 2.2)
    return np.fft.irfft2(waves, (LARGE, LARGE))


@lru_cache(maxsize=256)
def _texture(number: int) -> np.ndarray:
    return _scaled(spectrum(np.random.default_rng((13, number))))


def texture(rng: np.random.Generator) -> np.ndarray:
    """Return one of 256 noises, turned and moved at random."""
    noise = np.rot90(_texture(int(rng.integers(256))), int(rng.integers(4)))
    return np.roll(noise, rng.integers(0, LARGE, 2), (0, 1))


def leaves(rng: np.random.Generator, _: object = None) -> np.ndarray:
    """Textured shapes that hide each other, in sizes like those of things in photographs."""
    picture = texture(rng) * rng.uniform(0.1, 1) + rng.uniform(0, 0.6)
    if rng.random() < 0.4:
        picture = picture + np.linspace(0, rng.normal(0, 0.7), LARGE)[:, None]
    rows, columns = np.mgrid[:LARGE, :LARGE]
    for _i in range(int(rng.integers(1, 30))):
        size = min(4 / rng.uniform(0.05, 1) ** 1.2, 60)
        row, column, angle = rng.uniform(-5, LARGE + 5), rng.uniform(-5, LARGE + 5), rng.uniform(0, np.pi)
        along = (rows - row) * np.cos(angle) + (columns - column) * np.sin(angle)
        aside = (columns - column) * np.cos(angle) - (rows - row) * np.sin(angle)
        aside = aside * np.exp(rng.normal(0, 0.7))
        power = rng.choice([1.0, 2.0, 2.0, 6.0])
        inside = np.abs(along / size) ** power + np.abs(aside / size) ** power < 1
        shade = texture(rng) * rng.uniform(0, 0.6) + rng.uniform(0, 1) + along / size * rng.normal(0, 0.2)
        picture = np.where(inside, shade, picture)
    return ndimage.gaussian_filter(picture, rng.uniform(0, 1.2))


def page(rng: np.random.Generator, _: object = None) -> np.ndarray:
    """A page of letters, dark on light or light on dark."""
    canvas = Image.new("L", (256, 256), 255)
    pen, top = ImageDraw.Draw(canvas), int(rng.integers(0, 60))
    font = ImageFont.truetype(ROOT / "assets" / "font" / "DejaVuSans.ttf", int(rng.integers(8, 30)))
    left = int(rng.integers(0, 80))
    letters = np.array(list("abcdefghiklmnoprstuvwxyz      ABCDT0123456789.,"))
    while top < 256:
        if rng.random() < 0.85:
            pen.text((left, top), "".join(rng.choice(letters, int(rng.integers(4, 70)))), 0, font)
        top += int(font.size * rng.uniform(1.1, 2.2))
    picture = np.asarray(canvas.resize((LARGE, LARGE), Image.Resampling.BOX), float)
    return -picture if rng.random() < 0.4 else picture


def chart(rng: np.random.Generator, _: object = None) -> np.ndarray:
    """Axes with lines, bars or a matrix of squares."""
    canvas = Image.new("L", (LARGE * 2, LARGE * 2), 255)
    pen, size = ImageDraw.Draw(canvas), LARGE * 2
    kind = rng.integers(3)
    if kind == 0:
        for _i in range(int(rng.integers(1, 5))):
            heights = np.cumsum(rng.normal(size=30)) * size / 40 + rng.uniform(0.2, 0.8) * size
            pen.line(
                list(zip(np.linspace(10, size - 10, 30), heights, strict=True)), int(rng.integers(0, 150)), 3
            )
    elif kind == 1:
        bars = int(rng.integers(3, 12))
        for i, height in enumerate(rng.uniform(0.1, 0.95, bars)):
            left = 10 + i * (size - 20) / bars
            box = (left, size - 8 - height * (size - 20), left + (size - 20) / bars * 0.8, size - 8)
            pen.rectangle(box, fill=int(rng.integers(0, 200)))
    else:
        cells = int(rng.integers(2, 12))
        grid = Image.fromarray(rng.integers(0, 256, (cells, cells), dtype=np.uint8))
        canvas.paste(grid.resize((size - 20, size - 20), Image.Resampling.NEAREST), (10, 10))
    pen.line((8, 0, 8, size - 8, size, size - 8), 0, 2)
    picture = np.asarray(canvas.resize((LARGE, LARGE), Image.Resampling.BOX), float)
    return -picture if rng.random() < 0.4 else picture


def shapes(rng: np.random.Generator, _: object = None) -> np.ndarray:
    """A few bright or dark blobs and bars on a plain ground, as of heads, limbs, phantoms and icons."""
    rows, columns = np.mgrid[:LARGE, :LARGE]
    picture = np.full((LARGE, LARGE), rng.choice([0.0, 1.0, rng.uniform(0, 1)]))
    for _i in range(int(rng.integers(1, 9))):
        row, column, angle = *rng.normal(LARGE / 2, LARGE / 5, 2), rng.uniform(0, np.pi)
        along = (rows - row) * np.cos(angle) + (columns - column) * np.sin(angle)
        aside = (columns - column) * np.cos(angle) - (rows - row) * np.sin(angle)
        distance = np.hypot(along / rng.uniform(5, 60), aside / rng.uniform(3, 30))
        picture = picture + rng.normal(0, 0.8) * (
            1 / (1 + np.exp(np.minimum((distance - 1) * rng.uniform(2, 30), 50)))
        )
    return picture + texture(rng) * rng.uniform(0, 0.2)


def slices(rng: np.random.Generator, volume: np.ndarray) -> np.ndarray:
    """A sagittal or tilted slice of the CT in a random window; never an axial one."""
    spacing = np.array([2.5, 1.40625, 1.40625])
    extent = np.asarray(volume.shape) * spacing
    turn, tilt = rng.uniform(0, np.pi), rng.uniform(0.25, 0.9) * rng.choice([-1, 1])
    if rng.random() < 0.5:
        turn, tilt = np.pi / 2 + rng.normal(0, 0.1), rng.normal(0, 0.1)
    right = np.array([0.0, np.cos(turn), np.sin(turn)])
    down = np.array([-np.cos(tilt), -np.sin(tilt) * np.sin(turn), np.sin(tilt) * np.cos(turn)])
    v, u = np.mgrid[-1 : 1 : LARGE * 1j, -1 : 1 : LARGE * 1j] * (extent.max() / 2 * rng.uniform(0.4, 1.1))
    centre = extent / 2 + rng.normal(0, 0.12, 3) * extent
    points = (centre[:, None, None] + down[:, None, None] * v + right[:, None, None] * u) / spacing[
        :, None, None
    ]
    cut = ndimage.map_coordinates(volume, points, order=1)
    low = rng.choice([0.0, 0.7, 0.9])
    return np.clip(cut, low, low + rng.uniform(0.2, 1.4))


def body(rng: np.random.Generator, volume: np.ndarray) -> np.ndarray:
    """Rays summed from head to foot or aslant, or below or above the lungs: no frontal chest film."""
    volume = volume[:, ::3, ::3]
    kind = rng.integers(3)
    if kind == 0:
        from_top = rng.integers(2)
        part = volume[: len(volume) // 3] if from_top else volume[-len(volume) // 4 :]
        picture = part.sum(1)[::-1]
    elif kind == 1:
        picture = volume[int(rng.integers(0, 40)) : int(rng.integers(70, len(volume)))].sum(0)
    else:
        turned = ndimage.rotate(volume[::2], rng.uniform(35, 65) * rng.choice([-1, 1]), (1, 2), order=1)
        picture = turned.sum(1)[::-1]
    picture = 1 - np.exp(-picture / picture.mean() * rng.uniform(0.4, 1.5))
    return np.asarray(Image.fromarray(picture.astype(np.float32)).resize((LARGE, LARGE)), float)


def _scaled(picture: np.ndarray) -> np.ndarray:
    return picture / (picture.std() + 1e-6) * 0.3


def changed(
    films_BSS: torch.Tensor, chance: torch.Generator, crop: float = 0.0, wide: bool = False
) -> torch.Tensor:
    """Return pictures (B, 1, SIDE, SIDE) moved, scaled, bordered, in other greys, noisy, standardised."""
    count = len(films_BSS)

    def draw(low: float, high: float) -> torch.Tensor:
        return torch.rand(count, generator=chance) * (high - low) + low

    turn = draw(-0.12, 0.12) if not wide else draw(-3.15, 3.15)
    # Up to an eighth cut off, and down to two thirds of the picture: some films come with wide borders.
    scale = draw(0.86, 1.4) if not crop else draw(0.15, crop)
    stretch = draw(0.88, 1.14)
    reach = 0.08 if not crop else 0.55
    theta = torch.zeros(count, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = scale * stretch * turn.cos(), -scale * turn.sin()
    theta[:, 1, 0], theta[:, 1, 1] = scale * turn.sin(), scale / stretch * turn.cos()
    theta[:, 0, 2], theta[:, 1, 2] = draw(-reach, reach), draw(-reach, reach)
    x = films_BSS[:, None].float() / 255
    border = torch.where(draw(0, 1) < 0.75, torch.zeros(count), draw(0, 1))[:, None, None, None]
    where = F.affine_grid(theta, [count, 1, SIDE, SIDE], align_corners=False)
    x = F.grid_sample(x - border, where, align_corners=False, padding_mode="zeros") + border
    x = x.clamp(0, 1) ** draw(-0.7, 0.7).exp()[:, None, None, None]
    blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, 1)
    x = torch.where((draw(0, 1) < 0.3)[:, None, None, None], blurred, x)
    x = x + torch.randn(x.shape, generator=chance) * (draw(0, 0.06) ** 1.5 * 4)[:, None, None, None]
    flip = draw(0, 1) < 0.5
    x[flip] = x[flip].flip(-1)
    # A letter or a tag beside the body.
    for i in torch.nonzero(draw(0, 1) < 0.25).flatten().tolist():
        row, column = torch.randint(0, SIDE - 4, (2,), generator=chance).tolist()
        x[i, :, row : row + 2, column : column + 4] = 1.0
    mean, deviation = x.mean((2, 3), keepdim=True), x.std((2, 3), keepdim=True, correction=0)
    return (x - mean) / (deviation + 0.01)


def shuffled(films_BSS: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Return pictures whose tiles have changed places: greys of a chest without its shape."""
    tiles = int(torch.randint(2, 7, (1,), generator=chance))
    size = MIDDLE // tiles
    cut = films_BSS[:, : size * tiles, : size * tiles].reshape(-1, tiles, size, tiles, size)
    order = torch.randperm(tiles * tiles, generator=chance)
    mixed = cut.permute(0, 1, 3, 2, 4).reshape(-1, tiles * tiles, size, size)[:, order]
    whole = (
        mixed.reshape(-1, tiles, tiles, size, size)
        .permute(0, 1, 3, 2, 4)
        .reshape(-1, size * tiles, size * tiles)
    )
    return F.interpolate(whole[:, None].float(), size=(MIDDLE, MIDDLE))[:, 0].byte()


def halved(pool: np.ndarray) -> torch.Tensor:
    """Return pictures at MIDDLE x MIDDLE, each pixel the mean of its own."""
    step = LARGE // MIDDLE
    means = pool.reshape(-1, MIDDLE, step, MIDDLE, step).mean((2, 4))
    return torch.from_numpy(np.rint(means).astype(np.uint8))


def fitted(frontal: np.ndarray, laterals: np.ndarray, others: np.ndarray) -> Detector:
    """Return the detector after STEPS of AdamW on batches drawn anew."""
    torch.manual_seed(0)
    chance = torch.Generator().manual_seed(0)
    pools = [halved(pool) for pool in (frontal, laterals, others)]
    detector = Detector()
    optimizer = torch.optim.AdamW(detector.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, STEPS)
    cut = OTHERS // 8

    def drawn(pool: torch.Tensor, count: int) -> torch.Tensor:
        return pool[torch.randint(len(pool), (count,), generator=chance)]

    for step in range(STEPS):
        parts = [
            (changed(drawn(pools[0], FRONTALS), chance), FRONTAL),
            (changed(drawn(pools[1], LATERALS), chance), LATERAL),
            (changed(drawn(pools[2], OTHERS - 3 * cut), chance, wide=bool(step % 2)), OTHER),
            (changed(drawn(pools[step % 2], cut), chance, crop=0.4), OTHER),
            (changed(shuffled(drawn(pools[0], cut), chance), chance), OTHER),
            (changed(shuffled(drawn(pools[2], cut), chance), chance), OTHER),
        ]
        x = torch.cat([part for part, _ in parts])
        y = torch.cat([torch.full((len(part),), label) for part, label in parts])
        loss = F.cross_entropy(detector(x), y, label_smoothing=0.01)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}: loss {float(loss.detach()):.4f}", flush=True)
    return detector.eval()


@torch.inference_mode()
def threshold(detector: Detector, frontal: np.ndarray, others: np.ndarray) -> float:
    """Return the probability of FRONTAL that DOUBTED of the pictures aside stay below, at most 0.5."""
    chance = torch.Generator().manual_seed(1)
    p = judged(detector, changed(halved(others), chance))[:, FRONTAL]
    least = min(float(p.quantile(DOUBTED)), 0.5)
    x = torch.from_numpy(frontal)[:, None].float() / 255
    x = F.interpolate(x, size=(SIDE, SIDE), mode="area")
    x = (x - x.mean((2, 3), keepdim=True)) / (x.std((2, 3), keepdim=True, correction=0) + 0.01)
    doubted = int((judged(detector, x)[:, FRONTAL] < least).sum())
    print(f"doubted aside: {doubted} of {len(x)} frontal, {int((p < least).sum())} of {len(p)} others")
    return least


if __name__ == "__main__":
    main()
