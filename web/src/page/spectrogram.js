/**
 * @file Spectrograms as pictures with a cursor. All have the same colors for the same levels.
 */

import { N_BINS, SAMPLE_RATE } from "../signal/constants.js"

const N_ROWS = 192
const TICKS = [[500, "500 Hz"], [2000, "2 kHz"], [8000, "8 kHz"]]
/** Colors from silence to full scale, evenly spaced, as in matplotlib's "inferno". */
const COLORS = [
  [0, 0, 4], [22, 11, 57], [66, 10, 104], [106, 23, 110], [147, 38, 103], [188, 55, 84],
  [221, 81, 58], [243, 120, 25], [252, 165, 10], [246, 215, 70], [252, 255, 164],
]
const PALETTE = Array.from({ length: 256 }, (_, value) => {
  const place = (value / 255) * (COLORS.length - 1)
  const [low, fraction] = [Math.min(Math.floor(place), COLORS.length - 2), place % 1]
  const part = value === 255 ? 1 : fraction
  return COLORS[low].map((color, i) => color + part * (COLORS[low + 1][i] - color))
})
/** The colors for a gradient of CSS. */
export const CSS_COLORS = COLORS.map((color) => `rgb(${color.join(" ")})`).join(", ")

/** The height of a frequency in the picture, 0 to 1: low frequencies, where music is, get more room. */
const heightOf = (frequency) => Math.sqrt(frequency / (SAMPLE_RATE / 4))
const BIN_OF_ROW = Array.from({ length: N_ROWS }, (_, row) => (1 - (row + 0.5) / N_ROWS) ** 2 * (N_BINS - 1))

/** A spectrogram on a canvas. */
export class Spectrogram {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(fraction: number) => void} onSeek called with the place that was clicked, 0 to 1
   */
  constructor(canvas, onSeek) {
    this._canvas = canvas
    this._cursor = document.createElement("span")
    this._cursor.className = "cursor"
    canvas.after(this._cursor)
    for (const [frequency, label] of TICKS) {
      const tick = document.createElement("span")
      tick.className = "tick"
      tick.textContent = label
      tick.setAttribute("aria-hidden", "true")
      tick.style.bottom = `${100 * heightOf(frequency)}%`
      canvas.after(tick)
    }
    canvas.addEventListener("click", (event) => onSeek(event.offsetX / canvas.clientWidth))
    this.clear(1)
  }

  /** @param {number} nColumns of the next picture */
  clear(nColumns) {
    this._canvas.width = nColumns
    this._canvas.height = N_ROWS
    this.setCursor(0)
  }

  /**
   * Draw columns.
   * @param {import("../signal/picture.js").Columns} columns
   */
  add({ first, values }) {
    const nColumns = values.length / N_BINS
    if (nColumns === 0) return
    const image = new ImageData(nColumns, N_ROWS)
    for (let row = 0; row < N_ROWS; row++) {
      const bin = Math.floor(BIN_OF_ROW[row])
      const part = BIN_OF_ROW[row] - bin
      for (let column = 0; column < nColumns; column++) {
        const at = column * N_BINS + bin
        const value = (1 - part) * values[at] + part * values[Math.min(at + 1, values.length - 1)]
        image.data.set([...PALETTE[Math.round(value)], 255], 4 * (row * nColumns + column))
      }
    }
    this._canvas.getContext("2d").putImageData(image, first, 0)
  }

  /** @param {number} fraction where the cursor is, 0 to 1 */
  setCursor(fraction) {
    this._cursor.style.left = `${100 * fraction}%`
  }
}
