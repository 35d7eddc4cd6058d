/**
 * @file The part of the page for playing live.
 */

import { LiveSession } from "./session.js"

const element = (id) => document.getElementById(id)

/** Start and stop, and what is said meanwhile. */
export class LivePanel {
  /**
   * @param {() => Promise<import("../page/client.js").WorkerClient>} prepare makes the worker ready, with a model
   * @param {() => Promise<AudioBuffer>} readRecording what is played instead of the microphone
   * @param {(error: unknown) => void} onError
   */
  constructor(prepare, readRecording, onError) {
    this._prepare = prepare
    this._readRecording = readRecording
    this._onError = onError
    /** @type {LiveSession | null} */
    this._session = null
    element("live-start").addEventListener("click", () => (this._session ? this.stop() : this._start()))
  }

  /** @param {boolean} isThere whether there is a recording that can be played */
  offerRecording(isThere) {
    element("live-recording").disabled = !isThere
  }

  /** Stop, if it plays. */
  async stop() {
    const session = this._session
    this._session = null
    this._show()
    await session?.stop()
  }

  async _start() {
    element("live-start").disabled = true
    element("live-status").textContent = "Measuring how fast this machine is…"
    try {
      const recording = element("live-recording").checked ? await this._readRecording() : null
      const client = await this._prepare()
      this._session = await LiveSession.start(client, recording, (stats) => this._showStats(stats))
    } catch (error) {
      this._onError(error)
    }
    element("live-start").disabled = false
    this._show()
  }

  _show() {
    element("live-start").textContent = this._session ? "Stop" : "Start"
    element("live-start").classList.toggle("recording", this._session !== null)
    element("live-status").textContent = this._session ? "Playing live." : ""
    element("live-stats").hidden = this._session === null
  }

  _showStats({ nBlocks, nLate, load, latency, margin }) {
    element("live-latency").textContent = `${Math.round(1000 * latency)} ms`
    element("live-load").textContent = `${Math.round(100 * load)}%`
    element("live-late").textContent = `${nLate} of ${nBlocks}`
    element("live-stats").dataset.margin = margin
    if (nLate > 0.2 * nBlocks && nBlocks > 20) {
      element("live-status").textContent = "This machine is too slow to play live. Close other programs and tabs."
    }
  }
}
