"""The history of one Bitcoin address, through bitcoinlib's `Service`, from an Esplora server or a bitcoind.

bitcoinlib chooses the provider by a name in its `providers.json` and asks it for the chain's height and for
an address's transactions. Everything in which bitcoinlib 0.7.10 is wrong or fragile is handled here and
nowhere else; `docs/pulling.md` lists it. In short: the provider that is entered there is our own (paging,
retries, checks and errors are ours), its transactions carry the scripts themselves, and accounts come from
those scripts, never from an address that bitcoinlib guesses.

Sources: the Esplora HTTP API; the RPC documentation of Bitcoin Core (getaddressinfo, listtransactions,
getrawtransaction); BIP-144 for the form of a transaction.
"""

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import count
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import Lock
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar

import pyarrow as pa

from chains.address import key_form
from chains.assets import native_asset
from chains.bitcoin.indexers import BitcoindLink, EsploraLink, Link, Told
from chains.bitcoin.scripts import script_holders
from chains.errors import InputError, SilkscreenError, WrongChain
from chains.held import HeldOpen
from chains.history import Findings, FoundLeg, FoundTransfer, History
from chains.ledger import Kind, Side
from chains.registry import Chain
from chains.rpc import RpcLimits

CONFIRMATIONS = 6
"""A block is final when it has five more on top."""

NETWORKS = {
    "bitcoin": "bitcoin",
    "bitcoin-testnet": "testnet",
    "bitcoin-testnet4": "testnet4",
    "bitcoin-signet": "signet",
    "bitcoin-regtest": "regtest",
    "litecoin": "litecoin",
    "dogecoin": "dogecoin",
}
"""The chains that bitcoinlib has a network for, by their names here and there."""

PROVIDERS: dict[str, type[EsploraLink | BitcoindLink]] = {"esplora": EsploraLink, "bitcoind": BitcoindLink}

_Result = TypeVar("_Result")


@dataclass
class _Held:
    """A link that is held open, and the module and network of bitcoinlib that serve it."""

    link: Link
    services: Any
    network: Any


_held: dict[str, _Held] = {}
_loading = Lock()
_numbers = count(1)


