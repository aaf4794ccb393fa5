"""The ablation tables: which runs there are, that finished ones are not run again, and what is made of them."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mate.align.config import AlignConfig, check
from mate.errors import MateError
from mate.evaluate import ablation
from mate.evaluate.ablation import (
    CAPTIONS,
    FEW,
    PRESET,
    PROTOCOL,
    TABLES,
    VARIANTS,
    run,
)
from mate.evaluate.ablation_tables import baseline, headline, read_results, to_markdown
from mate.evaluate.damage import PAIRS, damage
from mate.text.encoder import TextEncoder
from mate.text.patch import WordPatch


def finished(variant: str, seed: int, side: float) -> dict[str, Any]:
    """What a run leaves, with one figure of our choice."""
    common = {"set": "joined", "wording": "unseen", "events": 2, "n": 10}
    pairs = [
        {**common, "fact": fact, "scoring": scoring, "rate": side if fact == "side" else 0.5}
        for fact in ("side", "order", "synonym")
        for scoring in ("localized", "sentence")
    ]
    pairs += [{**pairs[number], "wording": "seen", "rate": 0.0} for number in (0, 1)]
    pairs += [
        {**common, "fact": "word", "word": word, "scoring": scoring, "rate": side}
        for word in FEW
        for scoring in ("localized", "sentence")
    ]
    ranks = {"R@1": [20.0], "R@3": [30.0], "R@10": [40.0], "MedR": [7.0]}
    figures = {"element_of": {"value": 0.6}, "soft_iou": {"value": 0.3}, "mass": {"value": 0.5}}
    errors = {"median": {"value": 0.25}, "mean": {"value": 0.4}, "within": {"value": 0.7}}
    return {
        "protocol": PROTOCOL,
        "variant": variant,
        "seed": seed,
        "data": ["single", "joined"],
        "pairs": pairs,
        "retrieval": [
            {
                "set": "joined",
                "wording": "unseen",
                "pool": 800,
                "text_to_motion content": ranks,
                "motion_to_text content": ranks,
            }
        ],
        "grounding": {
            "frames": [
                {"group": group, "reader": reader, "title": f"by {reader}", **figures}
                for group in ("all", "shorter than the sub-text", "said once")
                for reader in ("attention", "speed")
            ],
            "boundaries": [{"group": "all", "cutter": "segments", "title": "segmentation", **errors}],
        },
    }


def test_every_variant_is_a_run_that_can_be_made() -> None:
    assert {name for names in TABLES.values() for name in names} == set(VARIANTS)
    for name, variant in VARIANTS.items():
        changed = replace(PRESET, **CAPTIONS[variant.captions], **variant.changes)
        check(changed)
        assert (changed == PRESET) == (name == "rows"), f"{name} is the method itself"
        in_stage_3 = replace(PRESET, **variant.changes)
        assert (in_stage_3.flip_sides, in_stage_3.thin) == (PRESET.flip_sides, PRESET.thin), f"{name}: stage 1 differs"


@pytest.mark.parametrize("captions", CAPTIONS)
def test_each_training_text_has_its_frozen_baseline(captions: str) -> None:
    trained = {
        variant.changes.get("train", PRESET.train) for variant in VARIANTS.values() if variant.captions == captions
    }
    assert {"rows", "nothing"} <= trained


def test_variants_of_the_same_captions_share_their_first_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str | None, float]] = []

    def align(data: object, out: Path, config: AlignConfig, **_: object) -> SimpleNamespace:
        made.append((out.name, config.start and Path(config.start).name, config.flip_sides))
        out.mkdir(parents=True)
        (out / "report.json").write_text("{}")
        return SimpleNamespace(report={"data": ["single"], "steps": {}, "seconds": {}})

    monkeypatch.setattr("mate.align.recipe.align", align)
    monkeypatch.setattr(ablation, "measure", lambda *_: {})
    for name in ("rows", "rows-noise-5", "nothing-noise-5"):
        run(name, 1, (), tmp_path / "work", tmp_path)
    whole, noisy = "start-whole-1", "start-noise-5-1"
    assert made == [
        (whole, None, 0.0),
        ("rows-1", whole, 0.0),
        (noisy, None, 0.05),
        ("rows-noise-5-1", noisy, 0.05),
        ("nothing-noise-5-1", noisy, 0.05),
    ]
    assert json.loads((tmp_path / "nothing-noise-5-1.json").read_text())["changes"] == {
        "flip_sides": 0.05,
        "train": "nothing",
    }


def test_a_finished_run_is_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = finished("rows", 1, 0.9)
    (tmp_path / "rows-1.json").write_text(json.dumps(row))
    monkeypatch.setattr(ablation, "measure", lambda *_: pytest.fail("measured again"))
    assert run("rows", 1, (), tmp_path / "work", tmp_path) == row
    assert not (tmp_path / "work").exists()
    with pytest.raises(MateError, match="got the variant 'row'"):
        run("row", 1, (), tmp_path / "work", tmp_path)


def test_one_command_runs_what_is_missing_and_prints_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nothing-0.json").write_text(json.dumps(finished("nothing", 0, 0.7)))
    (tmp_path / "rows-0.json").write_text(json.dumps(finished("rows", 0, 0.9)))
    which = ["--variant", "rows", "--seed", "0", "--results", str(tmp_path), "-o", str(tmp_path / "work")]
    monkeypatch.setattr("sys.argv", ["ablation", "single", "joined", *which])
    with pytest.raises(SystemExit) as ended:
        ablation.main()
    assert not ended.value.code and "| word embeddings (the method) | 0 | 90.0 (+20.0) |" in capsys.readouterr().out


def test_a_set_that_lacks_a_fact_has_a_dash_for_it(tmp_path: Path) -> None:
    row = finished("rows", 0, 0.9)
    without = {**row, "pairs": [pair for pair in row["pairs"] if pair["fact"] != "order"]}
    (tmp_path / "rows-0.json").write_text(json.dumps(without))
    assert "| word embeddings (the method) | 0 | 90.0 | – | 90.0 | – |" in to_markdown(read_results(tmp_path))


def test_tables_compare_seed_by_seed(tmp_path: Path) -> None:
    sides = {("rows", 0): 0.9, ("rows", 1): 0.8, ("nothing", 0): 0.7, ("nothing", 1): 0.7, ("uniform", 0): 0.6}
    for (variant, seed), side in sides.items():
        (tmp_path / f"{variant}-{seed}.json").write_text(json.dumps(finished(variant, seed, side)))
    (tmp_path / "other.json").write_text('{"protocol": "another"}')
    rows = read_results(tmp_path)
    assert set(rows) == set(sides)
    figures = headline(rows["rows", 0])
    assert figures["side, localized"] == pytest.approx(90.0), "seen wordings do not count"
    assert (figures["R@1"], figures["element-of"], figures["boundary error, s"]) == (20.0, 0.6, 0.25)
    text = to_markdown(rows)
    method = next(line for line in text.splitlines() if line.startswith("| word embeddings"))
    assert "| 0, 1 | 85.0 ± 63.5 (+15.0 ± 63.5) |" in method
    assert "| uniform segments | 0 | 60.0 (-10.0)" in text
    titles = [line.strip("*") for line in text.splitlines() if line.startswith("**")]
    assert "What is trained" in titles and "Segments" in titles, "the method and its baseline, and what has runs"
    assert not {"Label noise", "Few clips", "Criteria"} & set(titles), "they would only say the same again"
    assert "| joined | 2 | side | unseen |  | 70.0 ± 0.0 | 85.0 ± 63.5 (+15.0 ± 63.5) |" in text
    assert "| joined | unseen | 800 | motion to text | 20.0 ± 0.0 | 20.0 ± 0.0 (+0.0 ± 0.0) |" in text
    assert "| by speed |  | 0.600 ± 0.000 (+0.000 ± 0.000) |" in text
    assert "| by attention; words shorter than the sub-text | 0.600 ± 0.000 |" in text and "said once" not in text
    assert "| segmentation | 0.25 ± 0.00 | 0.40 ± 0.00 | 0.70 ± 0.00 |" in text


def test_thinned_and_noisy_captions_are_compared_with_the_frozen_encoder_on_the_same(tmp_path: Path) -> None:
    sides = {"rows-few-5": 0.6, "nothing-few-5": 0.5, "nothing": 0.9}
    for variant, side in sides.items():
        (tmp_path / f"{variant}.json").write_text(json.dumps(finished(variant, 0, side)))
    lines = to_markdown(read_results(tmp_path)).splitlines()
    assert any(line.startswith("| 5 clips a word, rows | 0 | 60.0 (+10.0) |") for line in lines)
    assert any(line.startswith("| 5 clips a word, nothing | 0 | 50.0 |") for line in lines)
    assert "| runs | 50.0 | 60.0 (+10.0) | – | – | – | – | 90.0 | – |" in lines
    assert {baseline(name) for name in VARIANTS} <= set(VARIANTS)


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MateError, match="holds no run"):
        read_results(tmp_path)
    for variant, data in (("rows", ["single", "joined"]), ("nothing", ["single", "kinwords"])):
        (tmp_path / f"{variant}.json").write_text(json.dumps({**finished(variant, 0, 0.5), "data": data}))
    with pytest.raises(MateError, match="runs on other data"):
        read_results(tmp_path)


def test_damage_sees_what_a_patch_does_to_other_sentences() -> None:
    encoder = TextEncoder.from_pretrained()
    table = encoder.table.clone()
    ids = encoder.tokenize([" ".join(text for pair in PAIRS for text in pair)], truncate=True).ids[0].unique()

    def patch(rows: torch.Tensor, chosen: torch.Tensor) -> WordPatch:
        return WordPatch.from_tables(
            table, chosen, rows, base_model="all-MiniLM-L6-v2", training_data="none", license="none", version="0"
        )

    unused = torch.tensor([token for token in range(2000, 2400) if token not in ids.tolist()][:20])
    still = damage(encoder, patch(table[unused] + 1.0, unused))
    assert still["drift_max"] < 1e-5 and still["similarity_correlation"] > 0.9999
    assert still["partner_before"] == still["partner_after"] > 0.9
    moved = damage(encoder, patch(table[ids].flip(0), ids))
    assert moved["drift_mean"] > 0.1 and moved["partner_after"] < still["partner_after"]
    assert torch.equal(encoder.table, table)
