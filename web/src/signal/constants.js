/**
 * @file The numbers and scales of spectrograms, those of data.py.
 */

export const SAMPLE_RATE = 44_100 // Hz
export const N_FFT = 1024
export const HOP_LENGTH = 512
export const FINE_HOP_LENGTH = 256 // of the finer grid: two grids of HOP_LENGTH, interleaved
export const N_BINS = 256 // the lower half of the 513 rows, up to 11 kHz
export const FRAME_LENGTH = 2 * N_BINS // numbers of a frame's spectrum: real and imaginary parts in turn
export const SLICE_FRAMES = 256
const AMIN = 2 ** -16
const LOG_SCALE = Math.log1p(1 / AMIN)

/** A frame sounds if its strongest bin is above -60 dB of full scale: that level as a log-magnitude. */
export const SOUNDING_LEVEL = compress(10 ** (-60 / 20))

/** `np.hanning(1024)`: symmetric. */
export const WINDOW = Float32Array.from(
  { length: N_FFT },
  (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / (N_FFT - 1)),
)

/** The magnitude of an STFT times this is 1 for a full-scale sine. */
export const MAGNITUDE_SCALE = 2 / WINDOW.reduce((sum, value) => sum + value, 0)

/**
 * Compress a magnitude to a log-magnitude.
 * @param {number} magnitude at least 0; a full-scale sine is 1
 * @returns {number} in [0, 1]
 */
export function compress(magnitude) {
  return Math.min(Math.log(1 + magnitude / AMIN) / LOG_SCALE, 1)
}

/**
 * Invert `compress`.
 * @param {number} logMagnitude in [0, 1]
 * @returns {number} in [0, 1]
 */
export function expand(logMagnitude) {
  return Math.expm1(logMagnitude * LOG_SCALE) * AMIN
}

/**
 * Count the frames of an STFT.
 * @param {number} nSamples
 * @param {number} [hopLength] 512 or 256
 * @returns {number} 1 + ceil(nSamples / 512); on the finer grid, one more of each of both grids
 */
export function countFrames(nSamples, hopLength = HOP_LENGTH) {
  const nFrames = 1 + Math.ceil(nSamples / HOP_LENGTH)
  const grids = HOP_LENGTH / hopLength
  return grids === 1 ? nFrames : grids * (nFrames + 1)
}
