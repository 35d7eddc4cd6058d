/**
 * @file The part of a recording that serves as style: its fullest 256 frames, as inference/style.py chooses them.
 */

import { N_BINS, SLICE_FRAMES, SOUNDING_LEVEL } from "./constants.js"
import { toImage } from "./slices.js"

/**
 * Choose the style's image. A recording that is shorter than a slice is repeated until it fills one.
 * @param {Float32Array} logMagnitude frames of 256 bins, in [0, 1]
 * @returns {Float32Array | null} the network's image; null if nothing sounds
 */
export function chooseStyle(logMagnitude) {
  const nFrames = logMagnitude.length / N_BINS
  const frames = Array.from({ length: nFrames }, (_, frame) =>
    logMagnitude.subarray(frame * N_BINS, (frame + 1) * N_BINS),
  )
  const sounding = frames.map((frame) => frame.some((value) => value > SOUNDING_LEVEL))
  const [first, last] = [sounding.indexOf(true), sounding.lastIndexOf(true)]
  if (first < 0) return null
  const sounds = logMagnitude.subarray(first * N_BINS, (last + 1) * N_BINS)
  if (sounds.length < SLICE_FRAMES * N_BINS) return toImage(repeat(sounds))
  const start = first + fullestStart(frames.slice(first, last + 1))
  return toImage(logMagnitude.subarray(start * N_BINS))
}

function repeat(part) {
  const whole = new Float32Array(SLICE_FRAMES * N_BINS)
  for (let start = 0; start < whole.length; start += part.length) {
    whole.set(part.subarray(0, whole.length - start), start)
  }
  return whole
}

/** Find where the 256 frames with the greatest sum begin. */
function fullestStart(frames) {
  const sums = frames.map((frame) => frame.reduce((sum, value) => sum + value, 0))
  let sum = 0
  let [best, start] = [-Infinity, 0]
  for (const [end, value] of sums.entries()) {
    sum += value - (sums[end - SLICE_FRAMES] ?? 0)
    if (end >= SLICE_FRAMES - 1 && sum > best) [best, start] = [sum, end - SLICE_FRAMES + 1]
  }
  return start
}
