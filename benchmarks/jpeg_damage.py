"""How many damaged JPEGs are read without a word, and how many whole ones are called damaged?

Each X-ray of a folder gets single bits of its entropy-coded data flipped, one at a time, and is read as the
product reads it. A flip counts as harmful where Pillow reads the file and more than 1 % of the pixels are off
by more than 0.05.

    .venv/bin/python benchmarks/jpeg_damage.py FOLDER [--films 400] [--flips 3] [--keep]
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
from collections import Counter
from pathlib import Path

import numpy as np
from finetune_speed import machine
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet.films import jpeg_damage  # noqa: E402
from timnet.films.film import FilmError  # noqa: E402
from timnet.films.read import read_film  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "jpeg_damage.json"


def main() -> None:
    """Flip bits, print the counts and keep them with the machine they are of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--films", type=int, default=400)
    parser.add_argument("--flips", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help=f"write {RESULT.relative_to(ROOT)}")
    words = parser.parse_args()
    rng = random.Random(words.seed)
    paths = sorted(path for folder in words.folder for path in folder.rglob("*.jp*g"))
    whole, harmful = Counter[str](), Counter[str]()
    for path in rng.sample(paths, min(words.films, len(paths))):
        data = path.read_bytes()
        whole[outcome(data)] += 1
        for _ in range(words.flips):
            bad = flipped(data, rng)
            if is_harmful(data, bad):
                harmful[outcome(bad)] += 1
    found = {"whole": dict(whole), "harmful flips": dict(harmful), "machine": machine()}
    print(json.dumps(found, indent=1))
    if words.keep:
        RESULT.write_text(json.dumps(found, indent=1) + "\n")


def flipped(data: bytes, rng: random.Random) -> bytes:
    """Return a JPEG with one bit of its first scan flipped."""
    bad = bytearray(data)
    bad[rng.randrange(data.find(b"\xff\xda") + 14, len(bad) - 4)] ^= 1 << rng.randrange(8)
    return bytes(bad)


def is_harmful(data: bytes, bad: bytes) -> bool:
    """Return whether Pillow reads the damaged file, and reads other greys in over 1 % of the pixels."""
    try:
        good, other = (
            np.asarray(Image.open(io.BytesIO(each)).convert("L"), np.float32) for each in (data, bad)
        )
    except (OSError, SyntaxError, ValueError):
        return False
    return good.shape == other.shape and bool((np.abs(good - other) > 0.05 * 255).mean() > 0.01)


def outcome(data: bytes) -> str:
    """Return what becomes of a file: refused, noted or silent."""
    try:
        film = read_film(data, name="film.jpg")
    except FilmError:
        return "refused"
    return "noted" if jpeg_damage.NOTE in film.notes else "silent"


if __name__ == "__main__":
    main()
