"""Asking Slurm to queue a job again: one member of an array, not all; nothing where the job's script asks itself."""

import pytest

from mainstem.core.interruptions import BY_SCRIPT, requeue

NAMES = ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", BY_SCRIPT)
ONE = {"SLURM_JOB_ID": "7"}
MEMBER = {"SLURM_JOB_ID": "8", "SLURM_ARRAY_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "1"}


@pytest.mark.parametrize(
    ("environ", "asks", "said"),
    [
        ({}, "", "no Slurm job"),
        (ONE, "requeue 7", "job 7 is queued again"),
        (MEMBER, "requeue 8_1", "job 8_1 is queued again"),
        ({**MEMBER, BY_SCRIPT: "1"}, "", "the script of job 8_1"),
    ],
)
def test_what_is_asked_for(environ, asks, said, tmp_path, monkeypatch):
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/asked\n')
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert said in requeue()
    assert ((tmp_path / "asked").read_text().strip() if (tmp_path / "asked").exists() else "") == asks


def test_without_scontrol_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert "job 7 is not queued again" in requeue()
