"""One walk: every command that reads a folder finds the same files there, and passes over the same for one reason."""

import os

import pytest
from tests.apps.media.archives import HERE, archive, picture, states
from tests.apps.media.test_media_hostile import as_anybody

from mainstem.apps.media.duplicates import find_duplicates
from mainstem.apps.media.index import index_folder
from mainstem.apps.media.provenance import look


@pytest.fixture
def root(tmp_path, home):
    """An archive with a link, a hidden file and folder, a pipe, sidecars, and a folder that cannot be listed."""
    found = archive(tmp_path / "archive")
    (found / "link.jpg").symlink_to(found / "day0" / "photo0.jpg")
    (found / "linked").symlink_to(found / "day0", target_is_directory=True)
    picture(found / ".hidden.jpg", 50)
    picture(found / ".cache" / "shown.jpg", 51)
    os.mkfifo(found / "pipe")
    (found / "day0" / "photo2.c2pa").write_bytes(b"x")
    picture(found / "closed" / "away.jpg", 52)
    (found / "closed").chmod(0)
    yield found
    (found / "closed").chmod(0o700)


def below(root, paths):
    return {os.path.relpath(path, root) for path in paths}


def test_three_commands_find_the_same_files_and_give_the_same_reasons(root):
    with as_anybody():
        told = index_folder(root, HERE)
        copies = find_duplicates(root, options=HERE)
        looked = look([root], None)
    files = {path for path, state in states(root).items() if state != "sidecar"}
    assert files == {f"day{seed % 2}/photo{seed}.jpg" for seed in range(5)} | {"talk.wav", "minutes.txt"}
    assert below(root, [one.file for one in looked.found]) == files
    media = files - {"minutes.txt"}
    assert copies.num_compared == len(media)
    assert below(root, copies.left_out) - {"talk.wav"} == {"minutes.txt", "link.jpg", "linked", "pipe"}  # a plain tone
    assert set(told["refused"]) == {"link.jpg", "linked", "pipe", "closed"}
    whys = {os.path.relpath(path, root): why for path, why in (*copies.left_out.items(), *copies.refused.items())}
    for path, why in told["refused"].items():
        assert whys[path].endswith(why)
    said = {os.path.relpath(path, root): why for path, why in (*looked.left_out.items(), *looked.refused.items())}
    assert said.keys() == told["refused"].keys()
    assert all(said[path].endswith(why) for path, why in told["refused"].items())
