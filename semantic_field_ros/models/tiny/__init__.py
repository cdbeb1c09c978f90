"""The bundled pair: a tiny CLIP and a tiny SAM, trained on the built-in world.

`sam.py` and `clip.py` are the architectures, `data.py` renders the pictures, `train_sam.py` and
`train_clip.py` train on them, `evaluate.py` measures, `weights/` holds the results with a card
each (`cards.py` writes them). They are for the built-in world; real scenes want real checkpoints.
To retrain:

    python -m semantic_field_ros.models.tiny.data --out DATA
    python -m semantic_field_ros.models.tiny.train_sam --data DATA --out RUN --minutes 90
    python -m semantic_field_ros.models.tiny.train_clip --data DATA --out RUN --minutes 40
    python -m semantic_field_ros.models.tiny.cards --data DATA --weights RUN
"""
