"""Questions in, 3D masks out: everything here reads one immutable snapshot of the map.

`text.py` answers phrases and `composition.py` their negations and spatial relations; `pointing.py`
brings a click onto the surface and `click.py` answers it; `components.py` and `masks.py` make
answers out of surface points, `layers.py` makes pictures. `answering.py` times and words all of
it. To add a kind of question: describe it as a frozen dataclass in `base.py`, answer it in a file
of its own with a function from (question, snapshot) to `QueryAnswer`, and give it a method in
`answering.py` and `engine.py`.
"""
