"""Cards side by side with paired intervals, and the page that draws them."""

import copy
import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mate.cli import probe_words
from mate.cli.app import main
from mate.errors import MateError
from mate.evaluate import flip
from mate.evaluate.ceiling import NAME, Procedural
from mate.evaluate.page import page, plots_of
from mate.evaluate.word_probe import sample_words, word_card
from mate.evaluate.word_prompts import packaged_prompts, without_subject
from mate.evaluate.word_rows import FLOOR, difference, paired_interval, side_by_side, to_markdown

PROMPTS = packaged_prompts()
SOME = PROMPTS[::40]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class _Lazy(Procedural):
    """Does as told by every second prompt, and what the first one says otherwise."""

    def sample(self, texts, seconds=None, seed=0, *, numbers=None):
        numbers = list(numbers or range(len(texts)))
        told = [text if number % 2 else SOME[0].text for text, number in zip(texts, numbers, strict=True)]
        return super().sample(told, seconds, seed, numbers)


@pytest.fixture(scope="module")
def cards():
    events = [(prompt.text, prompt.events) for prompt in SOME]
    good = {**word_card(sample_words(Procedural(events), SOME)), "motions_of": NAME}
    lazy = {**word_card(sample_words(_Lazy(events), SOME)), "model": {"name": "lazy"}}
    better = copy.deepcopy(good)
    del better["motions_of"]
    return {"lazy": lazy, "better": better, "top": good}


@pytest.fixture(scope="module")
def rows(cards):
    return side_by_side(cards, SOME)


def test_floor_rows_ceiling(rows, cards):
    assert [row["name"] for row in rows["rows"]] == [FLOOR, "lazy", "better", "top"]
    assert rows["baseline"] == "lazy" and rows["ceiling"] == "top"
    assert rows["rows"][0]["all"]["rate"] == cards["top"]["all"]["chance"]
    assert rows["rows"][0]["all"]["rate"] < 0.2 < rows["rows"][1]["all"]["rate"] < 0.75 < rows["rows"][3]["all"]["rate"]
    assert {row["name"] for row in rows["differences"]} == {"better"}
    assert rows["states"] == {row["rung"]: row["state"] for row in cards["lazy"]["by_rung"]}
    assert {"rung", "word", "all"} == {row["kind"] for row in rows["differences"]}


def test_the_difference_is_that_of_the_pairs(rows):
    [row] = [row for row in rows["differences"] if row["kind"] == "all"]
    first, second = (next(one for one in rows["rows"] if one["name"] == name) for name in ("lazy", "better"))
    assert row["low"] < row["difference"] < row["high"] and row["better"] == "better" and row["p"] < 0.01
    assert row["difference"] == pytest.approx(second["all"]["rate"] - first["all"]["rate"], abs=0.08)
    text = to_markdown(rows)
    assert "| points over the baseline | better |" in text and f"| rung | {FLOOR} | lazy |" in text


def test_prompts_that_differ_in_their_subject_are_one(cards):
    kept = {without_subject(prompt.text) for prompt in PROMPTS}
    assert without_subject("before clapping the hands, the figure bows") == "before clapping the hands,  bows"
    assert 600 < len(kept) < len(PROMPTS) and all(not text.startswith(("a person", "someone")) for text in kept)


def test_what_is_open_is_not_paired_and_seeds_of_a_prompt_are_one():
    found = difference([True, None, False, False], [False, True, True, None], ["a", "b", "c", "d"])
    assert (found["difference"], found["n"]) == (0.0, 2)
    twice = difference([False, False], [True, True], ["a", "a"])
    assert twice["n"] == 1 and twice["difference"] == 1.0
    assert difference([None], [True], ["a"])["p"] is None


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=60))
def test_paired_intervals(values):
    low, high = paired_interval(values)
    assert -1.0 <= low < high <= 1.0 and low <= np.mean(values) <= high
    mirrored = paired_interval([-value for value in values])
    assert mirrored == pytest.approx((-high, -low))


