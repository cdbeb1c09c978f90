"""Training while the robot moves: one step (trainer), the thread (worker), maps on disk.

`trainer.py` knows how to take a step and nothing of threads; `worker.py` is the thread and the
only writer of the field; `feature_worker.py` runs the 2D models; `snapshot.py` is what queries
read; `checkpoint.py` is what survives. A new loss belongs in `field/losses.py`, a new thing to
publish in `snapshot.py`, a new thing to keep in `checkpoint.py`.
"""
