"""Simulate a year of two chains, their labels and prices, and write it all as files that can be imported."""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from chains.assets import SIMULATED_COIN, SIMULATED_TOKEN
from chains.errors import InputError
from datasets.simulate.blocks import Blocks, make_blocks
from datasets.simulate.clock import Ints
from datasets.simulate.crossings import draw_crossings
from datasets.simulate.dials import Dials, name_evasion
from datasets.simulate.files import (
    TOKEN_LAYOUT,
    TOKEN_MAPPING,
    finish_tokens,
    finish_utxo,
    merge_parts,
    table_tokens,
    table_utxo,
    window_starts,
    write_part,
    write_whole,
)
from datasets.simulate.labels import Label, list_labels, list_receipts, write_labels
from datasets.simulate.prices import make_prices, write_prices
from datasets.simulate.region import Region, Shared, simulate_region, stretch_blocks
from datasets.simulate.truth import COLUMNS

SMALLEST = 1_000
"""Transfers below which there is no world worth the name."""

REGION = 1_000_000
"""Transfers of a region at most: a bigger world has several, made one after the other and merged."""

_STEPS = 6  # of one region
_BLOCK_SECONDS = 7_200
_PARTS = ".parts"
_FILES = ("utxo.parquet", "tokens.parquet", "truth.csv", "labels.csv", "prices.csv")


@dataclass(frozen=True)
class World:
    """The files of a simulated world and how to import them; `counts` says how much is in them."""

    folder: Path
    seed: int
    utxo: Path
    tokens: Path
    token_layout: str
    token_mapping: tuple[str, ...]
    labels: Path
    prices: Path
    truth: Path
    description: Path
    counts: dict[str, int]
    utxo_chain: str = "simulated-utxo"
    token_chain: str = "simulated-token"  # noqa: S105  (the name of a chain)
    token_contract: str = SIMULATED_TOKEN
    coin_contract: str = SIMULATED_COIN


