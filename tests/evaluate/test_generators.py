"""The table of generators: rows are trained alike, resumed, refused where they differ; its figures follow from the answers."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests import motions as make

from mate.checkpoints import default_model
from mate.cli.app import main
from mate.data.build import write_dataset
from mate.data.dataset import Caption, Sample
from mate.errors import MateError
from mate.evaluate import generators, protocol
from mate.evaluate.generator_table import asked_of, counts, flips, paired, read_rows, to_html, to_markdown
from mate.evaluate.generators import Plan, Row, rows, run
from mate.evaluate.judge import Claim
from mate.evaluate.row import Measure, by_sub_texts, events_of, part_of, read_asked, share
from mate.generate.stages import work_folder
from mate.generate.timeline import Step
from mate.motion.layout import HUMANML3D_FEATURES

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 test clips with their mirror images, and a few to train on."""
    texts = {"walk": "a person walks", "raise-up-left-hand": "a person raises the left hand"}
    samples = []
    for number in range(44):
        content = list(texts)[number % 2]
        joints = make.gait(2.5 + number % 3, 1.0 + 0.01 * number) if content == "walk" else make.raised(0, 2.5)
        split = "test" if number < 36 else "train"
        meta = {
            "content": content,
            "style": "normal",
            "unseen_pair": number % 4 > 1,
            "caption_kinds": ["seen", "unseen"],
        }
        captions = (Caption(texts[content]), Caption(f"{texts[content]} somehow"))
        samples.append(Sample(f"clip{number:02}", joints, captions, split, meta))
    folder = tmp_path_factory.mktemp("data") / "made-up"
    write_dataset(samples, folder, name="made-up", license="CC0-1.0")
    return folder


