"""Is this image outside what the model knows? Every public module is one score; a higher one means it is not.

All scores read `awase.types.Evidence`, so they work on a model as it came and on a tuned one alike. For
programs: `fit_detector` makes a `Detector` of a score, which `save_detector` and `load_detector` keep;
`evaluate_scores` measures scores of known and unknown images.
"""

from awase.functional.splits import class_index
from awase.ood._detector import Classes, Detector
from awase.ood._detector_file import load as load_detector
from awase.ood._detector_file import save as save_detector
from awase.ood._evaluate import evaluate_scores
from awase.ood._fit import Sample
from awase.ood._fit import fit as fit_detector

__all__ = [
    "Classes",
    "Detector",
    "Sample",
    "class_index",
    "evaluate_scores",
    "fit_detector",
    "load_detector",
    "save_detector",
]
