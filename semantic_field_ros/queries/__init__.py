"""Questions in, 3D masks out: everything here reads one immutable snapshot of the map.

`words.py` knows what phrases mean, `text.py` makes regions of that, and `composition.py` reads
negations and spatial relations, which `relations.py` decides; `pointing.py` brings a click onto
the surface and `click.py` answers it; `masks.py` makes answers out of surface points, `layers.py`
makes pictures. `answering.py` times and words all of it. To add a kind of question: describe it
as a frozen dataclass in `base.py`, answer it in a file of its own with a function from (question,
snapshot) to `QueryAnswer`, and give it a method in `answering.py` and `engine.py`.
"""
