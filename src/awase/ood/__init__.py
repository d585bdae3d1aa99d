"""Is this image outside what the model knows? Every public module is one score; a higher one means it is not.

All scores read `awase.types.Evidence`, so they work on a model as it came and on a tuned one alike.
"""
