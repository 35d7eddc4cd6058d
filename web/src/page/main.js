/**
 * @file The page: what the user chooses leads to a conversion, and that to sound.
 */

import { readManifest } from "./assets.js"
import { convert, findPeak } from "./conversion.js"
import { Engine } from "./engine.js"
import { describe, missingFeature } from "./errors.js"
import { LivePanel } from "../live/panel.js"
import { ModelChoice } from "./models.js"
import { ResultView } from "./result.js"
import { offerSources } from "./source.js"

const element = (id) => document.getElementById(id)
const manifest = readManifest()
const result = new ResultView()
const engine = new Engine(manifest, showStatus)

/** @type {{name: string, read: () => Promise<AudioBuffer>} | null} */
let source = null
/** @type {AbortController | null} */
let running = null

const live = new LivePanel(prepareLive, () => source.read(), showError)
const choice = new ModelChoice(manifest, () => {
  live.stop()
  update()
})

function showStatus(text) {
  element("status").textContent = text
}

function showError(error) {
  element("error").hidden = error === null
  element("error").textContent = error === null ? "" : describe(error)
}

function update() {
  element("convert").disabled = !source || !choice.isComplete || running !== null
  element("convert").hidden = running !== null
  element("cancel").hidden = running === null
  element("progress").hidden = running === null
}

/** Load the model and the style that are chosen. */
async function prepare() {
  const style = await choice.readStyle()
  const client = await engine.prepare(choice.model)
  await engine.setStyle(style)
  return client
}

function prepareLive() {
  running?.abort()
  result.pause()
  showError(null)
  return prepare()
}

async function start() {
  if (!source || !choice.isComplete) return
  live.stop()
  running?.abort()
  const run = new AbortController()
  running = run
  element("progress").removeAttribute("value") // how long loading takes is not known
  showError(null)
  showStatus("Reading…")
  update()
  try {
    await runConversion(source, run.signal)
  } catch (error) {
    if (running === run) {
      result.clear()
      showStatus(run.signal.aborted ? "Canceled." : "")
      showError(run.signal.aborted ? null : error)
    }
  }
  if (running === run) running = null
  update()
}

async function runConversion({ name, read }, signal) {
  const audio = await read()
  const { label, interleave } = choice // only now, as `prepare` takes the model: the choice may have changed meanwhile
  const client = await prepare()
  signal.throwIfAborted()
  const seconds = audio.duration
  const started = performance.now()
  const converted = await convert(client, audio, {
    interleave,
    signal,
    onStart: (nColumns) => result.begin(nColumns, [name, `Converted to ${label}`]),
    onPart(fraction, columns) {
      element("progress").value = fraction
      result.addColumns(columns)
      showStatus(`Converting… ${Math.round(100 * fraction)}%`)
    },
  })
  const peak = findPeak(converted)
  const gain = peak > 1 ? 1 / peak : 1
  const decibels = (20 * Math.log10(peak)).toFixed(1)
  const turnedDown = peak > 1 ? `, turned down by ${decibels} dB, as it would have clipped` : ""
  result.complete([audio, converted], gain, `${name.replace(/\.\w+$/, "")} as ${label}.wav`)
  const speed = seconds / ((performance.now() - started) / 1000)
  showStatus(`Done: ${seconds.toFixed(1)} s, ${speed.toFixed(0)} × as fast as it plays${turnedDown}.`)
}

function begin() {
  const missing = missingFeature()
  if (missing) {
    element("error").textContent = missing
    element("error").hidden = false
    for (const control of document.querySelectorAll("button, input")) control.disabled = true
    return
  }
  offerSources(
    manifest,
    (name, read) => {
      source = { name, read }
      live.offerRecording(true)
      element("recording-name").textContent = name
      start()
    },
    showError,
  )
  element("convert").addEventListener("click", start)
  element("cancel").addEventListener("click", () => {
    running.abort()
    showStatus("Canceling…")
  })
  if (!navigator.connection?.saveData) {
    engine.prepare(choice.model).then(() => showStatus("Ready."), showError)
  }
}

begin()
