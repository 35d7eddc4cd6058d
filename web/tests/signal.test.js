/**
 * @file Invariants of the signal code. That a conversion is the one of predict.py is tested in a browser.
 */

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import {
  compress, countFrames, expand, FINE_HOP_LENGTH, FRAME_LENGTH, N_BINS, SLICE_FRAMES,
} from "../src/signal/constants.js"
import { Converter } from "../src/signal/converter.js"
import { FrameTransform } from "../src/signal/fft.js"
import { shareNoise } from "../src/signal/noise.js"
import { PhaseEstimator } from "../src/signal/phase.js"
import { Picture } from "../src/signal/picture.js"
import { Resampler } from "../src/signal/resample.js"
import { Slicer } from "../src/signal/slices.js"
import { concat, Spectra } from "../src/signal/spectra.js"
import { Istft, Stft } from "../src/signal/stft.js"
import { chooseStyle } from "../src/signal/style.js"

const PFFFT = new URL("../node_modules/@echogarden/pffft-wasm/dist/simd/pffft.wasm", import.meta.url)
const transform = await FrameTransform.load(readFileSync(PFFFT))
const fineTransform = await FrameTransform.load(readFileSync(PFFFT), FINE_HOP_LENGTH)
const transforms = [transform, fineTransform]

/** Numbers that look random and are the same in every run. */
function noise(length, seed = 1) {
  let state = seed
  return Float32Array.from({ length }, () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647 - 0.5
  })
}

function sine(length, sampleRate, frequency) {
  return Float32Array.from({ length }, (_, i) => 0.5 * Math.sin((2 * Math.PI * frequency * i) / sampleRate))
}

/** Set the number to 0 that belongs to no bin: PFFFT keeps the highest one there. */
function withoutHighest(spectra) {
  for (let frame = 0; frame < spectra.nFrames; frame++) spectra.data[frame * FRAME_LENGTH + 1] = 0
  return spectra
}

function maxDifference(a, b) {
  assert.equal(a.length, b.length)
  return a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0)
}

/** Push an array through a stage in blocks of some length. */
function inBlocks(stage, samples, length) {
  const parts = []
  for (let start = 0; start < samples.length; start += length) {
    const isLast = start + length >= samples.length
    parts.push(stage[isLast ? "finish" : "push"](samples.slice(start, start + length)))
  }
  return parts
}

test("log-magnitude is undone, and full scale is 1", () => {
  assert.equal(compress(1), 1)
  assert.equal(compress(3), 1)
  for (const magnitude of [0, 1e-6, 0.01, 0.5, 1]) assert.ok(Math.abs(expand(compress(magnitude)) - magnitude) < 1e-12)
})

test("audio below 11 kHz comes back from its spectra, however it was cut", () => {
  const audio = sine(5000, 44_100, 1000)
  for (const grid of transforms) {
    for (const length of [100, 300, 512, 5000]) {
      const [stft, istft] = [new Stft(grid, 1), new Istft(grid, 1)]
      const parts = []
      for (let start = 0; start < audio.length; start += length) {
        const step = start + length >= audio.length ? "finish" : "push"
        parts.push(stft[step]([audio.slice(start, start + length)])[0])
        assert.equal(parts.at(-1).nFrames % grid.grids, 0)
      }
      assert.equal(Spectra.concat(parts).nFrames, countFrames(audio.length, grid.hopLength))
      const last = parts.pop()
      const restored = concat([...parts.map((part) => istft.push([part])[0]), istft.finish([last])[0]])
      assert.ok(restored.length >= audio.length && restored.length < audio.length + 512)
      // The very ends have what lies above 11 kHz, too: the sine begins and ends there.
      const inner = restored.slice(1024, audio.length - 1024)
      assert.ok(maxDifference(inner, audio.slice(1024, -1024)) < 1e-5)
    }
  }
})

test("the finer grid has the frames of the audio after 256 zeros, and those of the audio itself, in turn", () => {
  for (const length of [1, 512, 5001]) {
    const audio = noise(length)
    const fine = new Stft(fineTransform, 1).finish([audio])[0]
    for (const [grid, before] of [concat([new Float32Array(256), audio]), audio].entries()) {
      const plain = new Stft(transform, 1).finish([before])[0]
      const nFrames = Math.min(plain.nFrames, fine.nFrames / 2)
      assert.ok(nFrames >= countFrames(length))
      for (let frame = 0; frame < nFrames; frame++) {
        const [first, second] = [plain.slice(frame, frame + 1), fine.slice(2 * frame + grid, 2 * frame + grid + 1)]
        assert.equal(maxDifference(first.data, second.data), 0)
      }
    }
  }
})

