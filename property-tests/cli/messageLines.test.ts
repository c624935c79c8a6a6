/** Messages on a terminal: broken at words and in color; in a file or a pipe each is one line. */
import { stripVTControlCharacters } from 'node:util'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { layOut } from '../../cli/terminal/output.js'
import { SEED } from '../support/seed.js'

const { stderr } = process
const before = { isTTY: stderr.isTTY, columns: stderr.columns, hasColors: stderr.hasColors }
const beTerminal = (columns: number, colors = true): void => void Object.assign(stderr, { isTTY: true, columns, hasColors: () => colors })
beforeEach(() => vi.stubEnv('NO_COLOR', undefined))
afterEach(() => {
  Object.assign(stderr, before)
  vi.unstubAllEnvs()
})

const words = fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1, maxLength: 60 })

describe('a message', () => {
  it(`fits the width of a terminal, and has all of its words in their order (seed ${SEED})`, () =>
    fc.assert(
      fc.property(words, fc.integer({ min: 20, max: 120 }), (drawn, columns) => {
        beTerminal(columns)
        const lines = layOut(drawn.join(' ')).split('\n')
        expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(columns)
        expect(lines.flatMap((line) => line.trim().split(' '))).toEqual(drawn)
        for (const line of lines.slice(1)) expect(line).toMatch(/^ {2}\S/)
      }),
      { seed: SEED },
    ))

  it('is as it is in a file, or where it fits, with its blanks', () => {
    Object.assign(stderr, { isTTY: undefined })
    const long = `step 1/6  ${'loss 0.5  '.repeat(30)}end`
    expect(layOut(long, 'warning')).toBe(long)
    beTerminal(80)
    expect(layOut('  step 1/6  loss 0.5')).toBe('  step 1/6  loss 0.5')
  })

  it('has warnings in yellow and errors in red, where there are colors', () => {
    beTerminal(80)
    expect(layOut('warning: few rows', 'warning')).toBe(`${'\u001b[33m'}warning: few rows\u001b[39m`)
    expect(layOut('--rank: expected 1, got 0', 'error')).toBe('\u001b[31m--rank: expected 1, got 0\u001b[39m')
    expect(stripVTControlCharacters(layOut('a\u001b[31mb', 'error'))).toBe('a\\u001b[31mb') // of the message itself
    beTerminal(80, false)
    expect(layOut('warning: few rows', 'warning')).toBe('warning: few rows')
    beTerminal(80)
    vi.stubEnv('NO_COLOR', '1')
    expect(layOut('warning: few rows', 'warning')).toBe('warning: few rows')
  })
})
