"""Playing live in Chromium: what a file gives as a microphone comes out converted, with its latency and load shown."""

import base64
import functools
import re

import built_page
import chromium
import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY

import data
from common import pretrained
from common.stored_generator import find_generator
from inference import onnx_network, onnx_variants, phase

MELODY = REPOSITORY / "docs" / "examples" / "keyboard_acoustic" / "melody.wav"
SECONDS, COMPARED_SECONDS = 8, 5
MARGIN_FRAMES = 20
PART_SAMPLES = 1 << 16
LOOKAHEAD_FRAMES, HOP_FRAMES = 4, 8  # of engine.js; the hop depends on the machine, and changes little here
# What a worklet gives to the loudspeaker is kept, too.
LISTEN = """
window.heard = []
const connect = AudioNode.prototype.connect
AudioNode.prototype.connect = function (target, ...rest) {
  if (this instanceof AudioWorkletNode && target === this.context.destination) {
    const listener = this.context.createScriptProcessor(4096, 1, 1)
    listener.onaudioprocess = ({ inputBuffer }) => heard.push(inputBuffer.getChannelData(0).slice())
    connect.call(this, listener)
    connect.call(listener, target)
  }
  return connect.call(this, target, ...rest)
}
"""
READ = """
const done = arguments[0], reader = new FileReader()
reader.onload = () => done(reader.result.split(",")[1])
reader.readAsDataURL(new Blob(heard))
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return built_page.build(tmp_path_factory)


@pytest.fixture
def browser(page, tmp_path):
    switches = ("use-fake-device-for-media-stream", "use-fake-ui-for-media-stream")
    browser = chromium.start(tmp_path / "profile", *switches, f"use-file-for-fake-audio-capture={MELODY}")
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": LISTEN})
    yield browser
    browser.quit()


def lag_of(heard, reference):
    """Return by how many samples `heard` is later than `reference`."""
    n = 2 ** int(np.ceil(np.log2(len(heard) + len(reference))))
    correlation = np.fft.irfft(np.fft.rfft(heard, n) * np.conj(np.fft.rfft(reference, n)))
    lag = int(np.argmax(correlation))
    return lag - n if lag > n // 2 else lag


def errors_of_frames(heard, reference, lag):
    """Return the mean absolute error of log-magnitude of each frame in which something is heard."""
    begin, end = max(0, lag), min(len(heard), lag + len(reference))
    if end - begin < data.SAMPLE_RATE // 2:
        return np.zeros(0)
    images = [data.log_magnitude(data.stft(part)) for part in (heard[begin:end], reference[begin - lag : end - lag])]
    plays = images[0].max(axis=0) > 0.05
    # Near gaps, the windows hold a part of them; at the start, the network has seen little.
    plays &= np.convolve(plays, np.ones(5), "same") == 5
    plays[:MARGIN_FRAMES] = False
    return np.abs(images[0] - images[1])[:, plays].mean(axis=0)


def start_session():
    stored = find_generator(pretrained.find(built_page.MODEL))
    return onnx_network.start_session(onnx_variants.limit_decoder(onnx_network.build(stored)), threads=1)


def converted_live(session, audio, offset):
    """Return what live conversion gives of `audio` when it begins `offset` samples after a frame's middle."""
    spectrum = data.stft(np.concatenate([np.zeros(offset, np.float32), audio]))
    image = data.to_network(data.log_magnitude(spectrum))
    seen = np.pad(image, ((0, 0), (data.SLICE_FRAMES, 0)), constant_values=-1)
    generated = np.full_like(image, -1)
    n_behind = np.array([HOP_FRAMES + LOOKAHEAD_FRAMES])
    for end in range(n_behind[0], image.shape[1] + 1, HOP_FRAMES):
        given = seen[np.newaxis, :, end : end + data.SLICE_FRAMES, np.newaxis]
        [frames] = session.run(None, {"source": given, "frames": n_behind})
        generated[:, end - n_behind[0] : end - LOOKAHEAD_FRAMES] = frames[0, :, :HOP_FRAMES, 0]
    magnitude = data.stft_magnitude(data.from_network(generated))
    result = np.zeros_like(spectrum)
    result[: data.N_BINS] = phase.apply_phase(magnitude, spectrum[: data.N_BINS])
    return data.istft(result, offset + len(audio))


