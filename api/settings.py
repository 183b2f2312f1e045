"""What the environment and `--dir` say: where the data lie, where the service listens.

Variables start with `SILKSCREEN_` (`SILKSCREEN_DIR`, `SILKSCREEN_PORT`…). Whatever is given on the
command line wins over them.
"""

import os
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from chains.errors import InputError


class Settings(BaseSettings):
    """The settings of one process; frozen, and passed to whoever needs them."""

    model_config = SettingsConfigDict(env_prefix="SILKSCREEN_", frozen=True, extra="forbid")

    dir: Path = Field(default=Path("var"), description="folder of all data at run time")
    host: str = Field(default="127.0.0.1", min_length=1, description="address that the service listens on")
    port: int = Field(default=8000, ge=0, le=65535, description="port that the service listens on")
    threads: int = Field(default=2, ge=1, le=256, description="threads of import, build and training")
    wait_seconds: float = Field(
        default=30.0, ge=0, le=86_400, description="how long to wait for a ledger that another process holds"
    )
    max_body_bytes: int = Field(default=65_536, ge=1024, description="largest request body, in bytes")
    verify_snapshot: bool = Field(
        default=True, description="check every file's hash when a snapshot is opened"
    )

    @property
    def ledger(self) -> Path:
        """The DuckDB file of transfers and labels."""
        return self.dir / "ledger.duckdb"

    @property
    def status(self) -> Path:
        """The small file beside the ledger that says what it holds."""
        return self.dir / "ledger.duckdb.status.json"

    @property
    def models(self) -> Path:
        """The folder of model versions."""
        return self.dir / "models"

    @property
    def snapshots(self) -> Path:
        """The folder of published snapshots."""
        return self.dir / "snapshots"

    @property
    def records(self) -> Path:
        """The SQLite file of what people decide."""
        return self.dir / "records.sqlite"

    @property
    def cache(self) -> Path:
        """The folder of what can be made again."""
        return self.dir / "cache"


def load_settings(**given: Any) -> Settings:
    """Read the settings; what is given and not None wins over the environment.

    Raises InputError that names the variable where a value cannot be used.
    """
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        where = f"--{name}" if given.get(name) is not None else f"SILKSCREEN_{name.upper()}"
        raise InputError(f"{where}: {first['msg']}") from None
    keep_caches(settings)
    return settings


def keep_caches(settings: Settings) -> None:
    """Point the libraries that write caches at the data folder; called before any of them is imported.

    bitcoinlib would write to `~/.bitcoinlib` and numba beside the sources. A variable that the user
    has set stays.
    """
    folder = settings.cache.absolute()
    os.environ.setdefault("NUMBA_CACHE_DIR", str(folder / "numba"))
    os.environ.setdefault("BCL_DATA_DIR", str(folder / "bitcoinlib"))
