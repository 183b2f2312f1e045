"""The test contracts compiled: once, and then from `var/cache`, for as long as no source changes.

`compiled()` gives each contract's ABI and creation code; `encode_call` and `creation_code` make the input of
transactions from them.
"""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

FOLDER = Path(__file__).parent
CACHE = FOLDER.parents[1] / "var" / "cache" / "contracts"


@dataclass(frozen=True)
class Compiled:
    """A contract: its ABI, its creation code in hex, and where addresses of libraries go into that."""

    abi: list[dict[str, Any]]
    bytecode: str
    links: Mapping[str, Mapping[str, Sequence[Mapping[str, int]]]]

    def signature(self, name: str) -> tuple[str, list[str]]:
        """Return a function's canonical signature and the types of its parameters."""
        (found,) = [item for item in self.abi if item["type"] == "function" and item["name"] == name]
        types = [_type_of(parameter) for parameter in found["inputs"]]
        return f"{name}({','.join(types)})", types


@cache
def compiled() -> Mapping[str, Compiled]:
    """Return every contract of `contracts/*.sol` by name; the first time takes solc some seconds."""
    read = [
        FOLDER / "compile.js",
        FOLDER / "package-lock.json",
        *sorted((FOLDER / "contracts").glob("*.sol")),
    ]
    digest = hashlib.sha256(b"\0".join(path.read_bytes() for path in read)).hexdigest()
    kept = CACHE / f"{digest}.json"
    if not kept.exists():
        done = subprocess.run(
            ["node", str(FOLDER / "compile.js")], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"solc: {done.stderr}")
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = kept.with_suffix(f".{os.getpid()}")
        fresh.write_text(done.stdout, encoding="utf-8")
        fresh.rename(kept)  # tests may run at the same time
    return {name: Compiled(**fields) for name, fields in json.loads(kept.read_text(encoding="utf-8")).items()}


def encode_call(contract: str, function: str, *arguments: Any) -> bytes:
    """Return the input of a call of a contract's function."""
    signature, types = compiled()[contract].signature(function)
    return bytes(keccak(text=signature)[:4]) + bytes(encode(types, arguments))


def creation_code(contract: str, *arguments: Any, libraries: Mapping[str, str] | None = None) -> bytes:
    """Return the input of the transaction that creates a contract."""
    made = compiled()[contract]
    code = made.bytecode
    for places in made.links.values():
        for library, spots in places.items():
            for spot in spots:
                start = 2 * spot["start"]
                address = (libraries or {})[library].removeprefix("0x").lower()
                code = code[:start] + address + code[start + 40 :]
    types = [
        _type_of(parameter)
        for item in made.abi
        if item["type"] == "constructor"
        for parameter in item["inputs"]
    ]
    return bytes.fromhex(code) + bytes(encode(types, arguments))


def _type_of(parameter: Mapping[str, Any]) -> str:
    return str(parameter["type"])
