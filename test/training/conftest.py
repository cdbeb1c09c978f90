import sys
from pathlib import Path

# `recorder` beside this file is shared by tests; with importlib mode folders are not on the path.
sys.path.insert(0, str(Path(__file__).parent))
