"""Imports go one way, and what is quick to start stays quick: measured by what gets imported, not by a clock."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "mate"
# A package may import itself and what stands before it.
LAYERS = ("motion", "formats", "data", "text", "align", "generate", "evaluate", "studio", "cli")
# Modules every layer may import; they import none of the layers at module level.
BASE = ("errors", "files", "checkpoints", "training")
HEAVY = ("torch", "transformers", "sentence_transformers", "accelerate", "scipy", "plotly", "numpy", "PIL", "pydantic")


def imported(path: Path, inside_functions: bool = True) -> Iterator[str]:
    """The modules of mate that a file imports, e.g. `mate.motion.features`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if inside_functions else iter(tree.body)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "mate")
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "mate":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer_files() -> list[Path]:
    return [path for path in sorted(SOURCE.rglob("*.py")) if path.relative_to(SOURCE).parts[0] in LAYERS]


@pytest.mark.parametrize("path", layer_files(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_one_way(path: Path) -> None:
    own = path.relative_to(SOURCE).parts[0]
    allowed = set(LAYERS[: LAYERS.index(own) + 1]) | set(BASE)
    if own == "cli":
        allowed |= {"demo", "about"}
    for module in imported(path):
        parts = module.split(".")
        if module == "mate.__version__":
            continue
        assert len(parts) > 1 and parts[1] in allowed, f"{own}/ must not import {module}"


@pytest.mark.parametrize("name", BASE)
def test_base_modules_import_no_layer_at_module_level(name: str) -> None:
    for module in imported(SOURCE / f"{name}.py", inside_functions=False):
        assert module.split(".")[1] in (*BASE, "__version__"), f"{name}.py must not import {module} at module level"


def loaded_after(code: str) -> set[str]:
    """The heavy packages that are loaded after `code` ran in a fresh interpreter."""
    report = f"import json, sys\n{code}\nprint('\\n' + json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    result = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True, timeout=120)
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_importing_mate_loads_nothing_heavy() -> None:
    assert loaded_after("import mate; dir(mate)") == set()


def test_help_loads_nothing_heavy() -> None:
    assert loaded_after("from mate.cli.app import main; main(['--help'])") == set()


def test_help_of_every_command_loads_no_pytorch() -> None:
    """A command's file may import the light parts of the library, but no learning library before it runs."""
    code = "from mate.cli.app import COMMANDS, main\nfor name in COMMANDS: assert main([name, '--help']) == 0"
    assert loaded_after(code) & {"torch", "transformers", "sentence_transformers", "accelerate", "plotly"} == set()


def test_load_motion_loads_no_pytorch() -> None:
    """Reading and converting motions must not wait for PyTorch."""
    assert "torch" not in loaded_after("import mate; mate.load_motion, mate.Motion, mate.MateError")


def test_public_names_are_there() -> None:
    import mate

    for name in mate.__all__:
        assert getattr(mate, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mate.nonsense  # noqa: B018


def test_every_declared_dependency_is_used_and_explained() -> None:
    """What `pip install mate-motion` brings along is imported somewhere, and docs/architecture.md says why it is there."""
    root = SOURCE.parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    modules = {"pillow": "PIL", "tensorboard": "torch.utils.tensorboard"}
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))
    reasons = (root / "docs" / "architecture.md").read_text(encoding="utf-8").split("## Why each dependency")[1]
    for requirement in project["dependencies"]:
        name = re.split(r"[^\w-]", requirement)[0]
        module = modules.get(name, name.replace("-", "_"))
        assert re.search(rf"^\s*(import|from) {re.escape(module)}\b", code, re.MULTILINE), f"{name} is not used"
        assert re.search(rf"\b{name}\b", reasons), f"docs/architecture.md does not say why {name} is there"
