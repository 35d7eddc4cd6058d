/**
 * @file A spectrogram as a picture of a given width, made of frames as they come.
 */

import { N_BINS } from "./constants.js"

/**
 * Columns of a picture that are complete: 256 values of 0 to 255 each, the lowest bin first.
 * @typedef {{first: number, values: Uint8Array}} Columns
 */

/** Frames of log-magnitude → columns, each the mean of the frames and channels that fall into it. */
export class Picture {
  /**
   * @param {number} nFrames in all
   * @param {number} nColumns at most as many as frames
   */
  constructor(nFrames, nColumns) {
    this._nFrames = nFrames
    this._nColumns = nColumns
    this._frame = 0
    this._column = 0
    this._sum = new Float32Array(N_BINS)
    this._count = 0
  }

  /**
   * @param {Float32Array[]} channels frames of 256 bins, in [0, 1]
   * @returns {Columns}
   */
  add(channels) {
    const first = this._column
    const values = []
    const sum = this._sum
    const nNew = channels[0].length / N_BINS
    for (let frame = 0; frame < nNew; frame++) {
      for (const channel of channels) {
        for (let bin = 0; bin < N_BINS; bin++) sum[bin] += channel[frame * N_BINS + bin]
      }
      this._count += channels.length
      this._frame += 1
      if (Math.floor((this._frame * this._nColumns) / this._nFrames) > this._column) {
        values.push(sum.map((value) => (255 * value) / this._count))
        sum.fill(0)
        this._count = 0
        this._column += 1
      }
    }
    return { first, values: Uint8Array.from(values.flatMap((column) => [...column.map(Math.round)])) }
  }
}
