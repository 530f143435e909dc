"""Does a report assert a label, deny it, or never name it? By words alone, for an audit's hints.

Owns the words of the labels that chest X-ray classifiers have, wide enough that a report is rarely said not
to name what it names in other words. A denial is one of `assertion`, or words that say the organ is normal.
A label without words here is never judged. An aid to reading, never a label.
"""

from __future__ import annotations

import re
from typing import Literal

from timnet.reports import assertion

Said = Literal["asserted", "denied", "not named", "unknown"]

_OPACITY = r"opaci|air ?-?space|infiltrat|consolidat|pneumonia|densit"
_FOCUS = r"nodul|\bmass(?:es)?\b|lesion|tumou?r|granuloma|neoplas|malignan|metasta"
_HEART = (
    r"cardiomegaly|(?:heart|cardiac|cardiomediastinal|cardio-mediastinal)\b[^.;]{0,60}\b(?:enlarg|prominent"
    r"|large|increased|widen)|(?:enlarg\w*|large|prominent)\s+(?:of the\s+)?(?:heart|cardiac|cardiomediast)"
)
_HEART_NORMAL = (
    r"(?:heart|cardiac|cardiomediastinal|cardio-mediastinal)\b[^.;]{0,60}\b(?:normal|unremarkable|within|not)"
    r"|normal\s+(?:heart|cardiac|cardiomediast)"
)
_WORDS = {
    "airspace opacity": _OPACITY,
    "lung opacity": _OPACITY,
    "infiltration": _OPACITY,
    "consolidation": _OPACITY,
    "pneumonia": _OPACITY,
    "atelectasis": r"atelecta|collaps|volume loss|loss of volume",
    "cardiomegaly": _HEART,
    "enlarged cardiomediastinum": _HEART + r"|mediastin\w*\b[^.;]{0,60}\b(?:widen|enlarg|prominent)",
    "edema": r"o?edema|congest|interstitial|fluid overload|cephali[sz]ation",
    "emphysema": r"emphysem|hyperinflat|hyperexpan|hyperaerat|copd|obstructive|flatten|bulla",
    "fibrosis": r"fibro|scar|interstitial|reticular",
    "hernia": r"hernia",
    "hiatal hernia": r"hernia",
    "lung mass": _FOCUS,
    "mass": _FOCUS,
    "lung nodule": _FOCUS,
    "nodule": _FOCUS,
    "lung lesion": _FOCUS,
    "effusion": r"effusion|pleural fluid|costophrenic|hydrothora|hydropneumo",
    "pleural effusion": r"effusion|pleural fluid|costophrenic|hydrothora|hydropneumo",
    "pleural thickening": r"pleural\b[^.;]{0,40}\b(?:thicken|scar)|thicken\w*[^.;]{0,40}pleura",
    "pneumothorax": r"pneumothora|hydropneumo",
    "fracture": r"fractur",
    "support devices": (
        r"tube|cathet|\blines?\b|pacemaker|defibrillat|device|\bleads?\b|\bwires?\b|clips?\b|drain|stent|valve"
        r"|\bport\b|picc|sternotomy|hardware"
    ),
}
_DENIALS = {"cardiomegaly": _HEART_NORMAL, "enlarged cardiomediastinum": _HEART_NORMAL}


def said(label: str, findings: str) -> Said:
    """Return what findings say of a label by its name, whatever its case, `_` and `-`."""
    name = re.sub(r"[\s_-]+", " ", label).strip().casefold()
    words = _WORDS.get(name)
    if words is None:
        return "unknown"
    if re.search(words, assertion.asserted(findings), re.IGNORECASE):
        return "asserted"
    denials = "|".join(filter(None, (words, _DENIALS.get(name))))
    return "denied" if re.search(denials, findings, re.IGNORECASE) else "not named"
