/**
 * @file The sample rate of audio files, from their headers. Browsers decode to a rate that must be known before.
 */

const MP3_RATES = [44_100, 48_000, 32_000] // of MPEG 1; halved for MPEG 2, and again for 2.5

/**
 * Find the sample rate of an audio file: WAV, FLAC, Ogg (Vorbis, Opus), MP3 or MP4.
 * @param {Uint8Array} bytes
 * @returns {number | null} Hz; null if it is not found
 */
export function findSampleRate(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const find = [ofWav, ofFlac, ofOgg, ofMp4, ofMp3]
  for (const rateOf of find) {
    try {
      const rate = rateOf(view)
      if (rate) return rate
    } catch (error) {
      if (!(error instanceof RangeError)) throw error // the file ends too early
    }
  }
  return null
}

function text(view, start, length) {
  return Array.from({ length }, (_, i) => String.fromCharCode(view.getUint8(start + i))).join("")
}

function ofWav(view) {
  if (text(view, 0, 4) !== "RIFF" || text(view, 8, 4) !== "WAVE") return null
  let at = 12
  while (text(view, at, 4) !== "fmt ") {
    const size = view.getUint32(at + 4, true)
    at += 8 + size + (size % 2)
  }
  return view.getUint32(at + 12, true)
}

function ofFlac(view) {
  const start = skipId3(view)
  if (text(view, start, 4) !== "fLaC") return null
  return view.getUint32(start + 18) >>> 12 // 20 bits of STREAMINFO
}

function ofOgg(view) {
  if (text(view, 0, 4) !== "OggS") return null
  const packet = 27 + view.getUint8(26)
  if (text(view, packet + 1, 6) === "vorbis") return view.getUint32(packet + 12, true)
  return text(view, packet, 8) === "OpusHead" ? 48_000 : null
}

function ofMp4(view) {
  if (text(view, 4, 4) !== "ftyp") return null
  // The entry of an audio track begins with its name; its rate has 16 bits before the point, 24 bytes later.
  for (const name of ["mp4a", "alac", "fLaC", "Opus"]) {
    const at = findBoxEntry(view, name)
    if (at !== null) return view.getUint16(at + 28)
  }
  return null
}

/** Find a list whose first entry has a name; between them are its version, its length and the entry's size. */
function findBoxEntry(view, name) {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
  for (let at = bytes.indexOf(0x73); at >= 0; at = bytes.indexOf(0x73, at + 1)) {
    if (at + 48 > bytes.length) return null
    if (text(view, at, 4) === "stsd" && text(view, at + 16, 4) === name) return at + 16
  }
  return null
}

function ofMp3(view) {
  const start = skipId3(view)
  const limit = Math.min(view.byteLength - 4, start + 4096)
  for (let at = start; at < limit; at++) {
    const header = view.getUint32(at)
    const [version, layer] = [(header >> 19) & 3, (header >> 17) & 3]
    const [bitrate, rate] = [(header >> 12) & 15, (header >> 10) & 3]
    if (header >>> 21 === 0x7ff && version !== 1 && layer !== 0 && bitrate !== 15 && rate !== 3) {
      return MP3_RATES[rate] / { 3: 1, 2: 2, 0: 4 }[version]
    }
  }
  return null
}

/** Return where the audio begins after a tag of ID3v2, if there is one. */
function skipId3(view) {
  if (text(view, 0, 3) !== "ID3") return 0
  const size = [6, 7, 8, 9].reduce((sum, at) => (sum << 7) | view.getUint8(at), 0)
  return 10 + size
}
