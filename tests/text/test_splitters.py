"""Splitters with one interface: rules, a file, a language model (a small local server), and the cache in front of them."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mate.errors import MateError
from mate.text.llm_splitter import LLMSplitter
from mate.text.split_cache import (
    FileSplitter,
    RuleSplitter,
    SplitCache,
    from_spans,
    from_texts,
    open_splitter,
    read_splits,
    write_splits,
)
from mate.text.subtexts import SubText, split

TEXT = "a person sits after walking"
BOTH = json.dumps({"text": TEXT, "spans": [[0, 13]], "sub_texts": ["a person"]})


class Endpoint(ThreadingHTTPServer):
    """Answers chat completions with what `replies` says next: (status, body)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: list[tuple[int, Any]] = []
        self.requests: list[tuple[str, dict[str, str], Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def says(self, content: object) -> None:
        self.replies.append((200, {"choices": [{"message": {"role": "assistant", "content": content}}]}))


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, dict(self.headers), body))
        status, answer = self.server.replies.pop(0)
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", f"{self.server.url}/elsewhere")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_language_model_splits(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "secret")
    endpoint.says('["walking", "a person sits"]')
    endpoint.says('```json\n["walking", "a person sits"]\n```')
    splitter = LLMSplitter(endpoint.url, "some-model", key_variable="A_KEY")
    expected = [SubText("walking", 20, 27, 0), SubText("a person sits", 0, 13, 1)]
    assert splitter(TEXT) == expected == splitter(TEXT)
    path, headers, body = endpoint.requests[0]
    assert path == "/v1/chat/completions" and headers["Authorization"] == "Bearer secret"
    assert body["model"] == "some-model" and body["temperature"] == 0
    assert body["messages"][-1]["content"].endswith(TEXT)
    assert split("a person walks and waves, then sits down after turning around.")[1].text == "turning around"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("I would say: walking, then sitting", "JSON array"),
        ('{"parts": []}', "array of strings"),
        ("[]", "array of strings"),
        ("[1, 2]", "array of strings"),
        ('["walks", "sits"]', "not a verbatim part"),
        ('["a person sits", "person"]', "no place of its own"),
        ('["alking"]', "no place of its own"),
        ('[""]', "not a verbatim part"),
        (None, "without text"),
    ],
)
def test_bad_answers_are_errors(endpoint: Endpoint, answer: object, message: str) -> None:
    endpoint.says(answer)
    with pytest.raises(MateError, match=message):
        LLMSplitter(endpoint.url, "m", key_variable="NOT_SET")(TEXT)
    assert "Authorization" not in endpoint.requests[0][1]


def test_a_busy_endpoint_is_asked_again_a_wrong_one_is_not(endpoint: Endpoint) -> None:
    splitter = LLMSplitter(endpoint.url, "m", wait=0.01, attempts=2)
    endpoint.replies = [(503, b"")]
    endpoint.says('["walking"]')
    assert [part.text for part in splitter(TEXT)] == ["walking"]
    endpoint.replies = [(401, b""), (200, b"not reached")]
    with pytest.raises(MateError, match="HTTP 401"):
        splitter(TEXT)
    endpoint.replies = [(429, b""), (429, b"")]
    with pytest.raises(MateError, match="HTTP 429"):
        splitter(TEXT)
    endpoint.replies = [(200, b"<html>")]
    with pytest.raises(MateError, match="chat completion"):
        splitter(TEXT)
    count = len(endpoint.requests)
    endpoint.replies = [(302, b""), (200, b"")]
    with pytest.raises(MateError, match="HTTP 302"):
        splitter(TEXT)
    assert len(endpoint.requests) == count + 1, "a redirect is not followed: the key would go elsewhere"
    with pytest.raises(MateError, match="no answer"):
        LLMSplitter("http://127.0.0.1:1/v1", "m", attempts=1)(TEXT)
    for url, model, attempts in (("file:///etc", "m", 1), ("http://x", "", 1), ("http://x", "m", 0)):
        with pytest.raises(MateError):
            LLMSplitter(url, model, attempts=attempts)


