"""Which tests run where: real data needs MAINSTEM_MIRROR; slow and network tests run only when asked for."""

import os

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    asked = config.getoption("-m")
    for item in items:
        if item.get_closest_marker("mirror") and not os.environ.get("MAINSTEM_MIRROR"):
            item.add_marker(pytest.mark.skip(reason="set MAINSTEM_MIRROR to a folder with the data sets"))
        if not asked and (item.get_closest_marker("slow") or item.get_closest_marker("network")):
            item.add_marker(pytest.mark.skip(reason="run by make soak"))
