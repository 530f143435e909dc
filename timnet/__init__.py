"""TIMNet: learn from chest X-rays and their reports, fine-tune on few labels, see where the model looked.

Reading order: config, cohorts (what goes in), model (the networks), evaluation (how good it is),
training (how it learns), reader (the facade the command line and the pages call).
Research use only, never a diagnosis.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timnet.cohorts.store import Cohort
    from timnet.config import Finetune, Pretrain
    from timnet.errors import TimnetError
    from timnet.films.film import Film
    from timnet.films.read import read_film
    from timnet.model.classifier import Classifier
    from timnet.model.timnet import TIMNet
    from timnet.reader import Reader
    from timnet.training.grids import Grid
    from timnet.training.in_process import curve, finetune, pretrain

__version__ = "0.2.0"
_MODULES = {
    "Classifier": "model.classifier",
    "Cohort": "cohorts.store",
    "Film": "films.film",
    "Finetune": "config",
    "Grid": "training.grids",
    "Pretrain": "config",
    "Reader": "reader",
    "TIMNet": "model.timnet",
    "TimnetError": "errors",
    "curve": "training.in_process",
    "finetune": "training.in_process",
    "pretrain": "training.in_process",
    "read_film": "films.read",
}
__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    """Import what the package offers when it is first asked for: torch alone takes seconds."""
    if name not in _MODULES:
        raise AttributeError(f"module 'timnet' has no attribute {name!r}")
    return getattr(import_module(f"timnet.{_MODULES[name]}"), name)
