/**
 * @file Playing live: the engine in the worker, and the processor in the thread of the audio.
 */

import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"

import { chooseHop, LiveEngine, LOOKAHEAD_FRAMES } from "../src/live/engine.js"
import { N_BINS, SLICE_FRAMES } from "../src/signal/constants.js"
import { FrameTransform } from "../src/signal/fft.js"

const PFFFT = new URL("../node_modules/@echogarden/pffft-wasm/dist/simd/pffft.wasm", import.meta.url)
const transform = await FrameTransform.load(readFileSync(PFFFT))

globalThis.sampleRate = 44_100
globalThis.AudioWorkletProcessor = class {
  port = { messages: [], postMessage: (message) => this.port.messages.push(message) }
}
let LiveProcessor
globalThis.registerProcessor = (name, processor) => (LiveProcessor = processor)
await import("../src/live/processor.js")

/** A network that changes nothing. */
const lastFrames = async (image, nFrames) =>
  Float32Array.from({ length: N_BINS * nFrames }, (_, i) => {
    return image[Math.floor(i / nFrames) * SLICE_FRAMES + SLICE_FRAMES - nFrames + (i % nFrames)]
  })

/** Send blocks of a sine to an engine, some at once, and collect what comes back. */
async function play(generate, nBlocks, atOnce) {
  const engine = new LiveEngine(transform, generate)
  const { hopFrames } = await engine.measure()
  const { port1, port2 } = new MessageChannel()
  const parts = []
  engine.run(port1)
  port2.onmessage = ({ data }) => parts.push(data)
  const input = Float32Array.from({ length: nBlocks * 512 }, (_, i) => 0.5 * Math.sin(0.05 * i))
  for (let block = 0; block < nBlocks; block++) {
    port2.postMessage(input.slice(block * 512, (block + 1) * 512))
    if (block % atOnce === atOnce - 1) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await new Promise((resolve) => setTimeout(resolve, 100))
  engine.stop()
  port2.close()
  return { hopFrames, parts, input }
}

function maxError({ start, samples }, input) {
  return samples.reduce((most, value, i) => Math.max(most, Math.abs(value - (input[start + i] ?? 0))), 0)
}

test("with a network that changes nothing, all of the input comes back in its place", async () => {
  const { parts, input, hopFrames } = await play(lastFrames, 60, 1)
  assert.ok(parts.length >= Math.floor((60 - LOOKAHEAD_FRAMES) / hopFrames) - 1)
  parts.forEach(({ start, samples }, i) => {
    assert.equal(start, 512 * (i * hopFrames - 1))
    assert.equal(samples.length, 512 * hopFrames)
  })
  for (const part of parts.filter(({ start }) => start >= 1024)) assert.ok(maxError(part, input) < 1e-4)
})

test("a backlog is left out, and what follows is right from its first sample", async () => {
  const { parts, input, hopFrames } = await play(lastFrames, 200, 100)
  const starts = parts.map(({ start }) => start)
  assert.ok(starts.some((start, i) => i > 0 && start - starts[i - 1] > 512 * hopFrames))
  for (const part of parts.filter(({ start }) => start >= 1024)) assert.ok(maxError(part, input) < 1e-4)
})

test("a slower machine gets a longer hop and a longer delay", () => {
  const chosen = [0.001, 0.02, 0.03, 0.1, 10].map(chooseHop)
  assert.deepEqual(chosen.map(({ hopFrames }) => hopFrames), [1, 3, 5, 15, 64])
  for (const { hopFrames, delaySamples } of chosen) {
    assert.equal(delaySamples % 128, 0)
    assert.ok(delaySamples > 512 * (hopFrames + LOOKAHEAD_FRAMES + 1))
  }
})

/** Play parts, each available from a given quantum on; returns the output and the last report. */
function run(parts, nQuanta, { delaySamples = 2048, hopSamples = 1024 } = {}) {
  const processor = new LiveProcessor({ processorOptions: { delaySamples, hopSamples } })
  const sent = []
  const worker = { postMessage: (block) => sent.push(block) }
  processor.port.onmessage({ data: { worker } })
  const output = new Float32Array(nQuanta * 128)
  for (let quantum = 0; quantum < nQuanta; quantum++) {
    for (const part of parts.filter(({ at }) => at === quantum)) worker.onmessage({ data: part })
    const channel = new Float32Array(128)
    processor.process([[new Float32Array(128).fill(quantum)]], [[channel, channel]])
    output.set(channel, quantum * 128)
  }
  return { output, sent, report: processor.port.messages.at(-1) }
}

const part = (number, at) => ({ at, start: 1024 * number - 512, samples: new Float32Array(1024).fill(1) })

test("blocks are played with the same delay, without a step between them", () => {
  const parts = Array.from({ length: 10 }, (_, i) => part(i, 8 * i))
  const { output, sent, report } = run(parts, 64)
  assert.equal(sent.length, 16)
  assert.deepEqual([...sent[1].filter((_, i) => i % 128 === 0)], [4, 5, 6, 7])
  const first = output.findIndex((value) => value > 0)
  assert.equal(first, 2048 - 512)
  assert.ok(output.subarray(first + 128).every((value) => value === 1))
  assert.deepEqual([report.nBlocks, report.nLate], [7, 0])
  assert.ok(report.margin > 0)
})

test("a block that comes too late is counted, and the sound fades out and in", () => {
  const parts = Array.from({ length: 10 }, (_, i) => part(i, i === 3 ? 60 : 8 * i))
  const { output, report } = run(parts, 64)
  assert.equal(report.nLate, 1)
  const gap = output.subarray(2048 - 512 + 3 * 1024, 2048 - 512 + 4 * 1024)
  assert.ok(gap.every((value) => value === 0))
  const steps = output.map((value, i) => Math.abs(value - (output[i - 1] ?? 0)))
  assert.ok(Math.max(...steps) < 1 / 128 + 1e-6)
  assert.equal(output.at(-1), 1)
})
