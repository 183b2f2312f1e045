"""Settings that every test shares."""

import os
from pathlib import Path

# Compiled kernels are kept between runs, outside the packages; numba reads this when it is imported.
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).resolve().parents[1] / "var" / "cache" / "numba"))
