/**
 * @file Errors that the user can do something about, each a line.
 */

/** An error whose message is for the user. */
export class UserError extends Error {}

/**
 * Say what went wrong in a line.
 * @param {unknown} error
 * @returns {string}
 */
export function describe(error) {
  if (error instanceof UserError) return error.message
  const message = String(error) // "RangeError: …", which is what an allocation fails with
  if (/memory|allocat|bad_alloc|RangeError/i.test(message)) {
    return "There is not enough memory for this recording. Close other tabs, or take a shorter one."
  }
  if (/Failed to fetch|NetworkError|cannot be loaded/i.test(message)) {
    return "A file of this page could not be loaded. Check the connection, and load the page again."
  }
  return `Something failed: ${message}`
}

/**
 * Find what the browser lacks.
 * @returns {string | null} a line for the user; null if it has everything
 */
export function missingFeature() {
  // The smallest module with an instruction of SIMD, which onnxruntime's code has.
  const simd = Uint8Array.of(
    0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
  )
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(simd)) {
    return "This page needs WebAssembly with SIMD, which this browser lacks or has switched off. Newer ones have it."
  }
  if (typeof DecompressionStream !== "function") {
    return "This page needs DecompressionStream, which this browser lacks. Newer browsers have it."
  }
  return null
}
