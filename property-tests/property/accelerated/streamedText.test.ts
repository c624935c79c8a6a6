/** Text as it comes: its pieces together are the whole, no piece is half a letter, and what it is to stop at never shows. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stopsAt, streamedText } from '../../../accelerated/generation/answers.js'
import { SEED } from '../../support/seed.js'

/** Tokens are bytes, and 256 is one without a text; a blank at the very beginning is dropped, as SentencePiece's decoders do. */
const decode = (ids: readonly number[]): string => new TextDecoder().decode(Uint8Array.from(ids.filter((id) => id < 256))).replace(/^ /, '')
const bytes = (text: string): readonly number[] => [...new TextEncoder().encode(text)]

const texts = fc.string({ unit: fc.constantFrom('a', 'b', ' ', 'é', '日', '🙂'), maxLength: 20 })

const stream = (text: string, stops: readonly string[]) => {
  const streamed = streamedText(decode, stops, bytes('x'))
  const pieces = bytes(text).map((token) => streamed.push(token))
  return { pieces: [...pieces, streamed.end()], text: streamed.text() }
}

describe(`streamed text (seed ${SEED})`, () => {
  it('is the whole text with its first blank, in pieces of whole letters', () =>
    fc.assert(
      fc.property(texts, (text) => {
        const { pieces, text: complete } = stream(text, [])
        expect(pieces.join('')).toBe(text)
        expect(complete).toBe(text)
        for (const piece of pieces) expect(piece).not.toContain('\ufffd')
      }),
      { seed: SEED },
    ))

  it('ends before the first stop text, and no piece contains a part of it', () =>
    fc.assert(
      fc.property(
        texts,
        fc.array(
          texts.filter((stop) => stop !== ''),
          { minLength: 1, maxLength: 3 },
        ),
        (text, stops) => {
          const ends = stops.map((stop) => text.indexOf(stop)).filter((at) => at >= 0)
          // what comes first is what is complete first, as letters come one by one
          const { pieces, text: complete } = stream(text, stops)
          const expected = ends.length === 0 ? text : complete
          expect(pieces.join('')).toBe(expected)
          for (const stop of stops) expect(complete).not.toContain(stop)
          if (ends.length > 0) expect(stops.some((stop) => text.startsWith(complete + stop))).toBe(true)
        },
      ),
      { seed: SEED },
    ))

  it('keeps its blanks after tokens without text', () => {
    const streamed = streamedText(decode, [' b'], [...bytes('x'), ...new Array<number>(9).fill(256)])
    const silent = new Array<number>(7).fill(256)
    expect([...silent, ...bytes(' a'), ...silent, ...bytes(' b')].map((token) => streamed.push(token)).join('')).toBe(' a')
    expect(streamed.text()).toBe(' a')
  })

  it('returns the held-back start of a stop text that did not follow', () => {
    const streamed = streamedText(decode, ['END'], [])
    expect(bytes('xENx').map((token) => streamed.push(token))).toEqual(['x', '', '', 'ENx'])
    expect([...bytes('EN').map((token) => streamed.push(token)), streamed.end()]).toEqual(['', '', 'EN'])
  })

  it('stops exactly when its last token completes a stop text', () =>
    fc.assert(
      fc.property(
        texts,
        texts.filter((stop) => stop !== ''),
        (text, stop) => {
          const [ids, stops] = [bytes(text), stopsAt(decode, [stop])]
          const first = ids.findIndex((_, i) => stops(ids.slice(0, i + 1), bytes('x')))
          const at = text.indexOf(stop)
          expect(first).toBe(at < 0 ? -1 : bytes(text.slice(0, at + stop.length)).length - 1)
        },
      ),
      { seed: SEED },
    ))
})
