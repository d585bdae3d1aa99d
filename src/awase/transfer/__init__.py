"""How well does a model carry over without training, and why?

`classify` and `retrieve` measure it, `prompts` searches the wording, `explain` says what margins, false
negatives and temperature have to do with it. Machinery lies in files beginning with an underscore; a diagnostic
is one file of `diagnostics`, a way to choose prompts one file of `prompts`.
"""
