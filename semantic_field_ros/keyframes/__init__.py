"""Which frames are kept, for how long, and the rays that training draws from them.

`selection.py` decides frame by frame, `memory.py` holds a bounded set of keyframes (`store.py` is
its arrays), `passing.py` remembers where the newest frames were taken, those that were not kept
too, `rays.py` draws ray batches, `corrections.py` says where late corrections of poses move
keyframes. Another selection rule is a method of `KeyframeSelector` that returns a reason; another
eviction rule replaces `coverage.py`.
"""
