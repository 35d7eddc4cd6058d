/**
 * @file Playing live: from a microphone or a recording through the worker to the loudspeaker.
 */

import { workletUrl } from "../page/assets.js"
import { UserError } from "../page/errors.js"
import { openMicrophone } from "../page/source.js"
import { HOP_LENGTH, SAMPLE_RATE } from "../signal/constants.js"

/**
 * How it goes.
 * @typedef {object} LiveStats
 * @property {number} nBlocks blocks that were to be played
 * @property {number} nLate those that came too late
 * @property {number} margin seconds by which the latest block came in time
 * @property {number} load of the worker, 1 if it is always busy
 * @property {number} latency seconds from the input to the output, as far as the browser tells
 */

/** A session, from its start to its end. */
export class LiveSession {
  /**
   * Begin to play.
   * @param {import("../page/client.js").WorkerClient} client with a model
   * @param {AudioBuffer | null} recording that is played instead of the microphone
   * @param {(stats: LiveStats) => void} onStats called a few times a second
   * @returns {Promise<LiveSession>}
   */
  static async start(client, recording, onStats) {
    const stream = recording ? null : await openMicrophone()
    const context = new AudioContext({ sampleRate: SAMPLE_RATE, latencyHint: "interactive" })
    const session = new LiveSession(client, context, stream)
    try {
      await session._connect(recording, onStats)
    } catch (error) {
      await session.stop()
      if (error?.name === "NotSupportedError") {
        throw new UserError("This browser cannot bring the microphone to 44.1 kHz. Play a recording, or take Chromium.")
      }
      throw error
    }
    return session
  }

  constructor(client, context, stream) {
    this._client = client
    this._context = context
    this._stream = stream
  }

  /** End it. */
  async stop() {
    for (const track of this._stream?.getTracks() ?? []) track.stop()
    await this._context.close()
    await this._client.call("stopLive")
  }

  async _connect(recording, onStats) {
    const context = this._context
    const { hopFrames, delaySamples } = await this._client.call("prepareLive")
    await context.audioWorklet.addModule(workletUrl("live_processor.js"))
    const processorOptions = { delaySamples, hopSamples: hopFrames * HOP_LENGTH }
    const node = new AudioWorkletNode(context, "live", { processorOptions, outputChannelCount: [2] })
    const input = this._stream
      ? context.createMediaStreamSource(this._stream)
      : new AudioBufferSourceNode(context, { buffer: recording, loop: true })
    node.port.onmessage = async ({ data }) => {
      const { load } = await this._client.call("liveLoad")
      onStats({ ...data, load, latency: this._latency(delaySamples) })
    }
    const { port1, port2 } = new MessageChannel()
    await this._client.call("runLive", { port: port1 }, [port1])
    node.port.postMessage({ worker: port2 }, [port2])
    input.connect(node).connect(context.destination)
    if (recording) input.start()
    await context.resume()
  }

  _latency(delaySamples) {
    const input = this._stream?.getAudioTracks()[0]?.getSettings().latency ?? 0
    const { baseLatency = 0, outputLatency = 0 } = this._context
    return delaySamples / SAMPLE_RATE + input + baseLatency + outputLatency
  }
}
