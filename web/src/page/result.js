/**
 * @file What a conversion gives: two spectrograms, and two recordings to listen to from the same place.
 */

import { Player } from "./player.js"
import { encodeWav } from "./recording.js"
import { CSS_COLORS, Spectrogram } from "./spectrogram.js"

const element = (id) => document.getElementById(id)

/** The part of the page that shows a result. */
export class ResultView {
  constructor() {
    this._player = new Player(() => this._show())
    const seek = (fraction) => this._seek(fraction * this._player.duration)
    this._pictures = ["before-picture", "after-picture"].map((id) => new Spectrogram(element(id), seek))
    this._section = element("result")
    document.documentElement.style.setProperty("--colors", CSS_COLORS)
    element("play").addEventListener("click", () => this._toggle())
    element("position").addEventListener("input", ({ target }) => this._seek(Number(target.value)))
    element("versions").addEventListener("change", ({ target }) => this._player.hear(target.value === "after" ? 1 : 0))
    element("download").addEventListener("click", () => this._download())
    addEventListener("keydown", (event) => this._onKey(event))
  }

  /**
   * Begin with a new result, and show its pictures while they grow.
   * @param {number} nColumns
   * @param {string[]} names of both recordings
   */
  begin(nColumns, names) {
    this.clear()
    this._section.hidden = false
    for (const picture of this._pictures) picture.clear(nColumns)
    element("before-caption").textContent = names[0]
    element("after-caption").textContent = names[1]
  }

  /** @param {import("../signal/picture.js").Columns[]} columns of both pictures */
  addColumns(columns) {
    for (const [index, part] of columns.entries()) this._pictures[index].add(part)
  }

  /**
   * Let it be heard.
   * @param {AudioBuffer[]} buffers the recording, and what it was converted to
   * @param {number} gain of the second
   * @param {string} fileName for the download
   */
  complete(buffers, gain, fileName) {
    this._player.load(buffers, [1, gain])
    this._result = { audio: buffers[1], gain, fileName }
    element("position").max = this._player.duration
    for (const id of ["play", "download"]) element(id).disabled = false
    element("result-title").focus({ preventScroll: true })
    this._show()
  }

  /** Hide it, and forget the recordings. */
  clear() {
    this._player.unload()
    this._result = null
    this._section.hidden = true
    for (const id of ["play", "download"]) element(id).disabled = true
    this._show()
  }

  /** Stop playing. */
  pause() {
    this._player.pause()
    this._show()
  }

  async _toggle() {
    if (this._player.isPlaying) this._player.pause()
    else await this._player.play()
    this._show()
  }

  _seek(seconds) {
    this._player.seek(seconds)
    this._show()
  }

  _show() {
    const { position, duration, isPlaying } = this._player
    element("play").textContent = isPlaying ? "Pause" : "Play"
    element("position").value = position
    element("position").setAttribute("aria-valuetext", `${position.toFixed(1)} seconds of ${duration.toFixed(1)}`)
    element("time").textContent = `${clock(position)} / ${clock(duration)}`
    for (const picture of this._pictures) picture.setCursor(duration ? position / duration : 0)
    cancelAnimationFrame(this._frame)
    if (isPlaying) this._frame = requestAnimationFrame(() => this._show())
  }

  _onKey(event) {
    if (!this._result || event.ctrlKey || event.metaKey || event.altKey) return
    if (event.target.matches("input:not([type=radio], [type=checkbox], [type=range]), textarea, select")) return
    if (event.key === "x" || event.key === "X") {
      const other = document.querySelector("input[name=version]:not(:checked)")
      other.checked = true
      other.dispatchEvent(new Event("change", { bubbles: true }))
    } else if (event.key === " " && !event.target.matches("button, input")) {
      event.preventDefault()
      this._toggle()
    }
  }

  _download() {
    const { audio, gain, fileName } = this._result
    const link = document.createElement("a")
    link.href = URL.createObjectURL(encodeWav(audio, gain))
    link.download = fileName
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
  }
}

function clock(seconds) {
  const whole = Math.floor(seconds)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`
}
