from typing import Any

import pytest

from chains.errors import InputError, NodeUnavailable, RpcError
from chains.rpc import RpcClient, RpcLimits
from tests.chains.scripted_server import Reply, failure, json_reply, serve


def test_login_goes_into_a_header_and_nothing_secret_is_shown() -> None:
    url = "http://user:p%40ss-word@127.0.0.1:1/v3/0123456789abcdef0123456789abcdef/x?apikey=hunter22&page=2"
    with RpcClient(url, limits=RpcLimits(attempts=1)) as client:
        assert client.shown_url == "http://127.0.0.1:1/v3/…/x?apikey=…&page=…"
        with pytest.raises(NodeUnavailable) as caught:
            client.call("m")
    for secret in ("user", "p%40ss", "p@ss", "0123456789abcdef", "hunter22"):
        assert secret not in str(caught.value)

    def leak(body: Any, _: int) -> Reply:
        return json_reply(failure(-1, "no project 0123456789abcdef0123 for p@ss-word", body["id"]))

    with serve(leak) as server:
        host = server.url.removeprefix("http://")
        url = f"http://user:p%40ss-word@{host}/0123456789abcdef0123"
        with RpcClient(url) as client, pytest.raises(RpcError) as told:
            client.call("m")
        assert server.headers[0]["Authorization"] == "Basic dXNlcjpwQHNzLXdvcmQ="
        assert "no project … for …" in str(told.value)


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8332", "ftp://host/", "file:///etc/passwd", "http://", "http://host:99999/", "http://[::1/",
     "http://a..b/", "http://" + "a" * 64 + "/", "http://host\x07/", "http://ho st/", "https://\u0661.\ufffd/"],
)  # fmt: skip
def test_a_url_that_is_none_is_refused_without_asking_anybody(url: str) -> None:
    with pytest.raises(InputError, match="URL"):
        RpcClient(url)


def test_a_key_in_a_url_is_told_from_a_name() -> None:
    shown = {
        "https://mainnet.infura.io/v3/9aa3d95b3bc440fa88ea12eaa4456161": "https://mainnet.infura.io/v3/…",
        "https://eth-mainnet.g.alchemy.com/v2/AbCdEf-123_ghiJKL456": "https://eth-mainnet.g.alchemy.com/v2/…",
        "https://node.example/jsonrpc": "https://node.example/jsonrpc",
        "http://[::1]:8545/ext/bc/C/rpc": "http://[::1]:8545/ext/bc/C/rpc",
        "http://127.0.0.1:8332/wallet/main": "http://127.0.0.1:8332/wallet/main",
    }
    for url, wanted in shown.items():
        with RpcClient(url) as client:
            assert client.shown_url == wanted
