"""The commands of docs/recipes.md, walked through on made-up folders of HumanML3D's and KIT-ML's form, with tiny models and sizes."""

import re
import shlex
from pathlib import Path

import pytest
from tests import kit
from tests import motions as make
from tests.evaluate.t2m_files import write_release
from tests.text.conftest import tiny_model

from mate.cli.app import main
from mate.data.build import write_dataset
from mate.data.dataset import Caption, Sample
from mate.evaluate import own_recipe
from mate.evaluate.generator_table import read_rows, to_markdown
from mate.generate.mdm import config as mdm
from mate.generate.momask import config as momask

PAGE = Path(__file__).resolve().parents[2] / "docs" / "recipes.md"


def commands(section: str) -> list[list[str]]:
    """The command lines of a section, in words."""
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {section}", 1)[1].split("\n## ", 1)[0]
    lines = "".join(re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)).splitlines()
    return [shlex.split(line)[1:] for line in lines]


@pytest.fixture(scope="module")
def humanml3d(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As published: features, texts, lists, Mean and Std; nothing of ours."""
    folder = tmp_path_factory.mktemp("published") / "HumanML3D"
    samples = []
    for number in range(48):
        walks = number % 2 == 0
        joints = make.gait(2.5 + number % 3, 1.0) if walks else make.raised(number % 4 // 2, 3.0)
        text = "a person walks left" if walks else "a person raises the left hand"
        samples.append(Sample(f"{number:06}", joints, (Caption(text),), "test" if number < 36 else "train"))
    write_dataset(samples, folder, name="HumanML3D", license="made up")
    for name in ("dataset.json", "meta.jsonl"):
        (folder / name).unlink()
    return folder


def dry(words: list[str], places: dict[str, str]) -> list[str]:
    """A command at tiny size: other places, presets and steps; the rest as it stands in the page."""
    out, skip = [], False
    for before, word in zip(["", *words], words, strict=False):
        if skip:
            skip = False
        elif word in ("--evaluator", "--glove") and "checkpoints/kit" not in places:
            skip = True
        elif before == "--preset":
            kind = own_recipe if words[1] == "evaluator" else mdm if "mdm" in words else momask
            assert kind.preset(word), "the page's preset is there"
            out.append("tiny")
        elif before == "--device":
            out.append("cpu")
        else:
            for name, place in places.items():
                word = word.replace(name, place)
            out.append(word)
    small = {
        "align": ["--steps", "1", "--retrieval-steps", "1", "--batch-size", "4"],
        "train table": ["--steps", "1", "--seeds", "1", "--words", "500"],
        "train evaluator": ["--steps", "1"],
        "evaluate": ["--repeats", "1"],
    }
    return [*out, *next((more for start, more in small.items() if " ".join(words).startswith(start)), [])]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "encoder", "kind", "rows"),
    [
        ("HumanML3D, CLIP ViT-B/32", "openai/clip-vit-base-patch32", "clip", ["momask", "mdm"]),
        ("HumanML3D, DistilBERT", "distilbert-base-uncased", "distilbert", ["mdm"]),
    ],
)
def test_from_the_data_to_the_table(
    humanml3d: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], section: str, encoder: str, kind: str, rows: list[str]
) -> None:  # fmt: skip
    places = {
        "data/humanml3d": str(humanml3d),
        encoder: str(tiny_model(kind, tmp_path / "language")),
        "runs/": f"{tmp_path}/runs/",
        "results/": f"{tmp_path}/results/",
    }
    for words in commands(section):
        if words[0] in ("align", "train"):
            assert main(dry(words, places)) == 0, capsys.readouterr().err
    tables = [folder for folder in sorted((tmp_path / "results").iterdir()) if folder.is_dir()]
    made = [key for folder in tables for key in read_rows([folder])]
    assert sorted(made) == sorted((row, name) for row in rows for name in ("frozen", "patch"))


@pytest.mark.slow
def test_from_kits_folder_to_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every command of the section, the first and the last too; the released form of evaluator with made-up weights."""
    language = tiny_model("clip", tmp_path / "language")
    places = {
        "KIT-ML": str(kit.write_published(tmp_path / "KIT-ML", {"train": 8, "test": 36}, frames=60)),
        "checkpoints/kit": str(write_release(tmp_path / "released", 251)),
        "openai/clip-vit-base-patch32": str(language),
        "data/": f"{tmp_path}/data/",
        "runs/": f"{tmp_path}/runs/",
        "results/": f"{tmp_path}/results/",
    }
    walked = [dry(words, places) for words in commands("KIT-ML")]
    for words in walked:
        words = [str(tmp_path / "released" / "glove") if word == "glove" else word for word in words]
        assert main(words) == 0, (words, capsys.readouterr().err)
    assert [words[0] for words in walked[:4]] == ["prepare", "align", "train", "train"]
    cards = read_rows([tmp_path / "results" / "momask-kit", tmp_path / "results" / "mdm-kit"])
    assert sorted(cards) == [(kind, name) for kind in ("mdm", "momask") for name in ("frozen", "patch")]
    for rows in cards.values():
        measured = rows[0]["measured"]
        assert measured["left_out"] and "single_events" not in measured
        [own] = measured["sets"].values()
        assert own["clips"] == 36 and len(own["figures"]) == 2
        assert {"R@1", "R@3", "FID", "MM-Dist"} <= next(iter(own["figures"].values()))["made"].keys()
    printed = capsys.readouterr().out
    assert "left out on KIT-ML's" in to_markdown(cards) and "left out on KIT-ML's" in " ".join(printed.split())


def test_the_presets_of_the_page_are_the_released_ones() -> None:
    assert momask.preset("momask").train_masked.device == mdm.preset("mdm").train_denoiser.device == "cuda"
    assert mdm.preset("mdm-bert").denoiser.words
    assert {momask.preset("table").train_masked.device, mdm.preset("table").train_denoiser.device} == {"cpu"}
