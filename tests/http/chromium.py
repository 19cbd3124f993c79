"""A headless Chromium, driven through chromedriver by the protocol of https://www.w3.org/TR/webdriver2/."""

import base64
import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

DEADLINE = 60.0
# What the protocol calls a reference to an element.
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
# Control down, a, Control up.
SELECT_ALL = "\ue009a\ue000"

T = TypeVar("T")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


class Chromium:
    """One browser with one page; a context that ends it. Only this machine's addresses are reachable from it."""

    def __init__(self, profile: Path) -> None:
        self._port = _free_port()
        with (profile / "chromedriver.log").open("wb") as log:
            self._driver = subprocess.Popen(
                ["chromedriver", f"--port={self._port}"],
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": str(profile), "no_proxy": "*"},
                start_new_session=True,
            )
        self._session = ""
        try:
            self.wait(self._ready, "chromedriver to listen")
            arguments = [
                "--headless=new",
                # Its sandbox needs namespaces that root in a container has not.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--no-first-run",
                "--window-size=1280,1600",
                # No name is looked up, no other host is reached.
                "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                f"--user-data-dir={profile / 'profile'}",
            ]
            told = self._call(
                "POST",
                "/session",
                {
                    "capabilities": {
                        "alwaysMatch": {
                            "browserName": "chrome",
                            "goog:chromeOptions": {"binary": shutil.which("chromium"), "args": arguments},
                            "goog:loggingPrefs": {"browser": "ALL"},
                        }
                    }
                },
            )
            self._session = f"/session/{told['sessionId']}"
        except BaseException:
            self.__exit__()
            raise

    def _ready(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self._call("GET", "/status")["ready"])
        assert self._driver.poll() is None, "chromedriver ended at once"
        return False

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
            method=method,
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=DEADLINE) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            told = json.load(error)["value"]
            raise AssertionError(f"{told['error']}: {told['message']}") from None

    def wait(self, until: Callable[[], T], what: str) -> T:
        """What `until` returns, once that is true."""
        deadline = time.monotonic() + DEADLINE
        while True:
            found = until()
            if found:
                return found
            assert time.monotonic() < deadline, f"waited {DEADLINE:g} s for {what}"
            time.sleep(0.02)

    def open(self, url: str) -> None:
        """Goes to a page."""
        self._call("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """Runs the body of a function in the page; what it returns, or what its promise becomes."""
        return self._call(
            "POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)}
        )

    def find(self, selector: str) -> Any:
        """The first element that a CSS selector finds, once it is there."""
        return self.wait(lambda: self.run("return document.querySelector(arguments[0])", selector), selector)

    def click(self, selector: str) -> None:
        """Clicks an element, as a user does: it has to be visible."""
        element = self.find(selector)
        self.run("arguments[0].scrollIntoView({block: 'center'})", element)
        self._call("POST", f"{self._session}/element/{element[ELEMENT]}/click", {})

    def type(self, selector: str, text: str) -> None:
        """Replaces what is in a field by keys pressed; in a field for files: chooses the file of that path."""
        element = self.find(selector)
        chosen = self.run("return arguments[0].type === 'file'", element)
        keys = text if chosen else SELECT_ALL + text
        self._call("POST", f"{self._session}/element/{element[ELEMENT]}/value", {"text": keys})

    def choose(self, selector: str, value: str) -> None:
        """Chooses an option of a list by its value."""
        self.click(f"{selector} option[value='{value}']")

    def text(self, selector: str) -> str:
        """The text of an element."""
        found: str = self.run("return arguments[0].innerText", self.find(selector))
        return found

    def screenshot(self, file: Path) -> None:
        """Writes what the window shows as PNG."""
        file.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    def messages(self) -> list[str]:
        """What the page and the browser wrote to the console since the last time."""
        told = self._call("POST", f"{self._session}/se/log", {"type": "browser"})
        return [f"{one['level']}: {one['message']}" for one in told]

    def __enter__(self) -> "Chromium":
        return self

    def __exit__(self, *_: object) -> None:
        if self._session:
            with contextlib.suppress(OSError, AssertionError):
                self._call("DELETE", self._session)
        self._driver.terminate()
        self._driver.wait(DEADLINE)