def test_a_file_of_splits(tmp_path: Path) -> None:
    path = tmp_path / "ready.jsonl"
    rows = [
        {"text": TEXT, "sub_texts": ["walking", "a person sits"]},
        {"text": "walks", "spans": [[0, 5]]},
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    splitter = FileSplitter(path)
    assert [part.text for part in splitter(TEXT)] == ["walking", "a person sits"]
    assert splitter("walks") == [SubText("walks", 0, 5, 0)]
    with pytest.raises(MateError, match="holds no split"):
        splitter("runs")
    for line in (
        "nonsense",
        '{"text": "walks"}',
        '{"text": "walks", "spans": [[3, 9]]}',
        '{"text": "a", "spans": 3}',
        BOTH,
    ):
        path.write_text(line)
        with pytest.raises(MateError, match="line 1"):
            FileSplitter(path)
    with pytest.raises(MateError, match="cannot read"):
        FileSplitter(tmp_path / "absent.jsonl")


class Counting:
    """A splitter that counts its calls."""

    def __init__(self, name: str) -> None:
        self.name, self.calls = name, 0

    def __call__(self, text: str) -> list[SubText]:
        self.calls += 1
        return split(text)


def test_the_cache_lies_beside_the_data_set_and_what_stands_there_is_used(tmp_path: Path) -> None:
    splitter = Counting("one")
    cache = SplitCache.beside(tmp_path, splitter)
    assert cache(TEXT) == split(TEXT) == cache(TEXT) and splitter.calls == 1
    assert not (tmp_path / "splits.jsonl").exists()
    path = cache.save()
    assert path == tmp_path / "splits.jsonl"
    assert json.loads(path.read_text())["sub_texts"] == ["walking", "a person sits"]

    again = Counting("one")
    assert SplitCache.beside(tmp_path, again)(TEXT) == split(TEXT) and again.calls == 0
    other = Counting("two")
    second = SplitCache.beside(tmp_path, other)
    second(TEXT)
    second.save()
    assert other.calls == 1 and len(path.read_text().splitlines()) == 2, "splitters do not overwrite each other"

    write_splits(path, [(TEXT, from_texts(TEXT, [TEXT]), "one")])
    assert [part.text for part in SplitCache.beside(tmp_path, again)(TEXT)] == [TEXT], "a correction by hand counts"
    before = path.stat().st_mtime_ns
    SplitCache.beside(tmp_path, again).save()
    assert path.stat().st_mtime_ns == before, "nothing new, nothing written"
    with pytest.raises(MateError, match="no data set"):
        SplitCache.beside(tmp_path / "absent")
    assert SplitCache.beside(tmp_path).name == RuleSplitter().name


def test_splitters_by_name(tmp_path: Path) -> None:
    assert isinstance(open_splitter(), RuleSplitter)
    write_splits(tmp_path / "s.jsonl", [(TEXT, split(TEXT), "")])
    assert open_splitter(str(tmp_path / "s.jsonl"))(TEXT) == split(TEXT)
    endpoint = open_splitter("http://localhost:1/v1#tiny")
    assert isinstance(endpoint, LLMSplitter) and endpoint.name == "llm tiny"
    for wrong in ("rule", "http://localhost:1/v1"):
        with pytest.raises(MateError):
            open_splitter(wrong)


@settings(deadline=None, max_examples=40)
@given(st.text(alphabet="walk then, é\u2028", min_size=1, max_size=40), st.data())
def test_any_apart_spans_come_back_from_their_file(text: str, data: st.DataObject) -> None:
    import tempfile

    if not text.strip():
        return
    edges = sorted(data.draw(st.sets(st.integers(0, len(text)), min_size=2, max_size=6)))
    spans = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False) if text[a:b].strip()]
    if not spans:
        return
    parts = from_spans(text, data.draw(st.permutations(spans)))
    with tempfile.TemporaryDirectory() as folder:
        path = write_splits(Path(folder) / "s.jsonl", [(text, parts, "x")])
        assert read_splits(path) == [(text, parts, "x")]


@pytest.mark.parametrize("spans", [[], [(0, 0)], [(0, 99)], [(-1, 2)], [(0, 5), (4, 8)], [(1, 2)]])
def test_what_is_no_split(spans: list[tuple[int, int]]) -> None:
    with pytest.raises(MateError):
        from_spans("a person sits", spans)
