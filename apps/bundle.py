"""`mainstem runs bundle`: what a paper has to hand in of a run, in one zip that is the same bytes every time."""

import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import distributions
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

from mainstem.apps.pretrained import PRETRAINED
from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.fitted_file import read_manifest
from mainstem.core.manifest import AdapterManifest
from mainstem.core.openmodels.fetching import listings, split_revision
from mainstem.core.records import CARD_FILE, METRICS_FILE, RECORD_FILE, read_record

NEVER = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip can hold
WEIGHTS = ("adapter.safetensors", "trunk.safetensors", "model.safetensors", "config.json")
MODE = 0o644 << 16


def bundle(
    run: Path, out: Path, *, with_weights: bool = False, title: str = "", authors: Sequence[str] = ()
) -> list[str]:
    """Write record, metrics, card, licences, CITATION.cff, versions and checksums of a run; return the names.

    Weights, which may be large, are named by their sha256, and added where they are asked for.

    Raises:
        InputError: if `run` is no run folder, or `out` is no .zip.
    """
    if out.suffix != ".zip":
        raise InputError(f"got --out {out}, want a .zip file")
    record = read_record(run)
    is_pretrained = record["adapter"] == PRETRAINED
    told = _of_pretraining(record) if is_pretrained else _of_adapter(record, read_manifest(run)[0])
    told = replace(told, title=title or told.title, authors=authors or told.authors)
    files = {name: (run / name).read_bytes() for name in (RECORD_FILE, METRICS_FILE, CARD_FILE)}
    files |= {
        **({} if told.manifest is None else {"manifest.json": told.manifest.encode() + b"\n"}),
        "CITATION.cff": _citation(record, told).encode(),
        "LICENCES.md": _licences(told).encode(),
        "environment.txt": _versions().encode(),
    }
    files |= {name: (run / name).read_bytes() for name in WEIGHTS if with_weights and (run / name).is_file()}
    sums = [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in sorted(files.items())]
    files["SHA256SUMS"] = ("\n".join(sums) + "\n").encode()
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as written:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, NEVER)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, MODE
            written.writestr(entry, data)
    write_atomically(out, packed.getvalue())
    return sorted(files)


@dataclass(frozen=True, kw_only=True)
class _Learned:
    """What a run is, and what it was learned from: (data, attribution, licence) of each set."""

    title: str
    version: str
    sources: Sequence[tuple[str, str, str]]
    simulated: bool
    authors: Sequence[str] = ("The authors of the run",)
    model: str | None = None
    manifest: str | None = None


def _of_adapter(record: Mapping[str, Any], manifest: AdapterManifest) -> _Learned:
    data, trunk = manifest.training["data"], record.get("trunk") or {}
    return _Learned(
        title=f"{manifest.adapter}, {manifest.task}, trained on {data}",
        version=f"{manifest.version}, adapter sha256 {record['adapter_sha256']}",
        sources=[(data, manifest.attribution, manifest.licence), *_corpora(trunk)],
        simulated=manifest.simulated,
        model=None if trunk else manifest.training.get("open_model"),
        manifest=manifest.model_dump_json(indent=2),
    )


def _of_pretraining(record: Mapping[str, Any]) -> _Learned:
    return _Learned(
        title=f"a trunk, pretrained on {record['data']}",
        version=f"trunk sha256 {record['trunk_sha256']}",
        sources=_corpora(record),
        simulated=record["simulated"],
    )


def _corpora(told: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What a trunk was pretrained on."""
    return [(one["data"], one["attribution"], one["licence"]) for one in told.get("corpora", {}).values()]


def _citation(record: Mapping[str, Any], told: _Learned) -> str:
    """A citation file (Citation File Format 1.2.0) of the run."""
    cited = {
        "cff-version": "1.2.0",
        "message": "If you use this run, cite it, the software and the data.",
        "title": told.title,
        "type": "software",
        "version": told.version,
        "authors": [{"name": name} for name in told.authors],
        "references": [
            {
                "type": "software",
                "title": "Mainstem",
                "version": f"{record['environment']['mainstem']}, code {record['code']}",
                "license": "Apache-2.0",
                "authors": [{"name": "The Mainstem contributors"}],
            },
            *(
                {
                    "type": "data",
                    "title": data,
                    "notes": f"{attribution} Licence: {licence}.",
                    "authors": [{"name": attribution or "not stated"}],
                }
                for data, attribution, licence in told.sources
            ),
        ],
    }
    return yaml.safe_dump(cited, sort_keys=False, allow_unicode=True)


def _licences(told: _Learned) -> str:
    several = len(told.sources) > 1
    lines = [
        "# Licences",
        "",
        *(f"- data{f' {data}' if several else ''}: {licence}. {by}" for data, by, licence in told.sources),
        "- software: Apache-2.0",
        *([f"- open model {_public(told.model)}"] if told.model else []),
        *(["- learned from simulations alone"] if told.simulated else []),
    ]
    return "\n".join(lines) + "\n"


def _public(model: str) -> str:
    """A model as others may know it: no path of this machine."""
    name = split_revision(model)[0]
    if name in listings():
        return f"{model}: {listings()[name].licence}"
    return f"{Path(model).name}, weights of one's own" if Path(model).exists() else f"{model}: see its hub page"


def _versions() -> str:
    """What is installed, in pip's form."""
    found = {f"{one.metadata['Name']}=={one.version}" for one in distributions() if one.metadata["Name"]}
    return "\n".join(sorted(found, key=str.lower)) + "\n"
