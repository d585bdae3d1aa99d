"""Contrastive training on pairs: heads over frozen features, towers of an encoder, or all from scratch."""