test("spectra that are projected are those of their audio", () => {
  for (const grid of transforms) {
    for (const nFrames of [1, 2, 3, 50]) {
      const { data } = withoutHighest(new Spectra(nFrames, noise(nFrames * FRAME_LENGTH)))
      const [projected, expected] = [new Float32Array(data.length), new Float32Array(data.length)]
      // What was there before does not matter.
      for (const samples of [noise(data.length, 2), data]) grid.project(samples, projected)
      const audio = new Float32Array((nFrames - 1) * grid.hopLength + 1024)
      for (let i = 0; i < nFrames; i++) grid.addInverse(data, i * FRAME_LENGTH, audio, i * grid.hopLength)
      for (let i = 0; i < nFrames; i++) grid.forward(audio, i * grid.hopLength, expected, i * FRAME_LENGTH)
      assert.ok(maxDifference(projected, expected) < 1e-5)
      assert.ok(maxDifference(projected, data) > 0.01)
    }
  }
})

test("a network that changes nothing changes nothing, at any length", async () => {
  for (const nFrames of [1, 255, 256, 257, 480, 481, 1000]) {
    const frames = noise(nFrames * N_BINS).map(Math.abs)
    const slicer = new Slicer(async (image) => image)
    const parts = [await slicer.push(frames.slice(0, 100 * N_BINS)), await slicer.finish(frames.slice(100 * N_BINS))]
    assert.ok(maxDifference(concat(parts), frames) < 1e-6)
  }
})

test("overlapping slices are cross-faded linearly", async () => {
  let n = 0
  const slicer = new Slicer(async (image) => new Float32Array(image.length).fill(n++ === 0 ? -1 : 1))
  const result = await slicer.finish(new Float32Array(480 * N_BINS))
  const levels = Array.from({ length: 480 }, (_, frame) => result[frame * N_BINS])
  assert.deepEqual([levels[223], levels[256]], [0, 1])
  for (let i = 0; i < 32; i++) assert.ok(Math.abs(levels[224 + i] - (i + 1) / 33) < 1e-6)
})

test("the phase keeps the magnitude, and that of the lowest bins is the input's", () => {
  for (const [nChannels, grid] of [[1, transform], [2, transform], [1, fineTransform], [2, fineTransform]]) {
    const spectra = Array.from({ length: nChannels }, (_, channel) =>
      withoutHighest(new Spectra(700, noise(700 * FRAME_LENGTH, channel + 1))),
    )
    const estimator = new PhaseEstimator(grid, nChannels)
    const first = estimator.push(spectra.map((channel) => channel.slice(0, 600)))
    const last = estimator.finish(spectra.map((channel) => channel.slice(600, 700)))
    for (const [channel, before] of spectra.entries()) {
      const after = Spectra.concat([first[channel], last[channel]])
      assert.ok(maxDifference(after.magnitude(), before.magnitude()) < 1e-5)
      assert.equal(maxDifference(after.data.slice(0, 48), before.data.slice(0, 48)), 0)
      assert.ok(maxDifference(after.data, before.data) > 0.1)
    }
  }
})

test("resampling gives the expected samples, and as many as predict.py", () => {
  for (const [from, to] of [[48_000, 44_100], [44_100, 48_000], [22_050, 44_100], [96_000, 44_100], [44_100, 8_000]]) {
    const audio = sine(from, from, 1000)
    const result = concat(inBlocks(new Resampler(from, to), audio, 7000))
    const expected = sine(to, to, 1000)
    assert.equal(result.length, to)
    const margin = Math.ceil(0.02 * to)
    assert.ok(maxDifference(result.slice(margin, -margin), expected.slice(margin, -margin)) < 1e-4, `${from} to ${to}`)
  }
  assert.equal(new Resampler(48_000, 44_100).finish(new Float32Array(1001)).length, Math.ceil((1001 * 441) / 480))
})

test("a network that changes nothing gives the input back, with its length, rate and channels", async () => {
  for (const grid of transforms) {
    for (const [sampleRate, nSamples, nChannels] of [[44_100, 1, 1], [48_000, 30_000, 2], [22_050, 200_001, 1]]) {
      const converter = new Converter(grid, async (image) => image, { sampleRate, nSamples, nChannels }, () => {})
      const channels = Array.from({ length: nChannels }, () => sine(nSamples, sampleRate, 500))
      const result = await converter.convert(channels, true)
      assert.deepEqual(result.map(({ length }) => length), Array(nChannels).fill(nSamples))
      if (nSamples > 1) assert.ok(maxDifference(result[0].slice(9000, -9000), channels[0].slice(9000, -9000)) < 2e-3)
    }
  }
})

