"""`mainstem runs bundle`: what a paper has to hand in of a run, in one zip that is the same bytes every time."""

import hashlib
import zipfile
from importlib.metadata import distributions
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml

from mainstem.core.errors import InputError
from mainstem.core.files import write_atomically
from mainstem.core.fitted_file import read_manifest
from mainstem.core.manifest import AdapterManifest
from mainstem.core.records import CARD_FILE, METRICS_FILE, RECORD_FILE, read_record

NEVER = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip can hold
WEIGHTS = ("adapter.safetensors", "trunk.safetensors")
MODE = 0o644 << 16


def bundle(run: Path, out: Path, *, with_weights: bool = False) -> list[str]:
    """Write record, metrics, card, licences, CITATION.cff, versions and checksums of a run; return the names.

    Weights, which may be large, are named by their sha256, and added where they are asked for.

    Raises:
        InputError: if `run` is no run folder, or `out` is no .zip.
    """
    if out.suffix != ".zip":
        raise InputError(f"got --out {out}, want a .zip file")
    record, manifest = read_record(run), read_manifest(run)[0]
    files = {name: (run / name).read_bytes() for name in (RECORD_FILE, METRICS_FILE, CARD_FILE)}
    files |= {
        "manifest.json": manifest.model_dump_json(indent=2).encode() + b"\n",
        "CITATION.cff": _citation(record, manifest).encode(),
        "LICENCES.md": _licences(manifest).encode(),
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


def _citation(record: dict[str, Any], manifest: AdapterManifest) -> str:
    """A citation file (Citation File Format 1.2.0) of the run."""
    told = {
        "cff-version": "1.2.0",
        "message": "If you use this run, cite it, the software and the data.",
        "title": f"{manifest.adapter}, {manifest.task}, trained on {manifest.training['data']}",
        "type": "software",
        "version": f"{manifest.version}, adapter sha256 {record['adapter_sha256']}",
        "authors": [{"name": "The authors of the run"}],
        "references": [
            {
                "type": "software",
                "title": "Mainstem",
                "version": f"{record['environment']['mainstem']}, code {record['code']}",
                "license": "Apache-2.0",
                "authors": [{"name": "The Mainstem contributors"}],
            },
            {
                "type": "data",
                "title": manifest.training["data"],
                "notes": f"{manifest.attribution} Licence: {manifest.licence}.",
                "authors": [{"name": manifest.attribution or "not stated"}],
            },
        ],
    }
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True)


def _licences(manifest: AdapterManifest) -> str:
    model = manifest.training.get("open_model")
    lines = [
        "# Licences",
        "",
        f"- data: {manifest.licence}. {manifest.attribution}",
        "- software: Apache-2.0",
        *([f"- open model {model}: see `mainstem models list`"] if model else []),
        *(["- learned from simulations alone"] if manifest.simulated else []),
    ]
    return "\n".join(lines) + "\n"


def _versions() -> str:
    """What is installed, in pip's form."""
    found = {f"{one.metadata['Name']}=={one.version}" for one in distributions() if one.metadata["Name"]}
    return "\n".join(sorted(found, key=str.lower)) + "\n"
