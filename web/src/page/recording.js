/**
 * @file Audio files decoded, and audio as a WAV file.
 */

import { UserError } from "./errors.js"
import { findSampleRate } from "./sample_rate.js"

const COMMON_RATE = 44_100

/**
 * Decode an audio file at its own rate, or at 44.1 kHz if the rate is not found.
 * @param {ArrayBuffer} bytes
 * @param {string} name of the file, for messages
 * @returns {Promise<AudioBuffer>}
 */
export async function decode(bytes, name) {
  if (bytes.byteLength === 0) throw new UserError(`${name} is empty.`)
  const rate = findSampleRate(new Uint8Array(bytes)) ?? COMMON_RATE
  let audio
  try {
    audio = await makeContext(rate).decodeAudioData(bytes)
  } catch (error) {
    if (error?.name !== "EncodingError") throw error
    throw new UserError(`${name} is no audio file that this browser can decode. WAV, FLAC and MP3 work everywhere.`)
  }
  if (audio.length === 0) throw new UserError(`${name} holds no samples.`)
  return audio
}

function makeContext(rate) {
  try {
    return new OfflineAudioContext(1, 1, rate)
  } catch {
    return new OfflineAudioContext(1, 1, COMMON_RATE) // browsers need to support 8 to 96 kHz only
  }
}

/**
 * Mix audio to mono.
 * @param {AudioBuffer} audio
 * @returns {Float32Array}
 */
export function mixToMono(audio) {
  const mono = new Float32Array(audio.length)
  for (let channel = 0; channel < audio.numberOfChannels; channel++) {
    const samples = audio.getChannelData(channel)
    for (let i = 0; i < mono.length; i++) mono[i] += samples[i] / audio.numberOfChannels
  }
  return mono
}

/**
 * Write audio as a WAV file of 24 bit.
 * @param {AudioBuffer} audio
 * @param {number} gain
 * @returns {Blob}
 */
export function encodeWav(audio, gain) {
  const { numberOfChannels: nChannels, length, sampleRate } = audio
  const channels = Array.from({ length: nChannels }, (_, channel) => audio.getChannelData(channel))
  const bytesPerFrame = 3 * nChannels
  const nBytes = length * bytesPerFrame
  const header = new DataView(new ArrayBuffer(44))
  const writeText = (offset, text) => [...text].forEach((c, i) => header.setUint8(offset + i, c.charCodeAt(0)))
  writeText(0, "RIFF")
  header.setUint32(4, 36 + nBytes + (nBytes % 2), true)
  writeText(8, "WAVEfmt ")
  header.setUint32(16, 16, true)
  header.setUint16(20, 1, true) // PCM
  header.setUint16(22, nChannels, true)
  header.setUint32(24, sampleRate, true)
  header.setUint32(28, sampleRate * bytesPerFrame, true)
  header.setUint16(32, bytesPerFrame, true)
  header.setUint16(34, 24, true)
  writeText(36, "data")
  header.setUint32(40, nBytes, true)
  const data = new Uint8Array(nBytes + (nBytes % 2))
  let at = 0
  for (let i = 0; i < length; i++) {
    for (const samples of channels) {
      const value = Math.round(Math.max(-1, Math.min(1, gain * samples[i])) * 0x7fffff)
      data[at++] = value
      data[at++] = value >> 8
      data[at++] = value >> 16
    }
  }
  return new Blob([header, data], { type: "audio/wav" })
}
