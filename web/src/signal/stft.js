/**
 * @file The short-time Fourier transform of audio that comes in blocks, and its inverse.
 *
 * The frames are those of inference/streaming.py: the transform says how many samples lie between them. On the finer
 * grid, the first one is centered 256 samples before the audio begins.
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
    this._pending = Array.from({ length: nChannels }, () => new Float32Array(countBefore(transform)))
    this._nSamples = 0
    this._nDone = 0
  }

  /**
   * @param {Float32Array[]} channels
   * @returns {Spectra[]} of each channel, the frames that are complete: as many of each grid
   */
  push(channels) {
    this._nSamples += channels[0].length
    this._pending = this._pending.map((pending, channel) => concat([pending, channels[channel]]))
    const { hopLength, grids } = this._transform
    const nReady = Math.max(0, Math.floor((this._pending[0].length - N_FFT) / hopLength) + 1)
    return this._take(nReady - (nReady % grids))
  }

  /**
   * @param {Float32Array[]} channels the last samples
   * @returns {Spectra[]} of each channel, all frames that are left
   */
  finish(channels) {
    const complete = this.push(channels)
    const { hopLength } = this._transform
    const nLeft = countFrames(this._nSamples, hopLength) - this._nDone
    const missing = (nLeft - 1) * hopLength + N_FFT - this._pending[0].length
    this._pending = this._pending.map((pending) => concat([pending, new Float32Array(Math.max(0, missing))]))
    const rest = this._take(nLeft)
    return complete.map((spectra, channel) => Spectra.concat([spectra, rest[channel]]))
  }

  _take(nFrames) {
    const { hopLength } = this._transform
    const spectra = this._pending.map((pending) => {
      const result = new Spectra(nFrames)
      for (let frame = 0; frame < nFrames; frame++) {
        this._transform.forward(pending, frame * hopLength, result.data, frame * FRAME_LENGTH)
      }
      return result
    })
    this._pending = this._pending.map((pending) => pending.slice(nFrames * hopLength))
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
    this._tails = Array.from({ length: nChannels }, () => new Float32Array(N_FFT - transform.hopLength))
    this._nBefore = countBefore(transform)
  }

  /**
   * @param {Spectra[]} spectra of each channel
   * @returns {Float32Array[]} of each channel, as many samples a frame as lie between frames; those before the audio
   *   are left out
   */
  push(spectra) {
    if (spectra[0].nFrames === 0) return spectra.map(() => new Float32Array(0))
    const nWhole = spectra[0].nFrames * this._transform.hopLength // samples to which later frames add nothing
    const nSkipped = Math.min(this._nBefore, nWhole)
    this._nBefore -= nSkipped
    return spectra.map((channel, index) => {
      const audio = overlapAdd(this._transform, channel)
      for (const [i, value] of this._tails[index].entries()) audio[i] += value
      this._tails[index] = audio.slice(nWhole)
      return audio.slice(nSkipped, nWhole)
    })
  }

  /**
   * @param {Spectra[]} spectra the last ones
   * @returns {Float32Array[]}
   */
  finish(spectra) {
    return this.push(spectra) // what is left lies after the end
  }
}

/**
 * Invert spectra by least-squares overlap-add (Griffin and Lim 1984, eq. 6).
 * @param {FrameTransform} transform
 * @param {Spectra} spectra
 * @returns {Float32Array} from the start of the first frame to the end of the last one, where others add to it
 */
function overlapAdd(transform, spectra) {
  const { hopLength } = transform
  const audio = new Float32Array((spectra.nFrames - 1) * hopLength + N_FFT)
  for (let frame = 0; frame < spectra.nFrames; frame++) {
    transform.addInverse(spectra.data, frame * FRAME_LENGTH, audio, frame * hopLength)
  }
  return audio
}

/** Count the samples of the first frame that lie before the audio. */
function countBefore({ hopLength }) {
  return N_FFT / 2 + HOP_LENGTH - hopLength
}