def test_paired_intervals_hold_what_they_promise():
    rng, inside = np.random.default_rng(0), 0
    for _ in range(1500):
        values = rng.choice([-1.0, 0.0, 1.0], size=40, p=[0.05, 0.75, 0.2])
        low, high = paired_interval(values)
        inside += low <= 0.15 <= high
    assert 0.93 <= inside / 1500 <= 0.985


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda cards: {"lazy": cards["lazy"]}, "at least|two or more"),
        (lambda cards: {"top": cards["top"], "procedural": cards["top"]}, "procedural"),
        (lambda cards: {"lazy": cards["lazy"], "x": {**cards["better"], "protocol": "other"}}, "other"),
        (lambda cards: {"lazy": cards["lazy"], "x": {**cards["better"], "prompts_sha256": "0" * 64}}, "not those"),
        (lambda cards: {"lazy": cards["lazy"], "x": {**cards["better"], "answers": []}}, "not asked the same"),
    ],
)
def test_what_does_not_compare_is_refused(cards, spoil, told):
    with pytest.raises(MateError, match=told):
        side_by_side(spoil(cards), SOME)


# The page


class _Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))


def test_a_page_shows_every_figure_and_asks_nobody(rows):
    text = page({"<script>alert(1)</script>": rows})
    found = _Tags(text)
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in found.tags}
    assert not [attrs for _, attrs in found.tags if {"src", "href"} & set(attrs)] and "http" not in text.replace(
        "http-equiv", ""
    )
    marks = sum(len(plot.marks) for plot in plots_of("x", rows))
    assert sum(tag == "circle" for tag, _ in found.tags) == marks > 50
    assert sum(tag == "svg" for tag, _ in found.tags) == 4


def test_marks_stand_where_their_values_are():
    card = {"plots": [{"title": "t", "rows": [{"name": "a", "value": 0.5, "low": 0.25, "high": 1.0, "n": 4}]}]}
    text = page({"c": card})
    x = {key: float(value) for key, value in re.findall(r'\b(x1|x2|cx)="([\d.]+)"', text.split("<g>")[1])}
    assert x["cx"] - x["x1"] == pytest.approx(0.5 * (x["x2"] - x["cx"]), abs=0.2)
    assert "50.0 % [25.0, 100.0] of 4" in text


def test_cards_of_all_kinds_are_drawn(cards):
    pairs = [one for one in flip.flips_of_probe() if one.respect == "side"][:1]
    flips = flip.flip_card(flip.procedural(), pairs, seeds=1)
    assert [plot.title for plot in plots_of("x", cards["lazy"])] == ["By kind of meaning", "By word"]
    assert {mark.series for plot in plots_of("x", cards["lazy"]) for mark in plot.marks} == {"x", "chance"}
    assert len(plots_of("x", flips)) == 3
    other = {
        "protocol": "any",
        "by_fact": [{"fact": "walk_forward", "rate": 0.5, "low": 0.4, "high": 0.6, "n": 9}],
        "n": 3,
    }
    [plot] = plots_of("x", other)
    assert (plot.title, plot.marks[0].name, plot.marks[0].n) == ("by fact", "walk forward", 9)
    for bad in ({}, {"rows": []}, {"plots": [{"title": "t"}]}):
        with pytest.raises(MateError):
            plots_of("x", bad)


