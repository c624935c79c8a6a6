/** The surface: every setting has its flag, every command teaches, and the parts that draw and read text do so for any input. */
import { tmpdir } from 'node:os'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { errorReport } from '../../cli/reportError.js'
import { flagOf, inFlags, settingNames } from '../../cli/flagNames.js'
import { heatMap } from '../../cli/heatMap.js'
import { duration, short } from '../../cli/numbers.js'
import { textLines, type TextLine } from '../../cli/textLines.js'
import { trainFlags } from '../../cli/trainFlags.js'
import { settingsOf } from '../../cli/trainRequest.js'
import { SEED } from '../support/seed.js'
import { salora } from './spawnSalora.js'

describe('flags', () => {
  it('there is one for every setting, and for nothing twice', () => {
    const names = trainFlags.map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining([...settingNames]))
    expect(new Set(names).size).toBe(names.length)
  })

  it('a setting given at its default changes nothing', () => {
    const defaults = settingsOf({})
    expect(settingsOf(defaults)).toEqual(defaults)
  })

  it('messages of the library speak of flags, and of nothing else', () => {
    expect(flagOf('controlLearningRate')).toBe('--control-learning-rate')
    expect(inFlags('gateStart: expected a fraction below gateEnd, found 1')).toBe(
      '--gate-start: expected a fraction below --gate-end, found 1',
    )
    expect(inFlags('runs/gateEnd/x.json: expected a file')).toBe('runs/gateEnd/x.json: expected a file')
  })

  it('an error that nobody expected is one line that says it is a defect', () => {
    expect(errorReport(new TypeError('x is not\na function'))).toEqual({
      line: 'unexpected error: x is not\\u000aa function (this is a defect; run again with SALORA_DEBUG=1 for the stack)',
      exitCode: 1,
    })
  })
})

describe('help', () => {
  it.each(['quickstart', 'train', 'evaluate', 'predict', 'export', 'rank-pattern', 'verify', 'doctor', 'bench'])(
    'of %s has an example, --json and --quiet',
    async (command) => {
      const { code, stdout, stderr } = await salora([command, '--help'], { cwd: tmpdir() })
      expect([code, stderr]).toEqual([0, ''])
      expect(stdout).toMatch(new RegExp(`Examples?:\\n  .*salora ${command}`))
      expect(stdout).toMatch(/--json .*\n[\s\S]*--quiet /)
    },
  )

  it('without a command is shown on standard error, as wrong usage', async () => {
    const { code, stdout, stderr } = await salora([], { cwd: tmpdir() })
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('quickstart')
  })
})

describe(`lines of text (seed ${SEED})`, () => {
  const read = async (chunks: ReadonlyArray<Uint8Array>): Promise<ReadonlyArray<TextLine>> => {
    const lines: TextLine[] = []
    for await (const some of textLines(
      (async function* () {
        yield* chunks
      })(),
    ))
      lines.push(...some)
    return lines
  }

  it('are the same however the bytes are cut into chunks', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'grapheme', maxLength: 8 }), { maxLength: 6 }),
        fc.array(fc.nat(), { maxLength: 5 }),
        fc.boolean(),
        async (texts, cuts, ended) => {
          const bytes = Buffer.from(texts.join('\n') + (ended ? '\n' : ''))
          const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
          const pieces = places.slice(1).map((end, i) => bytes.subarray(places[i], end))
          expect(await read(pieces)).toEqual(await read([bytes]))
        },
      ),
      { seed: SEED, numRuns: 200 },
    ))

  it('give back each text, or each pair, with its number', async () => {
    expect(await read([Buffer.from('one\r\ntwo\tthree\n\nlast')])).toEqual([
      { line: 1, given: { text: 'one' } },
      { line: 2, given: { text: 'two', textPair: 'three' } },
      { line: 3, problem: 'expected a text, found an empty one' },
      { line: 4, given: { text: 'last' } },
    ])
  })
})

describe('what is drawn', () => {
  const ranks = { 'encoder.layer.0.attention.self.query': 8, 'encoder.layer.0.output.dense': 0, 'encoder.layer.10.output.dense': 3 }

  it('a map of ranks has a row a layer, a column a matrix, and a dot where nothing was adapted', () => {
    expect(heatMap(ranks, { colour: false })).toEqual(['layer  query  output', '    0      8       0', '   10      ·       3'])
  })

  it('in colour it is the same map', () => {
    const coloured = heatMap(ranks, { colour: true })
    expect(coloured[1]).toMatch(/\u001b\[48;5;46m/)
    expect(coloured.map((line) => line.replaceAll(/\u001b\[[\d;]*m/g, ''))).toEqual(heatMap(ranks, { colour: false }))
  })

  it('numbers and times are short', () => {
    expect([0, 0.6932471, 1e-5, 39_700_000].map(short)).toEqual(['0', '0.6932', '1.00e-5', '3.97e+7'])
    expect([0.04, 9.96, 83.2, 3599.7, 7260].map(duration)).toEqual(['0.0 s', '10 s', '1 min 23 s', '1 h 0 min', '2 h 1 min'])
  })
})
