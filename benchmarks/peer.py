"""Programs that Silkscreen is measured against, each in an environment of its own under var/peers."""

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

from benchmarks.report import ROOT


def make_peer(name: str) -> Path:
    """Return the folder of a peer's programs; its environment is made from its lock if it is not there."""
    lock = ROOT / "benchmarks" / "peers" / f"{name}.txt"
    home = ROOT / "var" / "peers" / name
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = home / "lock.sha256"
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return home / "bin"
    print(f"making the environment of {name}, once", file=sys.stderr)
    venv.create(home, with_pip=True, clear=True)
    install = [
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--quiet",
        "--no-deps",
        "--require-hashes",
    ]
    subprocess.run([str(home / "bin" / "python"), *install, "-r", str(lock)], check=True)
    stamp.write_text(wanted, "utf-8")
    return home / "bin"
