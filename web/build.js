/**
 * @file Build the page: a folder for any static host, and a single file that opens by double click.
 *
 *   node build.js [--assets assets] [--output dist] [--single MODEL]
 *
 * write_assets.py writes the assets before. MODEL is the model of the single file; by default the first one.
 */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { gzipSync } from "node:zlib"

import { build } from "esbuild"

const ROOT = dirname(fileURLToPath(import.meta.url))
const RUNTIME = "ort-wasm-simd-threaded.wasm"
const SCRIPTS = {
  "worker.js": "src/worker/worker.js",
  "recorder_worklet.js": "src/page/recorder_worklet.js",
  "live_processor.js": "src/live/processor.js",
}

const { values: options } = parseArgs({
  options: {
    assets: { type: "string", default: join(ROOT, "assets") },
    output: { type: "string", default: join(ROOT, "dist") },
    single: { type: "string" },
  },
})

/** Bundle a script into one file. */
async function bundle(entry) {
  const result = await build({
    entryPoints: [join(ROOT, entry)],
    bundle: true,
    minify: true,
    format: "iife",
    target: "es2022",
    loader: { ".wasm": "binary" },
    external: ["module"], // of PFFFT's and onnxruntime's branches for Node
    // The libraries only ask where their WebAssembly lies, which they are given. A blob's address is no base of others.
    define: { "import.meta.url": '"http://localhost/"' },
    legalComments: "none",
    write: false,
    logLevel: "error",
  })
  return result.outputFiles[0].text
}

/** Read a file and pack it. Its name has no ".gz": servers would treat that in different ways. */
function pack(path) {
  return gzipSync(readFileSync(path), { level: 9 })
}

function filesOf(manifest) {
  const named = [...manifest.models, ...manifest.styles, manifest.example].map(({ file }) => file)
  return [...named, manifest.runtime]
}

/** Fill the page in. */
function fill(page, { manifest, embedded, script }) {
  const sizes = Object.fromEntries(filesOf(manifest).map((file) => [file, packed.get(file).length]))
  const parts = [
    `<script id="manifest" type="application/json">${JSON.stringify({ ...manifest, sizes })}</script>`,
    ...embedded,
    script,
  ]
  return page.replace("<!--EMBEDDED-->", () => parts.join("\n"))
}

const manifest = { ...JSON.parse(readFileSync(join(options.assets, "manifest.json"), "utf8")), runtime: RUNTIME }
const packed = new Map()
for (const file of filesOf(manifest)) {
  const folder = file === RUNTIME ? join(ROOT, "node_modules/onnxruntime-web/dist") : options.assets
  packed.set(file, pack(join(folder, file)))
}
const scripts = new Map()
for (const [name, entry] of Object.entries(SCRIPTS)) scripts.set(name, await bundle(entry))
const main = await bundle("src/page/main.js")
const style = readFileSync(join(ROOT, "src/page/style.css"), "utf8")
const page = readFileSync(join(ROOT, "src/page/page.html"), "utf8").replace("/*STYLE*/", () => style)

const hosted = join(options.output, "hosted")
rmSync(hosted, { recursive: true, force: true })
mkdirSync(hosted, { recursive: true })
const linked = { manifest, embedded: [], script: '<script src="main.js"></script>' }
writeFileSync(join(hosted, "index.html"), fill(page, linked))
writeFileSync(join(hosted, "main.js"), main)
for (const [name, text] of scripts) writeFileSync(join(hosted, name), text)
for (const [file, bytes] of packed) writeFileSync(join(hosted, file), bytes)

const name = options.single ?? manifest.models[0].name
const model = manifest.models.find((candidate) => candidate.name === name)
if (!model) {
  console.error(`--single ${name} is none of the models: ${manifest.models.map((one) => one.name).join(", ")}`)
  process.exit(2)
}
const styles = model.takesStyle ? manifest.styles : []
const own = { ...manifest, models: [model], styles }
const embedded = [
  ...[...scripts].map(([file, text]) => `<script id="script:${file}" type="text/plain">${text}</script>`),
  ...filesOf(own).map(
    (file) => `<script id="asset:${file}" type="text/plain">${packed.get(file).toString("base64")}</script>`,
  ),
]
const single = join(options.output, "timbre_transfer.html")
writeFileSync(single, fill(page, { manifest: own, embedded, script: `<script>${main}</script>` }))

const total = (files) => (files.reduce((sum, file) => sum + packed.get(file).length, 0) / 1e6).toFixed(1)
console.log(`${hosted}: ${total([RUNTIME, manifest.models[0].file])} MB for the runtime and a model`)
console.log(`${single}: ${(readFileSync(single).length / 1e6).toFixed(1)} MB, ${model.label}`)
