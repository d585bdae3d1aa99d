"""Why does a model carry over, or not? Every module is one diagnostic of `awase transfer explain`."""
