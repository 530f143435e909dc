"""What the paper says of its own classifiers: points of its Figs. 3 to 5, as its text states them.

Owns the numbers and where each stands. Holds no value that was read off a figure, none that the text rounds
("about 77 %"), and none whose share of the labels the text leaves open, such as the best of a curve. Source:
Liang et al., IEEE JBHI 26(4), 2022, Sec. IV-C and IV-D.
"""

from __future__ import annotations

import pandas as pd

COLUMNS = ("figure", "start", "fraction", "metric", "value")
BASE, IMAGENET, OURS = "Base", "ImageNet", "TIMNet"

FIGURES = {
    "Fig. 3": "MIMIC-CXR, abnormal or normal",
    "Fig. 4": "MIMIC-CXR, several labels",
    "Fig. 5": "Mendeley-V2, pneumonia in children",
}

_POINTS = (
    ("Fig. 3", BASE, 0.005, "ACC", 0.6641),
    ("Fig. 3", BASE, 0.9, "ACC", 0.7638),
    ("Fig. 3", IMAGENET, 0.005, "ACC", 0.7005),
    ("Fig. 3", OURS, 0.005, "ACC", 0.7181),
    ("Fig. 3", BASE, 0.005, "F1", 0.5768),
    ("Fig. 3", IMAGENET, 0.005, "F1", 0.6227),
    ("Fig. 3", IMAGENET, 0.1, "F1", 0.7155),
    ("Fig. 3", OURS, 0.005, "F1", 0.6917),
    ("Fig. 3", OURS, 0.1, "F1", 0.7477),
    ("Fig. 4", BASE, 1.0, "auROC", 0.9152),
    ("Fig. 4", IMAGENET, 0.3, "auROC", 0.9137),
    ("Fig. 4", IMAGENET, 0.5, "auROC", 0.9159),
    ("Fig. 4", OURS, 0.3, "auROC", 0.9148),
    ("Fig. 4", OURS, 0.5, "auROC", 0.9169),
    ("Fig. 5", BASE, 0.3, "ACC", 0.8752),
    ("Fig. 5", BASE, 0.3, "auROC", 0.9333),
    ("Fig. 5", OURS, 0.005, "ACC", 0.8814),
    ("Fig. 5", OURS, 0.005, "auROC", 0.9352),
)


def points(figure: str | None = None, metric: str | None = None) -> pd.DataFrame:
    """Return the paper's points, COLUMNS: all, or those of one figure and metric."""
    table = pd.DataFrame(_POINTS, columns=list(COLUMNS))
    if figure is not None:
        table = table[table["figure"] == figure]
    return table if metric is None else table[table["metric"] == metric]


def figures(metric: str) -> list[str]:
    """Return the figures of which the text states points of a metric."""
    return list(dict.fromkeys(points(metric=metric)["figure"]))
