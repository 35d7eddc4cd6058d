"""The page in Chromium: it converts as predict.py does, asks for its own files alone, and can be used by everyone."""

import re
import shutil

import built_page
import chromium
import numpy as np
import pytest
import soundfile
from conftest import REPOSITORY, run_script

EXAMPLES = REPOSITORY / "docs" / "examples"
MELODY = EXAMPLES / "keyboard_acoustic" / "melody.wav"
FAILED = "document.getElementById('error').hidden === false"
READY = "document.getElementById('status').textContent === 'Ready.'"
TOLERANCE = 1e-3


def assert_alike(samples, expected, tolerance=0.02):
    """Assert that two results differ by less than a part of the signal (root mean square)."""
    assert np.sqrt(np.mean((samples - expected) ** 2)) < tolerance * np.sqrt(np.mean(expected**2))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return built_page.build(tmp_path_factory)


@pytest.fixture(scope="module")
def browser(page, tmp_path_factory):
    browser = chromium.start(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.quit()


@pytest.fixture(scope="module")
def address(page):
    with built_page.serve(page.hosted) as (address, _):
        yield address


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Four seconds of the melody: mono, stereo with a delay between the channels, and at other rates."""
    folder = tmp_path_factory.mktemp("clips")
    mono, _ = soundfile.read(MELODY, frames=4 * 44_100)
    stereo = np.stack([mono, 0.5 * np.roll(mono, 20)], axis=1)
    stereo += 1e-3 * np.random.default_rng(0).standard_normal(stereo.shape)
    soxr = pytest.importorskip("soxr")
    for name, samples, rate in (
        ("mono.wav", mono, 44_100),
        ("stereo.wav", stereo, 44_100),
        ("high.flac", soxr.resample(mono, 44_100, 48_000), 48_000),
        ("low.wav", soxr.resample(stereo, 44_100, 22_050), 22_050),
    ):
        soundfile.write(folder / name, samples, rate, subtype="PCM_24")
    return folder


def convert_here(source, output, *words, script="predict.py", model=built_page.MODEL):
    flags = ("--subtype", "FLOAT", "--runtime", "onnx", "--overwrite")
    run_script(script, "--model", model, "--input", source, "--output", output, *flags, *words, check=0, new=True)
    return soundfile.read(output, always_2d=True)[0]


def errors(browser):
    """The console's errors since the last call."""
    return [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def open_page(browser, address):
    browser.get(address)
    built_page.wait(browser, READY)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "interleave"),
    [("mono.wav", False), ("stereo.wav", False), ("high.flac", False), ("low.wav", False), ("stereo.wav", True)],
)
def test_a_conversion_is_that_of_predict(browser, address, clips, tmp_path, name, interleave):
    open_page(browser, address)
    if interleave:
        browser.find_element("id", "interleave").click()
    status, error = built_page.give(browser, clips / name)
    assert (status.startswith("Done: 4.0 s, "), error) == (True, "")
    samples, rate, file_name = built_page.download(browser)
    expected_name = f"{name[:-4].rstrip('.')} as {built_page.LABEL}.wav"
    assert (rate, file_name) == (soundfile.info(clips / name).samplerate, expected_name)
    expected = convert_here(clips / name, tmp_path / "out.wav", "--interleave", str(interleave).lower())
    assert samples.shape == expected.shape
    assert np.abs(expected).max() > 0.05
    # At other rates than 44.1 kHz, both resample in their own ways; iterations of the phase enlarge the difference,
    # until a partial has another phase for a moment. On the finer grid, there are twice as many.
    if rate != 44_100 or interleave:
        assert_alike(samples, expected)
    if rate >= 44_100:
        differences = np.abs(samples - expected)
        assert np.quantile(differences, 0.99) < TOLERANCE
        assert rate > 44_100 or interleave or differences.max() < TOLERANCE
    assert not errors(browser)


