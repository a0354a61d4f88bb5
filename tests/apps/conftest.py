"""A PostgreSQL server of the tests' own, in a temporary folder and reached by a socket there."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

DATABASES = count()


def find_postgresql() -> Path | None:
    """Folder of initdb and pg_ctl: on the path, or where Debian puts them."""
    named = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return Path(named).parent if named else debian[-1].parent if debian else None


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Path]:
    """Folder of the socket; without PostgreSQL the test is skipped, or fails where everything is required."""
    programs = find_postgresql()
    if programs is None:
        missing = "PostgreSQL is not installed (apt-get install postgresql)"
        pytest.fail(missing) if os.environ.get("MAINSTEM_REQUIRE_ALL") else pytest.skip(missing)
    owner = {"user": "nobody"} if os.geteuid() == 0 else {}  # the server refuses to run as root
    with tempfile.TemporaryDirectory(prefix="pg") as name:
        folder = Path(name)
        if owner:
            shutil.chown(folder, "nobody")
        data = folder / "data"
        options = f"-k {folder} -c listen_addresses='' -c fsync=off -c shared_buffers=16MB"
        make = [programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-locale", "-N"]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd=folder, **owner)
        begin = [programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start"]
        subprocess.run(begin, check=True, stdout=subprocess.DEVNULL, cwd=folder, **owner)
        try:
            yield folder
        finally:
            end = [programs / "pg_ctl", "-D", data, "-w", "-m", "immediate", "stop"]
            subprocess.run(end, check=True, stdout=subprocess.DEVNULL, cwd=folder, **owner)


@pytest.fixture
def postgresql(postgresql_server: Path) -> str:
    """Address of an empty database."""
    import psycopg

    name = f"reviews{next(DATABASES)}"
    with psycopg.connect(f"host={postgresql_server} user=tester dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://tester@/{name}?host={postgresql_server}"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Address of a store that is not there yet, in each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'reviews.db'}"
    return str(request.getfixturevalue("postgresql"))
