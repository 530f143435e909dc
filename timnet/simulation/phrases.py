"""The words of simulated reports: banks of sentence frames, one for every way a finding can lie.

A frame is written as it stands in the middle of a sentence, without a full stop. `(a|b)` is a choice, `[a]`
may be left out, and `{name}` is filled from the finding (see `reports`). Which frames are kept for testing
is decided by `frames.frames`, by place in the bank: a bank needs nine or more, its styles mixed.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

_BANKS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def _banks(name: str) -> dict[str, tuple[str, ...]]:
    return {kind: tuple(frames) for kind, frames in _BANKS[name].items()}


FINDINGS, NORMALS = _banks("findings"), _banks("normals")
ADVICE = _banks("advice")
"""What is advised, by kind; a mass is advised as a nodule is."""
VIEWS, SIGNATURES, STEADY, CHANGED = (
    tuple[str, ...](_BANKS[name]) for name in ("views", "signatures", "steady", "changed")
)

SEEN = "(seen|present|noted|identified)"
FITS = "(consistent with|compatible with|in keeping with|suggestive of|most likely representing)"
MILD = {1: "(mild|mild|mild|minimal)", 2: "moderate", 3: "(severe|severe|marked)"}
MILDLY = {1: "(mildly|mildly|slightly)", 2: "moderately", 3: "(severely|markedly)"}
SMALL = {1: "(small|small|small|tiny)", 2: "moderate", 3: "large"}
SOME = {1: "a (small|trace) amount of", 2: "a moderate amount of", 3: "a large amount of"}
PATCH = {
    1: "(patchy|faint|subtle|hazy|mild) (consolidation|airspace opacity|infiltrate)",
    2: "(focal|confluent|moderate) (consolidation|airspace opacity|airspace opacification)",
    3: "(dense|extensive|large) (consolidation|airspace opacity|airspace opacification)",
}
ORDINALS = {
    "4": "fourth", "5": "fifth", "6": "sixth", "7": "seventh", "8": "eighth", "9": "ninth",
}  # fmt: skip

WHERE = {
    "upper lobe": "in the {side} upper (lobe|lobe|lung|lung zone)",
    "middle lobe": "in the right (middle lobe|middle lobe|mid lung|mid lung zone)",
    "lower lobe": "(in the {side} lower (lobe|lung|lung zone)|at the {side} (base|lung base)|in the "
    "{side} lower lobe)",
    "upper zone": "in the {side} upper (lung|lung zone|lung field|zone)",
    "mid zone": "in the {side} mid (lung|lung zone|lung field|zone)",
    "lower zone": "(in the {side} lower (lung|lung zone|lung field|zone)|at the {side} (base|lung base))",
}
AREA = {
    "upper lobe": "{side} upper (lobe|lobe|lung)",
    "middle lobe": "right (middle lobe|middle lobe|mid lung)",
    "lower lobe": "{side} (lower lobe|lower lobe|lower lung|basilar|basal)",
    "upper zone": "{side} upper (lung|zone|lung zone)",
    "mid zone": "{side} mid (lung|zone|lung zone)",
    "lower zone": "{side} (lower lung|lower zone|lower lung zone|basilar)",
}
"""Where a finding lies, after and before its noun."""
RETROCARDIAC = ("(in the left retrocardiac (region|area)|behind the left heart)", "left retrocardiac")
BORDER = {
    "right upper lobe": "(reaching|extending to|extending down to) the minor fissure",
    "right middle lobe": "(obscuring|silhouetting|with loss of) the right heart border",
    "right lower lobe": "(obscuring|silhouetting|with loss of) the right hemidiaphragm",
    "left upper lobe": "(obscuring|silhouetting|with loss of) the upper left heart border",
    "left lower lobe": "(obscuring|silhouetting|with loss of) the left hemidiaphragm",
}
"""The outline a dense lobe takes away."""
EFFUSION_SIGN = {
    1: "(blunting|mild blunting|slight obscuration) of the {side} costophrenic angle",
    2: "(a meniscus at the {side} base|obscuration of the {side} hemidiaphragm by a meniscus"
    "|dense opacity with a meniscus at the {side} base)",
    3: "(dense opacification of (much|most) of the {side} hemithorax"
    "|a high meniscus with opacification of the mid and lower {side} hemithorax)",
}
PLEURAL_LINE = {
    1: "(a thin|a subtle|a fine) (pleural line|visceral pleural line) at the {side} apex",
    2: "a (visible|well-defined) (pleural line|visceral pleural line) in the {side} hemithorax",
    3: "a (wide lucent space|broad lucency) (lateral to the lung|devoid of lung markings) in the "
    "{side} hemithorax",
}
BOTH_SIGN = {
    1: "(blunting|mild blunting|slight obscuration) of both costophrenic angles",
    2: "(bilateral menisci obscuring the hemidiaphragms|obscuration of both hemidiaphragms by menisci)",
    3: "(opacification of much of both hemithoraces|high bilateral menisci with dense lower lungs)",
}
EXTENT = {1: "mild", 2: "moderate", 3: "extensive"}
HAZE = {1: "(faint|mild)", 2: "(moderate|diffuse)", 3: "(dense|marked)"}
LOSS = {
    2: "(volume loss|moderate volume loss|crowding of the vessels)",
    3: "(marked volume loss|volume loss and ipsilateral mediastinal shift"
    "|volume loss and shift of the mediastinum to the {side})",
}
COLLAPSE = {2: "(partial|incomplete|subtotal)", 3: "(complete|total|near-complete)"}
EMPHYSEMA_SIGN = {
    1: "(mild hyperinflation|slight hyperexpansion of the lungs|mildly hyperlucent lungs)",
    2: "(hyperinflation|hyperexpanded lungs|flattening of the diaphragms|hyperlucent upper lungs)",
    3: "(marked hyperinflation|flattened diaphragms and hyperlucent lungs|severe hyperexpansion"
    "|marked flattening of the diaphragms|marked attenuation of the lung vessels)",
}
FIBROSIS_SIGN = {
    1: "(fine reticular opacities|mild reticulation|fine peripheral reticulation)",
    2: "(coarse reticular opacities|reticulation|peripheral reticular opacities)",
    3: "(extensive reticulation and low lung volumes|coarse reticular opacities with honeycombing"
    "|extensive coarse reticulation|honeycombing with volume loss)",
}

LINE = "(central venous catheter|central venous line|central line)"
ENTERIC = "(enteric tube|enteric tube|orogastric tube|NG tube|OG tube)"

EDEMA = {
    1: "[mild ]pulmonary vascular congestion",
    2: "([moderate ]interstitial edema|moderate pulmonary edema)",
    3: "(severe pulmonary edema|alveolar pulmonary edema|severe alveolar edema)",
}

ABSENT = {
    "consolidation": "(focal consolidation|focal consolidation|consolidation|focal airspace "
    "opacity|airspace consolidation)",
    "pleural_effusion": "(pleural effusion|pleural effusion|effusion)",
    "pneumothorax": "pneumothorax",
    "edema": "(pulmonary edema|pulmonary edema|edema|vascular congestion)",
    "nodule": "(suspicious nodule|pulmonary nodule|nodule or mass)",
    "atelectasis": "atelectasis",
    "fracture": "(acute fracture|displaced fracture|rib fracture)",
}
"""What an absent finding is called behind `no`."""


LEADS = (
    "in comparison with the study of ___, ",
    "compared to the prior study, ",
    "as compared to the previous radiograph, ",
    "compared with ___, ",
    "in comparison to the previous examination, ",
)
TAILS = (
    ", unchanged from prior", ", unchanged", ", stable since the prior study", ", similar to ___",
    ", not significantly changed since ___", ", stable compared to ___",
)  # fmt: skip
CHANGED_TAILS = (
    ", (increased|decreased) from the prior study", ", (improved|worsened) since ___",
    ", new since the prior study",
)  # fmt: skip
"""What an earlier study adds; written only where there is one."""

COMPLAINTS = (
    "shortness of breath", "chest pain", "cough", "fever", "cough and fever", "dyspnea", "hypoxia",
    "weakness", "altered mental status", "leukocytosis", "chest tightness", "palpitations", "fatigue",
    "tachycardia", "syncope", "malaise", "respiratory distress", "abdominal pain",
    "dizziness",
)  # fmt: skip
REASONS = (
    "preoperative evaluation", "evaluate for acute process", "evaluate for cause of {complaint}",
    "evaluate for acute cardiopulmonary process", "evaluate for infection", "evaluate for cause of symptoms",
    "evaluate cardiopulmonary status", "question acute process",
)  # fmt: skip
HISTORIES = (
    "{complaint}", "{age} year old with {complaint}", "{age}-year-old patient with {complaint}",
    "patient with {complaint}, {reason}", "{reason}", "{complaint} for {days} days, {reason}",
    "___ year old patient with {complaint} // {reason}", "{age}-year-old, {complaint}",
)  # fmt: skip
COURSES = (
    "symptoms began {days} days before presentation and have not settled since",
    "{complaint} also reported by the patient on arrival, with onset about {days} days ago",
    "the patient was sent from an outside clinic for chest imaging on the same day",
    "no recent travel and no known sick contacts are reported",
    "seen in the emergency department and referred for imaging by the treating team",
    "further medical history was not provided with the request",
)
"""How a long history goes on."""
TECHNIQUES = {
    "PA": (
        "PA view of the chest", "Single PA radiograph of the chest", "Chest, PA view",
        "Frontal (PA) chest radiograph", "PA upright chest radiograph", "CHEST (PA)",
        "Chest radiograph, single PA projection", "Upright PA view of the chest",
    ),
    "AP": (
        "Portable AP view of the chest", "Single AP portable radiograph of the chest", "Chest, AP portable",
        "AP portable chest radiograph", "CHEST (PORTABLE AP)", "Bedside AP radiograph of the chest",
        "Frontal (AP) portable chest radiograph", "Chest radiograph, single portable AP projection",
    ),
}  # fmt: skip
COMPARISONS = {
    False: ("None.", "None available.", "None", "No prior studies available.", "No relevant comparison."),
    True: (
        "___.", "Chest radiograph of ___.", "Radiograph dated ___.", "Chest radiograph ___.",
        "Prior study from ___.", "Multiple prior chest radiographs, most recent ___.",
    ),
}  # fmt: skip
HEADERS = {
    "history": ("INDICATION", "HISTORY", "CLINICAL HISTORY", "REASON FOR EXAM", "CLINICAL INFORMATION"),
    "technique": ("TECHNIQUE", "EXAMINATION", "EXAM", "STUDY"),
    "comparison": ("COMPARISON", "COMPARISON", "COMPARISONS"),
    "findings": ("FINDINGS",),
    "impression": ("IMPRESSION", "IMPRESSION", "IMPRESSION", "CONCLUSION"),
    "both": ("FINDINGS AND IMPRESSION", "FINDINGS/IMPRESSION"),
}
TOPICS = {
    "devices": ("LINES AND TUBES", "DEVICES", "SUPPORT DEVICES"),
    "lungs": ("LUNGS", "LUNGS AND AIRWAYS", "LUNG PARENCHYMA"),
    "pleura": ("PLEURA", "PLEURAL SPACES"),
    "heart": ("HEART", "CARDIAC", "CARDIOVASCULAR"),
    "mediastinum": ("MEDIASTINUM", "MEDIASTINUM AND HILA"),
    "bones": ("BONES", "OSSEOUS STRUCTURES", "MUSCULOSKELETAL"),
    "abdomen": ("UPPER ABDOMEN", "OTHER"),
}
"""The parts of the chest in the order they are most often read, with the labels of a labelled report."""
