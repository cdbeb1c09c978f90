"""Where frames come from: the built-in world, recorded folders and bags.

Every source is a `FrameSource` (`base.py`) that yields `PosedFrame`s in order of their stamps. To
add one, write a file with a subclass of `FrameSource`; ground truth that a recording may hold
never enters a frame, evaluation reads it by stamp.
"""
