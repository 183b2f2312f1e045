"""How long a person waits for --help, and a program for an answer: python -m benchmarks.command_line"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import Figure, report
from models.registry import Population
from tests.api.service import serving
from tests.api.world import BANK, make_world

HELP_SECONDS = 0.5


def time_help(runs: int = 15) -> float:
    """Return the median seconds of `silkscreen --help` in a new process."""
    command = [sys.executable, "-c", "from api.cli import main; main()", "--help"]
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def time_answers(runs: int = 300) -> list[float]:
    """Return the milliseconds of each of `runs` screenings over HTTP, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        settings = make_world(Path(folder) / "world", model=Population(simulated=False, chains=(BANK,)))
        with serving(settings) as client:
            question = {"address": f"{BANK}:fan"}
            client.post("/v1/screenings", json=question)
            found = []
            for _ in range(runs):
                started = time.perf_counter()
                client.post("/v1/screenings", json=question).raise_for_status()
                found.append(1000 * (time.perf_counter() - started))
    return found


if __name__ == "__main__":
    helped = time_help()
    answers = sorted(time_answers())
    report(
        "command-line",
        [
            Figure("silkscreen --help, median", helped, "s", aim=HELP_SECONDS),
            Figure("a screening over HTTP, median", statistics.median(answers), "ms"),
            Figure("a screening over HTTP, 99th percentile", answers[-4], "ms"),
        ],
    )
