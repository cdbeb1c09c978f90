"""Pictures of maps and answers.

`raster` draws point clouds from any pose, `pictures` composes what people look at. To add a
picture: a function from arrays to an (H, W, 3) u8 image, and where it is saved.
"""
