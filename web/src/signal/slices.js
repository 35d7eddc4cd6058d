/**
 * @file Log-magnitude through a network, in slices of 256 frames that overlap and are cross-faded, as
 * inference/transfer.py does it.
 */

import { N_BINS, SLICE_FRAMES } from "./constants.js"
import { concat } from "./spectra.js"

/**
 * A network: image → image, both Float32Array of 256 × 256 in [-1, 1], bin b and frame f at 256 · b + f.
 * @typedef {(image: Float32Array) => Promise<Float32Array>} Infer
 */

const OVERLAP = 32 // frames that neighboring slices share
const HOP = SLICE_FRAMES - OVERLAP

/** The weight of each frame of a slice: it rises and falls linearly. */
const WEIGHTS = Float32Array.from({ length: SLICE_FRAMES }, (_, frame) =>
  Math.min(1, (frame + 1) / (OVERLAP + 1), (SLICE_FRAMES - frame) / (OVERLAP + 1)),
)

/** One channel's log-magnitude → that which the network generates. */
export class Slicer {
  /** @param {Infer} infer */
  constructor(infer) {
    this._infer = infer
    this._pending = new Float32Array(0)
    this._tail = new Float32Array(OVERLAP * N_BINS) // of the slice before, weighted
    this._isStart = true
  }

  /**
   * @param {Float32Array} logMagnitude frames of 256 bins, in [0, 1]
   * @returns {Promise<Float32Array>} as many frames as are complete
   */
  async push(logMagnitude) {
    this._pending = concat([this._pending, logMagnitude])
    const parts = []
    while (this._pending.length > SLICE_FRAMES * N_BINS) parts.push(await this._generate(HOP)) // or it may be the last
    return concat(parts)
  }

  /**
   * @param {Float32Array} logMagnitude the last frames
   * @returns {Promise<Float32Array>} all frames that are left
   */
  async finish(logMagnitude) {
    const complete = await this.push(logMagnitude)
    if (this._pending.length === 0) return complete
    return concat([complete, await this._generate(this._pending.length / N_BINS)])
  }

  /** Generate a slice from the pending frames, and take its first ones. */
  async _generate(nFrames) {
    const generated = toFrames(await this._infer(toImage(this._pending)))
    const result = new Float32Array(nFrames * N_BINS)
    for (let frame = 0; frame < nFrames; frame++) {
      const isShared = !this._isStart && frame < OVERLAP
      const weight = isShared ? WEIGHTS[frame] : 1
      for (let i = frame * N_BINS; i < (frame + 1) * N_BINS; i++) {
        const value = weight * generated[i] + (isShared ? this._tail[i] : 0)
        result[i] = Math.min(1, Math.max(0, value))
      }
    }
    for (let i = 0; i < this._tail.length; i++) {
      this._tail[i] = WEIGHTS[HOP + Math.floor(i / N_BINS)] * generated[HOP * N_BINS + i]
    }
    this._pending = this._pending.slice(nFrames * N_BINS)
    this._isStart = false
    return result
  }
}

/**
 * Make the network's image of the first 256 frames, with silence where there are fewer.
 * @param {Float32Array} logMagnitude frames of 256 bins, in [0, 1]
 * @returns {Float32Array}
 */
export function toImage(logMagnitude) {
  const image = new Float32Array(N_BINS * SLICE_FRAMES).fill(-1)
  const nFrames = Math.min(SLICE_FRAMES, logMagnitude.length / N_BINS)
  for (let frame = 0; frame < nFrames; frame++) {
    for (let bin = 0; bin < N_BINS; bin++) {
      image[bin * SLICE_FRAMES + frame] = 2 * logMagnitude[frame * N_BINS + bin] - 1
    }
  }
  return image
}

/**
 * Turn a network's image into log-magnitude.
 * @param {Float32Array} image of 256 bins and any number of frames, in [-1, 1]
 * @returns {Float32Array} frames of 256 bins, in [0, 1]
 */
export function toFrames(image) {
  const nFrames = image.length / N_BINS
  const logMagnitude = new Float32Array(image.length)
  for (let bin = 0; bin < N_BINS; bin++) {
    for (let frame = 0; frame < nFrames; frame++) {
      logMagnitude[frame * N_BINS + bin] = (image[bin * nFrames + frame] + 1) / 2
    }
  }
  return logMagnitude
}
