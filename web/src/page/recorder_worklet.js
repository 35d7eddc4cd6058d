/**
 * @file Passes what a microphone gives to the page, in the thread of the audio.
 */

class Recorder extends AudioWorkletProcessor {
  process([[samples]]) {
    if (samples) this.port.postMessage(samples.slice())
    return true
  }
}

registerProcessor("recorder", Recorder)
