/** Output for terminals: control characters are escaped, and JSON keeps its meaning. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { printable, printableInColor } from '../../cli/terminal/output.js'
import { SEED } from '../support/seed.js'

const controls = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/
const nasty = fc.string({
  unit: fc.oneof(
    fc.integer({ min: 0, max: 0xa5 }).map((code) => String.fromCharCode(code)),
    fc.constantFrom('\u2028', '\u202e', '\u2066', '\u200f', '\u001b[31m', 'é', '😀'),
  ),
})

describe(`printable (seed ${SEED})`, () => {
  it('escapes every control character except line feeds, and nothing else', () =>
    fc.assert(
      fc.property(nasty, (text) => {
        expect(printable(text)).not.toMatch(controls)
        const harmless = text.replaceAll(new RegExp(controls, 'g'), '')
        expect(printable(harmless)).toBe(harmless)
      }),
      { seed: SEED, examples: [['a \u009b b'], ['\u001b]0;title\u0007']] },
    ))

  it('keeps the meaning of a JSON document', () =>
    fc.assert(
      fc.property(fc.array(nasty), (texts) => {
        expect(JSON.parse(printable(JSON.stringify(texts, null, 2)))).toEqual(texts)
      }),
      { seed: SEED },
    ))

  it('printable text in color keeps only colors', () => {
    expect(printableInColor('\u001b[48;5;19m 3 \u001b[0m\n\u001b[2J\u009b1A')).toBe('\u001b[48;5;19m 3 \u001b[0m\n\\u001b[2J\\u009b1A')
  })
})
