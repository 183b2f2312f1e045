"""What only the state of an EVM node can tell: owners, code, balances, and what tokens call themselves."""

from collections.abc import Collection
from threading import Lock

from chains.address import key_form
from chains.assets import evm_coin, find_asset, is_token, native_asset, token_reference
from chains.errors import RpcError
from chains.evm.hex import Misread, as_address, as_quantity
from chains.evm.tokens import OWNER_CALL
from chains.forms import canonical_address
from chains.ledger import Asset
from chains.registry import Chain
from chains.rpc import RpcClient

_MOST_NAMES = 100_000  # tokens whose names are kept in memory


def ask_owner(client: RpcClient, contract: str, height: int) -> str | None:
    """Return the owner that a contract names at a height; None where it or the node does not say it."""
    try:
        answer = client.call("eth_call", {"to": contract, "data": OWNER_CALL}, hex(height))
        if not isinstance(answer, str) or len(answer) != 66 or answer[2:26] != "0" * 24:
            return None
        return as_address("0x" + answer[26:], "owner")
    except (RpcError, Misread):
        return None


def has_code(client: RpcClient, account: str, height: int) -> bool | None:
    """Whether an account has code at a height; a node without that state is asked for the newest."""
    for at in (hex(height), "latest"):
        try:
            answer = client.call("eth_getCode", account, at)
        except RpcError:
            continue
        return isinstance(answer, str) and len(answer) > 2
    return None


def ask_balance(client: RpcClient, account: str, height: int) -> int | None:
    """Return the wei of an account at a height; None where the node has not that state."""
    try:
        return as_quantity(client.call("eth_getBalance", account, hex(height)), "balance")
    except (RpcError, Misread):
        return None


class TokenNames:
    """The assets of one chain by their references, asked from their contracts once and remembered.

    `listed` names contracts to take as listed. Threads may share it.
    """

    def __init__(self, client: RpcClient, chain: Chain, listed: Collection[str] = ()) -> None:
        self._client, self._chain = client, chain
        self._listed = {token_reference(chain, canonical_address(word, chain)) for word in listed}
        native = evm_coin(chain) if chain.family == "evm" else native_asset(chain)
        self._native = {native.reference: native} if native is not None else {}
        self._known: dict[str, Asset] = {}
        self._lock = Lock()

    def find(self, references: Collection[str]) -> list[Asset]:
        """Return the assets of references, by reference; raises NodeError."""
        with self._lock:
            known = {
                reference: self._native.get(reference) or self._known.get(reference)
                for reference in sorted(references)
            }
        missing = [reference for reference, asset in known.items() if asset is None]
        fresh = {asset.reference: asset for asset in self._ask(missing)}
        with self._lock:
            if len(self._known) + len(fresh) > _MOST_NAMES:
                self._known.clear()
            self._known.update(fresh)
        return [asset or fresh[reference] for reference, asset in known.items()]

    def _ask(self, references: Collection[str]) -> list[Asset]:
        from chains.evm.abi import ask_metadata

        own = {reference: find_asset(self._chain, reference) for reference in references}
        asked = [reference for reference, asset in own.items() if is_token(reference) and not asset.listed]
        contracts = [key_form(reference.partition(":")[2]) for reference in asked]
        said = zip(asked, ask_metadata(self._client, contracts) if contracts else (), strict=True)
        for reference, (symbol, decimals) in said:
            own[reference] = find_asset(
                self._chain,
                reference,
                symbol=symbol,
                decimals=decimals,
                listed=reference in self._listed,
            )
        return list(own.values())
