/**
 * @file What the page needs beside its code: embedded in the page, or files beside it.
 */

/**
 * @typedef {{name: string, label: string, targets: string[], takesStyle: boolean, interleaves: boolean,
 *   drawsNoise: boolean, file: string}} Model `interleaves`: whether it converts on the finer grid by default
 * @typedef {{name: string, label: string, file: string}} Sound
 * @typedef {{models: Model[], styles: Sound[], example: Sound, runtime: string, sizes: Object<string, number>}}
 *   Manifest `sizes` are those of the packed files, in bytes
 */

/** @returns {Manifest} */
export function readManifest() {
  return JSON.parse(document.getElementById("manifest").textContent)
}

/**
 * Load a file of the page.
 * @param {string} file its name in the manifest
 * @param {(bytes: number) => void} [onBytes] told of each part that has arrived
 * @returns {Promise<Uint8Array>} unpacked
 */
export async function loadAsset(file, onBytes = () => {}) {
  const embedded = document.getElementById(`asset:${file}`)
  const bytes = embedded ? fromBase64(embedded.textContent) : await download(file, onBytes)
  const isPacked = bytes[0] === 0x1f && bytes[1] === 0x8b // some servers unpack what they send
  return isPacked ? unpack(bytes) : bytes
}

/**
 * Find the script of the worker.
 * @param {string} name such as "worker.js"
 * @returns {string} its URL
 */
export function workerUrl(name) {
  const embedded = document.getElementById(`script:${name}`)
  return embedded ? URL.createObjectURL(new Blob([embedded.textContent], { type: "text/javascript" })) : name
}

/**
 * Find the script of a worklet, which a page that is a file cannot load from a blob.
 * @param {string} name such as "recorder_worklet.js"
 * @returns {string} its URL
 */
export function workletUrl(name) {
  const embedded = document.getElementById(`script:${name}`)
  return embedded ? `data:text/javascript,${encodeURIComponent(embedded.textContent)}` : name
}

async function download(file, onBytes) {
  const response = await fetch(file)
  if (!response.ok) throw new Error(`${file} cannot be loaded (${response.status})`)
  const parts = []
  const reader = response.body.getReader()
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    parts.push(part.value)
    onBytes(part.value.length)
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer())
}

function fromBase64(text) {
  const letters = atob(text.trim())
  const bytes = new Uint8Array(letters.length)
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i)
  return bytes
}

async function unpack(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}
