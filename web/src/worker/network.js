/**
 * @file A generator that onnxruntime runs: plain WebAssembly, one thread.
 */

import * as ort from "onnxruntime-web/wasm"

import { N_BINS, SLICE_FRAMES } from "../signal/constants.js"

const SHAPE = [1, N_BINS, SLICE_FRAMES, 1]

/** A generator, loaded. */
export class Network {
  /**
   * @param {ort.InferenceSession} session
   * @param {boolean} drawsNoise whether it draws from noise
   */
  constructor(session, drawsNoise) {
    this._session = session
    this.drawsNoise = drawsNoise
    this.takesStyle = session.inputNames.includes("style")
  }

  /**
   * Say what onnxruntime is compiled to, before the first network is loaded.
   * @param {Uint8Array} wasmBinary
   */
  static setRuntime(wasmBinary) {
    ort.env.wasm.numThreads = 1 // several would need special headers of the server
    ort.env.wasm.wasmBinary = wasmBinary
    ort.env.logLevel = "error"
  }

  /**
   * Load a network.
   * @param {Uint8Array} model an ONNX file, as write_assets.py writes it
   * @param {boolean} drawsNoise whether it draws from noise
   * @returns {Promise<Network>}
   */
  static async load(model, drawsNoise) {
    return new Network(await ort.InferenceSession.create(model, { executionProviders: ["wasm"] }), drawsNoise)
  }

  /**
   * Generate the last frames of an image.
   * @param {Float32Array} image of 256 × 256, in [-1, 1]
   * @param {Float32Array | null} style another image, for a network that takes one
   * @param {number} [nFrames]
   * @returns {Promise<Float32Array>} of 256 bins × nFrames
   */
  async generate(image, style, nFrames = SLICE_FRAMES) {
    const feeds = {
      source: new ort.Tensor("float32", image, SHAPE),
      frames: new ort.Tensor("int64", BigInt64Array.of(BigInt(nFrames)), [1]),
    }
    if (this.takesStyle) feeds.style = new ort.Tensor("float32", style, SHAPE)
    const { generated } = await this._session.run(feeds)
    return generated.data
  }

  /** Give its memory back. */
  async release() {
    await this._session.release()
  }
}
