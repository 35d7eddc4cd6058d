/**
 * @file Audio converted as it comes: the worker's side of playing live.
 *
 * The network sees the last 256 frames. Of what it generates, frames are taken that have some more frames behind them
 * (the look-ahead), several at a time (the hop). They get the input's phase.
 */

import { compress, HOP_LENGTH, MAGNITUDE_SCALE, N_BINS, N_FFT, SLICE_FRAMES } from "../signal/constants.js"
import { toFrames } from "../signal/slices.js"
import { Spectra } from "../signal/spectra.js"

export const LOOKAHEAD_FRAMES = 4 // more gain next to nothing: benchmarks/bench_live.py
const MAX_LOAD = 0.6
const MAX_HOP_FRAMES = 64
const SAFETY_SECONDS = 0.01
const FRAME_SECONDS = HOP_LENGTH / 44_100
const MAX_BACKLOG = 3 // hops; with more, the oldest are left out

/**
 * Choose how many frames are generated at a time, so that the machine keeps up.
 * @param {number} seconds that a step takes
 * @returns {{hopFrames: number, delaySamples: number}} and by how much the output is later than the input
 */
export function chooseHop(seconds) {
  const hopFrames = Math.min(MAX_HOP_FRAMES, Math.max(1, Math.ceil(seconds / MAX_LOAD / FRAME_SECONDS)))
  // A frame ends 512 samples after its middle, and only the next one completes what follows it.
  const nSamples = HOP_LENGTH * (hopFrames + LOOKAHEAD_FRAMES + 1) + (1.5 * seconds + SAFETY_SECONDS) * 44_100
  return { hopFrames, delaySamples: 128 * Math.ceil(nSamples / 128) }
}

/** Converts what comes from a port, and sends it back. */
export class LiveEngine {
  /**
   * @param {import("../signal/fft.js").FrameTransform} transform
   * @param {(image: Float32Array, nFrames: number) => Promise<Float32Array>} generate the last frames of an image
   */
  constructor(transform, generate) {
    this._transform = transform
    this._generate = generate
    this._image = new Float32Array(N_BINS * SLICE_FRAMES).fill(-1)
    this._spectra = [] // of the newest frames: those that are not generated yet, and one more
    this._samples = new Float32Array(N_FFT).fill(0) // of the newest frame
    this._nFrames = 0
    this._nGenerated = 0
    this._tail = new Float32Array(HOP_LENGTH) // what the last generated frame adds to the samples after it
    this._isGap = false
    this.busySeconds = 0
  }

  /**
   * Measure a step, and choose the hop by it.
   * @returns {Promise<{hopFrames: number, delaySamples: number, stepSeconds: number}>}
   */
  async measure() {
    const times = []
    for (let i = 0; i < 8; i++) {
      const started = performance.now()
      await this._generate(this._image, LOOKAHEAD_FRAMES + 8)
      times.push((performance.now() - started) / 1000)
    }
    const stepSeconds = times.slice(2).sort((a, b) => a - b)[3] // the first ones are slower
    const chosen = chooseHop(stepSeconds)
    this._hopFrames = chosen.hopFrames
    return { ...chosen, stepSeconds }
  }

  /**
   * Convert what a port gives from now on: blocks of 512 samples in a row.
   * @param {MessagePort} port gets `{start, samples}`: the place in the input that the samples belong to
   */
  run(port) {
    this._port = port
    const turn = new MessageChannel()
    this._turn = turn
    let isWaiting = false
    turn.port1.onmessage = async () => {
      isWaiting = false
      const started = performance.now()
      while (this._nReady >= this._hopFrames) await this._step()
      this.busySeconds += (performance.now() - started) / 1000
    }
    port.onmessage = ({ data }) => {
      const started = performance.now()
      this._addFrame(data)
      this.busySeconds += (performance.now() - started) / 1000
      if (isWaiting || this._nReady < this._hopFrames) return
      isWaiting = true
      turn.port2.postMessage(null) // after the blocks that have come meanwhile, so that a backlog is seen
    }
  }

  stop() {
    this._port?.close()
    this._turn?.port1.close()
    this._hopFrames = Infinity
  }

  get _nReady() {
    return this._nFrames - LOOKAHEAD_FRAMES - this._nGenerated
  }

  /** Add the frame that a block of 512 samples completes. */
  _addFrame(block) {
    this._samples.copyWithin(0, HOP_LENGTH)
    this._samples.set(block, HOP_LENGTH)
    const spectrum = new Spectra(1)
    this._transform.forward(this._samples, 0, spectrum.data, 0)
    this._spectra.push(spectrum)
    this._nFrames += 1
    const magnitude = spectrum.magnitude()
    for (let bin = 0; bin < N_BINS; bin++) {
      const row = bin * SLICE_FRAMES
      this._image.copyWithin(row, row + 1, row + SLICE_FRAMES)
      this._image[row + SLICE_FRAMES - 1] = 2 * compress(magnitude[bin] * MAGNITUDE_SCALE) - 1
    }
  }

  async _step() {
    const hop = this._hopFrames
    const nLeftOut = this._nReady >= MAX_BACKLOG * hop ? this._nReady - hop : 0
    this._nGenerated += nLeftOut
    this._isGap ||= nLeftOut > 0
    const nBehind = this._nFrames - this._nGenerated - hop // look-ahead and backlog
    const nAgain = this._isGap ? 1 : 0 // the frame before completes the first samples after a gap
    const generated = toFrames(await this._generate(this._image, nAgain + hop + nBehind))
    const first = this._spectra.length - nBehind - hop - nAgain
    const output = new Float32Array(HOP_LENGTH * (hop + 1))
    if (!this._isGap) output.set(this._tail)
    for (let i = 0; i < nAgain + hop; i++) {
      const frame = new Spectra(1)
      const spectrum = this._spectra[first + i]
      frame.data.set(spectrum.withLogMagnitude(generated.subarray(i * N_BINS, (i + 1) * N_BINS)).data)
      const audio = new Float32Array(N_FFT)
      this._transform.addInverse(frame.data, 0, audio, 0)
      const start = (i - nAgain) * HOP_LENGTH
      for (let k = Math.max(0, -start); k < N_FFT; k++) output[start + k] += audio[k]
    }
    this._tail = output.slice(hop * HOP_LENGTH)
    const samples = output.slice(0, hop * HOP_LENGTH)
    // Frame n is centered on sample 512 · n, so its first half begins 512 samples before.
    this._port.postMessage({ start: (this._nGenerated - 1) * HOP_LENGTH, samples }, [samples.buffer])
    this._nGenerated += hop
    this._isGap = false
    this._spectra.splice(0, this._spectra.length - (this._nFrames - this._nGenerated) - 1)
  }
}
