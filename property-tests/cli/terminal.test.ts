/** What a terminal shows and sends: failures and progress of a sweep, facts of data, escaped characters, closed streams, signals on Windows. */
import { closeSync, openSync } from 'node:fs'
import { tmpdir } from 'node:os'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { failedRuns } from '../../cli/terminal/sweepProgress.js'
import { inspectionText, reportLines } from '../../cli/format/inspection.js'
import { standardInput } from '../../cli/input/promptInput.js'
import { onInterrupt, watchInterrupt } from '../../cli/terminal/interrupt.js'
import { type Terminal, printable, printableInColor } from '../../cli/terminal/output.js'
import { watchStandardStreams } from '../../cli/terminal/exit.js'
import { sweepProgress } from '../../cli/terminal/sweepProgress.js'
import type { DataFacts } from '../../finetuning/inspection/dataFacts.js'
import { SEED } from '../support/seed.js'

it('runs that fail with the same message share a line with the first run, the number of others and the most attempts', () => {
  expect(
    failedRuns([
      { cell: 'mrpc.lora.seed-0', message: 'no MRPC', attempts: 1 },
      { cell: 'cola.lora.seed-0', message: 'no memory', attempts: 1 },
      { cell: 'mrpc.lora.seed-1', message: 'no MRPC', attempts: 3 },
      { cell: 'mrpc.lora.seed-2', message: 'no MRPC', attempts: 2 },
    ]),
  ).toEqual(['mrpc.lora.seed-0 and 2 more runs failed (3 attempts): no MRPC', 'cola.lora.seed-0 failed (1 attempt): no memory'])
  expect(failedRuns([])).toEqual([])
})

it('a run that has ended has one line, though a later stage of the sweep reports it again', () => {
  const notes: string[] = []
  const terminal = { note: (line: string) => notes.push(line), quiet: true } as unknown as Terminal
  const { onEvent, close } = sweepProgress(terminal)
  const ended = (id: string, kind: 'stopped' | 'failed') => onEvent({ kind: 'ended', cell: { id }, outcome: { kind } } as never)
  onEvent({ kind: 'planned', stage: 'grid', cells: 2 } as never)
  ended('one', 'failed')
  onEvent({ kind: 'planned', stage: 'table', cells: 1 } as never)
  ended('one', 'failed')
  ended('two', 'stopped')
  close()
  expect(notes).toEqual(['2 runs to choose learning rates', 'one: failed', '1 run', 'two: stopped'])
})

it('refuses a folder in one line, and takes what is none', () => {
  const folder = openSync(tmpdir(), 'r')
  const stdin = vi.spyOn(process, 'stdin', 'get')
  try {
    stdin.mockReturnValue({ fd: folder } as typeof process.stdin)
    expect(standardInput).toThrow('standard input: expected a text (from a pipe, or < FILE), got a folder')
    stdin.mockReturnValue({} as typeof process.stdin)
    expect(standardInput).not.toThrow()
  } finally {
    stdin.mockRestore()
    closeSync(folder)
  }
})

afterEach(() => void vi.restoreAllMocks())

it.each([
  ['EPIPE', 1, 0],
  ['EOF', 1, 0], // what Windows reports where other systems report EPIPE
  ['ENOSPC', 0, 1],
])('an error %s ends the program %i times without a message, and %i times with one', (code, exits, reports) => {
  const exit = vi.spyOn(process, 'exit').mockReturnValue(undefined as never)
  const report = vi.fn()
  const before = { out: process.stdout.listeners('error'), err: process.stderr.listeners('error') }
  watchStandardStreams((thrown) => (exit.mock.calls.length === 0 ? report(thrown) : undefined))
  const added = process.stdout.listeners('error').filter((listener) => !before.out.includes(listener))
  for (const listener of added) listener(Object.assign(new Error(code), { code }))
  for (const listener of added) process.stdout.off('error', listener as () => void)
  for (const listener of process.stderr.listeners('error'))
    if (!before.err.includes(listener)) process.stderr.off('error', listener as () => void)
  expect([exit.mock.calls.length, report.mock.calls.length]).toEqual([exits, reports])
})

