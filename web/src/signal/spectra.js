/**
 * @file Spectra in memory, and their log-magnitudes.
 *
 * Frames follow each other in all arrays. A frame of a spectrum has 512 numbers, the real and imaginary parts of 256
 * bins in turn; a frame of log-magnitude has 256.
 */

import { compress, expand, FRAME_LENGTH, MAGNITUDE_SCALE, N_BINS } from "./constants.js"

/** Below this power a bin has no phase: far below rounding errors, and far above the smallest float32. */
export const MIN_POWER = 1e-30

/** Complex spectra of one channel. */
export class Spectra {
  /**
   * @param {number} nFrames
   * @param {Float32Array} [data]
   */
  constructor(nFrames, data = new Float32Array(nFrames * FRAME_LENGTH)) {
    this.nFrames = nFrames
    this.data = data
  }

  /**
   * Copy some of the frames.
   * @param {number} first
   * @param {number} end
   * @returns {Spectra}
   */
  slice(first, end) {
    return new Spectra(end - first, this.data.slice(first * FRAME_LENGTH, end * FRAME_LENGTH))
  }

  /**
   * Join spectra.
   * @param {Spectra[]} parts
   * @returns {Spectra}
   */
  static concat(parts) {
    const data = concat(parts.map((part) => part.data))
    return new Spectra(data.length / FRAME_LENGTH, data)
  }

  /** @returns {Float32Array} the magnitude of all bins, on the scale of the STFT */
  magnitude() {
    const { data } = this
    const magnitude = new Float32Array(this.nFrames * N_BINS)
    for (let i = 0; i < magnitude.length; i++) {
      magnitude[i] = Math.sqrt(data[2 * i] * data[2 * i] + data[2 * i + 1] * data[2 * i + 1])
    }
    return magnitude
  }

  /** @returns {Float32Array} the log-magnitude of all bins, in [0, 1] */
  logMagnitude() {
    return this.magnitude().map((magnitude) => compress(magnitude * MAGNITUDE_SCALE))
  }

  /**
   * Give a magnitude the phase of these spectra; where they are 0, the phase is 0.
   * @param {Float32Array} logMagnitude of as many frames, in [0, 1]
   * @returns {Spectra}
   */
  withLogMagnitude(logMagnitude) {
    const { data } = this
    const result = new Spectra(this.nFrames)
    for (let i = 0; i < logMagnitude.length; i++) {
      const [re, im] = [data[2 * i], data[2 * i + 1]]
      const power = re * re + im * im
      const magnitude = expand(logMagnitude[i]) / MAGNITUDE_SCALE
      const factor = magnitude / Math.sqrt(power)
      result.data[2 * i] = power < MIN_POWER ? magnitude : re * factor
      result.data[2 * i + 1] = power < MIN_POWER ? 0 : im * factor
    }
    return result
  }
}

/**
 * Separate interleaved frames of log-magnitude.
 * @param {Float32Array} frames as many of each grid
 * @param {number} grids how many are interleaved
 * @returns {Float32Array[]} those of each grid
 */
export function separate(frames, grids) {
  if (grids === 1) return [frames]
  return Array.from({ length: grids }, (_, grid) => {
    const result = new Float32Array(frames.length / grids)
    for (let to = 0, from = grid * N_BINS; to < result.length; to += N_BINS, from += grids * N_BINS) {
      result.set(frames.subarray(from, from + N_BINS), to)
    }
    return result
  })
}

/**
 * Invert `separate`.
 * @param {Float32Array[]} parts
 * @returns {Float32Array}
 */
export function interleave(parts) {
  if (parts.length === 1) return parts[0]
  const result = new Float32Array(parts.length * parts[0].length)
  for (const [grid, part] of parts.entries()) {
    for (let from = 0, to = grid * N_BINS; from < part.length; from += N_BINS, to += parts.length * N_BINS) {
      result.set(part.subarray(from, from + N_BINS), to)
    }
  }
  return result
}

/**
 * Join arrays.
 * @param {Float32Array[]} parts
 * @returns {Float32Array}
 */
export function concat(parts) {
  const result = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0))
  let start = 0
  for (const part of parts) {
    result.set(part, start)
    start += part.length
  }
  return result
}
