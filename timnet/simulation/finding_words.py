"""The words of findings: which bank of sentence frames says one, or two at once, and what fills its slots."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from timnet.simulation import phrases
from timnet.simulation.facts import Finding
from timnet.simulation.frames import draw

LOW_MM, HIGH_MM = 25, 60
"""An endotracheal tube's tip nearer to the carina is low, farther away it is high."""


def pair(one: Finding, other: Finding) -> str:
    """Name the bank that says both findings at once, "" where there is none."""
    if one.kind == other.kind == "consolidation":
        return "consolidations"
    if (one.kind, other.kind) == ("edema", "cardiomegaly"):
        return "edema with cardiomegaly"
    is_beside = one.side == other.side and other.variant == "linear" and other.place == "lower zone"
    return "effusion with atelectasis" if one.kind == "pleural_effusion" and is_beside else ""


def bank(finding: Finding) -> str:
    """Name the bank of frames that fits a finding."""
    kind, variant = finding.kind, finding.variant
    if kind == "pleural_effusion":
        return f"{variant} effusion{'s' if finding.side == 'both' else ''}"
    if kind in ("atelectasis", "pneumothorax"):
        return f"{variant} {kind}".strip()
    if kind == "edema":
        return f"edema {finding.severity}"
    if kind == "fracture":
        return "clavicle fracture" if finding.place == "clavicle" else "rib fracture"
    if variant == "endotracheal_tube":
        height = "low " if finding.size_mm < LOW_MM else "high " if finding.size_mm > HIGH_MM else ""
        return f"{height}endotracheal tube"
    if variant == "enteric_tube":
        return f"enteric tube in {finding.place}"
    return variant.replace("_", " ") if kind == "support_devices" else kind


def said(group: Sequence[Finding], rng: np.random.Generator, phrasing: str) -> str:
    """Say one finding, or two that have a bank together."""
    first, *others = group
    if not others:
        return draw(phrases.FINDINGS[bank(first)], rng, phrasing, **_slots(first))
    slots = _slots(first)
    for name, words in _slots(others[0]).items():
        slots[f"{name}2"] = words
    if first.kind == "pleural_effusion":
        slots |= {"area": slots["area2"], "mild": slots["mild2"]}
    return draw(phrases.FINDINGS[pair(first, others[0])], rng, phrasing, **slots)


def _slots(finding: Finding) -> dict[str, str]:
    """Give the words of a finding for every slot that a frame of its kind may have."""
    side, place, severity = finding.side, finding.place, finding.severity
    graded = {slot: words[severity - 1] for slot, words in phrases.SEVERITY.items()}
    bilateral = finding.kind == "pleural_effusion" and side == "both"
    sign = phrases.SIGNS.get("pleural_effusions" if bilateral else finding.kind, ("", "", ""))
    slots = {
        **graded,
        "side": side,
        "other": "left" if side == "right" else "right",
        "lobe": f"{side} {place}",
        "where": phrases.WHERE.get(place, ""),
        "area": phrases.AREA.get(place, ""),
        "over": f"over the {side} {place.removesuffix(' zone')} (lung|lung zone)",
        "line": phrases.SHARED["catheter"] if finding.kind == "support_devices" else graded["pleural_line"],
        "apical": "[apical ]" if severity == 1 else "",
        "disp": "displaced" if finding.variant == "displaced" else "(nondisplaced|non-displaced)",
        "rib": f"({place}th|{phrases.ORDINALS.get(place)})",
        "size": f"({finding.size_mm:.0f} mm|{finding.size_mm / 10:.1f} cm)",
        "tip": f"[approximately ]({finding.size_mm / 10:.1f} cm|{finding.size_mm / 10:.1f} cm"
        f"|{finding.size_mm:.0f} mm) above the carina",
        "vein": "(superior vena cava|SVC)" if place == "superior vena cava" else place,
        "border": "",
        "sign": sign[severity - 1],
    }
    if finding.kind == "consolidation" and severity > 1:
        slots["border"] = f"[ {phrases.BORDER[f'{side} {place}']}]"
    if (finding.kind, side, place) == ("consolidation", "left", "lower lobe"):
        slots["where"] = f"({slots['where']}|{slots['where']}|{phrases.WHERE['behind the heart']})"
        slots["area"] = f"({slots['area']}|{slots['area']}|{phrases.AREA['behind the heart']})"
    return {name: words.replace("{side}", side) for name, words in slots.items()}
