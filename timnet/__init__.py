"""TIMNet: learn from chest X-rays and their reports, fine-tune on few labels, see where the model looked.

Reading order: config, cohorts (what goes in), model (the networks), evaluation (how good it is),
training (how it learns), reader (the facade the command line and the pages call).
Research use only, never a diagnosis.
"""

__version__ = "0.2.0"
