"""`mainstem pretrain`: teach a trunk and the tokenizers of its streams from what corpora hold, without aims."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mainstem.apps.corpora import Corpus, Mixture, hash_of, open_corpora, read_streams
from mainstem.apps.finetune import kept_until_written, run_folder, say, state_of
from mainstem.apps.pretrain_spec import PretrainSpec
from mainstem.apps.pretrained import PRETRAINED, write_seen
from mainstem.apps.runs import note_asked
from mainstem.core.devices import move, resolve_device
from mainstem.core.distributed import join
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.loop import optimize
from mainstem.core.metrics_log import means_of, read_lines
from mainstem.core.objectives import MaskedPretraining
from mainstem.core.openmodels import OpenModel, load_open_model
from mainstem.core.openmodels.own import check_own, save_own
from mainstem.core.progress import Progress, part_of, silent
from mainstem.core.records import CARD_FILE, write_record
from mainstem.core.tokenizers.streams import StreamsTokenizer
from mainstem.core.training import HOW
from mainstem.core.watch import LOG_FILE, Watch
from mainstem.core.weights import file_sha256

WEIGHTS_FILE = "model.safetensors"
LOSSES = ("loss", "latents", "reconstruction", "contrast", "spread")
LAST = 20  # lines of metrics, whose means are said of the end


def pretrain(spec: PretrainSpec, out: Path, mirror: Path | None = None, progress: Progress = silent) -> dict[str, Any]:
    """Learn from the corpora of a spec, write the run folder `out` and return its record.

    The folder is a model: `--trunk OUT` adapts it, its tokenizers included. Until it is written, `OUT.state` beside it
    keeps what the training has come to, from which the same command goes on after a kill. Of several processes the
    first writes and speaks, and returns a record; the others an empty one. Each draws masks of its own, and contrasts
    its own share of a batch, so that their number changes what is learned.

    Raises:
        InputError: as `open_corpora`; if the trunk is none of the project's own; if training diverges.
        Interrupted: if it was asked to end, by a signal or the time limit; Slurm is asked to queue the job again.
    """
    begin, base, state = time.perf_counter(), own_model(spec), state_of(out)
    world = join(resolve_device(spec.training.device), spec.training.backend)
    with run_folder(out, world) as folder, kept_until_written(state, world):
        progress = progress if world.is_first else silent
        if world.is_first:
            data = ", ".join(corpus.data for _, corpus in sorted(spec.corpora.items()))
            note_asked(state, command="pretrain", adapter=PRETRAINED, task="trunk", data=data)
        corpora, excluded = open_corpora(spec, mirror, part_of(progress, 0.0, 0.0))  # how long it takes nobody knows
        watch = Watch(state, spec.checkpoint, identity_of(spec), world, say=say)
        with watch.requeued():
            model = learn(spec, base, corpora, watch, progress)
        if not world.is_first:
            return {}
        save_own(model, folder)
        write_seen(folder, {content for corpus in corpora for content in corpus.prints})
        rows = read_lines(state / LOG_FILE)
        record = {
            "adapter": PRETRAINED,
            "task": "trunk",
            "data": ", ".join(corpus.spec.data for corpus in corpora),
            "data_sha256": hash_of(content for corpus in corpora for content in corpus.prints),
            "adapter_sha256": file_sha256(folder / WEIGHTS_FILE),
            "trunk_sha256": model.sha256(),
            "held_out": {},
            "spec": spec.model_dump(),
            "seed": spec.seed,
            "corpora": {corpus.name: corpus.facts() for corpus in corpora},
            "excluded": {one.name: one.facts() for one in excluded},
            "i_have_the_rights": list(spec.i_have_the_rights),
            "simulated": all(corpus.source.simulated for corpus in corpora),
            "last": last_of(rows),
            "seconds": time.perf_counter() - begin,
        }
        write_record(folder, record, rows)
        write_card(folder, record, model)
    return record


def identity_of(spec: PretrainSpec) -> dict[str, str]:
    """Return the hash of all settings that change what is learned, beyond rounding."""
    plain = spec.model_dump(exclude={"checkpoint": True, "training": set(HOW)})
    return {"config": hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()}


def last_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the mean losses of the last lines of a log that tell them; what has been lost is left out."""
    known = [{name: row[name] for name in LOSSES} for row in rows if row.keys() >= set(LOSSES)]
    return means_of(known[-LAST:]) if known else {}


