"""Make docs/pictures/findings.jpg: every simulated finding on a film, outlined, from the CT of `make ct`.

.venv/bin/python docs/findings.py
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from timnet.simulation import anatomy, film  # noqa: E402
from timnet.simulation.facts import Case, Finding  # noqa: E402

SIDE, COLUMNS, TITLE = 300, 5, 24
SHOWN = (
    Finding("pleural_effusion", "right", severity=1, variant="upright"),
    Finding("pleural_effusion", "left", severity=2, variant="upright"),
    Finding("pleural_effusion", "right", severity=3, variant="upright"),
    Finding("pleural_effusion", "left", severity=2, variant="layering"),
    Finding("consolidation", "right", "upper lobe", 2),
    Finding("consolidation", "right", "middle lobe", 2),
    Finding("consolidation", "left", "lower lobe", 3),
    Finding("atelectasis", "left", "lower zone", 2, variant="linear"),
    Finding("atelectasis", "right", "upper lobe", 3, variant="lobar"),
    Finding("atelectasis", "left", "lower lobe", 3, variant="lobar"),
    Finding("nodule", "right", "mid zone", 1, 20.0),
    Finding("mass", "left", "upper zone", 3, 50.0),
    Finding("cardiomegaly", severity=1),
    Finding("cardiomegaly", severity=3),
    Finding("edema", "both", severity=2),
    Finding("edema", "both", severity=3),
    Finding("pneumothorax", "left", severity=1),
    Finding("pneumothorax", "right", severity=2),
    Finding("pneumothorax", "right", severity=3, variant="tension"),
    Finding("emphysema", "both", severity=3),
    Finding("fibrosis", "both", severity=3),
    Finding("fracture", "right", "7", 2, variant="displaced"),
    Finding("fracture", "left", "clavicle", 2, variant="displaced"),
    Finding("support_devices", size_mm=40.0, variant="endotracheal_tube"),
    Finding("support_devices", place="stomach", variant="enteric_tube"),
    Finding("support_devices", "right", "superior vena cava", variant="central_line"),
    Finding("support_devices", "left", variant="pacemaker"),
    Finding("support_devices", variant="sternotomy_wires"),
    Finding("support_devices", "right", variant="surgical_clips"),
    None,
)
GRADES = {1: "small", 2: "moderate", 3: "large"}


def main() -> None:
    """Draw the sheet."""
    chest = anatomy.load(ROOT / "build" / "ct")
    rows = -(-len(SHOWN) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SIDE, rows * (SIDE + TITLE)), "black")
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(14)
    for number, finding in enumerate(SHOWN):
        bedside = finding is not None and (finding.variant in ("layering",) or "tube" in finding.variant)
        case = Case(58, "AP" if bedside else "PA", (finding,) if finding else ())
        made = film.simulate(chest, case, 400 + number, number, SIDE)
        left, top = number % COLUMNS * SIDE, number // COLUMNS * (SIDE + TITLE)
        picture = Image.fromarray(_outlined(made))
        sheet.paste(picture, (left + (SIDE - picture.width) // 2, top + TITLE))
        pen.text((left + 6, top + 4), _title(finding), fill="white", font=font)
    sheet.save(ROOT / "docs" / "pictures" / "findings.jpg", quality=82, optimize=True)


def _outlined(made: film.Simulated) -> np.ndarray:
    colours = np.repeat(made.pixels[:, :, None], 3, axis=2)
    for mask in made.masks:
        edge = mask & ~ndimage.binary_erosion(mask)
        dashes = np.indices(edge.shape).sum(0) % 6 < 2
        colours[edge & dashes] = (255, 120, 60)
    return colours


def _title(finding: Finding | None) -> str:
    if finding is None:
        return "no finding"
    if finding.kind == "support_devices":
        return " ".join(filter(None, (finding.side, finding.variant.replace("_", " "))))
    size = f"{finding.size_mm:.0f} mm" if finding.size_mm else GRADES[finding.severity]
    place = f"rib {finding.place}" if finding.place.isdecimal() else finding.place
    words = (size, finding.side, place, finding.variant, finding.kind.replace("_", " "))
    return " ".join(filter(None, words))


if __name__ == "__main__":
    main()
