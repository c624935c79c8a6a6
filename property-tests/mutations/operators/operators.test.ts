/** Windows of a sample do not overlap, mutants count as StrykerJS counts them, and the rooms' tests and sources exist. */
import { existsSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { SEED } from '../../support/seed.js'
import { describeSurvivor, readMutants } from './report.js'
import { rooms, sampleWindows } from './rooms.js'

const files = fc
  .array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 5 })
  .map((lengths) => lengths.map((lines, i) => ({ file: `${i}.ts`, lines })))

describe('the windows of a sample', () => {
  it('cover every line once if there are enough of them, and as many as asked for else', () =>
    fc.assert(
      fc.property(
        files,
        fc.infiniteStream(fc.double({ min: 0, max: 0.999, noNaN: true })),
        fc.integer({ min: 1, max: 10 }),
        (of, drawn, count) => {
          const random = (): number => drawn.next().value as number
          const covered = sampleWindows(of, Infinity, random).flatMap(({ file, from, to }) =>
            Array.from({ length: to - from + 1 }, (_, i) => `${file}:${from + i}`),
          )
          expect([...covered].sort()).toEqual(
            of.flatMap(({ file, lines }) => Array.from({ length: lines }, (_, i) => `${file}:${i + 1}`)).sort(),
          )
          const all = of.reduce((sum, { lines }) => sum + Math.ceil(lines / 4), 0)
          expect(sampleWindows(of, count, random).length).toBe(Math.min(count, all))
        },
      ),
      { seed: SEED },
    ))

  it('are others for other draws', () => {
    const of = [{ file: 'a.ts', lines: 400 }]
    const drawn = (start: number) => {
      let next = start
      const random = (): number => {
        next = (next * 7 + 3) % 101
        return next / 101
      }
      return sampleWindows(of, 3, random).map(({ from }) => from)
    }
    expect(drawn(1)).not.toEqual(drawn(2))
  })
})

it('counts what no test covers as a survivor, what never ends as caught, and nothing that does not compile', () => {
  const mutants = ['Killed', 'Timeout', 'Survived', 'NoCoverage', 'CompileError', 'Ignored'].map((status) => ({
    mutatorName: 'ArithmeticOperator',
    replacement: 'a -\n  b',
    location: { start: { line: 1 } },
    status,
  }))
  const read = readMutants(JSON.stringify({ files: { 'a.ts': { mutants } } }))
  expect(read.map(({ verdict }) => verdict)).toEqual(['caught', 'caught', 'survived', 'survived', 'ignored', 'ignored'])
  expect(describeSurvivor(read[2]!)).toBe('survived  a.ts:1  ArithmeticOperator: a - b')
})

it("each room's sources and tests exist", () => {
  for (const [name, { sources, tests }] of Object.entries(rooms)) {
    for (const source of sources) expect(existsSync(source), `${name}: ${source}`).toBe(true)
    for (const test of tests.filter((path) => !/[*!]/.test(path))) expect(existsSync(test), `${name}: ${test}`).toBe(true)
  }
})
