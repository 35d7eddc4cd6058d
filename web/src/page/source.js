/**
 * @file Where a recording comes from: a file that is chosen or dropped, the example, or the microphone.
 */

import { loadAsset, workletUrl } from "./assets.js"
import { UserError } from "./errors.js"
import { decode } from "./recording.js"

const MICROPHONE = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 }

/**
 * Open the microphone, without what browsers do to voices.
 * @returns {Promise<MediaStream>}
 */
export async function openMicrophone() {
  if (!navigator.mediaDevices) throw new UserError("The microphone needs a page of https://, localhost or a file.")
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: MICROPHONE })
  } catch {
    throw new UserError("The microphone cannot be used: there is none, or it was not allowed.")
  }
}

/**
 * Let the user choose recordings.
 * @param {import("./assets.js").Manifest} manifest
 * @param {(name: string, read: () => Promise<AudioBuffer>) => void} onRecording called with each
 * @param {(error: unknown) => void} onError
 */
export function offerSources(manifest, onRecording, onError) {
  const [drop, input, record] = ["drop", "file", "record"].map((id) => document.getElementById(id))
  const take = (file) => file && onRecording(file.name, async () => decode(await file.arrayBuffer(), file.name))

  document.getElementById("choose").addEventListener("click", () => input.click())
  input.addEventListener("change", () => {
    take(input.files[0])
    input.value = "" // the same file can be chosen again
  })
  addEventListener("dragover", (event) => event.preventDefault()) // a file that misses does not replace the page
  addEventListener("drop", (event) => event.preventDefault())
  drop.addEventListener("dragover", () => drop.classList.add("over"))
  drop.addEventListener("dragleave", () => drop.classList.remove("over"))
  drop.addEventListener("drop", (event) => {
    drop.classList.remove("over")
    take(event.dataTransfer.files[0])
  })
  document.getElementById("example").addEventListener("click", () => {
    const { label, file } = manifest.example
    onRecording(label, async () => decode((await loadAsset(file)).buffer, label))
  })

  let recorder = null
  record.addEventListener("click", async () => {
    record.disabled = true
    try {
      if (recorder) {
        const audio = recorder.stop()
        recorder = null
        if (audio.length === 0) throw new UserError("Nothing was recorded.")
        onRecording("Recording of the microphone", async () => audio)
      } else {
        recorder = await startRecorder()
      }
    } catch (error) {
      onError(error)
    }
    record.disabled = false
    record.textContent = recorder ? "Stop recording" : "Record"
    record.classList.toggle("recording", recorder !== null)
  })
}

/**
 * Record the microphone.
 * @returns {Promise<{stop: () => AudioBuffer}>}
 */
async function startRecorder() {
  const stream = await openMicrophone()
  const context = new AudioContext()
  await context.audioWorklet.addModule(workletUrl("recorder_worklet.js"))
  const node = new AudioWorkletNode(context, "recorder", { numberOfOutputs: 0 })
  const blocks = []
  node.port.onmessage = ({ data }) => blocks.push(data)
  context.createMediaStreamSource(stream).connect(node)
  return {
    stop() {
      for (const track of stream.getTracks()) track.stop()
      context.close()
      const length = blocks.reduce((sum, block) => sum + block.length, 0)
      if (length === 0) return { length }
      const audio = new AudioBuffer({ length, sampleRate: context.sampleRate })
      let start = 0
      for (const block of blocks) {
        audio.copyToChannel(block, 0, start)
        start += block.length
      }
      return audio
    },
  }
}
