/**
 * @file The Fourier transform of frames and its inverse, by PFFFT compiled to WebAssembly.
 */

import createPffft from "@echogarden/pffft-wasm/simd"

import { FRAME_LENGTH, HOP_LENGTH, N_FFT, WINDOW } from "./constants.js"

const FORWARD = 0
const BACKWARD = 1
const REAL = 0

/**
 * What a frame adds to the audio, over both frames that cover a sample: least-squares overlap-add.
 * The transform itself has no factor.
 */
const SYNTHESIS = WINDOW.map((value, i) => {
  const j = i % HOP_LENGTH
  return value / (WINDOW[j] ** 2 + WINDOW[j + HOP_LENGTH] ** 2) / N_FFT
})

/** Transforms of windowed frames. The lower 256 bins are kept; the others are taken as 0. */
export class FrameTransform {
  /** @param {object} pffft PFFFT's module, loaded */
  constructor(pffft) {
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
    this._silence = allocate()
    this._pairs = { inverse: [allocate(), allocate()], input: [allocate(), allocate()] } // of `project`
    this._lowerHalf = this._lower.values.subarray(0, FRAME_LENGTH)
    this._spectrumHalf = this._spectrum.values.subarray(0, FRAME_LENGTH)
  }

  /**
   * Load PFFFT.
   * @param {Uint8Array} wasmBinary
   * @returns {Promise<FrameTransform>}
   */
  static async load(wasmBinary) {
    return new FrameTransform(await createPffft({ wasmBinary }))
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
    for (let i = 0; i < N_FFT; i++) samples[start + i] += values[i] * SYNTHESIS[i]
  }

  /**
   * Compute the spectra of the audio that spectra make together: `addInverse` and `forward` of all frames at once.
   * @param {Float32Array} data
   * @param {Float32Array} result of the same length; written here
   */
  project(data, result) {
    const nFrames = data.length / FRAME_LENGTH
    const { inverse, input } = this._pairs
    for (let hop = 0; hop <= nFrames; hop++) {
      // Between the starts of two frames, the audio is half of one and half of the other.
      const [now, before] = [hop % 2, 1 - (hop % 2)]
      if (hop < nFrames) this._inverse(data, hop * FRAME_LENGTH, inverse[now])
      const rising = (hop < nFrames ? inverse[now] : this._silence).values
      const falling = (hop > 0 ? inverse[before] : this._silence).values
      const [first, second] = [input[now].values, input[before].values]
      for (let i = 0, j = HOP_LENGTH; i < HOP_LENGTH; i++, j++) {
        const sample = rising[i] * SYNTHESIS[i] + falling[j] * SYNTHESIS[j]
        first[i] = sample * WINDOW[i]
        second[j] = sample * WINDOW[j]
      }
      if (hop > 0) this._forward(input[before], result, (hop - 1) * FRAME_LENGTH)
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