@pytest.mark.slow
@pytest.mark.parametrize("source", ["microphone", "recording"])
def test_what_goes_in_comes_out_converted(page, browser, source):
    address = page.single.as_uri() if source == "recording" else None
    with built_page.serve(page.hosted) as (hosted, _):
        browser.get(address or hosted)
        built_page.wait(browser, "document.getElementById('status').textContent === 'Ready.'")
        assert not browser.find_element("id", "live-recording").is_enabled()
        if source == "recording":
            built_page.give(browser, MELODY)
            browser.find_element("id", "live-recording").click()
        browser.find_element("id", "live-start").click()
        built_page.wait(browser, f"heard.length * 4096 > {SECONDS} * 44100")
        built_page.wait(browser, "/[1-9]\\d* of|of [1-9]/.test(document.getElementById('live-late').textContent)")
        shown = {name: built_page.text(browser, f"live-{name}") for name in ("status", "latency", "load", "late")}
        browser.find_element("id", "live-start").click()
        built_page.wait(browser, "document.getElementById('live-start').textContent === 'Start'")
        assert built_page.text(browser, "error") == ""
        heard = np.frombuffer(base64.b64decode(browser.execute_async_script(READ)), "<f4")
        built_page.give(browser, MELODY)  # the worker is free again
        assert built_page.text(browser, "error") == ""
    n_late, n_blocks = map(int, re.fullmatch(r"(\d+) of (\d+)", shown["late"]).groups())
    assert 100 < int(shown["latency"].removesuffix(" ms")) < 3000
    assert re.fullmatch(r"\d+%", shown["load"])
    if n_late > 0.25 * n_blocks:  # speed is for benchmarks, and with so many gaps there is little to compare
        pytest.skip(f"this machine is too slow or too busy to play live: {n_late} of {n_blocks} blocks came late")
    unchanged, _ = soundfile.read(MELODY, dtype="float32")
    lag = lag_of(heard, unchanged)
    begin = max(0, int(np.flatnonzero(heard)[0]) - lag)  # of the recording, where the microphone was switched on
    played = unchanged[begin : begin + COMPARED_SECONDS * data.SAMPLE_RATE]

    # A busy machine loses blocks of what is heard, so that parts of it are compared, each where it fits.
    parts = [heard[start : start + PART_SAMPLES] for start in range(0, len(played), PART_SAMPLES)]
    session = start_session()

    @functools.cache
    def error_at(offset):
        expected = converted_live(session, played, offset)
        errors = [errors_of_frames(part, expected, lag_of(part, expected)) for part in parts]
        assert sum(map(len, errors)) > 100
        return np.median([of_part.mean() for of_part in errors if len(of_part) > MARGIN_FRAMES])

    # Where the frames lie in the recording is by chance, and what the network gives depends on it.
    best = min(range(0, data.HOP_LENGTH, 128), key=error_at)
    for step in (64, 32):
        best = min(((best + change) % data.HOP_LENGTH for change in (-step, 0, step)), key=error_at)
    assert error_at(best) < 0.025
    errors = errors_of_frames(heard, unchanged, lag)
    assert len(errors) > 100
    assert errors.mean() > 0.06


@pytest.mark.slow
def test_a_microphone_that_is_not_allowed_is_a_clear_line(page, browser):
    with built_page.serve(page.hosted) as (address, _):
        browser.get(address)
        built_page.wait(browser, "document.getElementById('status').textContent === 'Ready.'")
        browser.execute_script("navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no'))")
        for name in ("live-start", "record"):
            browser.execute_script("document.getElementById('error').hidden = true")
            browser.find_element("id", name).click()
            built_page.wait(browser, "!document.getElementById('error').hidden")
            assert built_page.text(browser, "error").startswith("The microphone cannot be used")
            assert browser.find_element("id", name).is_enabled()


@pytest.mark.slow
def test_the_microphone_can_be_recorded_and_converted(page, browser):
    browser.get(page.single.as_uri())  # where a worklet is hardest to load
    browser.find_element("id", "record").click()
    built_page.wait(browser, "document.getElementById('record').textContent === 'Stop recording'")
    browser.execute_async_script("setTimeout(arguments[0], 1500)")
    browser.find_element("id", "record").click()
    assert built_page.converted(browser)[1] == ""
    samples, _, name = built_page.download(browser)
    assert name == f"Recording of the microphone as {built_page.LABEL}.wav"
    assert len(samples) > 10_000
