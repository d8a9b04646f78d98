"""The image and the compose file, read as Docker reads them, without Docker.

`built` runs the build stage's own RUN lines on a folder that stands for the container's root: the
same pip, the same options, the same files. What they need for long is kept by what it was made from.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from infra.local.servers import cache

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "infra" / "Dockerfile"
Step = tuple[str, str]


def stages() -> list[list[Step]]:
    """(instruction, arguments) of each stage, after its FROM."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.M).replace("\\\n", " ")
    steps = [tuple(line.split(maxsplit=1)) for line in text.splitlines() if line.strip()]
    starts = [at for at, (name, _) in enumerate(steps) if name == "FROM"]
    ends = [*starts[1:], len(steps)]
    return [steps[start + 1 : end] for start, end in zip(starts, ends, strict=True)]  # type: ignore[misc]


def environment_of(stage: list[Step]) -> dict[str, str]:
    """Its ENV lines."""
    pairs = [pair for name, text in stage if name == "ENV" for pair in text.split()]
    return dict(pair.split("=", 1) for pair in pairs)  # type: ignore[misc]


def built(folder: Path) -> Path:
    """What the image has in /opt/copypro, made in this folder."""
    build, final = stages()
    runs = [at for at, (name, _) in enumerate(build) if name == "RUN"]
    dependencies, project = build[: runs[0] + 1], build[runs[0] + 1 :]
    made = _made_once(dependencies)
    for name in ("opt", "src", "tmp"):
        shutil.copytree(made / name, folder / name, symlinks=True)
    for step in project:
        _take(step, folder, made)
    opt = folder / "opt" / "copypro"
    (opt / "share").mkdir()
    for name, text in final:
        if name == "COPY" and not text.startswith("--from"):
            *sources, place = text.split()
            for source in sources:
                shutil.copy(ROOT / source, folder / place.lstrip("/"))
    return opt


def _made_once(steps: list[Step]) -> Path:
    sources = [name for kind, text in steps if kind == "COPY" for name in text.split()[:-1]]
    from_bytes = b"".join((ROOT / name).read_bytes() for name in sources)
    key = hashlib.sha256(from_bytes + repr((steps, sys.version)).encode()).hexdigest()[:16]
    folder = cache() / f"image-{key}"
    with _alone(folder):
        if not (folder / "done").exists():
            shutil.rmtree(folder, ignore_errors=True)
            (folder / "tmp").mkdir(parents=True)
            _shell(f"{sys.executable} -m venv {folder}/base", folder, folder)
            for step in steps:
                _take(step, folder, folder)
            (folder / "done").touch()
    return folder


def _take(step: Step, folder: Path, base: Path) -> None:
    name, text = step
    source = folder / "src"
    source.mkdir(exist_ok=True)
    if name == "RUN":
        for place in ("/tmp/", "/opt/"):
            text = re.sub(rf"(?<=\s){place}", f"{folder}{place}", text)
        _shell(text, source, base)
    elif name == "COPY":
        *names, to = text.split()
        for one in names:
            target = (
                source / to
                if len(names) == 1 and not to.endswith("/")
                else source / to / Path(one).name
            )
            if (ROOT / one).is_dir():
                shutil.copytree(ROOT / one, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / one, target)


def _shell(command: str, folder: Path, base: Path) -> None:
    """With the stage's own Python first in PATH."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    env = {**kept, "PATH": f"{base}/base/bin:/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        ["sh", "-ec", command], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {(done.stdout + done.stderr)[-3000:]}"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def compose_file(name: str = "docker-compose.yml") -> dict[str, Any]:
    """As it is, before variables are filled in."""
    return dict(yaml.safe_load((ROOT / name).read_text()))


def filled_in(value: Any, variables: Mapping[str, str]) -> Any:
    """Variables replaced as Compose replaces them. Errors: KeyError for one that must be set."""
    if isinstance(value, dict):
        return {key: filled_in(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [filled_in(one, variables) for one in value]
    if isinstance(value, str):
        return re.sub(
            r"\$\$|\$\{(\w+)(?:(:[-?])([^}]*))?\}", lambda found: _one(found, variables), value
        )
    return value


def _one(found: re.Match[str], variables: Mapping[str, str]) -> str:
    name, kind, text = found.groups()
    if name is None:
        return "$"
    given = variables.get(name, "")
    if kind == ":?" and not given:
        raise KeyError(f"{name}: {text}")
    return given or (text or "" if kind == ":-" else "")


def new_env(*arguments: str) -> dict[str, str]:
    """What `sh infra/new-env.sh` prints."""
    script = ["sh", str(ROOT / "infra" / "new-env.sh"), *arguments]
    said = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    return dict(line.split("=", 1) for line in said.splitlines() if not line.startswith("#"))  # type: ignore[misc]