def describe_losses(last: Mapping[str, float]) -> str:
    """Say the losses that are known in a line."""
    return ", ".join(f"{name} {value:.3g}" for name, value in last.items()) or "no losses are on record"


def own_model(spec: PretrainSpec) -> OpenModel:
    """Return the trunk that learns.

    Raises:
        InputError: if it is none of the project's own.
    """
    check_own(spec.trunk)
    base = load_open_model(spec.trunk, seed=spec.seed)
    if not isinstance(base.tokenizer, StreamsTokenizer):
        raise InputError(
            f"got trunk {spec.trunk!r}, of the family {base.family}; want xs, ti, s, b, or one made of these"
        )
    return base


def learn(
    spec: PretrainSpec, base: OpenModel, corpora: Sequence[Corpus], watch: Watch, progress: Progress
) -> OpenModel:
    """Return the model after learning from the corpora, on the CPU."""
    torch.manual_seed(spec.seed)
    assert isinstance(base.tokenizer, StreamsTokenizer)
    tokenizer = base.tokenizer.widened(read_streams(corpora))
    parts = (tokenizer.requires_grad_(True), base.trunk.requires_grad_(True))  # a loaded trunk comes frozen
    training = spec.training
    objective = MaskedPretraining(parts, spec.objective, spec.masking, training.steps, spec.seed, training.precision)
    steps = training.steps
    objective.report = lambda step: progress(f"step {step + 1} of {steps}", (step + 1) / steps)
    move([objective], resolve_device(training.device))
    objective.train()
    mixture = Mixture(corpora=corpora, tokenizer=tokenizer, spec=spec, world=watch.world)
    optimize(objective, mixture, training.plan(spec.seed), watch)
    objective.eval()
    move(parts, torch.device("cpu"))
    return replace(base, trunk=base.trunk, tokenizers={"streams": tokenizer})


def write_card(folder: Path, record: Mapping[str, Any], model: OpenModel) -> None:
    """Write card.md: what the trunk saw, under which licences, and what it was kept from."""
    shape = model.trunk.config
    lines = [
        "# A pretrained trunk",
        "",
        "It predicts nothing by itself: `mainstem finetune ADAPTER --trunk FOLDER` adapts it, its tokenizers included. "
        + ("**Taught by simulated data alone.**" if record["simulated"] else ""),
        "",
        f"{shape.dim} wide, {shape.depth} deep, sha256 {record['trunk_sha256']}. Learned in "
        f"{record['spec']['training']['steps']} steps: {describe_losses(record['last'])}.",
        "",
        "## What it saw",
        "",
        "| corpus | data | samples | streams | licence | attribution |",
        "|---|---|---|---|---|---|",
        *(
            f"| {name} | {one['data']} | {one['num_samples']} | {', '.join(one['streams'])} | {one['licence']} | "
            f"{one['attribution']} |"
            for name, one in record["corpora"].items()
        ),
        "",
        "Preparations (normals, scales, anchors) were fitted on the labels of these samples. Of labels themselves the "
        "trunk saw what streams hold of them, as past yields do.",
        "",
        "## What it was kept from",
        "",
        *(f"- {name}: {one['num_samples']} samples of {one['data']}" for name, one in record["excluded"].items()),
        *(
            []
            if record["excluded"]
            else ["Nothing: its SPEC names no evaluations, and the corpora bring no test part."]
        ),
        "",
    ]
    write_atomically(folder / CARD_FILE, "\n".join(lines).encode())
