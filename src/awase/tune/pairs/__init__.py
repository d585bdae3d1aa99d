"""Contrastive training on pairs: heads over frozen features, towers of an encoder, or all from scratch.

`read_rows` sorts out the pairs of a data set, a `PairTask` says what is learned from, a `PairRecipe` how, and
`fit_pairs` trains. `save_pairs` writes a folder that the encoder `tuned:DIR` reads.
"""

from awase.tune.pairs._fit import PairTask, TrainedPairs, fit_pairs, save_pairs
from awase.tune.pairs._recipe import PairRecipe
from awase.tune.pairs._rows import PairRows, read_rows

__all__ = ["PairRecipe", "PairRows", "PairTask", "TrainedPairs", "fit_pairs", "read_rows", "save_pairs"]
