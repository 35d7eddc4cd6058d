/**
 * @file A recording through a network, block by block: what predict.py does with its default settings.
 *
 * Mono and stereo at any rate; the memory does not grow with the length. On the finer grid, the network runs on the
 * recording and on the recording shifted by 256 samples, with the same noise if it draws from noise, and the frames of
 * both alternate.
 */

import { N_BINS, SAMPLE_RATE } from "./constants.js"
import { shareNoise } from "./noise.js"
import { PhaseEstimator } from "./phase.js"
import { Resampler } from "./resample.js"
import { Slicer } from "./slices.js"
import { interleave, separate, Spectra } from "./spectra.js"
import { Istft, Stft } from "./stft.js"

/**
 * Told of frames that have been generated, of the first channel to the last.
 * @typedef {(sources: Float32Array[], generated: Float32Array[]) => void} OnFrames
 */

/** Audio → converted audio. */
export class Converter {
  /**
   * @param {import("./fft.js").FrameTransform} transform of the plain or of the finer grid
   * @param {import("./slices.js").Infer} infer
   * @param {{sampleRate: number, nChannels: number, nSamples: number}} format of the audio
   * @param {OnFrames} onFrames
   * @param {boolean} [drawsNoise] whether the network draws from noise
   */
  constructor(transform, infer, { sampleRate, nChannels, nSamples }, onFrames, drawsNoise = false) {
    const forEachChannel = (make) => Array.from({ length: nChannels }, make)
    this._nLeft = nSamples
    this._onFrames = onFrames
    this._drawsNoise = drawsNoise
    this._toNetworkRate = forEachChannel(() => new Resampler(sampleRate, SAMPLE_RATE))
    this._stft = new Stft(transform, nChannels)
    this._slicers = forEachChannel(() => Array.from({ length: transform.grids }, () => new Slicer(infer)))
    this._waiting = forEachChannel(() => new Spectra(0)) // spectra of frames that the network has not generated yet
    this._phase = new PhaseEstimator(transform, nChannels)
    this._istft = new Istft(transform, nChannels)
    this._fromNetworkRate = forEachChannel(() => new Resampler(SAMPLE_RATE, sampleRate))
  }

  /**
   * Convert a block.
   * @param {Float32Array[]} channels
   * @param {boolean} isLast
   * @returns {Promise<Float32Array[]>} what is complete; with the last block, all that is left
   */
  async convert(channels, isLast) {
    const step = isLast ? "finish" : "push"
    const resampled = channels.map((samples, channel) => this._toNetworkRate[channel][step](samples))
    const spectra = this._stft[step](resampled)
    const sources = spectra.map((channel) => channel.logMagnitude())
    const generated = []
    for (const [channel, source] of sources.entries()) generated.push(await this._generate(channel, source, step))
    this._onFrames(sources, generated)
    const phased = this._phase[step](this._withInputPhase(spectra, generated))
    const audio = this._istft[step](phased)
    const result = audio.map((samples, channel) => this._fromNetworkRate[channel][step](samples))
    const nSamples = Math.min(this._nLeft, result[0].length)
    this._nLeft -= nSamples
    return result.map((samples) => samples.slice(0, nSamples))
  }

  /** Run the network on the frames of a channel, each grid by itself. */
  async _generate(channel, source, step) {
    const slicers = this._slicers[channel]
    const grids = separate(source, slicers.length)
    if (this._drawsNoise) shareNoise(grids)
    const parts = []
    for (const [grid, part] of grids.entries()) parts.push(await slicers[grid][step](part))
    return interleave(parts)
  }

  _withInputPhase(spectra, generated) {
    return generated.map((logMagnitude, channel) => {
      const all = Spectra.concat([this._waiting[channel], spectra[channel]])
      const nFrames = logMagnitude.length / N_BINS
      this._waiting[channel] = all.slice(nFrames, all.nFrames)
      return all.slice(0, nFrames).withLogMagnitude(logMagnitude)
    })
  }
}
