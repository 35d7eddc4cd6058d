/**
 * @file The short-time Fourier transform of audio that comes in blocks, and its inverse.
 *
 * Stages have `push(block)` and `finish(block)`, the last block; both return what is complete. A block of audio has an
 * array for each channel.
 */

import { countFrames, FRAME_LENGTH, HOP_LENGTH, N_FFT } from "./constants.js"
import { concat, Spectra } from "./spectra.js"

/** @typedef {import("./fft.js").FrameTransform} FrameTransform */

/** Audio → spectra. */
export class Stft {
  /**
   * @param {FrameTransform} transform
   * @param {number} nChannels
   */
  constructor(transform, nChannels) {
    this._transform = transform
    // The first window is centered on sample 0.
    this._pending = Array.from({ length: nChannels }, () => new Float32Array(N_FFT / 2))
    this._nSamples = 0
    this._nDone = 0
  }

  /**
   * @param {Float32Array[]} channels
   * @returns {Spectra[]} of each channel, the frames that are complete
   */
  push(channels) {
    this._nSamples += channels[0].length
    this._pending = this._pending.map((pending, channel) => concat([pending, channels[channel]]))
    return this._take(Math.max(0, Math.floor((this._pending[0].length - N_FFT) / HOP_LENGTH) + 1))
  }

  /**
   * @param {Float32Array[]} channels the last samples
   * @returns {Spectra[]} of each channel, all frames that are left
   */
  finish(channels) {
    const complete = this.push(channels)
    const nLeft = countFrames(this._nSamples) - this._nDone
    const missing = (nLeft - 1) * HOP_LENGTH + N_FFT - this._pending[0].length
    this._pending = this._pending.map((pending) => concat([pending, new Float32Array(Math.max(0, missing))]))
    const rest = this._take(nLeft)
    return complete.map((spectra, channel) => Spectra.concat([spectra, rest[channel]]))
  }

  _take(nFrames) {
    const spectra = this._pending.map((pending) => {
      const result = new Spectra(nFrames)
      for (let frame = 0; frame < nFrames; frame++) {
        this._transform.forward(pending, frame * HOP_LENGTH, result.data, frame * FRAME_LENGTH)
      }
      return result
    })
    this._pending = this._pending.map((pending) => pending.slice(nFrames * HOP_LENGTH))
    this._nDone += nFrames
    return spectra
  }
}

/** Spectra → audio. */
export class Istft {
  /**
   * @param {FrameTransform} transform
   * @param {number} nChannels
   */
  constructor(transform, nChannels) {
    this._transform = transform
    this._halves = Array.from({ length: nChannels }, () => new Float32Array(HOP_LENGTH))
    this._isStart = true
  }

  /**
   * @param {Spectra[]} spectra of each channel
   * @returns {Float32Array[]} of each channel, 512 samples a frame; the first frame gives none
   */
  push(spectra) {
    if (spectra[0].nFrames === 0) return spectra.map(() => new Float32Array(0))
    const result = spectra.map((channel, index) => {
      const audio = overlapAdd(this._transform, channel)
      for (let i = 0; i < HOP_LENGTH; i++) audio[i] += this._halves[index][i]
      this._halves[index] = audio.slice(-HOP_LENGTH)
      return audio.slice(this._isStart ? HOP_LENGTH : 0, -HOP_LENGTH) // a half frame lies before the start
    })
    this._isStart = false
    return result
  }

  /**
   * @param {Spectra[]} spectra the last ones
   * @returns {Float32Array[]}
   */
  finish(spectra) {
    return this.push(spectra) // another half frame lies after the end
  }
}

/**
 * Invert spectra by least-squares overlap-add (Griffin and Lim 1984, eq. 6).
 * @param {FrameTransform} transform
 * @param {Spectra} spectra
 * @returns {Float32Array} (nFrames + 1) · 512 samples; only one frame covers the first and the last 512
 */
function overlapAdd(transform, spectra) {
  const audio = new Float32Array((spectra.nFrames + 1) * HOP_LENGTH)
  for (let frame = 0; frame < spectra.nFrames; frame++) {
    transform.addInverse(spectra.data, frame * FRAME_LENGTH, audio, frame * HOP_LENGTH)
  }
  return audio
}