class BitcoinService(HeldOpen):
    """An Esplora server or a bitcoind that is held open and asked for histories of addresses.

    `provider` is esplora or bitcoind. `folder` is where bitcoinlib keeps its own files. Raises InputError for
    a chain that bitcoinlib does not know, WrongChain where the provider serves another one, and what
    `chains/rpc.py` raises.
    """

    def __init__(
        self,
        url: str,
        chain: Chain,
        *,
        provider: str,
        folder: Path,
        confirmations: int = CONFIRMATIONS,
        limits: RpcLimits | None = None,
    ) -> None:
        asset = native_asset(chain)
        if chain.name not in NETWORKS or asset is None:
            known = ", ".join(NETWORKS)
            raise InputError(
                f"histories through an indexer are read for {known}; {chain.name} is none of them"
            )
        self.chain, self._asset, self._confirmations = chain, asset, max(1, confirmations)
        self._link: Link = PROVIDERS[provider](url, limits)
        self._handle = f"{os.getpid()}-{next(_numbers)}"
        self.layout = f"pull:{provider}"
        try:
            self._check_chain()
            self._service = self._open_service(folder)
        except BaseException:
            self.close()
            raise

    @property
    def shown_url(self) -> str:
        """Where it is, without credentials."""
        return self._link.client.shown_url

    def read_history(self, address: str, *, first: int, most: int) -> History:
        """Return the history of an address from block `first` on, at most about `most` transactions.

        Raises BadAnswer where a transaction is not what its hash says, and what `chains/rpc.py` raises.
        """
        link = self._link
        link.first, link.cut, link.doubt, link.waiting = first, False, "", 0
        final = self._asked(lambda: self._service._provider_execute("blockcount")) - self._confirmations + 1
        told = self._asked(lambda: self._service.gettransactions(address, limit=most))
        # A history that is cut breaks off inside a block: that block counts as not read.
        start = min(transaction.block_height for transaction in told) + 1 if link.cut else first
        found = Findings(assets={self._asset.reference: self._asset})
        kept = [transaction for transaction in told if start <= transaction.block_height <= final]
        scripts = {spent.locking_script.hex() for one in kept for spent in one.inputs if not one.coinbase}
        scripts |= {out.lock_script.hex() for one in kept for out in one.outputs}
        holders = script_holders(pa.array(sorted(scripts), pa.string()), self.chain).to_pylist()
        by_script = dict(zip(sorted(scripts), holders, strict=True))
        found.transfers += [self._transfer(transaction, address, by_script) for transaction in kept]
        return History(
            batch=found.batch(),
            first_height=start,
            last_height=start - 1 if link.doubt else final,
            cut=link.cut,
            pending=link.waiting + sum(transaction.block_height > final for transaction in told),
            unread=link.unread,
            note=f"it has more than {most:,} transactions" if link.cut else link.doubt,
        )

    def close(self) -> None:
        """Let go of the connection; closing twice is harmless."""
        self._link.client.close()
        _held.pop(self._handle, None)

    def _check_chain(self) -> None:
        found = self._link.first_hash()
        expected = self.chain.caip2.partition(":")[2]
        if not found.startswith(expected):
            raise WrongChain(
                self.shown_url, expected=self.chain.name, found=f"a chain that starts with {found}"
            )

    def _open_service(self, folder: Path) -> Any:
        """Open bitcoinlib's Service on our own provider; its constructor asks for the height at once."""
        services = load_library(folder)
        network = NETWORKS[self.chain.name]
        name = enter_provider(services, network)
        _held[self._handle] = _Held(self._link, services, services.Network(network))
        return self._asked(
            lambda: services.Service(
                network=network, provider_name=name, cache_uri="", strict=False, wallet_name=self._handle
            )
        )

    def _asked(self, ask: Callable[[], _Result]) -> _Result:
        """Ask bitcoinlib; it swallows what went wrong, so the error that the link kept is raised instead."""
        self._link.failure = None
        try:
            answer = ask()
        except Exception as error:
            if self._link.failure is not None:
                raise self._link.failure from error
            raise self._link.bad("Service", str(error)) from error
        if self._link.failure is not None:
            raise self._link.failure
        return answer

    def _transfer(self, transaction: Any, address: str, holders: Mapping[str, str]) -> FoundTransfer:
        """Return one transaction as a transfer; its hash, sums and the address's part in it are checked.

        `holders` are the accounts of scripts, by their hexadecimal form.
        """
        if transaction_hash(transaction) != bytes.fromhex(transaction.txid):
            raise self._link.bad("transaction", f"{transaction.txid} is not the hash of what it holds")
        payees = tuple(
            FoundLeg(Side.PAYEE, out.output_n, holders[out.lock_script.hex()], out.value)
            for out in transaction.outputs
        )
        payers = tuple(
            FoundLeg(
                Side.PAYER,
                spent.index_n,
                holders[spent.locking_script.hex()],
                spent.value,
                spent.prev_txid,
                spent.output_n_int,
            )
            for spent in transaction.inputs
            if not transaction.coinbase
        )
        if payers and sum(leg.amount for leg in payers) < sum(leg.amount for leg in payees):
            raise self._link.bad("transaction", f"{transaction.txid} pays more than it spends")
        accounts = {leg.account for leg in (*payers, *payees)}
        if address not in accounts and key_form(address) not in map(key_form, accounts):
            raise self._link.bad("transaction", f"{transaction.txid} does not touch the address asked for")
        return FoundTransfer(
            height=transaction.block_height,
            position=transaction.index,
            kind=Kind.REWARD if transaction.coinbase else Kind.NATIVE,
            part=0,
            time=transaction.date.replace(tzinfo=None),
            hash=bytes.fromhex(transaction.txid),
            asset=self._asset.reference,
            block_hash=bytes.fromhex(transaction.block_hash),
            legs=(*payers, *payees),
        )


def load_library(folder: Path) -> ModuleType:
    """Import bitcoinlib's services and return the module, its side effects undone.

    It takes its folder from the environment alone and writes there when imported; it warns, takes a log file
    of its own, and switches off a warning about unsafe connections for the whole process.
    """
    with _loading:
        os.environ.setdefault("BCL_DATA_DIR", str(folder.absolute()))
        Path(os.environ["BCL_DATA_DIR"]).mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from bitcoinlib.services import services
        log = logging.getLogger("bitcoinlib")
        for handler in list(log.handlers):
            log.removeHandler(handler)
            handler.close()
        if not any(isinstance(handler, logging.NullHandler) for handler in log.handlers):
            log.addHandler(logging.NullHandler())
        log.propagate = False
        services.services.silkscreen = SimpleNamespace(OwnProvider=OwnProvider)
        module: ModuleType = services
        return module


