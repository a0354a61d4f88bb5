"""Files that several writers make at once."""

from concurrent.futures import ThreadPoolExecutor

from mainstem.core.files import scratch, write_atomically


def test_writers_of_one_file_never_sweep_away_what_another_makes(tmp_path):
    path = tmp_path / "a"

    def write(number: int) -> None:
        with scratch(path) as folder:
            (folder / "a").write_text(str(number))
            (folder / "a").replace(path)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(400)))
    assert path.read_text().isdigit()
    assert [found.name for found in tmp_path.iterdir()] == ["a"]


def test_one_file_written_by_many_at_once_is_whole_each_time(tmp_path):
    path = tmp_path / "a"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: write_atomically(path, b"%d" % number), range(400)))
    assert path.read_text().isdigit()
    assert [found.name for found in tmp_path.iterdir()] == ["a"]
