"""The page in the browser, built once for all tests in a temporary folder, and a server for it."""

import base64
import contextlib
import functools
import http.server
import io
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple

import filelock
import pytest
import soundfile
from conftest import REPOSITORY

WEB = REPOSITORY / "web"
# One without and one with a discriminator: the page converts the latter's on the finer grid.
MODEL, STYLE_MODEL = "keyboard_acoustic_2_string_acoustic_generator", "keyboard_acoustic_2_any"
NOISELESS_STYLE_MODEL = f"{STYLE_MODEL}_generator"  # the former draws from noise, which no two FFTs round alike
LABEL = "strings (without a discriminator)"
OFFLINE = ("EAI_AGAIN", "ENOTFOUND", "ENOTCACHED", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")


class BuiltPage(NamedTuple):
    """Where the page was built.

    Attributes:
        sources: a copy of web/ with its packages.
        hosted: the folder for a host.
        single: the single file.
    """

    sources: Path
    hosted: Path
    single: Path


def build(tmp_path_factory):
    """Build the page, once for all processes of a test run; the tests are skipped without npm or its packages."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("needs npm")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    sources = shared / "web"
    with filelock.FileLock(shared / "web.lock"):
        if not sources.is_dir():
            _build(sources)
    if (sources / "offline").is_file():
        pytest.skip("needs the packages of web/package-lock.json, and npm cannot download them")
    return BuiltPage(sources, sources / "dist" / "hosted", sources / "dist" / "timbre_transfer.html")


def _build(sources):
    shutil.copytree(WEB, sources, ignore=shutil.ignore_patterns("node_modules", "assets", "dist"))
    installed, wanted = (WEB / name for name in ("node_modules/.package-lock.json", "package-lock.json"))
    if installed.is_file() and installed.stat().st_mtime >= wanted.stat().st_mtime:
        (sources / "node_modules").symlink_to(WEB / "node_modules")
    else:
        npm = subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=sources, capture_output=True, text=True)
        if any(code in npm.stderr for code in OFFLINE):
            (sources / "offline").touch()
            return
        assert npm.returncode == 0, npm.stderr
    write_assets = [sys.executable, WEB / "write_assets.py", "--output", sources / "assets"]
    for command in ([*write_assets, "--models", MODEL, STYLE_MODEL, NOISELESS_STYLE_MODEL], ["npm", "run", "build"]):
        result = subprocess.run(command, cwd=sources, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr


@contextlib.contextmanager
def serve(folder):
    """Serve a folder on the loopback; gives its address and the list of the paths that are asked for."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", asked
    finally:
        server.shutdown()
        server.server_close()


def wait(browser, condition, seconds=180):
    """Wait until a JavaScript expression is true."""
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, seconds, 0.05).until(lambda _: browser.execute_script(f"return {condition}"), condition)


def text(browser, name):
    return browser.execute_script("return document.getElementById(arguments[0]).textContent", name)


def give(browser, path):
    """Choose a file, and wait for its conversion or for an error; return the status and the error."""
    browser.execute_script("document.getElementById('status').textContent = ''")
    browser.find_element("id", "file").send_keys(str(path))
    return converted(browser)


def converted(browser):
    """Wait for the end of a conversion; return the status and the error."""
    wait(
        browser,
        "/^Done/.test(document.getElementById('status').textContent) || !document.getElementById('error').hidden",
    )
    return text(browser, "status"), text(browser, "error")


def download(browser):
    """Return the samples [shape=(n_samples, n_channels)], the rate and the name of the WAV file that is offered."""
    encoded, name = browser.execute_async_script(
        """
        const done = arguments[0], create = URL.createObjectURL, click = HTMLAnchorElement.prototype.click
        let name
        HTMLAnchorElement.prototype.click = function () { name = this.download }
        URL.createObjectURL = (blob) => {
          const reader = new FileReader()
          reader.onload = () => done([reader.result.split(",")[1], name])
          reader.readAsDataURL(blob)
          return create(blob)
        }
        document.getElementById("download").click()
        URL.createObjectURL = create
        HTMLAnchorElement.prototype.click = click
        """
    )
    samples, sample_rate = soundfile.read(io.BytesIO(base64.b64decode(encoded)), always_2d=True)
    return samples, sample_rate, name


def manifest(page):
    return json.loads((page.sources / "assets" / "manifest.json").read_text())
