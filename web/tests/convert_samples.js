/**
 * @file Convert samples with a network that is a formula, for tests that compare with Python.
 *
 *   node convert_samples.js HOP_LENGTH N_CHANNELS < SAMPLES > CONVERTED
 *
 * Samples are float32 at 44.1 kHz, one channel after the other.
 */

import { readFileSync, writeSync } from "node:fs"

import { SAMPLE_RATE, SLICE_FRAMES } from "../src/signal/constants.js"
import { Converter } from "../src/signal/converter.js"
import { FrameTransform } from "../src/signal/fft.js"
import { concat } from "../src/signal/spectra.js"

const PFFFT = new URL("../node_modules/@echogarden/pffft-wasm/dist/simd/pffft.wasm", import.meta.url)
const BLOCK_SAMPLES = 100_000

/** Lower bands of 8 bins and stretches of 5 frames, so that neither phase nor magnitude fits any more. */
async function lower(image) {
  return image.map((value, i) => {
    const [bin, frame] = [Math.floor(i / SLICE_FRAMES), i % SLICE_FRAMES]
    return Math.max(-1, value - 0.1 * (Math.floor(bin / 8) % 3) - 0.1 * (Math.floor(frame / 5) % 2))
  })
}

const [hopLength, nChannels] = process.argv.slice(2).map(Number)
const bytes = readFileSync(0)
const samples = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length))
const nSamples = samples.length / nChannels
const transform = await FrameTransform.load(readFileSync(PFFFT), hopLength)
const converter = new Converter(transform, lower, { sampleRate: SAMPLE_RATE, nChannels, nSamples }, () => {})
const parts = Array.from({ length: nChannels }, () => [])
for (let start = 0; start < nSamples; start += BLOCK_SAMPLES) {
  const end = Math.min(start + BLOCK_SAMPLES, nSamples)
  const block = parts.map((_, channel) => samples.slice(channel * nSamples + start, channel * nSamples + end))
  const converted = await converter.convert(block, end === nSamples)
  for (const [channel, part] of converted.entries()) parts[channel].push(part)
}
const result = Buffer.from(concat(parts.flat()).buffer)
for (let written = 0; written < result.length; ) written += writeSync(1, result, written)
