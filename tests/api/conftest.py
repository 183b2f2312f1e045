"""The tiny world of these tests, made once with a model that fits its bank and once without a model."""

import pytest

from api.serving import Served, open_served
from api.settings import Settings
from models.registry import Population
from tests.api.world import BANK, make_world


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return the settings of a data folder whose model speaks of the bank, and not of Bitcoin."""
    return make_world(tmp_path_factory.mktemp("world"), model=Population(simulated=False, chains=(BANK,)))


@pytest.fixture(scope="session")
def unscored(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return the settings of a data folder without a model."""
    return make_world(tmp_path_factory.mktemp("unscored"))


@pytest.fixture(scope="session")
def served(settings: Settings) -> Served:
    return open_served(settings)
