"""The map in files that other programs read, always in metres in the map frame.

One file per format, each a function from what the façade returns to a path. To add a format,
write such a function and name it in `SemanticField.export`.
"""
