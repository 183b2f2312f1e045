"""What a benchmark found: a table on the terminal, and `var/bench/NAME.json`."""

import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Figure:
    """One measured number. `aim` is the most (or, with `at_least`, the least) it should be; None: no aim."""

    measure: str
    value: float
    unit: str
    aim: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Return whether the aim was met; None where there is none."""
        if self.aim is None:
            return None
        return self.value >= self.aim if self.at_least else self.value <= self.aim


def report(name: str, figures: list[Figure]) -> None:
    """Print the figures and write them, with the machine that they were measured on."""
    width = max(len(figure.measure) for figure in figures)
    for figure in figures:
        aim = "" if figure.aim is None else f"  aim {'≥' if figure.at_least else '≤'} {figure.aim:g}"
        verdict = {None: "", True: "  met", False: "  MISSED"}[figure.met]
        print(f"{figure.measure:<{width}}  {figure.value:>12,.3f} {figure.unit}{aim}{verdict}")
    folder = ROOT / "var" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "machine": {
            "cores": os.cpu_count(),
            "kind": platform.machine(),
            "system": platform.platform(terse=True),
            "python": platform.python_version(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
            "load": os.getloadavg()[1],
        },
        "figures": [{**asdict(figure), "met": figure.met} for figure in figures],
    }
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
