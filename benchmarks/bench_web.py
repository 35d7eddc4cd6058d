#!/usr/bin/env python3
"""Measure the page in Chromium: until it is ready, how fast it converts, and how it plays live.

`make web` builds the page before. The microphone is a file that Chromium plays.

Example:
  python benchmarks/bench_web.py --parts page live --live_seconds 60
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import material
import numpy as np

sys.path.insert(0, str(material.REPOSITORY / "tests"))

DIST = material.REPOSITORY / "web" / "dist"
MELODY = material.REPOSITORY / "docs" / "examples" / "keyboard_acoustic" / "melody.wav"
READY = "document.getElementById('status').textContent === 'Ready.'"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=("page", "live"), default=["page", "live"])
    parser.add_argument("--seconds", type=int, default=60, help="of the recording that is converted")
    parser.add_argument("--interleave", action="store_true", help="convert on the finer grid")
    parser.add_argument("--live_seconds", type=int, default=60)
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if not (DIST / "timbre_transfer.html").is_file():
        raise SystemExit(f"{DIST} has no page: run make web first")
    import built_page
    import chromium

    switches = ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")
    with tempfile.TemporaryDirectory() as folder, built_page.serve(DIST / "hosted") as (hosted, _):
        browser = chromium.start(f"{folder}/profile", *switches, f"use-file-for-fake-audio-capture={MELODY}")
        try:
            if "page" in arguments.parts:
                addresses = {"hosted": hosted, "single file": (DIST / "timbre_transfer.html").as_uri()}
                how = (Path(folder), arguments.seconds, arguments.interleave)
                rows = [measure_page(browser, *item, *how) for item in addresses.items()]
                material.table("The page in Chromium", rows)
            if "live" in arguments.parts:
                material.table("Playing live in Chromium", [measure_live(browser, hosted, arguments.live_seconds)])
        finally:
            browser.quit()


def measure_page(browser, name, address, folder, seconds, interleave):
    """Return a row: when the page was ready, and how fast it converted mono and stereo."""
    import built_page
    import soundfile

    ready = []
    for _ in range(3):
        started = time.perf_counter()
        browser.get(address)
        built_page.wait(browser, READY)
        ready.append(time.perf_counter() - started)
    row = {"page": name, "ready (s)": f"{np.median(ready):.1f}"}
    grid = browser.find_element("id", "interleave")
    if grid.is_selected() != interleave:
        grid.click()
    samples, rate = soundfile.read(MELODY)
    for channels in (1, 2):
        path = folder / f"{channels}.wav"
        soundfile.write(path, np.stack([np.resize(samples, rate * seconds)] * channels, axis=1), rate)
        status, error = built_page.give(browser, path)
        if error:
            raise SystemExit(error)
        row[f"{('mono', 'stereo')[channels - 1]}, {seconds} s"] = status.split(", ")[1].replace(
            " as fast as it plays", ""
        )
    return row


def measure_live(browser, address, seconds):
    """Return a row: the latency and the load that the page shows at the end, and its late blocks."""
    import built_page

    browser.get(address)
    built_page.wait(browser, READY)
    browser.find_element("id", "live-start").click()
    built_page.wait(browser, "/ of [1-9]/.test(document.getElementById('live-late').textContent)")
    loads, margins = [], []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        time.sleep(1)
        loads.append(int(built_page.text(browser, "live-load").removesuffix("%")))
        margins.append(float(browser.execute_script("return document.getElementById('live-stats').dataset.margin")))
    return {
        "seconds": seconds,
        "latency": built_page.text(browser, "live-latency"),
        "load": f"{np.median(loads):.0f}%",
        "least margin": f"{1000 * min(margins):.0f} ms",
        "late blocks": built_page.text(browser, "live-late"),
        "error": built_page.text(browser, "error") or "none",
    }


if __name__ == "__main__":
    main()
