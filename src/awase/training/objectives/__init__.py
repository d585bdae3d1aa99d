"""Contrastive objectives for `awase tune pairs`: every module is one, found by its name."""
