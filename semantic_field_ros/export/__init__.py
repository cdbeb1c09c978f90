"""The map as other programs want it, always in metres in the map frame.

Files: one module per format, each a function from what the façade returns to a path. To add a
format, write such a function and name it in `exporter.py`. Planners: `costmap`, `keepout` and
`goals` on the cells of `ground`, gathered in `navigation`; `grasps` on an `object_model`, gathered
in `grasping`.
"""
