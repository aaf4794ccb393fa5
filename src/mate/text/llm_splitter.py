"""Sub-texts from a language model behind any OpenAI-compatible endpoint, as the paper has them (it names no model or prompt)."""

import json
import os
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from mate.errors import MateError
from mate.text.split_cache import from_texts
from mate.text.subtexts import SubText

LARGEST_ANSWER = 1_000_000  # bytes
INSTRUCTION = """\
You cut captions of human motion into sub-texts. A sub-text is one sub-action that is coherent in time.
Actions at the same time ("walks and waves", "... while ...") stay in one sub-text. Actions one after the other are cut.
Copy every sub-text letter by letter from the caption, leaving out the words between them ("then", "and", "before").
List them in the order in which they happen, which "before" and "after" can turn around.
Answer with a JSON array of strings and nothing else.
Caption: a person walks and waves, then sits down after turning around.
Answer: ["a person walks and waves", "turning around", "sits down"]"""


@dataclass(frozen=True)
class LLMSplitter:
    """Asks a language model for the sub-texts of a caption; an answer that is not verbatim is an error, not a guess.

    Attributes:
        url: of the endpoint up to its version, such as http://localhost:8000/v1.
        model: the model's name there.
        key_variable: the environment variable that holds the key; where it is not set, none is sent.
        timeout: seconds for one answer. attempts: tries where the endpoint is busy or out of reach (429, 5xx, no connection).
        wait: seconds before the second try; doubled before each further one.
    """

    url: str
    model: str
    key_variable: str = "OPENAI_API_KEY"
    timeout: float = 60.0
    attempts: int = 3
    wait: float = 1.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")) or not self.model:
            raise MateError(
                f"got the endpoint {self.url!r} and the model {self.model!r}, expected an address such as "
                "http://localhost:8000/v1 and a model's name"
            )
        if self.attempts < 1:
            raise MateError(f"got {self.attempts} attempts, expected at least 1")

    @property
    def name(self) -> str:
        """Under which answers are kept: the endpoint's model."""
        return f"llm {self.model}"

    def __call__(self, text: str) -> list[SubText]:
        """The sub-texts of a caption, in order of time.

        Raises:
            MateError: an empty caption, no answer, or one that is no JSON array of verbatim, non-overlapping parts.
        """
        if not text.strip():
            raise MateError("cannot split an empty caption; write what the motion should be")
        answer = self._ask(text)
        try:
            pieces = json.loads(re.sub(r"^\s*```(?:json)?\s*|\s*```\s*$", "", answer))
        except ValueError as error:
            raise MateError(f"{self.model} did not answer with a JSON array for {text!r}: {answer[:120]!r}") from error
        if not isinstance(pieces, list) or not pieces or not all(isinstance(piece, str) for piece in pieces):
            raise MateError(f"{self.model} answered {answer[:120]!r} for {text!r}, expected a JSON array of strings")
        try:
            return from_texts(text, pieces)
        except MateError as error:
            raise MateError(f"{self.model} gave a bad split: {error}") from error

    def _ask(self, text: str) -> str:
        body = {
            "model": self.model,
            "temperature": 0,
            "messages": [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": f"Caption: {text}"}],
        }
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self.key_variable)
        if key:
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers, method="POST"
        )
        content = self._send(request)
        try:
            answer = json.loads(content)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise MateError(f"{self.url} did not answer as a chat completion: {content[:120]!r}") from error
        if not isinstance(answer, str):
            raise MateError(f"{self.url} answered without text for {text!r}")
        return answer

    def _send(self, request: urllib.request.Request) -> bytes:
        opener = urllib.request.build_opener(_NoRedirect)
        pause = self.wait
        for attempt in range(1, self.attempts + 1):
            try:
                with opener.open(request, timeout=self.timeout) as response:
                    content = response.read(LARGEST_ANSWER + 1)
                if len(content) > LARGEST_ANSWER:
                    raise MateError(f"{self.url} answered with more than {LARGEST_ANSWER:,} bytes")
                return content
            except urllib.error.HTTPError as error:
                problem, again = f"HTTP {error.code} {error.reason}", error.code == 429 or error.code >= 500
            except OSError as error:  # no connection, a timeout
                problem, again = str(getattr(error, "reason", error)), True
            if not again or attempt == self.attempts:
                break
            time.sleep(pause)
            pause *= 2
        raise MateError(f"{self.url} gave no answer: {problem}; check the address, the model's name and the key")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The key goes to the endpoint it was given for, and to no other host."""

    def redirect_request(self, *request: Any) -> None:
        return None
