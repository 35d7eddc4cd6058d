/**
 * @file The Fourier transform of frames and its inverse, by PFFFT compiled to WebAssembly.
 */

import createPffft from "@echogarden/pffft-wasm/simd"

import { FRAME_LENGTH, HOP_LENGTH, N_FFT, WINDOW } from "./constants.js"

const FORWARD = 0
const BACKWARD = 1
const REAL = 0

/** Transforms of windowed frames. The lower 256 bins are kept; the others are taken as 0. */
export class FrameTransform {
  /**
   * @param {object} pffft PFFFT's module, loaded
   * @param {number} hopLength samples from one frame to the next: 512 or 256
   */
  constructor(pffft, hopLength) {
    this.hopLength = hopLength
    this.grids = HOP_LENGTH / hopLength // of 512 samples, which are interleaved
    this._synthesis = makeSynthesis(hopLength)
    this._transform = pffft._pffft_transform_ordered
    this._setup = pffft._pffft_new_setup(N_FFT, REAL)
    const allocate = () => {
      const pointer = pffft._pffft_aligned_malloc(4 * N_FFT)
      return { pointer, values: new Float32Array(pffft.HEAPF32.buffer, pointer, N_FFT).fill(0) }
    }
    this._time = allocate()
    this._spectrum = allocate()
    this._lower = allocate() // a spectrum whose upper half stays 0
    this._work = allocate()
    const ring = () => Array.from({ length: N_FFT / hopLength }, allocate)
    this._rings = { inverse: ring(), input: ring(), samples: new Float32Array(hopLength) } // of `project`
    this._lowerHalf = this._lower.values.subarray(0, FRAME_LENGTH)
    this._spectrumHalf = this._spectrum.values.subarray(0, FRAME_LENGTH)
  }

  /**
   * Load PFFFT.
   * @param {Uint8Array} wasmBinary
   * @param {number} [hopLength] samples from one frame to the next
   * @returns {Promise<FrameTransform>}
   */
  static async load(wasmBinary, hopLength = HOP_LENGTH) {
    return new FrameTransform(await createPffft({ wasmBinary }), hopLength)
  }

  /**
   * Compute the spectrum of a frame.
   * @param {Float32Array} samples
   * @param {number} start where the frame's 1024 samples begin
   * @param {Float32Array} data the spectrum is written here: 512 numbers…
   * @param {number} offset …from this index
   */
  forward(samples, start, data, offset) {
    const { values } = this._time
    for (let i = 0; i < N_FFT; i++) values[i] = samples[start + i] * WINDOW[i]
    this._forward(this._time, data, offset)
  }

  /**
   * Add what a frame contributes to the audio.
   * @param {Float32Array} data
   * @param {number} offset where the frame's spectrum begins
   * @param {Float32Array} samples the audio
   * @param {number} start where the frame's 1024 samples begin
   */
  addInverse(data, offset, samples, start) {
    this._inverse(data, offset, this._time)
    const { values } = this._time
    const synthesis = this._synthesis
    for (let i = 0; i < N_FFT; i++) samples[start + i] += values[i] * synthesis[i]
  }

  /**
   * Compute the spectra of the audio that spectra make together: `addInverse` and `forward` of all frames at once.
   * @param {Float32Array} data
   * @param {Float32Array} result of the same length; written here
   */
  project(data, result) {
    const nFrames = data.length / FRAME_LENGTH
    const { inverse, input } = this._rings // frame n is at n % nParts
    const nParts = inverse.length
    for (const { values } of inverse) values.fill(0)
    for (let hop = 0; hop < nFrames + nParts - 1; hop++) {
      if (hop < nFrames) this._inverse(data, hop * FRAME_LENGTH, inverse[hop % nParts])
      else inverse[hop % nParts].values.fill(0)
      this._overlap(hop)
      const complete = hop - nParts + 1
      if (complete >= 0) this._forward(input[complete % nParts], result, complete * FRAME_LENGTH)
    }
  }

  /**
   * Compute the audio between the starts of two frames, to which frame `hop` adds its first part, the frame before it
   * its second part, and so on; and give all of them the same parts of it.
   */
  _overlap(hop) {
    const { inverse, input, samples } = this._rings
    const { hopLength, _synthesis: synthesis } = this
    const nParts = inverse.length
    const frameOf = (ring, part) => ring[(hop + nParts - part) % nParts].values
    samples.fill(0)
    for (let part = 2; part < nParts; part++) {
      const values = frameOf(inverse, part)
      for (let i = 0, j = part * hopLength; i < hopLength; i++, j++) samples[i] += values[j] * synthesis[j]
    }
    // The first two parts together, which is faster: without the finer grid, they are all.
    const [rising, falling] = [frameOf(inverse, 0), frameOf(inverse, 1)]
    const [first, second] = [frameOf(input, 0), frameOf(input, 1)]
    for (let i = 0, j = hopLength; i < hopLength; i++, j++) {
      const sample = samples[i] + rising[i] * synthesis[i] + falling[j] * synthesis[j]
      samples[i] = sample
      first[i] = sample * WINDOW[i]
      second[j] = sample * WINDOW[j]
    }
    for (let part = 2; part < nParts; part++) {
      const values = frameOf(input, part)
      for (let i = 0, j = part * hopLength; i < hopLength; i++, j++) values[j] = samples[i] * WINDOW[j]
    }
  }

  _forward(time, data, offset) {
    this._transform(this._setup, time.pointer, this._spectrum.pointer, this._work.pointer, FORWARD)
    this._spectrum.values[1] = 0 // PFFFT keeps the highest bin here
    data.set(this._spectrumHalf, offset)
  }

  _inverse(data, offset, time) {
    this._lowerHalf.set(data.subarray(offset, offset + FRAME_LENGTH))
    this._lower.values[1] = 0
    this._transform(this._setup, this._lower.pointer, time.pointer, this._work.pointer, BACKWARD)
  }
}

/**
 * Make what a frame adds to the audio, over all frames that cover a sample: least-squares overlap-add.
 * The transform itself has no factor.
 */
function makeSynthesis(hopLength) {
  const sums = new Float32Array(hopLength)
  for (const [i, value] of WINDOW.entries()) sums[i % hopLength] += value ** 2
  return WINDOW.map((value, i) => value / sums[i % hopLength] / N_FFT)
}
