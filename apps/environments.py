"""`mainstem env build`: a virtual environment beside a site's own torch, which nothing replaces, or with its own."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

from mainstem.apps.launch_script import INSIDE
from mainstem.apps.site_profiles import NEVER, Site
from mainstem.core.errors import InputError
from mainstem.core.schema import printable

WHEEL = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)(-\d[^-]*)?-[^-]+-[^-]+-(?P<platform>[^-]+)\.whl")  # PEP 427
OWN = "own"
VERSION = """-c 'from importlib.metadata import version; print(version("torch"))' 2> /dev/null || true"""


def render(site_name: str, site: Site, wheels: Path | None, *, has_deps: bool = True, account: str = "") -> str:
    """Return the script that makes a site's environment.

    Args:
        site_name, site: where.
        wheels: a folder of them, where no package index is to be asked.
        has_deps: whether what mainstem needs is installed too.
        account: whose part of the file system it lies in, where it is named so.
    """
    lines = [
        "#!/bin/bash",
        f"# The environment of mainstem on {site.title}, {_torch_of(site)}; {site.said}.",
        *site.modules,
        "set -euo pipefail",
        f'export MAINSTEM_HOME="${{MAINSTEM_HOME:-{site.home.replace("{account}", account or "$PROJECT")}}}"',
        f'environment="${{MAINSTEM_ENV:-{site.environment or "$MAINSTEM_HOME/env/local"}}}"',
        'if [ -e "$environment" ]; then',
        '  echo "mainstem: $environment is there already; delete it, or set MAINSTEM_ENV to another path" >&2',
        "  exit 2",
        "fi",
        'mkdir -p "$(dirname "$environment")"',
        *(_in_container(site, wheels, has_deps) if site.container else _here(site, wheels, has_deps)),
        'echo "$environment is ready"',
    ]
    return "\n".join(lines) + "\n"


def build(site_name: str, site: Site, script: str) -> None:
    """Run a script on this machine.

    Raises:
        InputError: if nothing of ours was ever run there, or it fails.
    """
    if site.run_there == NEVER:
        raise InputError(f"the script for {site_name} was never run there; print it by --dry-run, read it, then run it")
    done = subprocess.run([shutil.which("bash") or "/bin/bash", "-c", script], check=False)  # noqa: S603 - our own
    if done.returncode:
        raise InputError(f"the environment of {site_name} was not made (status {done.returncode}); see above")


def check_wheels(folder: Path, site: Site) -> None:
    """Check that a folder has mainstem's wheel, and wheels for the site's nodes alone.

    Raises:
        InputError: naming the first that is not.
    """
    if not folder.is_dir():
        raise InputError(f"no folder {printable(folder, 200)}; name one with wheels (pip wheel --wheel-dir makes it)")
    found = {path.name: WHEEL.fullmatch(path.name) for path in sorted(folder.glob("*.whl"))}
    for name, parts in found.items():
        platform = parts["platform"] if parts else ""
        if platform != "any" and site.architecture and not platform.endswith(site.architecture):
            raise InputError(
                f"{printable(name)} is for {platform or 'no platform'}, nodes of {site.title} are {site.architecture}; "
                f"fetch it by pip download --only-binary=:all: --platform manylinux_2_28_{site.architecture}"
            )
    if not any(parts and parts["name"] == "mainstem" for parts in found.values()):
        raise InputError(f"{folder} has no wheel of mainstem; pip wheel --no-deps --wheel-dir {folder} . makes it")


def _here(site: Site, wheels: Path | None, has_deps: bool) -> list[str]:
    return [
        "trap 'rm -rf \"$environment\"' ERR",  # half of one would be taken for one
        *_install(site, '"$environment"', shlex.quote(str(wheels)) if wheels else None, has_deps),
        "trap - ERR",
    ]


def _in_container(site: Site, wheels: Path | None, has_deps: bool) -> list[str]:
    """Make it where it will be seen, then pack it into one file: thousands of small ones would wear Lustre out."""
    bound = f" -B {shlex.quote(f'{wheels}:/wheels')}" if wheels else ""
    inside = _install(site, INSIDE, "/wheels" if wheels else None, has_deps)
    return [
        f'image="${{MAINSTEM_SIF:-{site.container}}}"',
        "build=$(cat << 'BUILD'",
        "set -euo pipefail",
        *inside,
        "BUILD",
        ")",
        "work=$(mktemp -d)",
        "trap 'rm -rf \"$work\"' EXIT",
        f'singularity exec -B "$work:{INSIDE}"{bound} "$image" bash -c "$build"',
        'mksquashfs "$work" "$environment.part" -all-root -no-progress',
        'mv "$environment.part" "$environment"',
    ]


def _torch_of(site: Site) -> str:
    return "with a torch of its own" if site.torch == OWN else "beside the site's own torch"


def _install(site: Site, place: str, wheels: str | None, has_deps: bool) -> list[str]:
    """Make an environment and install mainstem in it: with the site's packages and torch held fast, or all its own."""
    source = f" --no-index --find-links {wheels}" if wheels else ""
    install = f"{place}/bin/python -m pip install{'' if has_deps else ' --no-deps'}{source}"
    if site.torch == OWN:
        return [f"python3 -m venv {place}", f"{install} mainstem", *(_has_cuda(place) if has_deps else [])]
    lacking = [
        'if [ -z "$torch" ]; then',
        '  echo "mainstem: there is no torch among the site\'s packages; load its module first" >&2',
        "  false",
        "fi",
    ]
    return [
        f"python3 -m venv --system-site-packages {place}",
        f"torch=$({place}/bin/python {VERSION})",
        *(lacking if site.torch or site.modules or site.container else []),
        f'echo "${{torch:+torch==$torch}}" > {place}/constraints.txt',
        f"{install} --constraint {place}/constraints.txt mainstem",
        f"after=$({place}/bin/python {VERSION})",
        'if [ -n "$torch" ] && [ "$after" != "$torch" ]; then',
        '  echo "mainstem: torch $torch of the site was replaced by $after" >&2',
        "  false",
        "fi",
    ]


def _has_cuda(place: str) -> list[str]:
    """Refuse a torch without GPUs, which an index may well hold for a machine: nobody would see it but by the time."""
    return [
        f"if ! {place}/bin/python -c 'import sys, torch; sys.exit(torch.version.cuda is None)'; then",
        '  echo "mainstem: the torch that came is for no GPU; bring wheels of one for CUDA by --wheels" >&2',
        "  false",
        "fi",
    ]
