"""One invented world and one model trained on it, for all tests of models/."""

from pathlib import Path

import pytest

from models.registry import Model
from tests.models.population import World, make_world, train_on


@pytest.fixture(scope="session")
def world() -> World:
    return make_world()


@pytest.fixture(scope="session")
def models_folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a models folder with one trained model. Tests that write copy it first."""
    folder = tmp_path_factory.mktemp("trained") / "models"
    train_on(world, folder)
    return folder


@pytest.fixture(scope="session")
def model(models_folder: Path) -> Model:
    from models.registry import current_model

    found = current_model(models_folder)
    assert found is not None
    return found
