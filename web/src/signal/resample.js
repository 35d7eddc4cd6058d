/**
 * @file Resampling of audio that comes in blocks, by a windowed sinc.
 */

import { concat } from "./spectra.js"

const ZERO_CROSSINGS = 64 // on each side; the passband ends at 95% of the lower rate's band
const KAISER_BETA = 10 // about 100 dB
const ROLL_OFF = 0.95

/** One channel at one rate → at another. */
export class Resampler {
  /**
   * @param {number} sampleRate Hz, an integer
   * @param {number} targetRate Hz, an integer
   */
  constructor(sampleRate, targetRate) {
    const divisor = greatestCommonDivisor(sampleRate, targetRate)
    this._down = sampleRate / divisor
    this._up = targetRate / divisor
    const cutoff = ROLL_OFF * Math.min(1, targetRate / sampleRate)
    this._reach = Math.ceil(ZERO_CROSSINGS / cutoff) // samples on each side
    this._kernels = new Map()
    this._cutoff = cutoff
    this._pending = new Float32Array(this._reach)
    this._nRead = 0
    this._nDone = 0
  }

  /**
   * @param {Float32Array} samples
   * @returns {Float32Array}
   */
  push(samples) {
    if (this._down === this._up) return samples
    this._nRead += samples.length
    this._pending = concat([this._pending, samples])
    const nComplete = Math.max(0, Math.ceil(((this._nRead - this._reach) * this._up) / this._down))
    return this._take(nComplete)
  }

  /**
   * @param {Float32Array} samples the last ones
   * @returns {Float32Array} in all, ceil(nSamples · targetRate / sampleRate) samples were returned then
   */
  finish(samples) {
    if (this._down === this._up) return samples
    const complete = this.push(samples)
    this._pending = concat([this._pending, new Float32Array(2 * this._reach)])
    return concat([complete, this._take(Math.ceil((this._nRead * this._up) / this._down))])
  }

  /** Compute the samples before `end`. `_pending` begins `_reach` samples before the first one that `_nDone` needs. */
  _take(end) {
    const result = new Float32Array(Math.max(0, end - this._nDone))
    const origin = Math.floor((this._nDone * this._down) / this._up)
    let position = origin
    for (let i = 0; i < result.length; i++) {
      const product = (this._nDone + i) * this._down
      position = Math.floor(product / this._up)
      const kernel = this._kernel(product % this._up)
      const start = position - origin
      let sum = 0
      for (let k = 0; k < kernel.length; k++) sum += kernel[k] * this._pending[start + k]
      result[i] = sum
    }
    this._nDone += result.length
    const next = Math.floor((this._nDone * this._down) / this._up)
    this._pending = this._pending.slice(next - origin)
    return result
  }

  /** The filter for a sample that lies phase / up after an input sample; its middle is at index `_reach`. */
  _kernel(phase) {
    let kernel = this._kernels.get(phase)
    if (!kernel) {
      const [reach, cutoff] = [this._reach, this._cutoff]
      kernel = Float32Array.from({ length: 2 * reach + 1 }, (_, k) => {
        const distance = k - reach - phase / this._up
        return cutoff * sinc(cutoff * distance) * kaiser(distance / (reach + 1))
      })
      const sum = kernel.reduce((total, value) => total + value, 0)
      kernel = kernel.map((value) => value / sum)
      this._kernels.set(phase, kernel)
    }
    return kernel
  }
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x)
}

/** Kaiser's window at x in [-1, 1]; its scale does not matter here. */
function kaiser(x) {
  return bessel(KAISER_BETA * Math.sqrt(Math.max(0, 1 - x * x))) / bessel(KAISER_BETA)
}

/** The modified Bessel function of the first kind and order 0, by its series. */
function bessel(x) {
  let [sum, term] = [1, 1]
  for (let k = 1; term > 1e-12 * sum; k++) {
    term *= (x / (2 * k)) ** 2
    sum += term
  }
  return sum
}