def enter_provider(services: ModuleType, network: str) -> str:
    """Enter our own provider in bitcoinlib's `providers.json` and return its name; no URL is in the entry."""
    name = f"silkscreen.{network}"
    entry = {
        "provider": "silkscreen",
        "network": network,
        "client_class": "OwnProvider",
        "url": "given on the command line",
        "api_key": "",
        "priority": 1,
        "denominator": 1,
    }
    path = Path(services.BCL_DATA_DIR, "providers.json")
    with _loading:
        entries: Any = None
        with suppress(OSError, ValueError):
            entries = json.loads(path.read_text("utf-8"))
        entries = entries if isinstance(entries, dict) else {}
        if entries.get(name) != entry:
            with NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as made:
                json.dump(entries | {name: entry}, made, indent=1)
            Path(made.name).replace(path)
    return name


class OwnProvider:
    """What bitcoinlib's Service calls: made anew for each call, over the link that is held open.

    Errors are kept on the link: the Service passes on neither their kind nor their words.
    """

    def __init__(self, *given: Any) -> None:
        """Take what the Service gives every client; the tenth is a wallet's name, here that of a link."""
        self._held = _held[given[9]]

    def blockcount(self) -> int:
        """Return the height of the newest block."""
        return self._kept(self._held.link.tip)

    def gettransactions(self, address: str, after_txid: str, limit: int) -> list[Any]:  # noqa: ARG002
        """Return the confirmed transactions of an address; the newest where there are more than `limit`."""
        held = self._held
        return self._kept(
            lambda: [
                build_transaction(held.services, held.network, told, tip=held.link.height)
                for told in held.link.read(address, limit)
            ]
        )

    def _kept(self, ask: Callable[[], _Result]) -> _Result:
        try:
            return ask()
        except Exception as error:
            link, known = self._held.link, isinstance(error, SilkscreenError)
            link.failure = error if known else link.bad("Service", f"{type(error).__name__}: {error}")
            raise


def build_transaction(services: Any, network: Any, told: Told, *, tip: int) -> Any:
    """Return a transaction of bitcoinlib's with exactly what was told.

    Its own ways of adding inputs and outputs change versions and scripts, guess addresses, and refuse what
    the chain allows, so the parts are made empty and filled in.
    """
    transaction = services.Transaction(
        network=network,
        txid=told.txid,
        locktime=told.locktime,
        date=told.time,
        block_height=told.height,
        block_hash=told.block_hash,
        confirmations=max(0, tip - told.height + 1),
        coinbase=told.coinbase,
        status="confirmed",
        index=told.position,
    )
    transaction.version_int = told.version
    transaction.version = (told.version % 2**32).to_bytes(4, "big")
    # The kinds of input and output are found where Transaction is: bitcoinlib's services import only that.
    parts = sys.modules[services.Transaction.__module__]
    for place, spent in enumerate(told.inputs):
        made = parts.Input(
            spent.txid, spent.index, index_n=place, value=spent.value_sat, strict=False, network=network
        )
        made.sequence, made.unlocking_script, made.locking_script = spent.sequence, spent.unlock, spent.script
        transaction.inputs.append(made)
    for place, (value_sat, script) in enumerate(told.outputs):
        out = parts.Output(value_sat, output_n=place, strict=False, network=network)
        out.lock_script = script
        transaction.outputs.append(out)
    return transaction


def transaction_hash(transaction: Any) -> bytes:
    """Return the hash of a transaction as displayed, from its parts without the witnesses (BIP-144)."""
    spent = b"".join(
        one.prev_txid[::-1]
        + one.output_n_int.to_bytes(4, "little")
        + _counted(one.unlocking_script)
        + one.sequence.to_bytes(4, "little")
        for one in transaction.inputs
    )
    made = b"".join(
        out.value.to_bytes(8, "little") + _counted(out.lock_script) for out in transaction.outputs
    )
    data = (
        (transaction.version_int % 2**32).to_bytes(4, "little")
        + _count(len(transaction.inputs))
        + spent
        + _count(len(transaction.outputs))
        + made
        + transaction.locktime.to_bytes(4, "little")
    )
    return sha256(sha256(data).digest()).digest()[::-1]


def _counted(script: bytes) -> bytes:
    return _count(len(script)) + script


def _count(number: int) -> bytes:
    if number < 0xFD:
        return bytes([number])
    size, mark = (2, b"\xfd") if number < 0x10000 else (4, b"\xfe")
    return mark + number.to_bytes(size, "little")