@pytest.fixture(scope="module")
def plan(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    place = tmp_path_factory.mktemp("table")
    how = Measure((data,), 100, (1.0,), words=400)
    patch = default_model() / "patch.safetensors"
    return Plan((data,), how, place / "runs", place / "out", patch=patch, preset="tiny", steps=2)


@pytest.fixture(scope="module")
def finished(plan: Plan) -> list[Path]:
    return run(
        plan,
        [*rows(["momask"], ["frozen", "patch"], 1), Row("momask", "frozen", 1), Row("mdm", "frozen", 0)],
        lambda text: None,
    )


def test_test_clips_are_asked_once_and_wordings_take_turns(data: Path) -> None:
    asked = read_asked(data, 100)
    assert len(asked) == 36, "mirror images are left out"
    parts = {part: sum(one.part == part for one in asked) for part in {one.part for one in asked}}
    assert parts == {
        f"{place}, {kind} wordings": 9 for place in ("held-out takes", "unseen pairs") for kind in ("seen", "unseen")
    }
    assert all(one.clip.kinds[0] in one.part for one in asked)
    assert len(read_asked(data, 10)) == 10


def test_what_a_set_says_of_a_clip() -> None:
    joined = {"source": "joined x", "contents": ["walk", "bye", "wave-left-hand"], "segments": [{}, {}, {}]}
    assert part_of(joined) == "joined clips"
    assert events_of(joined) == ((Claim("walk"),), (Claim("wave", "left"),)), "no claim says what bye looks like"
    assert part_of({"source": "kinwords", "subset": "rare"}) == "kinwords rare"
    assert events_of({"content": "walk"}) == ()


class InOrder:
    """Makes every timeline as it is asked for, and every prompt by itself as a walk."""

    spec, fps, min_seconds, max_seconds = HUMANML3D_FEATURES, 20.0, 0.5, 10.0

    def sample(self, texts: list[str], seconds: list[float], seed: int, *_: Any, **__: Any) -> list[np.ndarray]:
        return [make.gait(length, 1.0) for length in seconds]

    def timeline(self, steps: Sequence[Step], *_: Any, **__: Any) -> np.ndarray:
        parts = [
            make.gait(step.seconds, 1.0) if "walk" in step.text else make.raised(0, step.seconds) for step in steps
        ]
        return np.concatenate([parts[0], parts[1] + (parts[0][-1, :1] - parts[1][0, :1]) * [1, 0, 1]])


@pytest.mark.parametrize("most", [0, 2, 10])
def test_captions_of_several_sub_texts_are_made_by_sub_texts_too(most: int, tmp_path: Path) -> None:
    two, one = "a person walks, then raises the left hand", "a person walks"
    samples = [
        Sample(
            f"clip{n}", make.gait(3.0 + n, 1.0), (Caption(text),), "test", {"contents": ["walk", "raise-up-left-hand"]}
        )
        for n, text in enumerate((two, one, two, two))
    ]
    write_dataset(samples, tmp_path / "set", name="set", license="CC0-1.0")
    asked = read_asked(tmp_path / "set", 10)
    found = by_sub_texts(InOrder(), asked, most, protocol.plan("guo-fixed", 20.0, 1))
    count = min(most, 3)
    expected = {"joined clips, seen wordings": {"answers": "1" * count, "real": "0" * count}} if most else {}
    assert found == expected, "the real clips of this set walk and raise nothing"


def test_rows_of_one_seed_start_alike_and_share_the_tokeniser(plan: Plan, finished: list[Path]) -> None:
    frozen, patched = (work_folder(plan.runs / f"momask-{name}-0") for name in ("frozen", "patch"))
    for stage in generators.SHARED:
        digests = {(folder / stage / "final.safetensors").read_bytes() for folder in (frozen, patched)}
        assert len(digests) == 1
    one, other = (load_file(folder / "masked" / "final.safetensors") for folder in (frozen, patched))
    moved = {name for name in one if not torch.equal(one[name], other[name])}
    assert moved, "other text vectors, other weights"
    # Two steps of training move weights by no more than the learning rate allows: they began at the same place.
    assert max(float((one[name] - other[name]).abs().max()) for name in moved if "normalizer" not in name) < 0.02
    assert not torch.equal(one["embed.weight"], load_file(
        work_folder(plan.runs / "momask-frozen-1") / "masked" / "final.safetensors"
    )["embed.weight"])  # fmt: skip


def test_a_row_holds_every_answer_and_little_else(plan: Plan, finished: list[Path]) -> None:
    card = json.loads(finished[0].read_text())
    assert finished[0].stat().st_size < 20_000
    measured = card["measured"]
    assert sum(len(own) for kind in measured["single_events"]["answers"].values() for own in kind.values()) == 72
    own = measured["sets"]["made-up"]
    assert own["clips"] == 36
    assert sum(len(part["answers"]) for part in own["parts"].values()) == 36
    assert share("".join(part["real"] for part in own["parts"].values())) > 0.9, "the judge knows the real clips"
    assert {figure for row in own["figures"].values() for figure in row["made"]} >= {"R@1", "R@3", "FID", "MM-Dist"}
    assert card["training"]["masked"]["steps"] == 2
    assert str(plan.runs) not in finished[0].read_text(), "no path of the machine in it"
    patched = json.loads(finished[1].read_text())
    assert patched["text_encoder"]["patch_sha256"] and not card["text_encoder"]["patch_sha256"]
    assert patched["text_encoder"]["sha256"] != card["text_encoder"]["sha256"]


def test_finished_rows_are_left_out_and_others_refused(
    plan: Plan, finished: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generators, "train", lambda *_: pytest.fail("trained again"))
    told: list[str] = []
    run(plan, [Row("momask", "frozen", 0)], told.append)
    assert told == ["momask-frozen-0: there already"]
    with pytest.raises(MateError, match="another config_sha256"):
        run(replace(plan, steps=3), [Row("momask", "frozen", 0)], told.append)


def test_an_interrupted_row_goes_on_from_its_weights(
    plan: Plan, finished: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(plan, runs=tmp_path / "runs", out=tmp_path / "out")
    monkeypatch.setattr(generators, "measure", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        run(other, [Row("momask", "frozen", 0)], lambda text: None)
    assert not list(other.out.glob("*")), "nothing half-written"
    monkeypatch.undo()
    [again] = run(other, [Row("momask", "frozen", 0)], lambda text: None)
    first, second = json.loads(finished[0].read_text()), json.loads(again.read_text())
    assert first["model_sha256"] == second["model_sha256"]
    assert first["measured"] == second["measured"]


def test_tables_and_plot(plan: Plan, finished: list[Path]) -> None:
    cards = read_rows([plan.out])
    assert list(cards) == [("momask", "frozen"), ("momask", "patch"), ("mdm", "frozen")]
    text = to_markdown(cards)
    assert "do not count" in text, "two steps teach nothing"
    assert "| 9 x held-out takes, seen wordings |" in text
    assert "nan" not in text
    assert "plotly" in to_html(cards)


def test_the_command_makes_the_table(
    plan: Plan, finished: list[Path], data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "table", str(data), "--test", str(data), "-o", str(tmp_path / "out"), "--preset", "tiny"]
    assert main([*command, "--encoder", "tuned"]) == 2
    assert "need --tuned" in capsys.readouterr().err
    assert main([*command, "--kind", "gpt"]) == 2
    assert main([*command, "--preset", "huge"]) == 2
    assert not (tmp_path / "out").exists()


def made_up(encoder: str, seed: int, single: str, fid: float) -> dict:
    """A row with few figures."""
    answers = {"training": {"walk_forward": single}, "held-out": {"walk_forward": single}}
    figures = {"words": {row: {"R@1": 0.5, "FID": fid, "MM-Dist": 1.0} for row in ("real", "made")}}
    part = {"answers": "10?1", "real": "1111", "R@1": {"words": 0.5}}
    own = {
        "sha256": "s", "clips": 4, "evaluators": {"words": "e"}, "figures": figures, "parts": {"takes": part},
        "by_sub_texts": {"joined": {"answers": "01" * 10, "real": "1" * 20}, "few": {"answers": "0", "real": "1"}},
    }  # fmt: skip
    return {
        "card": generators.KIND, "generator": "momask", "encoder": encoder, "seed": seed,
        "settings": {"preset": "table", "data": [{"name": "d", "sha256": "d"}]}, "training": {"masked": {"steps": 1}},
        "measured": {"single_events": {"prompts_sha256": "p", "answers": answers}, "sets": {"set": own}},
    }  # fmt: skip


def test_figures_follow_from_the_answers(tmp_path: Path) -> None:
    for seed, (frozen, patched) in enumerate((("1110", "1111"), ("1101", "1111"), ("1111", "1111"))):
        for name, single, fid in (("frozen", frozen, 0.3 + seed), ("patch", patched, 0.2 + seed)):
            (tmp_path / f"{name}{seed}.json").write_text(json.dumps(made_up(name, seed, single, fid)))
    cards = read_rows([tmp_path])
    reached, enough = counts(cards, "momask") or (0.0, False)
    assert reached == pytest.approx((0.75 + 0.75 + 1) / 3) and enough
    key = ("momask", "patch")
    column = "single events, training wordings"
    differences = paired(cards, key, lambda card: card["measured"]["sets"]["set"]["figures"]["words"]["made"]["FID"])
    assert differences == pytest.approx([-0.1] * 3)
    assert flips(cards, key, column) == pytest.approx(0.5, abs=0.03), "two of four prompts moved, both up: p is 2 / 4"
    assert "| 4 x takes | 100.0 | 66.7 ± 0.0 | 66.7 ± 0.0 |" in to_markdown(cards), "what cannot be told does not count"
    assert "| 20 x joined, by sub-texts | 100.0 | 50.0 ± 0.0 | 50.0 ± 0.0 |" in to_markdown(cards)
    assert "few, by sub-texts" not in to_markdown(cards)
    once = asked_of(cards["momask", "patch"][0])["everything, read as one"]
    assert once == "1111" + "1111" + "10?1", "single events in both wordings and the set; nothing twice"
    assert np.isnan(share("??-"))
    odd = made_up("patch", 3, "1111", 0.2)
    odd["settings"] = {**odd["settings"], "preset": "laptop"}
    (tmp_path / "odd.json").write_text(json.dumps(odd))
    with pytest.raises(MateError, match="differ in settings"):
        read_rows([tmp_path])


def test_an_empty_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(MateError, match="no row"):
        read_rows([tmp_path])
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(MateError, match="no row of the table"):
        read_rows([tmp_path])
