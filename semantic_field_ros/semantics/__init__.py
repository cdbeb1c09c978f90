"""Semantic methods: what the 2D models say about keyframes, lifted into 3D.

`base.py` is the contract; `sam_features.py` imitates the segmenter's features, `maskfield.py`
finds things and what they are called, `outlines.py` settles where a thing that is answered ends.
To add a method: subclass `SemanticMethod` and `FrozenMethod` in a file of its own, give it a
dataclass in `config.py`, add one line to `registry.py`, and it joins the contract test in
`test/semantics/test_contract.py`.
"""
