/**
 * @file A phase for a generated magnitude: fast Griffin-Lim from the input's phase, as inference/phase.py does it.
 *
 * It works on segments of 512 frames and looks 16 frames ahead (32 on the finer grid), so that the memory does not grow
 * with the length of a recording. The frames before a segment keep the phase that was found for them.
 */

import { N_BINS } from "./constants.js"
import { MIN_POWER, Spectra } from "./spectra.js"

/** @typedef {import("./fft.js").FrameTransform} FrameTransform */

const SEGMENT_FRAMES = 512
// Every 512 samples; twice as many on the finer grid.
const LOOKAHEAD_FRAMES = 16
const CONTEXT_FRAMES = 8
const ITERATIONS = 8
const FIXED_BINS = 24 // below 1 kHz, partials of neighboring pitches share bins, and only the phase tells them apart
const ACCELERATION = 0.99 // Perraudin, Balazs and Søndergaard 2013, section 4

/** Spectra with the output's magnitude and the input's phase → spectra with the output's phase. */
export class PhaseEstimator {
  /**
   * @param {FrameTransform} transform
   * @param {number} nChannels
   */
  constructor(transform, nChannels) {
    this._transform = transform
    this._pending = Array.from({ length: nChannels }, () => new Spectra(0))
    this._context = this._pending // the last frames whose phase was found
  }

  /**
   * @param {Spectra[]} spectra of each channel
   * @returns {Spectra[]}
   */
  push(spectra) {
    this._pending = this._pending.map((pending, channel) => Spectra.concat([pending, spectra[channel]]))
    const parts = [this._pending.map(() => new Spectra(0))]
    const nSeen = SEGMENT_FRAMES + LOOKAHEAD_FRAMES * this._transform.grids
    while (this._pending[0].nFrames > nSeen) {
      parts.push(this._estimate(nSeen, SEGMENT_FRAMES))
    }
    return joinChannels(parts)
  }

  /**
   * @param {Spectra[]} spectra the last ones
   * @returns {Spectra[]}
   */
  finish(spectra) {
    const parts = [this.push(spectra)]
    const nLeft = this._pending[0].nFrames
    if (nLeft > 0) parts.push(this._estimate(nLeft, nLeft))
    return joinChannels(parts)
  }

  /** Find the phase of some pending frames, and take the first ones. */
  _estimate(nSeen, nTaken) {
    const nFixed = this._context[0].nFrames
    const start = this._pending.map((pending, channel) =>
      Spectra.concat([this._context[channel], pending.slice(0, nSeen)]),
    )
    const result = fastGriffinLim(this._transform, start, nFixed)
    this._pending = this._pending.map((pending) => pending.slice(nTaken, pending.nFrames))
    const end = nFixed + nTaken
    const nContext = CONTEXT_FRAMES * this._transform.grids
    this._context = result.map((channel) => channel.slice(Math.max(0, end - nContext), end))
    return result.map((channel) => channel.slice(nFixed, end))
  }
}

/**
 * Run fast Griffin-Lim. All channels are rotated by the same angle, so that their differences of phase stay.
 * @param {FrameTransform} transform
 * @param {Spectra[]} start of each channel: the magnitude, and the phase to start from
 * @param {number} nFixed how many frames at the beginning keep their phase; so do the lowest bins of all
 * @returns {Spectra[]}
 */
export function fastGriffinLim(transform, start, nFixed) {
  const { nFrames } = start[0]
  const nIterations = ITERATIONS * transform.grids
  const result = start.map((channel) => channel.slice(0, nFrames))
  const rotate = start.length === 1 ? rotateMono(start[0].magnitude(), result[0].data) : rotateAll(start, result)
  let previous = start.map((channel) => channel.slice(0, nFrames))
  let projected = start.map(() => new Spectra(nFrames))
  for (let iteration = 0; iteration < nIterations; iteration++) {
    // The nearest spectra that are those of some audio (Griffin and Lim 1984).
    for (const [channel, { data }] of result.entries()) transform.project(data, projected[channel].data)
    const [now, before] = [projected.map(({ data }) => data), previous.map(({ data }) => data)]
    for (let frame = nFixed; frame < nFrames; frame++) {
      rotate(now, before, frame * N_BINS + FIXED_BINS, (frame + 1) * N_BINS)
    }
    ;[previous, projected] = [projected, previous]
  }
  return result
}

/**
 * Make a function that gives bins the phase of what is projected, accelerated by the step since the iteration before.
 * @param {Float32Array} magnitude
 * @param {Float32Array} result is changed
 * @returns {(now: Float32Array[], before: Float32Array[], first: number, end: number) => void}
 */
function rotateMono(magnitude, result) {
  return ([now], [before], first, end) => {
    for (let bin = first; bin < end; bin++) {
      const i = 2 * bin
      const re = now[i] + ACCELERATION * (now[i] - before[i])
      const im = now[i + 1] + ACCELERATION * (now[i + 1] - before[i + 1])
      const power = re * re + im * im
      const factor = magnitude[bin] / Math.sqrt(power)
      result[i] = power < MIN_POWER ? magnitude[bin] : re * factor
      result[i + 1] = power < MIN_POWER ? 0 : im * factor
    }
  }
}

/**
 * The same for several channels: all are rotated by the least-squares angle, that of the sum of what is projected times
 * the conjugate of the start.
 * @param {Spectra[]} start
 * @param {Spectra[]} result is changed
 */
function rotateAll(start, result) {
  const channels = start.map(({ data }, channel) => ({ channel, from: data, to: result[channel].data }))
  return (now, before, first, end) => {
    for (let i = 2 * first; i < 2 * end; i += 2) {
      let [sumRe, sumIm] = [0, 0]
      for (const { channel, from } of channels) {
        const [current, last] = [now[channel], before[channel]]
        const re = current[i] + ACCELERATION * (current[i] - last[i])
        const im = current[i + 1] + ACCELERATION * (current[i + 1] - last[i + 1])
        sumRe += re * from[i] + im * from[i + 1]
        sumIm += im * from[i] - re * from[i + 1]
      }
      const power = sumRe * sumRe + sumIm * sumIm
      const scale = 1 / Math.sqrt(power)
      const [cosine, sine] = power < MIN_POWER ? [1, 0] : [sumRe * scale, sumIm * scale]
      for (const { from, to } of channels) {
        to[i] = from[i] * cosine - from[i + 1] * sine
        to[i + 1] = from[i] * sine + from[i + 1] * cosine
      }
    }
  }
}

function joinChannels(parts) {
  return parts[0].map((_, channel) => Spectra.concat(parts.map((part) => part[channel])))
}