def simulate_world(
    out: Path,
    *,
    seed: int,
    transfers: int = 120_000,
    dials: Dials | None = None,
    progress: Callable[[int, int], None] | None = None,
    region_size: int = REGION,
) -> World:
    """Write a world of about `transfers` transfers under `out`: ledgers, labels, prices, truth, description.

    The same seed, size and dials give the same bytes. Above `region_size` transfers it is made of regions of
    equal size, each with its own people, with money that crosses between them: memory is that of one region.
    `truth.csv` is for evaluation and never imported; `world.json` is written last. Raises InputError for a
    negative seed or a size below `SMALLEST`.
    """
    if seed < 0 or min(transfers, region_size) < SMALLEST:
        raise InputError(
            f"a world needs a seed of 0 or more and at least {SMALLEST} transfers: "
            f"this was seed {seed}, {transfers} transfers"
        )
    regions = -(-transfers // region_size)
    each = transfers // regions
    steps = regions * _STEPS + 2
    done = 0

    def tell() -> None:
        nonlocal done
        if progress is not None:
            progress(done, steps)
        done += 1

    tell()
    out.mkdir(parents=True, exist_ok=True)
    (out / "world.json").unlink(missing_ok=True)
    parts = out / _PARTS
    shutil.rmtree(parts, ignore_errors=True)
    parts.mkdir()
    prices = make_prices(seed)
    blocks = make_blocks(seed, regions=regions, seconds=_BLOCK_SECONDS * stretch_blocks(each))
    shared = Shared(
        dials=dials or Dials(),
        transfers=each,
        prices=prices,
        blocks=blocks,
        crossings=draw_crossings(seed, regions=regions, transfers=each, prices=prices),
    )
    counts: Counter[str] = Counter(blocks=len(blocks.time))
    roles: Counter[str] = Counter()
    labels: list[Label] = []
    first_owners: list[int] = []
    writer = _Writer(parts, regions, transfers, blocks)
    with (parts / "truth.csv").open("w", encoding="utf-8", newline="\n") as truth:
        truth.write(COLUMNS + "\n")
        for number in range(regions):
            region = simulate_region(_region_seed(seed, number, regions), number, shared, tell)
            first_owner = counts["owners"]
            first_owners.append(first_owner)
            found, told = list_labels(
                seed=region.seed,
                dials=shared.dials,
                cast=region.cast,
                cases=region.cases,
                receipts=list_receipts(region.utxo, region.tokens),
                first_owner=first_owner,
            )
            labels += found
            for line in region.truth(first_owner):
                truth.write(line + "\n")
                counts["addresses"] += 1
            tell()
            writer.add(region)
            counts.update(told)
            counts.update(owners=region.cast.owners, drug_owners=int(region.cast.drug.sum()))
            roles.update(region.count_roles())
            tell()
    counts.update(writer.finish())
    write_labels(parts / "labels.csv", labels)
    write_prices(parts / "prices.csv", prices)
    _move_files(parts, out)
    tell()
    description = {
        "seed": seed,
        "transfers": transfers,
        "regions": regions,
        "first_owners": first_owners,
        "dials": asdict(shared.dials),
        "evasion": name_evasion(shared.dials),
        "counts": dict(counts),
        "owners_by_role": dict(roles),
    }
    _write_description(out / "world.json", description)
    tell()
    return World(
        folder=out,
        seed=seed,
        utxo=out / "utxo.parquet",
        tokens=out / "tokens.parquet",
        token_layout=TOKEN_LAYOUT,
        token_mapping=TOKEN_MAPPING,
        labels=out / "labels.csv",
        prices=out / "prices.csv",
        truth=out / "truth.csv",
        description=out / "world.json",
        counts=dict(counts),
    )


def _move_files(parts: Path, out: Path) -> None:
    """Put the finished files where they belong, and take the parts away."""
    for name in _FILES:
        with (parts / name).open("rb") as handle:
            os.fsync(handle.fileno())
        (parts / name).replace(out / name)
    shutil.rmtree(parts)


def _write_description(path: Path, description: dict[str, object]) -> None:
    fixed = {
        "token": {"contract": SIMULATED_TOKEN, "layout": TOKEN_LAYOUT, "mapping": TOKEN_MAPPING},
        "coin": {"contract": SIMULATED_COIN},
        "note": "Invented. No address, owner or payment of this world exists anywhere else.",
    }
    text = json.dumps(description | fixed, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")


class _Writer:
    """Writes the ledger files: those of a single region at once, those of several from parts on disk."""

    def __init__(self, folder: Path, regions: int, transfers: int, blocks: Blocks) -> None:
        self.folder, self.regions, self.blocks = folder, regions, blocks
        self.starts = window_starts(transfers, regions)
        self.rows: dict[str, int] = {}
        self.parts: dict[str, list[Path]] = {"utxo": [], "tokens": []}
        self.cuts: dict[str, list[Ints]] = {"utxo": [], "tokens": []}

    def add(self, region: Region) -> None:
        """Write the transfers of one region."""
        first_blocks = np.searchsorted(self.blocks.time, self.starts)
        for name, keys in (("utxo", first_blocks), ("tokens", self.starts)):
            utxo = name == "utxo"
            table = table_utxo(region.utxo) if utxo else table_tokens(region.tokens)
            if self.regions == 1:
                finish = finish_utxo(self.blocks) if utxo else finish_tokens
                write_whole(self.folder / f"{name}.parquet", finish([table]), utxo=utxo)
                self.rows[name] = len(table)
                continue
            cuts = np.append(np.searchsorted(table["block" if utxo else "second"], keys), len(table))
            path = self.folder / f"{name}-{region.number:04d}.parquet"
            write_part(path, table, cuts)
            self.parts[name].append(path)
            self.cuts[name].append(cuts)

    def finish(self) -> dict[str, int]:
        """Merge the parts, where there are any; return the number of transfers on each chain."""
        for name in self.parts if self.regions > 1 else ():
            finish = finish_utxo(self.blocks) if name == "utxo" else finish_tokens
            self.rows[name] = merge_parts(
                self.folder / f"{name}.parquet", self.parts[name], self.cuts[name], finish
            )
        return {"utxo_transfers": self.rows["utxo"], "token_transfers": self.rows["tokens"]}


def _region_seed(seed: int, number: int, regions: int) -> int:
    """Return the seed of a region: that of the world, where there is only one."""
    if regions == 1:
        return seed
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> np.uint64(1))