def test_the_command_joins_draws_and_refuses(tmp_path, capsys, cards):
    whole = {name: json.loads(json.dumps(card)) for name, card in cards.items()}
    for name, card in whole.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(card), encoding="utf-8")
    files = [str(tmp_path / f"{name}.json") for name in whole]
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"prompts": [prompt.json() for prompt in SOME]}), encoding="utf-8")
    target = tmp_path / "rows.json"
    assert (
        main(["probe", "--words", *files, "--prompts", str(own), "-o", str(target), "--page", str(tmp_path / "a.html")])
        == 0
    )
    assert json.loads(target.read_text(encoding="utf-8"))["baseline"] == "lazy"
    assert main(["probe", "--page", str(tmp_path / "b.html"), str(target), *files]) == 0
    assert "<h2>rows</h2>" in (tmp_path / "b.html").read_text(encoding="utf-8")
    capsys.readouterr()
    for wrong, told in (
        (["--words", *files], "not those of this version"),
        (["--words"], "nothing to probe"),
        (["--flip", *files], "mate-flip-1"),
        (["--flip", "--words", *files], "one of them"),
        (["--ceiling"], "go with"),
        (["--page", str(tmp_path / "c.html"), str(own)], "nothing to draw"),
        (["--words", "--model-without-patch", "kinwords"], "no word patch"),
    ):
        assert main(["probe", *wrong]) == 2, wrong
        assert told in " ".join(capsys.readouterr().err.split()), wrong
    assert not (tmp_path / "c.html").exists()


def test_the_command_makes_ceiling_and_card_at_once(tmp_path, capsys, cards):
    """A folder of motions beside the ceiling, on prompts of one's own."""
    asked = SOME[:4]
    own, folder = tmp_path / "own.json", tmp_path / "mine"
    folder.mkdir()
    own.write_text(json.dumps({"prompts": [prompt.json() for prompt in asked]}), encoding="utf-8")
    generator = Procedural((prompt.text, prompt.events) for prompt in asked)
    for number, prompt in enumerate(asked):
        [joints] = generator.sample([prompt.text], [prompt.seconds], numbers=[number])
        np.save(folder / f"{number:04d}.npy", joints)
    assert main(["probe", "--words", "--motions", str(folder), "--prompts", str(own), "--ceiling", "--json"]) == 0
    card = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in card["rows"]] == [FLOOR, "mine", NAME]
    assert card["rows"][1]["all"]["holds"] == card["rows"][2]["all"]["holds"]


def test_a_model_is_asked_in_three_ways(tmp_path, monkeypatch):
    """Rows are called after the folder and the way; only the first way takes the patch out, only the last cuts prompts."""
    folder, other = tmp_path / "mine", tmp_path / "elsewhere" / "mine"
    for place in (folder, other):
        place.mkdir(parents=True)
        (place / "config.json").write_text("{}", encoding="utf-8")
    (folder / "patch.safetensors").touch()
    monkeypatch.setattr(probe_words, "generator_of", lambda folder, device, patch: (folder, {"patch": patch}))
    monkeypatch.setattr("mate.generate.sub_texts.BySubTexts", lambda whole: f"{whole.name} in parts")

    def rows(**asked):
        return list(probe_words._generators(probe_words.Asked(**asked), []))

    mine = [str(folder)]
    assert rows(models=mine, plain=mine, cut=mine) == [
        ("mine without patch", folder, {"patch": False}),
        ("mine", folder, {"patch": True}),
        ("mine by sub-texts", "mine in parts", {"patch": True, "by_sub_texts": True}),
    ]
    with pytest.raises(MateError, match="two models are called 'mine by sub-texts'"):
        rows(models=mine, cut=[str(folder), str(other)])
    with pytest.raises(MateError, match="no word patch to take out"):
        rows(plain=[str(other)])


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium (Debian: apt-get install chromium)")
def test_the_page_opens_in_a_browser_without_a_word_to_anyone(tmp_path, rows):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = tmp_path / "page.html"
    path.write_text(page({"rows": rows}), encoding="utf-8")
    asked, said = [], []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 900, "height": 900})
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: said.append(message.text))
        tab.goto(path.as_uri())
        boxes = [one.bounding_box() for one in tab.locator("svg").all()]
        wide = tab.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert len(boxes) == 4 and all(box["width"] > 500 and box["height"] > 100 for box in boxes)
    assert asked == [path.as_uri()] and not said and wide <= 900