@pytest.mark.slow
def test_a_style_is_taken_as_predict_multitarget_takes_it(browser, address, clips, tmp_path):
    open_page(browser, address)
    assert not browser.find_element("id", "style").is_displayed()
    browser.find_element("css selector", f"input[value={built_page.STYLE_MODEL}]").click()
    assert browser.find_element("id", "style").is_displayed()
    browser.find_element("css selector", "input[value=string_acoustic]").click()
    grid = browser.find_element("id", "interleave")
    assert grid.is_selected()  # the model was trained with a discriminator
    assert built_page.give(browser, clips / "mono.wav")[1] == ""
    words = {"script": "predict_multitarget.py", "model": built_page.STYLE_MODEL}
    flags = ("--style", EXAMPLES / "string_acoustic" / "style.wav")
    expected = convert_here(clips / "mono.wav", tmp_path / "out.wav", *flags, **words)
    assert_alike(built_page.download(browser)[0], expected, 0.08)  # it draws from noise
    browser.find_element("css selector", f"input[value={built_page.NOISELESS_STYLE_MODEL}]").click()
    browser.find_element("css selector", "input[value=string_acoustic]").click()
    assert not grid.is_selected()
    grid.click()
    words["model"] = built_page.NOISELESS_STYLE_MODEL
    for style, own in ((EXAMPLES / "string_acoustic" / "style.wav", False), (clips / "stereo.wav", True)):
        flags = ("--style", style, "--interleave", str(not own).lower())
        if own:
            grid.click()
            browser.find_element("id", "style-file").send_keys(str(style))
        assert built_page.give(browser, clips / "mono.wav")[1] == ""
        samples, _, name = built_page.download(browser)
        assert name == ("mono as the style of stereo.wav.wav" if own else "mono as strings.wav")
        expected = convert_here(clips / "mono.wav", tmp_path / "out.wav", *flags, **words)
        assert_alike(samples, expected)
        assert not own or np.abs(samples - expected).max() < TOLERANCE
    soundfile.write(tmp_path / "silence.wav", np.zeros(44_100), 44_100)
    browser.find_element("id", "style-file").send_keys(str(tmp_path / "silence.wav"))
    assert built_page.give(browser, clips / "mono.wav")[1] == "silence.wav is silent: it cannot serve as style."


@pytest.mark.slow
def test_the_grid_is_the_models_until_it_is_chosen(browser, address):
    from selenium.webdriver import Keys

    open_page(browser, address)
    plain, finer = (
        browser.find_element("css selector", f"input[value={name}]")
        for name in (built_page.MODEL, built_page.STYLE_MODEL)
    )
    grid = browser.find_element("id", "interleave")
    assert grid.aria_role == "checkbox"
    assert grid.accessible_name.startswith("Clearer pitches")
    for changed, expected in ((None, [False, True]), (plain, [True, True]), (finer, [True, False])):
        if changed:
            changed.click()
            grid.send_keys(Keys.SPACE)
        assert [model.click() or grid.is_selected() for model in (plain, finer)] == expected


@pytest.mark.slow
def test_the_hosted_page_loads_its_own_files_alone_and_one_model(page, browser):
    with built_page.serve(page.hosted) as (address, asked):
        open_page(browser, address)
        browser.find_element("id", "example").click()
        assert built_page.converted(browser)[1] == ""
        assert built_page.download(browser)[2] == f"Example: a keyboard as {built_page.LABEL}.wav"
        model = f"{built_page.MODEL}.onnx"
        names = {path.lstrip("/") or "index.html" for path in asked}
        assert names == {
            *("index.html", "main.js", "worker.js", "ort-wasm-simd-threaded.wasm", "example.flac", model),
        }
        assert sum((page.hosted / name).stat().st_size for name in names) < 20e6
        loaded = browser.execute_script("return performance.getEntriesByType('resource').map(({name}) => name)")
        assert all(name.startswith((address, f"blob:{address}")) for name in loaded)
    assert not errors(browser)


@pytest.mark.slow
def test_the_single_file_works_from_the_disk(page, browser, clips, tmp_path):
    alone = tmp_path / "page.html"
    shutil.copy(page.single, alone)
    assert not re.search(rb"<(?:script|link|img)\b[^>]*\b(?:src|href)=\"(?!data:)", alone.read_bytes())
    open_page(browser, alone.as_uri())
    assert built_page.give(browser, clips / "mono.wav")[1] == ""
    samples, *_ = built_page.download(browser)
    assert np.abs(samples - convert_here(clips / "mono.wav", tmp_path / "out.wav")).max() < TOLERANCE
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(({name}) => name)")
    assert all(name.startswith("blob:") for name in loaded)
    assert not errors(browser)


@pytest.mark.slow
def test_both_versions_are_heard_from_the_same_place(browser, address, clips):
    from selenium.webdriver import ActionChains

    open_page(browser, address)
    built_page.give(browser, clips / "mono.wav")
    position = "Number(document.getElementById('position').value)"
    version = "document.querySelector('input[name=version]:checked').value"
    assert browser.switch_to.active_element.get_attribute("id") == "result-title"
    ActionChains(browser).send_keys(" ").perform()
    built_page.wait(browser, f"{position} > 0.3")
    assert browser.find_element("id", "play").text == "Pause"
    before, heard = browser.execute_script(f"return [{position}, {version}]")
    ActionChains(browser).send_keys("x").perform()
    after, other = browser.execute_script(f"return [{position}, {version}]")
    assert (heard, other) == ("after", "before")
    assert before <= after < before + 2
    built_page.wait(browser, f"{position} > {after}")  # it plays on
    ActionChains(browser).send_keys(" ").perform()
    assert browser.find_element("id", "play").text == "Play"
    picture = browser.find_element("id", "before-picture")
    ActionChains(browser).move_to_element(picture).click().perform()
    assert browser.execute_script(f"return {position}") == pytest.approx(2, abs=0.1)
    cursors = browser.execute_script("return [...document.querySelectorAll('.cursor')].map((one) => one.style.left)")
    assert len(set(cursors)) == 1 and float(cursors[0].rstrip("%")) == pytest.approx(50, abs=1)
    # Both pictures have sound in them, and not the same.
    pictures = browser.execute_script(
        "return ['before-picture', 'after-picture'].map((id) => { const canvas = document.getElementById(id)\n"
        "const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)\n"
        "return [canvas.width, data.reduce((sum, value) => sum + value, 0)] })"
    )
    assert [width for width, _ in pictures] == [346, 346]
    assert len({total for _, total in pictures}) == 2
    assert not errors(browser)


