"""Who may ask, how much may be sent, and what every answer carries."""

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from mate.studio.guard import host_allowed, host_name
from mate.studio.messages import display_name, download_name, without_paths


@pytest.mark.parametrize(
    ("host", "bound", "allowed"),
    [
        ("127.0.0.1:8421", "127.0.0.1", True),
        ("localhost", "127.0.0.1", True),
        ("[::1]:8421", "::1", True),
        ("127.0.0.1.evil.example", "127.0.0.1", False),
        ("evil.example:8421", "127.0.0.1", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("", "127.0.0.1", False),
        ("192.168.1.5:8421", "127.0.0.1", False),  # loopback was asked for, so that is not how one gets here
        ("192.168.1.5:8421", "0.0.0.0", True),
        ("evil.example", "0.0.0.0", False),
        ("studio.example", "studio.example", True),
    ],
)
def test_which_names_are_answered(host: str, bound: str, allowed: bool) -> None:
    assert host_allowed(host, bound) == allowed


def test_host_names() -> None:
    assert [host_name(text) for text in ("A.b:80", "[fe80::1]:80", "::1", "x")] == ["a.b", "fe80::1", "::1", "x"]


def test_a_rebound_name_is_refused_everywhere(quick: TestClient) -> None:
    for path in ("/", "/api/state", "/api/jobs/x"):
        answer = quick.get(path, headers={"host": "evil.example"})
        assert answer.status_code == 403 and "evil.example" in answer.json()["error"]


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:99"},
    ],
)
def test_other_pages_change_nothing(quick: TestClient, headers: dict[str, str]) -> None:
    answer = quick.post("/api/generate", json={"prompt": "x", "model": "default"}, headers=headers)
    assert answer.status_code == 403 and "another page" in answer.json()["error"]
    assert quick.get("/api/state").json()["queue"] == {"waiting": 0, "running": 0, "kept": 0}


def test_own_page_may(quick: TestClient) -> None:
    headers = {"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}
    assert quick.post("/api/generate", json={"prompt": "x", "model": "default"}, headers=headers).status_code == 202


@pytest.mark.parametrize("path", ["/", "/api/state", "/api/jobs/unknown", "/nowhere"])
def test_every_answer_has_a_policy_that_allows_nothing_from_elsewhere(quick: TestClient, path: str) -> None:
    headers = quick.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'" and policy["connect-src"] == "'self'"
    assert "http" not in headers["content-security-policy"] and "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff" and headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers and "server" not in headers


@pytest.mark.parametrize("chunked", [False, True])
def test_large_bodies_are_refused(quick: TestClient, chunked: bool) -> None:
    body = b'{"prompt": "' + b"x" * 100_000
    parts = iter([body[i : i + 20_000] for i in range(0, len(body), 20_000)])
    answer = quick.post(
        "/api/generate", content=parts if chunked else body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413 and "64 KiB" in answer.json()["error"]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("/home/someone/clip.bvh, line 3: broken", "clip.bvh, line 3: broken"),
        ("cannot read /tmp/mate-x1/motion.npy: no such file", "cannot read motion.npy: no such file"),
        ("C:\\Users\\someone\\clip.bvh: empty", "clip.bvh: empty"),
        ("put it into ~/.mate/body_models or set it", "put it into body_models or set it"),
        ("3 m/s and/or a walk; 1/2", "3 m/s and/or a walk; 1/2"),
        ("joints (T, 22, 3), .npy or .npz", "joints (T, 22, 3), .npy or .npz"),
    ],
)
def test_messages_lose_their_paths(message: str, shown: str) -> None:
    assert without_paths(message) == shown


@given(st.lists(st.text("abcXYZ019._-", min_size=1, max_size=8), min_size=2, max_size=6))
def test_no_folder_survives(parts: list[str]) -> None:
    path = "/secretfolder/" + "/".join(parts)
    assert "secretfolder" not in without_paths(f"cannot read {path}: broken")


@given(st.text(max_size=200))
def test_names_are_harmless(text: str) -> None:
    shown, name = display_name(text), download_name(text, ".bvh")
    assert shown and len(shown) <= 80 and not set("/\\\n\r\0") & set(shown)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.") and name.endswith(".bvh") and len(name) <= 64
