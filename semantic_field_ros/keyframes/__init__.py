"""Which frames are kept, for how long, and the rays that training draws from them.

`selection.py` decides frame by frame, `memory.py` holds a bounded set of keyframes (`store.py` is
its arrays), `rays.py` draws ray batches. Another selection rule is a method of `KeyframeSelector`
that returns a reason; another eviction rule replaces `coverage.py`.
"""