test("blocks do not change a conversion, nor the number of frames that are told of", async () => {
  const nSamples = 160_001
  const audio = noise(nSamples)
  const quieter = async (image) => image.map((value, i) => Math.max(-1, value - 0.1 * (i % 3)))
  for (const grid of transforms) {
    const results = []
    for (const length of [nSamples, 20_011]) {
      const nFrames = [0, 0]
      const converter = new Converter(grid, quieter, { sampleRate: 44_100, nChannels: 1, nSamples }, (...frames) => {
        for (const [i, [channel]] of frames.entries()) nFrames[i] += channel.length / N_BINS
      })
      const parts = []
      for (let start = 0; start < nSamples; start += length) {
        const block = audio.slice(start, start + length)
        parts.push(...(await converter.convert([block], start + length >= nSamples)))
      }
      assert.deepEqual(nFrames, Array(2).fill(countFrames(nSamples, grid.hopLength)))
      results.push(concat(parts))
    }
    assert.ok(maxDifference(...results) < 1e-5)
    assert.ok(maxDifference(results[0], audio) > 0.01)
  }
})

test("a network that draws from noise has the same on both grids", async () => {
  const grids = [noise(5000).map((value) => value + 0.5), noise(5000, 2).map((value) => value + 0.5)]
  grids[0].set([0, 1, 1e-6])
  const [before, last] = grids.map((grid) => grid.slice())
  shareNoise(grids)
  assert.deepEqual(grids[1], last)
  assert.equal(grids[0][0], 0) // silence
  for (let i = 1; i < last.length; i++) {
    const value = grids[0][i]
    assert.ok(value >= 0 && value <= 1 && Math.abs(value - before[i]) <= 1 / 32)
    assert.ok(Math.abs((value % (1 / 32)) - (last[i] % (1 / 32))) < 1e-6)
  }

  for (const drawsNoise of [false, true]) {
    const seen = []
    const infer = async (image) => {
      seen.push(image)
      return image
    }
    const format = { sampleRate: 44_100, nChannels: 1, nSamples: 50_000 }
    const converter = new Converter(fineTransform, infer, format, () => {}, drawsNoise)
    await converter.convert([noise(50_000)], true)
    const digits = seen.map((image) => image.map((value) => (value + 1) % (1 / 16)))
    const differences = digits[0].map((value, i) => Math.abs(value - digits[1][i]))
    const nShared = differences.filter((value) => value < 1e-5 || value > 1 / 16 - 1e-5).length
    assert.equal(nShared > 0.9 * differences.length, drawsNoise)
  }
})

test("the style is the fullest part, and a short one is repeated", () => {
  const frames = new Float32Array(1000 * N_BINS)
  assert.equal(chooseStyle(frames), null)
  frames.fill(0.7, 300 * N_BINS, 600 * N_BINS)
  frames.fill(0.9, 600 * N_BINS, 700 * N_BINS)
  const style = chooseStyle(frames)
  const atFrame = (image, frame) => (image[frame] + 1) / 2
  assert.ok(Math.abs(atFrame(style, 0) - 0.7) < 1e-6 && Math.abs(atFrame(style, 255) - 0.9) < 1e-6)
  const short = chooseStyle(frames.slice(690 * N_BINS, 720 * N_BINS))
  for (let frame = 0; frame < SLICE_FRAMES; frame++) assert.ok(Math.abs(atFrame(short, frame) - 0.9) < 1e-6)
})

test("a picture has the mean of the frames of each column", () => {
  const picture = new Picture(10, 5)
  const frames = Float32Array.from({ length: 10 * N_BINS }, (_, i) => Math.floor(i / N_BINS) / 10)
  const parts = [picture.add([frames.slice(0, 3 * N_BINS)]), picture.add([frames.slice(3 * N_BINS)])]
  assert.deepEqual(parts.map(({ first }) => first), [0, 1])
  const columns = parts.flatMap(({ values }) => [...values]).filter((_, i) => i % N_BINS === 0)
  assert.deepEqual(columns, [0.05, 0.25, 0.45, 0.65, 0.85].map((value) => Math.round(255 * value)))
})
