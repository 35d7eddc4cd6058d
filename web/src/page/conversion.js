/**
 * @file A recording converted by the worker, in blocks.
 */

const BLOCK_SAMPLES = 2 ** 17 // about 3 s

/**
 * Told of what is complete.
 * @callback OnPart
 * @param {number} fraction how much of the recording was read, 0 to 1
 * @param {import("../signal/picture.js").Columns[]} columns of the pictures before and after
 */

/**
 * Convert a recording. It keeps its length, rate and channels.
 * @param {import("./client.js").WorkerClient} client
 * @param {AudioBuffer} audio
 * @param {{interleave: boolean, signal: AbortSignal, onStart: (nColumns: number) => void, onPart: OnPart}} run
 *   `interleave`: on the finer grid
 * @returns {Promise<AudioBuffer>}
 */
export async function convert(client, audio, { interleave, signal, onStart, onPart }) {
  const { sampleRate, numberOfChannels: nChannels, length: nSamples } = audio
  const { nColumns } = await client.call("start", { format: { sampleRate, nChannels, nSamples }, interleave })
  onStart(nColumns)
  const result = new AudioBuffer({ sampleRate, numberOfChannels: nChannels, length: nSamples })
  let nWritten = 0
  for (let start = 0; start < nSamples; start += BLOCK_SAMPLES) {
    const end = Math.min(start + BLOCK_SAMPLES, nSamples)
    const block = Array.from({ length: nChannels }, (_, channel) => audio.getChannelData(channel).slice(start, end))
    const buffers = block.map(({ buffer }) => buffer)
    const { channels, columns } = await client.call("convert", { channels: block, isLast: end === nSamples }, buffers)
    signal.throwIfAborted()
    for (const [channel, samples] of channels.entries()) result.copyToChannel(samples, channel, nWritten)
    nWritten += channels[0].length
    onPart(end / nSamples, columns)
  }
  return result
}

/**
 * Find the greatest absolute sample.
 * @param {AudioBuffer} audio
 * @returns {number}
 */
export function findPeak(audio) {
  let peak = 0
  for (let channel = 0; channel < audio.numberOfChannels; channel++) {
    for (const sample of audio.getChannelData(channel)) {
      if (sample > peak) peak = sample
      else if (-sample > peak) peak = -sample
    }
  }
  return peak
}
