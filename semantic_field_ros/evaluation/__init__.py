"""Measures answers against ground truth; the only room, beside the built-in world, that has any.

`ground_truth` reads it, `metrics` are plain functions, `clicks` and `phrases` choose what to ask,
`run` streams a source into the façade and asks, `label_models` stand in for the 2D models where
lifting to 3D is to be measured alone, `demo` drives two processes over DDS, `bars` repeats what
the project promises.

To add a measure: a function in `metrics.py` with a hand-worked test, a field in the report of
`report.py`, a line in its table. To add ground truth of another kind of recording: a subclass of
`GroundTruth` and a line in `open_truth.py`.
"""
