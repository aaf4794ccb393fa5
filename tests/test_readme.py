"""What the README shows must work: its Python runs, its commands and their options exist, its paths are there."""

import re
import shlex
from pathlib import Path

import pytest

from mate.cli import app as cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]
SHIPPED_MODEL = ROOT / "src" / "mate" / "models" / "default" / "model.safetensors"


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def command_lines() -> list[tuple[str, str]]:
    lines = []
    for page in PAGES:
        for block in blocks(page, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                line = line.split(" #")[0].strip()
                lines += [(page.name, line)] if line and not line.startswith("#") else []
    return lines


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_commands_exist_with_their_options(page: str, line: str) -> None:
    program, *words = shlex.split(line)
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert all(word in targets for word in words if "=" not in word and "/" not in word)
        return
    if program != "mate":
        assert program in {"git", "cd", "pip", "source", "python"}, f"{page}: unexpected command {line!r}"
        return
    if words == ["--help"]:
        return
    name, *words = words
    assert name in cli.COMMANDS, f"{page}: no command `mate {name}`"
    command = cli.load_command(name)
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command, words = command.commands[words[0]], words[1:]
    try:
        command.make_context(name, list(words))
    except Exception as error:  # a usage error, in whichever class typer uses
        message = getattr(error, "message", str(error))
        # An option or argument is fine even though the file it names is not here.
        assert "does not exist" in message, f"{page}: {line!r}: {message}"


def test_python_quickstart_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not SHIPPED_MODEL.is_file():
        pytest.skip("no shipped model in this checkout")
    monkeypatch.chdir(tmp_path)
    found = blocks(ROOT / "README.md", "python")
    assert found
    for block in found:
        exec(compile(block, "README.md", "exec"), {"__name__": "quickstart"})
    assert list(tmp_path.iterdir()), "the quickstart wrote nothing"


def test_linked_files_exist() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


def test_the_annotated_tree_names_real_paths() -> None:
    """Every path of the tree in the architecture page is in the repository."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    tree = next(block for block in blocks(ROOT / "docs" / "architecture.md", "text") if block.startswith("src/mate/"))
    assert tree in text
    stack: list[tuple[int, Path]] = []
    for line in tree.splitlines():
        match = re.match(r"^( *)([\w./-]+)(  +.*)?$", line)
        assert match, f"not a line of a tree: {line!r}"
        indent, name = len(match[1]), match[2]
        while stack and stack[-1][0] >= indent:
            stack.pop()
        path = (stack[-1][1] if stack else ROOT) / name
        assert path.exists(), f"docs/architecture.md names {path.relative_to(ROOT)}, which is not there"
        stack.append((indent, path))


def test_names_in_the_method_page_exist() -> None:
    """Every `mate....` name in the table of equations is a module, class or function."""
    from importlib import import_module

    text = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`(mate(?:\.\w+)+)`", text))
    assert len(names) > 10
    for name in sorted(names):
        parts = name.split(".")
        for cut in range(len(parts), 0, -1):
            try:
                found = import_module(".".join(parts[:cut]))
            except ModuleNotFoundError:
                continue
            for attribute in parts[cut:]:
                found = getattr(found, attribute)
            break
