"""The 2D foundation models behind two contracts: `LanguageModel` and `Segmenter`.

To add one: subclass the contract in `base.py` in a file of its own, add a line to `registry.py`,
and it joins the contract tests in `test/models/`. A model that lives elsewhere needs no line: name
it as `"package.module:ClassName"` in the configuration.
"""
