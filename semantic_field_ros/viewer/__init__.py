"""What people look at: pictures of maps and answers, and the web viewer.

`raster` draws point clouds from any pose, `pictures` composes what people look at. To add a
picture: a function from arrays to an (H, W, 3) u8 image, and where it is saved.

`server` is the web page: `live` and `progress` are what all browsers share, `session` serves one
of them, `origins` keeps other pages out, `software` makes pictures cheaper where there is no GPU.
To add a panel: its handles in `panels`, its action in `session`; what it draws is a function in
`scene`. To add a layer: a name in `panels` or `views`, a branch where it is coloured.
"""