const { platform } = process
afterEach(() => {
  Object.defineProperty(process, 'platform', { value: platform })
  vi.restoreAllMocks()
})

const killsOn = (value: NodeJS.Platform) => {
  Object.defineProperty(process, 'platform', { value })
  return vi.spyOn(process, 'kill').mockReturnValue(true)
}

it.each<readonly [NodeJS.Platform, NodeJS.Signals]>([
  ['win32', 'SIGKILL'],
  ['darwin', 'SIGHUP'],
])('a closed terminal ends a process without a run on %s by %s, after it cleaned up', (system, expected) => {
  const kill = killsOn(system)
  const cleanUp = vi.fn()
  onInterrupt(cleanUp)
  process.emit('SIGHUP', 'SIGHUP')
  expect(cleanUp).toHaveBeenCalledOnce()
  expect(kill.mock.calls).toEqual([[process.pid, expected]])
})

it('a closed terminal stops a run, which then saves', () => {
  const kill = killsOn('win32')
  const interrupt = watchInterrupt(vi.fn(), vi.fn())
  process.emit('SIGHUP', 'SIGHUP')
  interrupt.release()
  expect([interrupt.signal.aborted, interrupt.exitCode(), kill.mock.calls]).toEqual([true, 129, []])
})

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

const facts: DataFacts = {
  source: 'a.csv, b.csv',
  rows: 40,
  files: [
    { source: 'a.csv', rows: 1_000, drawn: 1_000 },
    { source: 'b.csv', rows: 3, drawn: 6 },
  ],
  skipped: 2,
  classes: ['bad', 'good', 'fair'].map((label, i) => ({ label, rows: [8, 20, 12][i] ?? 0 })),
  hasLabelSets: false,
  entities: null,
  scores: null,
  duplicates: 1,
  contradictions: { texts: 2, first: [1, 2] },
  merged: [],
  lengths: { unit: 'tokens', p50: 5, p90: 6, p95: 7, p99: 8, longest: 9, truncated: { texts: 5, maxLength: 8, wholeExchanges: 2 } },
}

it('the facts of data are in full: rows of each file and of an epoch, shares of classes, and what truncated texts lose', () =>
  expect(inspectionText({ sets: [facts], findings: [], examples: [] }, { color: false }).split('\n')).toEqual([
    'a.csv, b.csv',
    'rows        40 (2 skipped)',
    '  a.csv  1,000',
    '  b.csv      3  6 in an epoch',
    'classes     3',
    '  "bad"    8  20.0 %',
    '  "good"  20  50.0 %',
    '  "fair"  12  30.0 %',
    'texts       1 duplicate, 2 with more than one label',
    'tokens      median 5, percentiles: 90th 6, 95th 7, 99th 8, max 9',
    'truncated   5 texts by --max-length 8; 2 lose whole exchanges, 3 lose tokens',
    '',
    'nothing suspicious found',
  ]))

it('of more than 30 classes the largest are shown', () => {
  const classes = Array.from({ length: 32 }, (_, i) => ({ label: `c${i}`, rows: i }))
  const lines = inspectionText({ sets: [{ ...facts, classes }], findings: [], examples: [] }, { color: false }).split('\n')
  const shown = lines.filter((line) => line.startsWith('  "c'))
  expect([shown.length, shown[0]?.trim().split(' ')[0], shown.at(-1)?.trim().split(' ')[0]]).toEqual([30, '"c31"', '"c2"'])
  expect(lines).toContain('  and 2 smaller ones (--json has all)')
})

it('the short form has the five largest classes, and both percentiles of the lengths', () => {
  const classes = [1, 6, 3, 5, 2, 4].map((rows) => ({ label: `${rows - 1}`, rows }))
  expect(reportLines({ training: { ...facts, classes }, findings: [] })).toEqual([
    'data: 6 classes ("5" 6, "4" 5, "3" 4, "2" 3, "1" 2, …); 1 duplicate; 2 texts with more than one label; ' +
      'tokens per text: median 5, 95th percentile 7, max 9',
  ])
})
