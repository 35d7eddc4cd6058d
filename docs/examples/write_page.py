#!/usr/bin/env python3
"""Write a page that plays recordings from the same place, one instead of the other: a file that needs no others.

Example:
  python docs/examples/write_page.py --output page.html --picture melody.png keyboard=keyboard.wav guitar=guitar.wav
"""

import argparse
import base64
import html
import io
import sys
from pathlib import Path

import soundfile

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common import storage

PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
  label {{ margin-right: 1.5rem; white-space: nowrap }}
  audio, img {{ width: 100% }}
</style>
<h1>{title}</h1>
<p>The recordings go on from the same place when you change between them, also with the keys 1 to {count}.</p>
<fieldset><legend>Play</legend>
{choices}
</fieldset>
<p><audio controls loop></audio></p>
{picture}
<script>
  const sources = {sources}, player = document.querySelector("audio"), choices = [...document.querySelectorAll("input")]
  function choose(number) {{
    const time = player.currentTime, playing = !player.paused
    choices[number].checked = true
    player.src = sources[number]
    player.onloadedmetadata = () => {{ player.currentTime = time; if (playing) player.play() }}
  }}
  choices.forEach((choice, number) => choice.addEventListener("change", () => choose(number)))
  addEventListener("keydown", (event) => {{ if (choices[event.key - 1]) choose(event.key - 1) }})
  choose(0)
</script>
</html>
"""


def render(title, recordings, picture=None):
    """Render the page.

    Args:
        title: its heading.
        recordings: list of (name, audio file).
        picture: PNG file to show, or None.
    """
    choices, sources = [], []
    for number, (name, path) in enumerate(recordings):
        samples, sample_rate = soundfile.read(path, dtype="float32")
        flac = io.BytesIO()
        soundfile.write(flac, samples, sample_rate, subtype="PCM_16", format="FLAC")
        sources.append("data:audio/flac;base64," + base64.b64encode(flac.getvalue()).decode())
        choices.append(f'<label><input type="radio" name="r"> {number + 1} {html.escape(name)}</label>')
    shown = ""
    if picture:
        encoded = base64.b64encode(Path(picture).read_bytes()).decode()
        shown = f'<img alt="Spectrograms of the recordings" src="data:image/png;base64,{encoded}">'
    return PAGE.format(
        title=html.escape(title), count=len(choices), choices="\n".join(choices), sources=sources, picture=shown
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", required=True, type=Path, help="HTML file")
    parser.add_argument("--title", default="Listen", help="heading of the page")
    parser.add_argument("--picture", type=Path, help="PNG file to show")
    parser.add_argument("recordings", nargs="+", help="name=file", metavar="NAME=FILE")
    arguments = parser.parse_args()
    named = [word.partition("=")[::2] for word in arguments.recordings]
    for name, path in [*named, *([("--picture", arguments.picture)] if arguments.picture else [])]:
        if not Path(path).is_file():
            parser.error(f"{path or name} is not a file; each recording must be name=file")
    with storage.atomic_write(arguments.output) as partial:
        partial.write_text(render(arguments.title, named, arguments.picture), encoding="utf-8")


if __name__ == "__main__":
    main()
