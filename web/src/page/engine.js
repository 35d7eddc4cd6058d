/**
 * @file The worker with its runtime, a model and a style, loaded when they are needed.
 */

import { loadAsset, workerUrl } from "./assets.js"
import { WorkerClient } from "./client.js"
import { UserError } from "./errors.js"
import { mixToMono } from "./recording.js"

/** Loads what a conversion needs, once. */
export class Engine {
  /**
   * @param {import("./assets.js").Manifest} manifest
   * @param {(text: string) => void} onStatus told what is going on
   */
  constructor(manifest, onStatus) {
    this._manifest = manifest
    this._onStatus = onStatus
    this._modelName = null
    this._loading = Promise.resolve()
    this._isStarted = false
  }

  /**
   * Load the runtime and a model; one that is loaded is kept.
   * @param {import("./assets.js").Model} model
   * @returns {Promise<WorkerClient>}
   */
  prepare(model) {
    const load = async () => {
      if (!this._isStarted) await this._start(model)
      if (this._modelName !== model.name) await this._setModel(await this._load(model.file), model)
      return this.client
    }
    this._loading = this._loading.then(load, load)
    return this._loading
  }

  /**
   * Choose the style, for a model that takes one.
   * @param {{audio: AudioBuffer, name: string} | null} style
   */
  async setStyle(style) {
    if (!style) return
    const parameters = { samples: mixToMono(style.audio), sampleRate: style.audio.sampleRate }
    const { sounds } = await this.client.call("setStyle", parameters)
    if (!sounds) throw new UserError(`${style.name} is silent: it cannot serve as style.`)
  }

  async _start(model) {
    this._onStatus("Loading…")
    const [runtime, bytes] = await Promise.all([this._load(this._manifest.runtime), this._load(model.file)])
    this.client ??= new WorkerClient(workerUrl("worker.js"))
    await this.client.call("setRuntime", { wasmBinary: runtime }, [runtime.buffer])
    this._isStarted = true
    await this._setModel(bytes, model)
  }

  async _setModel(bytes, model) {
    this._modelName = null
    await this.client.call("setModel", { model: bytes, drawsNoise: model.drawsNoise }, [bytes.buffer])
    this._modelName = model.name
    this._onStatus("")
  }

  _load(file) {
    let nBytes = 0
    return loadAsset(file, (more) => {
      nBytes += more
      this._onStatus(`Loading… ${(nBytes / 1e6).toFixed(1)} of ${(this._manifest.sizes[file] / 1e6).toFixed(1)} MB`)
    })
  }
}
