"""What a simulated study is about: its findings as facts, drawn with plausible prevalence and company.

Owns the words for kind, side, place, variant and severity that the film, its labels and its report share:
what is drawn is what is said. Pure draws from a generator; no pixel and no sentence is made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

KINDS = (
    "pleural_effusion", "consolidation", "atelectasis", "nodule", "mass", "cardiomegaly", "edema",
    "pneumothorax", "emphysema", "fibrosis", "fracture", "support_devices",
)  # fmt: skip
"""The findings that can be put in, which are also the labels of a simulated cohort."""

DEVICES = (
    "endotracheal_tube", "enteric_tube", "central_line", "pacemaker", "sternotomy_wires", "surgical_clips",
)  # fmt: skip
LOBES = {
    "right": ("upper lobe", "middle lobe", "lower lobe"),
    "left": ("upper lobe", "lower lobe"),
}
ZONES = ("upper zone", "mid zone", "lower zone")
SIDES = ("right", "left")

NORMAL = 0.4
"""Share of studies without a finding other than devices."""


@dataclass(frozen=True)
class Finding:
    """One finding as it lies in the patient.

    Attributes:
        kind: one of KINDS.
        side: right or left of the patient, both, or "" for what lies in the midline.
        place: a lobe (consolidation, lobar atelectasis), a zone (nodule, mass, linear atelectasis), the rib's
            number or "clavicle" (fracture), or where a device's tip lies: "stomach" or "esophagus" (enteric
            tube), "superior vena cava" or "right atrium" (central line); else "".
        severity: 1 mild or small, 2 moderate, 3 severe or large. Oedema: 1 vascular congestion, 2
            interstitial, 3 alveolar.
        size_mm: diameter of a nodule or mass; how far an endotracheal tube ends above the carina; else 0.
        variant: "upright" or "layering" (effusion), "linear" or "lobar" (atelectasis), "tension" or ""
            (pneumothorax), "displaced" or "" (fracture), one of DEVICES (support_devices); else "".
    """

    kind: str
    side: str = ""
    place: str = ""
    severity: int = 2
    size_mm: float = 0.0
    variant: str = ""


@dataclass(frozen=True)
class Case:
    """One simulated study: who, how taken, and what is there.

    Attributes:
        age: years. view: PA (upright) or AP (supine or sitting). prior: a report's earlier study exists.
    """

    age: int
    view: str
    findings: tuple[Finding, ...] = field(default_factory=tuple)
    prior: bool = False


def labels(findings: Sequence[Finding]) -> dict[str, float]:
    """Return 1 or 0 for every kind, and `no_finding`: 1 where nothing but a device is there."""
    present = {finding.kind for finding in findings}
    values = {kind: float(kind in present) for kind in KINDS}
    return {**values, "no_finding": float(not present - {"support_devices"})}


def draw(rng: Any, normal: float = NORMAL) -> Case:
    """Draw a case: about `normal` of them without findings, the others with the company findings keep.

    Oedema brings a large heart and effusions, an effusion brings atelectasis beside it, a large
    pneumothorax may be under tension, a bedside (AP) film brings tubes and lines.
    """
    age = int(rng.integers(19, 92))
    view = "AP" if rng.random() < 0.35 else "PA"
    found: list[Finding] = []
    if rng.random() >= normal:
        first = str(rng.choice(_FIRST, p=_PREVALENCE))
        found += _COMPANY[first](rng, view)
        while rng.random() < 0.22 and len(found) < 4:
            other = str(rng.choice(_FIRST, p=_PREVALENCE))
            for finding in _COMPANY[other](rng, view):
                found += [finding] if _goes_with(finding, found) else []
    found += _devices(rng, view)
    return Case(age, view, tuple(found), prior=bool(rng.random() < 0.45))


def _goes_with(new: Finding, found: Sequence[Finding]) -> bool:
    for old in found:
        if new.kind == old.kind or {new.kind, old.kind} in _CONTRADICT:
            return False
        # A pneumothorax and an effusion on one side would be a hydropneumothorax with a flat level.
        if {new.kind, old.kind} == {"pneumothorax", "pleural_effusion"} and (
            new.side == old.side or "both" in (new.side, old.side)
        ):
            return False
        in_lung = {"consolidation", "atelectasis", "mass", "nodule"}
        if new.kind in in_lung and old.kind in in_lung and new.side == old.side and new.place == old.place:
            return False
    return True


_CONTRADICT: tuple[set[str], ...] = (
    {"edema", "emphysema"},
    {"fibrosis", "emphysema"},
    {"edema", "pneumothorax"},
    {"edema", "fibrosis"},
    {"mass", "nodule"},
)


def _severity(rng: Any, weights: tuple[float, float, float] = (0.35, 0.4, 0.25)) -> int:
    return int(rng.choice((1, 2, 3), p=weights))


def _side(rng: Any, right: float = 0.5) -> str:
    return "right" if rng.random() < right else "left"


def _lobe(rng: Any, side: str) -> str:
    if side == "right":
        return str(rng.choice(LOBES["right"], p=(0.3, 0.25, 0.45)))
    return str(rng.choice(LOBES["left"], p=(0.4, 0.6)))


def _effusion(rng: Any, view: str) -> list[Finding]:
    side = "both" if rng.random() < 0.25 else _side(rng, 0.55)
    variant = "layering" if view == "AP" and rng.random() < 0.5 else "upright"
    severity = _severity(rng, (0.3, 0.4, 0.3) if side != "both" else (0.55, 0.4, 0.05))
    found = [Finding("pleural_effusion", side, severity=severity, variant=variant)]
    if rng.random() < 0.25:
        near = side if side != "both" else _side(rng)
        found.append(Finding("atelectasis", near, "lower zone", 1, variant="linear"))
    return found


def _consolidation(rng: Any, view: str) -> list[Finding]:
    side = _side(rng, 0.55)
    found = [Finding("consolidation", side, _lobe(rng, side), _severity(rng, (0.25, 0.45, 0.3)))]
    if rng.random() < 0.2:
        other = "left" if side == "right" else "right"
        found.append(Finding("consolidation", other, _lobe(rng, other), _severity(rng)))
    if rng.random() < 0.15:
        found.append(Finding("pleural_effusion", side, severity=1, variant="upright"))
    return found


def _atelectasis(rng: Any, view: str) -> list[Finding]:
    side = _side(rng)
    if rng.random() < 0.55:
        zone = str(rng.choice(("mid zone", "lower zone"), p=(0.25, 0.75)))
        return [Finding("atelectasis", side, zone, int(rng.integers(1, 3)), variant="linear")]
    return [Finding("atelectasis", side, _lobe(rng, side), int(rng.integers(2, 4)), variant="lobar")]


def _nodule(rng: Any, view: str) -> list[Finding]:
    place = str(rng.choice(ZONES))
    return [Finding("nodule", _side(rng), place, 1, size_mm=float(rng.integers(14, 30)))]


def _mass(rng: Any, view: str) -> list[Finding]:
    place = str(rng.choice(ZONES, p=(0.45, 0.35, 0.2)))
    return [Finding("mass", _side(rng), place, 3, size_mm=float(rng.integers(32, 68)))]


def _cardiomegaly(rng: Any, view: str) -> list[Finding]:
    return [Finding("cardiomegaly", severity=_severity(rng))]


def _edema(rng: Any, view: str) -> list[Finding]:
    found = [Finding("edema", "both", severity=_severity(rng, (0.3, 0.4, 0.3)))]
    if rng.random() < 0.6:
        found.append(Finding("cardiomegaly", severity=_severity(rng)))
    if rng.random() < 0.45:
        found.append(Finding("pleural_effusion", "both", severity=1, variant="upright"))
    return found


def _pneumothorax(rng: Any, view: str) -> list[Finding]:
    severity = _severity(rng, (0.3, 0.4, 0.3))
    variant = "tension" if severity == 3 and rng.random() < 0.4 else ""
    side = _side(rng)
    found = [Finding("pneumothorax", side, severity=severity, variant=variant)]
    if rng.random() < 0.2:
        found.append(_fracture(rng, view, side)[0])
    return found


def _emphysema(rng: Any, view: str) -> list[Finding]:
    return [Finding("emphysema", "both", severity=_severity(rng))]


def _fibrosis(rng: Any, view: str) -> list[Finding]:
    return [Finding("fibrosis", "both", severity=_severity(rng))]


def _fracture(rng: Any, view: str, side: str = "") -> list[Finding]:
    place = "clavicle" if rng.random() < 0.25 else str(rng.integers(4, 10))
    variant = "displaced" if rng.random() < 0.6 else ""
    return [Finding("fracture", side or _side(rng), place, 2 if variant else 1, variant=variant)]


_COMPANY = {
    "pleural_effusion": _effusion,
    "consolidation": _consolidation,
    "atelectasis": _atelectasis,
    "nodule": _nodule,
    "mass": _mass,
    "cardiomegaly": _cardiomegaly,
    "edema": _edema,
    "pneumothorax": _pneumothorax,
    "emphysema": _emphysema,
    "fibrosis": _fibrosis,
    "fracture": _fracture,
}
_FIRST = tuple(_COMPANY)
_PREVALENCE = (0.18, 0.19, 0.11, 0.08, 0.06, 0.11, 0.08, 0.07, 0.05, 0.04, 0.03)


def _devices(rng: Any, view: str) -> list[Finding]:
    """A bedside film often shows tubes and lines; any film may show a pacemaker, wires or clips."""
    bedside = view == "AP"
    found = []
    if bedside and rng.random() < 0.3:
        found.append(_device("endotracheal_tube", size_mm=float(rng.integers(15, 70))))
        if rng.random() < 0.7:
            place = "esophagus" if rng.random() < 0.12 else "stomach"
            found.append(_device("enteric_tube", place=place))
    if bedside and rng.random() < 0.35:
        place = "right atrium" if rng.random() < 0.2 else "superior vena cava"
        found.append(_device("central_line", side=_side(rng, 0.75), place=place))
    if rng.random() < 0.06:
        found.append(_device("pacemaker", side=_side(rng, 0.1)))
    if rng.random() < 0.07:
        found.append(_device("sternotomy_wires"))
    if rng.random() < 0.04:
        found.append(_device("surgical_clips", side=_side(rng)))
    return found


def _device(variant: str, side: str = "", place: str = "", size_mm: float = 0.0) -> Finding:
    return Finding("support_devices", side, place, 1, size_mm, variant)
