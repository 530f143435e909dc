"""Patients and studies by the names of folders and files, for tables without a column of patients.

Owns the usual forms: patientNNN (CheXpert), pNNN (MIMIC-CXR), sub-NN and ses-NN (BIDS), a folder `patients`,
and 00000001_000.png (ChestX-ray14). A folder that names a site is part of the patient's name. Refuses to
guess: a form counts if most paths have it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

PATIENTS: Mapping[str, re.Pattern[str]] = {
    form: re.compile(rf"(?:^|/){pattern}", re.IGNORECASE)
    for form, pattern in {
        "patientNNN": r"((?:patient(?:en)?|pat|pt|subject|subj|person)[-_ ]?\d+)(?![a-z0-9])",
        "sub-NN": r"(sub-[a-z0-9]+)(?=[/_])",
        "pNNN": r"(p\d{2,})(?=[/_-])",
        "patients/NNN": r"(?:patients?|patienten|subjects?)/([^/]+)(?=/)",
        "NNNNNNNN_NNN": r"(\d{8})_\d{3}\.[a-z]+$",
    }.items()
}
_SITE = re.compile(
    r"(?:^|/)((?:site|hosp(?:ital)?|cent(?:er|re|ro|rum)|clini(?:c|que|ca)|klinik(?:um)?|h[oô]pital|institut\w*?)"
    r"(?:[-_ ][^/]*|[a-z0-9]{0,3}))(?=/)",
    re.IGNORECASE,
)
_STUDY = re.compile(r"(?:^|/)(?:(?:study|exam|visit)[-_ ]?\d+|s\d{6,}|ses-[a-z0-9]+)(?=/)", re.IGNORECASE)


def patient(path: str, form: str) -> str | None:
    """Return the patient that a film's path names in a form of PATIENTS, the innermost; None for none.

    Sites number their patients each from 1: a site's folder stands before the number.
    """
    found = PATIENTS[form].findall(path)
    if not found:
        return None
    site = _SITE.search(path[: path.rfind(found[-1])])
    return f"{site[1]}/{found[-1]}" if site else found[-1]


def study(path: str) -> str | None:
    """Return a film's path up to the folder of its study (study1, s50414267, ses-01); None for none."""
    end = max((found.end() for found in _STUDY.finditer(path)), default=0)
    return path[:end] or None
