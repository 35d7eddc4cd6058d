/**
 * @file The noise that a network may draw from: the low digits of its input (source_noise.py).
 */

const STEP = 1 / 32 // of log-magnitude in [0, 1]: what is below is the noise

/**
 * Give grids the noise of the last one, whose frames are those of the plain grid: change each value by up to half a
 * step. Frames that are 256 samples apart share most of their samples, so that their other noise would cancel. Silence
 * stays silent.
 * @param {Float32Array[]} grids log-magnitude of each; changed in place
 */
export function shareNoise(grids) {
  const last = grids[grids.length - 1]
  for (const grid of grids.slice(0, -1)) {
    for (const [index, value] of grid.entries()) {
      if (value === 0) continue
      const digits = last[index] % STEP
      let whole = Math.floor((value - digits) / STEP + 0.5)
      if (digits + whole * STEP > 1) whole -= 1
      grid[index] = digits + Math.max(whole, 0) * STEP
    }
  }
}
