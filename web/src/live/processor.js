/**
 * @file What runs in the thread of the audio while playing live: it passes blocks of the input to the worker, and plays
 * what comes back, always with the same delay.
 *
 * A block that comes too late is left out: the sound fades out before it and in after it, so that nothing crackles.
 */

const BLOCK_SAMPLES = 512
const REPORT_SAMPLES = 8192

class LiveProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions: { delaySamples, hopSamples } }) {
    super()
    this._now = 0
    this._delay = delaySamples
    this._hop = hopSamples
    this._block = new Float32Array(BLOCK_SAMPLES)
    this._parts = [] // of the output, in order
    this._gain = 0
    this._counts = { nBlocks: 0, nLate: 0 }
    this._isLate = false
    this._margin = Infinity // the least time by which a block came before it was played
    this.port.onmessage = ({ data: { worker } }) => {
      this._worker = worker
      worker.onmessage = ({ data }) => this._take(data)
    }
  }

  process([inputs], [outputs]) {
    if (!this._worker) return true
    this._send(inputs)
    this._play(outputs[0])
    for (const other of outputs.slice(1)) other.set(outputs[0])
    this._now += outputs[0].length
    if (this._now % REPORT_SAMPLES === 0) {
      this.port.postMessage({ ...this._counts, margin: this._margin / sampleRate })
      this._margin = Infinity
    }
    return true
  }

  /** Mix the channels to mono, and send a block when it is full. */
  _send(inputs) {
    const start = this._now % BLOCK_SAMPLES
    const length = 128
    for (let i = 0; i < length; i++) {
      this._block[start + i] = inputs.reduce((sum, channel) => sum + channel[i], 0) / (inputs.length || 1)
    }
    if (start + length === BLOCK_SAMPLES) this._worker.postMessage(this._block.slice())
  }

  _take(part) {
    this._margin = Math.min(this._margin, part.start + this._delay - this._now)
    this._parts.push(part)
  }

  _play(output) {
    const position = this._now - this._delay
    this._parts = this._parts.filter(({ start, samples }) => start + samples.length > position)
    const part = this._find(position)
    const isNextHere = this._find(position + output.length) !== undefined
    this._count(position, part)
    const target = part && isNextHere ? 1 : 0
    for (let i = 0; i < output.length; i++) {
      const gain = this._gain + ((target - this._gain) * (i + 1)) / output.length
      output[i] = part ? gain * part.samples[position - part.start + i] : 0
    }
    this._gain = part ? target : 0
  }

  _find(position) {
    return this._parts.find(({ start, samples }) => start <= position && position < start + samples.length)
  }

  /** Count the blocks of a hop, and those of which something was missing when it was to be played. */
  _count(position, part) {
    const first = -BLOCK_SAMPLES // the first frame begins half a window before the first sample
    if (position < first) return
    if ((position - first) % this._hop === 0) {
      this._counts.nBlocks += 1
      this._isLate = false
    }
    if (!part && !this._isLate) {
      this._counts.nLate += 1
      this._isLate = true
    }
  }
}

registerProcessor("live", LiveProcessor)
