import sys
from pathlib import Path

# Tiny folders in the layouts of data sets are written by the tests of the readers.
sys.path.insert(0, str(Path(__file__).parents[1] / "stream"))
