/**
 * @file Two recordings of the same length that are heard from the same place, one instead of the other.
 */

const FADE_SECONDS = 0.006 // short enough to be no gap, long enough to be no click

/** Plays both at once, and lets one be heard. */
export class Player {
  /** @param {() => void} onEnd called when the end is reached */
  constructor(onEnd) {
    this._onEnd = onEnd
    this._buffers = null
    this._gains = [1, 1]
    this._heard = 1
    this._playing = null
    this._offset = 0
  }

  /**
   * Take two recordings.
   * @param {AudioBuffer[]} buffers
   * @param {number[]} gains of each
   */
  load(buffers, gains) {
    this.pause()
    this._context?.close()
    this._context = makeContext(buffers[0].sampleRate)
    this._buffers = buffers
    this._gains = gains
    this._offset = 0
  }

  /** Forget the recordings. */
  unload() {
    this.pause()
    this._buffers = null
  }

  /** @returns {boolean} */
  get isPlaying() {
    return this._playing !== null
  }

  /** @returns {number} seconds */
  get duration() {
    return this._buffers ? this._buffers[0].duration : 0
  }

  /** @returns {number} seconds from the start */
  get position() {
    if (!this._playing) return this._offset
    return Math.min(this.duration, this._offset + this._context.currentTime - this._playing.startTime)
  }

  /** Play from the position; from the start if it is the end. */
  async play() {
    if (!this._buffers || this._playing) return
    await this._context.resume()
    if (this._offset >= this.duration) this._offset = 0
    const startTime = this._context.currentTime
    const voices = this._buffers.map((buffer, index) => {
      const source = new AudioBufferSourceNode(this._context, { buffer })
      const gain = new GainNode(this._context, { gain: index === this._heard ? this._gains[index] : 0 })
      source.connect(gain).connect(this._context.destination)
      source.start(startTime, this._offset)
      return { source, gain }
    })
    voices[0].source.onended = () => {
      if (this._playing?.voices !== voices) return
      this._stop(this.duration)
      this._onEnd()
    }
    this._playing = { voices, startTime }
  }

  /** Stop, and keep the position. */
  pause() {
    if (this._playing) this._stop(this.position)
  }

  /** @param {number} seconds from the start */
  seek(seconds) {
    const wasPlaying = this.isPlaying
    this.pause()
    this._offset = Math.max(0, Math.min(seconds, this.duration))
    if (wasPlaying) this.play()
  }

  /** @param {number} index of the recording to hear */
  hear(index) {
    this._heard = index
    this._playing?.voices.forEach(({ gain }, voice) => {
      const target = voice === index ? this._gains[voice] : 0
      gain.gain.setTargetAtTime(target, this._context.currentTime, FADE_SECONDS / 3)
    })
  }

  _stop(position) {
    const { voices } = this._playing
    this._playing = null
    this._offset = position
    for (const { source } of voices) source.stop()
  }
}

function makeContext(sampleRate) {
  try {
    return new AudioContext({ sampleRate })
  } catch {
    return new AudioContext() // which resamples while it plays
  }
}
