"""How the field is learned while the robot moves.

`trainer.py` is one optimisation step, without a thread; `worker.py` is the thread that runs it
and the only writer of the field; `priority.py` has it give way to callbacks and answers;
`snapshot.py` is what the worker publishes and queries read;
`checkpoint.py` saves and loads a map. To add a loss, write it in `field/losses.py` with its
weight in `TrainingConfig` and add it in `Trainer`.
"""
