"""Headless Chromium through its DevTools protocol: opens a page, uses it like a person, and takes screenshots."""

import base64
import itertools
import json
import pathlib
import shutil
import subprocess
import time
import urllib.request
from typing import Any

import websocket

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
_SECONDS = 60


class Browser:
    """One tab; use it as `with Browser(folder) as browser`, where `folder` is for the profile."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._port_file = folder / "DevToolsActivePort"
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--remote-allow-origins=*"]
        self._process = subprocess.Popen(
            [CHROMIUM, *flags, f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._ids = itertools.count(1)

    def __enter__(self) -> "Browser":
        wait_for(lambda: self._port_file.exists() and self._port_file.read_text())
        port = self._port_file.read_text().splitlines()[0]
        tabs = wait_for(lambda: self._pages(port))
        self._socket = websocket.create_connection(tabs[0]["webSocketDebuggerUrl"], timeout=_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(_SECONDS)

    def call(self, method: str, **arguments: Any) -> Any:
        """Calls a method of the protocol and returns its result."""
        number = next(self._ids)
        self._socket.send(json.dumps({"id": number, "method": method, "params": arguments}))
        while (answer := json.loads(self._socket.recv())).get("id") != number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def run(self, script: str) -> Any:
        """Returns the value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def open(self, address: str, width: int, dark: bool = False) -> None:
        """Opens a page in a window of `width` CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=address)
        wait_for(lambda: self.run(f"location.href.startsWith({address!r}) && document.readyState == 'complete'"))

    def choose_file(self, selector: str, file: pathlib.Path) -> None:
        """Chooses a file in a file input of the page."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Presses and releases a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, text=text)

    def screenshot(self, file: pathlib.Path) -> None:
        """Writes a PNG of the whole page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    @staticmethod
    def _pages(port: str) -> list[dict[str, str]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=_SECONDS) as listed:
            return [tab for tab in json.load(listed) if tab["type"] == "page"]


def wait_for(holds: Any) -> Any:
    """Calls `holds` until it returns a true value, and returns that; fails after a minute."""
    end = time.monotonic() + _SECONDS
    while not (answer := holds()):
        assert time.monotonic() < end, "the condition did not hold within a minute"
        time.sleep(0.05)
    return answer
