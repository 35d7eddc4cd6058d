/**
 * @file The sample rate is found in the header of each format.
 */

import assert from "node:assert/strict"
import { test } from "node:test"

import { findSampleRate } from "../src/page/sample_rate.js"

const text = (string) => [...string].map((letter) => letter.charCodeAt(0))
const little = (value) => [0, 8, 16, 24].map((shift) => (value >> shift) & 255)
const zeros = (length) => Array(length).fill(0)
const wav = [...text("RIFF"), ...zeros(4), ...text("WAVE"), ...text("JUNK"), ...little(3), ...zeros(4)]

const FILES = {
  wav: [48_000, [...wav, ...text("fmt "), ...little(16), 1, 0, 2, 0, ...little(48_000), ...zeros(20)]],
  flac: [96_000, [...text("fLaC"), ...zeros(14), 0x17, 0x70, 0x02, 0xf0, ...zeros(20)]],
  vorbis: [22_050, [...text("OggS"), ...zeros(22), 1, 30, 1, ...text("vorbis"), ...zeros(5), ...little(22_050)]],
  opus: [48_000, [...text("OggS"), ...zeros(22), 1, 19, ...text("OpusHead"), ...zeros(11)]],
  mp3: [32_000, [...text("ID3"), 3, 0, 0, 0, 0, 0, 2, 0, 0, 0xff, 0xfb, 0x98, 0, ...zeros(8)]],
  "mp3 of MPEG 2": [24_000, [0xff, 0xf3, 0x84, 0, ...zeros(8)]],
  mp4: [
    44_100,
    [
      ...[0, 0, 0, 16], ...text("ftypM4A "), ...zeros(8), ...text("stsd"), ...zeros(12), ...text("mp4a"), ...zeros(24),
      ...[0xac, 0x44, 0, 0], ...zeros(20),
    ],
  ],
}

for (const [name, [rate, bytes]] of Object.entries(FILES)) {
  test(name, () => assert.equal(findSampleRate(Uint8Array.from(bytes)), rate))
}

test("other files and those that end too early have none", () => {
  for (const bytes of [[], text("RIFF"), text("hello, this is no audio"), FILES.wav[1].slice(0, 30)]) {
    assert.equal(findSampleRate(Uint8Array.from(bytes)), null)
  }
})
