"""`mainstem media provenance` and `media sign`, as a user runs them."""

import json

import pytest
from tests.data.media import signed_files as made
from tests.data.media.signed_files import Ask, authority, flipped, picture, put, signed
from tests.hostile.harness import run_cli

KEYS = {"verdict", "reasons", "signer", "signed_at", "words", "tree", "trust_list", "sha256", "file", "manifest"}


@pytest.fixture
def folder(tmp_path):
    data = signed(picture())[0]
    put(tmp_path, "signed.jpg", data)
    put(tmp_path, "altered.jpg", flipped(data, len(data) - 400))
    put(tmp_path, "plain.jpg", picture())
    put(tmp_path, "list.pem", f"# name: House\n# date: 2026-10-01\n{authority().pem}")
    put(tmp_path, "chain.pem", made.signer().pem + authority().pem)
    put(tmp_path, "key.pem", made.signer().key_pem)
    return tmp_path


def look(folder, *given, code=0):
    outcome = run_cli("media", "provenance", *given, "--json", cwd=folder)
    assert outcome.code == code, outcome.text
    return json.loads(outcome.out)


def test_one_file_is_one_object(folder):
    for name, given, verdict in (
        ("signed.jpg", (), "valid"),
        ("signed.jpg", ("--trust", "list.pem"), "trusted"),
        ("altered.jpg", ("--trust", "list.pem"), "tampered"),
        ("plain.jpg", (), "absent"),
    ):
        told = look(folder, name, *given)
        assert set(told) >= KEYS
        assert told["verdict"] == verdict
        assert told["trust_list"]["date"] == ("2026-10-01" if given else "2026-08-05")


def test_folders_are_walked_and_what_cannot_be_read_is_told(folder):
    (folder / "more").mkdir()
    (folder / ".hidden").mkdir()
    put(folder / "more", "broken.jpg", picture()[:60])
    put(folder / "more", "sidecar.c2pa", b"x")
    put(folder / ".hidden", "a.jpg", picture())
    (folder / "more" / "link.jpg").symlink_to(folder / "plain.jpg")
    told = look(folder, ".", "--trust", "list.pem", code=1)
    assert told["counts"] == {"absent": 4, "tampered": 1, "trusted": 1}
    assert list(told["refused"]) == ["more/broken.jpg"]
    outcome = run_cli("media", "provenance", ".", cwd=folder)
    assert outcome.code == 1
    assert "refused: more/broken.jpg" in outcome.err


def test_hostile_titles_reach_no_terminal(folder):
    title = "a\x1b]0;owned\x07\r\nmainstem: all is well<b>"
    put(folder, "hostile.jpg", signed(picture(), Ask(title=title, ingredients=[(title, picture(seed=1))]))[0])
    outcome = run_cli("media", "provenance", "hostile.jpg", cwd=folder)
    assert outcome.code == 0
    assert not set("\x1b\x07\r") & set(outcome.out)
    assert not any(line.startswith("mainstem: all") for line in outcome.out.splitlines())
    assert "<b>" in outcome.out


def test_bad_input_is_one_line(folder):
    put(folder, "empty.jpg", b"")
    put(folder, "bad.pem", b"hello")
    (folder / "nothing").mkdir()
    for given, words in (
        (["gone.jpg"], ["gone.jpg", "not found"]),
        (["empty.jpg"], ["empty.jpg", "empty"]),
        (["nothing"], ["nothing", "no file"]),
        (["plain.jpg", "--trust", "bad.pem"], ["bad.pem", "certificate"]),
        (["plain.jpg", "--trust", "gone.pem"], ["gone.pem"]),
    ):
        run_cli("media", "provenance", *given, cwd=folder).refused(*words)


def test_a_copy_is_signed(folder):
    given = ["--certificate", "chain.pem", "--key", "key.pem", "--out", "copy.jpg"]
    outcome = run_cli("media", "sign", "altered.jpg", *given, "--json", cwd=folder)
    assert outcome.code == 0, outcome.text
    told = json.loads(outcome.out)
    assert (told["before"]["verdict"], told["after"]["verdict"]) == ("tampered", "ingredient-fault")
    assert look(folder, "copy.jpg", "--trust", "list.pem")["verdict"] == "ingredient-fault"
    before = (folder / "plain.jpg").read_bytes()
    run_cli("media", "sign", "plain.jpg", *given[:-1], "plain.jpg", cwd=folder).refused("plain.jpg", "written over")
    run_cli("media", "sign", "plain.jpg", *given, cwd=folder).refused("copy.jpg", "exists")
    assert (folder / "plain.jpg").read_bytes() == before
