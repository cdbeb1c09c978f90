"""The radiance field: where matter is, what colour it has, and how rays see it.

Encoders (`base.py` is their contract) turn positions into features: `torch_grid.py` is the
reference, `numba_grid.py` the fast one on CPUs, `tcnn_grid.py` the fast one on GPUs, all on the
index maths of `grid_layout.py`. `bounds.py` maps the world into the unit cube, `radiance.py`
gives density and colour, `occupancy.py` and `sampling.py` choose where rays look, `rendering.py`
integrates along them, `losses.py` compares with the sensor, `surface.py` extracts points, and
`enclosure.py` tells floor, walls and ceiling from what stands before them.

To add an encoder: subclass `Encoder` in a file of its own, give it a line in `encoders.py` and in
`backends.encoder_backend`, and it joins the equality test in `test/field/test_encoders.py`.
"""
