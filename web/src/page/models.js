/**
 * @file The choice of a model, of its grid and, for one that takes it, of a style.
 */

import { loadAsset } from "./assets.js"
import { decode } from "./recording.js"

const OWN_STYLE = "own"

/** Radio buttons of models and styles, and a checkbox. */
export class ModelChoice {
  /**
   * @param {import("./assets.js").Manifest} manifest
   * @param {() => void} onChange called after another choice
   */
  constructor(manifest, onChange) {
    this._manifest = manifest
    this._onChange = onChange
    this._styleFile = null
    this._interleaves = new Map(manifest.models.map(({ name, interleaves }) => [name, interleaves]))
    this._interleaveElement = document.getElementById("interleave")
    this._sectionElement = document.getElementById("style")
    this._stylesElement = document.getElementById("styles")
    this._fileElement = document.getElementById("style-file")
    const models = document.getElementById("models")
    for (const model of manifest.models) models.append(makeChoice("model", model.name, model.label))
    models.querySelector("input").checked = true
    models.addEventListener("change", () => this._showModel())
    this._interleaveElement.addEventListener("change", ({ target }) => {
      this._interleaves.set(this.model.name, target.checked)
    })
    this._fileElement.addEventListener("change", () => this._takeFile(this._fileElement.files[0]))
    this._showModel()
  }

  /** @returns {import("./assets.js").Model} */
  get model() {
    const { value } = document.querySelector("input[name=model]:checked")
    return this._manifest.models.find(({ name }) => name === value)
  }

  /** @returns {boolean} whether files are converted on the finer grid: as chosen for the model, or its default */
  get interleave() {
    return this._interleaves.get(this.model.name)
  }

  /** @returns {boolean} whether all is chosen that the model needs */
  get isComplete() {
    return !this.model.takesStyle || this._style !== OWN_STYLE || this._styleFile !== null
  }

  /** @returns {string} what is converted to, for messages */
  get label() {
    const style = this._manifest.styles.find(({ name }) => name === this._style)
    if (!this.model.takesStyle) return this.model.label
    return style ? style.label : `the style of ${this._styleFile.name}`
  }

  /**
   * Read the style.
   * @returns {Promise<{audio: AudioBuffer, name: string} | null>} null for a model that takes none
   */
  async readStyle() {
    if (!this.model.takesStyle) return null
    if (this._style === OWN_STYLE) {
      const { name } = this._styleFile
      return { audio: await decode(await this._styleFile.arrayBuffer(), name), name }
    }
    const { file, label } = this._manifest.styles.find(({ name }) => name === this._style)
    return { audio: await decode((await loadAsset(file)).buffer, label), name: label }
  }

  get _style() {
    return document.querySelector("input[name=style]:checked")?.value
  }

  _showModel() {
    this._interleaveElement.checked = this.interleave
    const { takesStyle, targets } = this.model
    this._sectionElement.hidden = !takesStyle
    if (takesStyle) {
      const known = this._manifest.styles.filter(({ name }) => targets.includes(name))
      const own = makeChoice("style", OWN_STYLE, this._styleFile?.name ?? "A file of mine…")
      own.addEventListener("click", ({ target }) => target.matches("input") && this._fileElement.click())
      const choices = known.map(({ name, label }) => makeChoice("style", name, label))
      this._stylesElement.replaceChildren(this._stylesElement.firstElementChild, ...choices, own)
      this._stylesElement.querySelector("input").checked = true
      this._stylesElement.onchange = () => this._onChange()
    }
    this._onChange()
  }

  _takeFile(file) {
    if (!file) return
    this._styleFile = file
    const own = this._stylesElement.querySelector(`input[value=${OWN_STYLE}]`)
    own.checked = true
    own.nextSibling.textContent = file.name
    this._onChange()
  }
}

function makeChoice(group, value, text) {
  const label = document.createElement("label")
  label.className = "choice"
  const input = document.createElement("input")
  Object.assign(input, { type: "radio", name: group, value })
  label.append(input, text)
  return label
}
