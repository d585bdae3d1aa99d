"""Ways to choose and weigh prompt templates: every module is one search of `awase transfer prompts`."""