@pytest.mark.slow
def test_a_conversion_can_be_canceled(browser, address, tmp_path):
    samples, _ = soundfile.read(MELODY)
    soundfile.write(tmp_path / "long.wav", np.tile(samples, 20), 44_100)
    open_page(browser, address)
    browser.find_element("id", "file").send_keys(str(tmp_path / "long.wav"))
    built_page.wait(browser, "/^Converting/.test(document.getElementById('status').textContent)")
    browser.find_element("id", "cancel").click()
    built_page.wait(browser, "document.getElementById('status').textContent === 'Canceled.'")
    assert browser.find_element("id", "convert").is_enabled()
    assert not browser.find_element("id", "result").is_displayed()
    browser.find_element("id", "example").click()
    assert built_page.converted(browser)[1] == ""
    assert built_page.download(browser)[0].shape == (len(samples), 1)


@pytest.mark.slow
def test_files_that_are_no_audio_are_a_clear_line(browser, address, tmp_path, clips):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.mp3").write_text("This is no audio.")
    soundfile.write(tmp_path / "nothing.wav", np.zeros(0), 44_100)
    open_page(browser, address)
    for name, told in (
        ("empty.wav", "empty.wav is empty."),
        ("text.mp3", "text.mp3 is no audio file that this browser can decode."),
        ("nothing.wav", "nothing.wav "),
    ):
        _, error = built_page.give(browser, tmp_path / name)
        assert error.startswith(told)
        assert browser.find_element("id", "error").get_attribute("role") == "alert"
    assert built_page.give(browser, clips / "mono.wav")[1] == ""
    assert not browser.find_element("id", "error").is_displayed()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("delete globalThis.WebAssembly", "This page needs WebAssembly"),
        ("delete globalThis.DecompressionStream", "This page needs DecompressionStream"),
        ("globalThis.AudioBuffer = class { constructor() { throw new RangeError('failed') } }", "not enough memory"),
    ],
)
def test_what_the_browser_lacks_is_a_clear_line(browser, address, clips, change, told):
    script = {"source": change}
    added = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", script)
    try:
        browser.get(address)
        if "memory" in told:
            browser.find_element("id", "file").send_keys(str(clips / "mono.wav"))
        built_page.wait(browser, FAILED)
        assert told in built_page.text(browser, "error")
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


@pytest.mark.slow
def test_every_control_has_a_name_and_the_page_fits_a_phone(browser, address, clips):
    open_page(browser, address)
    browser.find_element("css selector", f"input[value={built_page.STYLE_MODEL}]").click()
    built_page.give(browser, clips / "mono.wav")
    browser.execute_cdp_cmd("Accessibility.enable", {})
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    kinds = ("button", "radio", "checkbox", "slider", "image", "Canvas", "status", "heading")
    named = [
        (node["role"]["value"], node.get("name", {}).get("value"))
        for node in nodes
        if node.get("role", {}).get("value") in kinds
    ]
    assert all(name for role, name in named if role != "status"), named
    roles = [role for role, _ in named]
    assert {"button", "radio", "checkbox", "slider", "status", "heading"} <= {*roles}
    for width in (320, 360):
        chromium.set_screen(browser, width)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        small = browser.execute_script(
            "return [...document.querySelectorAll('button, .choice, .segments label')]"
            ".filter((one) => one.offsetHeight && one.offsetHeight < 44).map((one) => one.textContent)"
        )
        assert not small
    brightness = {}
    for scheme in ("light", "dark"):
        chromium.set_screen(browser, 360, scheme=scheme)
        color = browser.execute_script("return getComputedStyle(document.documentElement).backgroundColor")
        brightness[scheme] = sum(map(int, re.findall(r"\d+", color)[:3]))
    assert brightness["dark"] < 200 < 600 < brightness["light"]
    chromium.set_screen(browser, 1000)
