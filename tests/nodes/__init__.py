"""Real nodes for the tests: start one, read it over HTTP, break what lies between.

- `regtest.run_regtest()`: a Bitcoin node. Consensus is Bitcoin Core's own (libbitcoinkernel), the JSON-RPC
  face follows Core's documentation. It lives in this process, in threads.
- `anvil.run_anvil()`: an EVM node in a process of its own, with contracts to deploy (`contracts/*.sol`).
- `proxy.run_proxy(url)`: stands in front of either and injects faults, repeatably by seed.

- `lies.Liar(random)`: what the proxy is given to spoil one place of one answer.
- `worlds.WORLDS`: both nodes under one face; `ledgers`: the command line on them, and what it left behind.

Each node is a context manager, listens on loopback on a free port, and leaves nothing behind. `make test`
installs what they need (`package.json`); a compiled contract is kept under `var/cache`.
"""
