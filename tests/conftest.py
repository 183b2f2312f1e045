"""Settings that every test shares."""

import os
from pathlib import Path

# Compiled kernels are kept between runs, outside the packages; numba reads this when it is imported.
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).resolve().parents[1] / "var" / "cache" / "numba"))

from hypothesis import settings

# `make test` gives the same answer for the same code; `make test-slow` draws fresh examples as well.
settings.register_profile("same", derandomize=True, database=None)
settings.register_profile("fresh", derandomize=False)
settings.load_profile("same")
