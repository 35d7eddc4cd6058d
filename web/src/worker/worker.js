/**
 * @file The worker: everything that takes time. It answers one request after the other; see page/client.js.
 */

import pffftBinary from "../../node_modules/@echogarden/pffft-wasm/dist/simd/pffft.wasm"
import { LiveEngine } from "../live/engine.js"
import { countFrames, FINE_HOP_LENGTH, SAMPLE_RATE } from "../signal/constants.js"
import { Converter } from "../signal/converter.js"
import { FrameTransform } from "../signal/fft.js"
import { Picture } from "../signal/picture.js"
import { Resampler } from "../signal/resample.js"
import { Stft } from "../signal/stft.js"
import { chooseStyle } from "../signal/style.js"
import { Network } from "./network.js"

const PICTURE_COLUMNS = 1200

/** @type {FrameTransform} */
let transform
/** @type {FrameTransform} of the finer grid */
let fineTransform
/** @type {Network | null} */
let network = null
/** @type {Float32Array | null} */
let style = null
/** @type {{converter: Converter, pictures: Picture[], columns: object[]} | null} */
let conversion = null
/** @type {LiveEngine | null} */
let live = null
let liveStart = 0
let liveLoad = 0

const handlers = {
  /** Load onnxruntime. */
  async setRuntime({ wasmBinary }) {
    Network.setRuntime(wasmBinary)
    transform = await FrameTransform.load(pffftBinary)
    fineTransform = await FrameTransform.load(pffftBinary, FINE_HOP_LENGTH)
  },

  /** Load a model in place of another. */
  async setModel({ model, drawsNoise }) {
    await network?.release()
    network = null
    network = await Network.load(model, drawsNoise)
  },

  /** Choose the style from a recording, mixed to mono; tells whether anything sounds. */
  async setStyle({ samples, sampleRate }) {
    const stft = new Stft(transform, 1)
    const [spectra] = stft.finish([new Resampler(sampleRate, SAMPLE_RATE).finish(samples)])
    style = chooseStyle(spectra.logMagnitude())
    return { sounds: style !== null }
  },

  /** Begin to convert a recording, on the finer grid if it is to be interleaved. */
  async start({ format, interleave }) {
    const chosen = interleave ? fineTransform : transform
    const nSamples = Math.ceil((format.nSamples * SAMPLE_RATE) / format.sampleRate)
    const nFrames = countFrames(nSamples, chosen.hopLength)
    const nColumns = Math.min(nFrames, PICTURE_COLUMNS)
    const pictures = [new Picture(nFrames, nColumns), new Picture(nFrames, nColumns)]
    const onFrames = (...frames) => {
      conversion.columns = pictures.map((picture, index) => picture.add(frames[index]))
    }
    const infer = (image) => network.generate(image, style)
    const converter = new Converter(chosen, infer, format, onFrames, network.drawsNoise)
    conversion = { converter, pictures, columns: [] }
    return { nColumns }
  },

  /** Convert a block of it. */
  async convert({ channels, isLast }) {
    const converted = await conversion.converter.convert(channels, isLast)
    return { channels: converted, columns: conversion.columns }
  },

  /** Measure this machine, before playing live. */
  async prepareLive() {
    live = new LiveEngine(transform, (image, nFrames) => network.generate(image, style, nFrames))
    return live.measure()
  },

  /** Convert what a port gives from now on. */
  async runLive({ port }) {
    live.run(port)
    liveStart = performance.now()
  },

  /** Tell which part of the time was spent since the last call; calls that come together get the same answer. */
  async liveLoad() {
    const seconds = (performance.now() - liveStart) / 1000
    if (live && seconds > 0.1) {
      liveLoad = live.busySeconds / seconds
      live.busySeconds = 0
      liveStart = performance.now()
    }
    return { load: liveLoad }
  },

  async stopLive() {
    live?.stop()
    live = null
  },
}

let queue = Promise.resolve()

self.onmessage = ({ data: { id, type, ...parameters } }) => {
  queue = queue.then(async () => {
    try {
      const result = (await handlers[type](parameters)) ?? {}
      const buffers = (result.channels ?? []).map((channel) => channel.buffer)
      self.postMessage({ id, result }, buffers)
    } catch (error) {
      self.postMessage({ id, error: String(error) })
    }
  })
}
