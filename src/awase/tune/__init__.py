"""Adapt a model with few examples, and say what it cost. Every public module is one method.

A method takes a `Task` (a frozen model, a few labelled images, a validation split) and returns a `Tuned`
model, which says of any image what `awase.types.Evidence` holds. Nothing here knows `awase.ood`: what tuning
does to other abilities is measured from outside, on the model before and after.
"""
