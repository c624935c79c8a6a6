/** Numbers on the terminal: the defaults in --help, both losses, the kept evaluation, and a progress bar that fits. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { counted, duration, megabytes, percent, plural, short } from '../../cli/format/numbers.js'
import { barLine, evaluationTable, formatStep, openProgress } from '../../cli/terminal/progress.js'
import { quickstartSettings } from '../../finetuning/embedded/quickstart.js'
import type { FinetuneEvent } from '../../finetuning/run/run.js'
import { SEED } from '../support/seed.js'
import { saloraHere } from './inProcess.js'

const help = async (command: string): Promise<string> => {
  const { code, stdout } = await saloraHere(command, '--help-all')
  expect(code).toBe(0)
  return stdout.replace(/\s+/g, ' ')
}

describe('numbers in text', () => {
  it('durations have one unit or two neighbors', () =>
    expect([0.04, 9.94, 9.96, 59.4, 59.6, 83.2, 3_599.6, 3_661, 90_000].map(duration)).toEqual([
      '0.0 s',
      '9.9 s',
      '10 s',
      '59 s',
      '1 min 0 s',
      '1 min 23 s',
      '1 h 0 min',
      '1 h 1 min',
      '25 h 0 min',
    ]))

  it('shares are in percent, and bytes in millions of bytes', () => {
    expect([0, 0.1234, 1].map(percent)).toEqual(['0.0 %', '12.3 %', '100.0 %'])
    expect([megabytes(1_234_567_890), counted(1_327_104.4)]).toEqual(['1,235 MB', '1,327,104'])
    expect([plural(1, 'row'), plural(1_000, 'row')]).toEqual(['1 row', '1,000 rows'])
  })

  it('losses have four digits, and an exponent where these would not show their size', () =>
    expect([0, 0.123456, 12.34567, 999.96, 1_234.5, 0.00123456, 0.00012345, -0.5].map(short)).toEqual(
      '0 0.1235 12.35 1000 1.23e+3 0.001235 1.23e-4 -0.5'.split(' '),
    ))
})

describe('the help', () => {
  it('the help of quickstart has its number of epochs and its run folder', async () => {
    const text = await help('quickstart')
    expect(text).toContain(`Training epochs (default: ${quickstartSettings.epochs})`)
    expect(text).toContain('Run folder (default: runs/sentiment-salora-<n>)')
  })

  it("the help of evaluate and predict has the run's length, batch size and device as defaults", async () => {
    for (const command of ['evaluate', 'predict']) {
      const text = await help(command)
      expect(text).toContain("longer examples are truncated (default: the run's; without a run 128)")
      expect(text).toContain("Examples per batch (default: the run's; without a run 32)")
      expect(text).toMatch(/auto, cpu, webgpu or cuda; .* \(default: the run's; without a run auto\)/)
    }
  })

  it('the help of bench says that its matrix product is the largest of a step', async () => {
    expect(await help('bench')).toContain('The product is the largest of a step, for four batches together')
  })
})

const step = {
  ...{ kind: 'step', step: 7, epoch: 1, loss: 0.75, taskLoss: 0.5 },
  columns: {},
  learningRate: 1e-3,
  gradientNorm: 1,
  tokens: 10,
  tokensPerSecond: 1234,
} as const satisfies FinetuneEvent

const shownLines = (...events: readonly FinetuneEvent[]): readonly string[] => {
  const lines: string[] = []
  const note = (line: string): void => void lines.push(line)
  const progress = openProgress({ json: false, quiet: true, color: false, note, warn: note, result: () => undefined })
  events.forEach(progress.show)
  return lines
}

describe('the progress of a run', () => {
  it("has the task's loss by its name in metrics.jsonl, without what the method adds to it", () => {
    expect(formatStep({ ...step, loss: 246.9 })[0]).toBe('taskLoss 0.5')
    expect(formatStep({ ...step, columns: {} })).toEqual(['taskLoss 0.5', '1,234 tokens/s'])
  })

  it('shows whether the adapter of an evaluation can be saved', () => {
    const evaluation = { kind: 'evaluation', epoch: 1, scores: { accuracy: 0.5 }, selection: 0.5, constant: null } as const
    expect(shownLines({ ...evaluation, step: 0, eligible: false, best: false })).toEqual(['before training: accuracy 0.5000'])
    expect(shownLines({ ...evaluation, step: 5, eligible: false, best: false })).toEqual(['step 5: accuracy 0.5000 (too early to save)'])
    expect(shownLines({ ...evaluation, step: 9, eligible: true, best: true })).toEqual(['step 9: accuracy 0.5000 (best so far)'])
    expect(shownLines({ ...evaluation, step: 9, eligible: true, best: false })).toEqual(['step 9: accuracy 0.5000'])
  })

  it('has evaluations as rows of one table, below their names', () => {
    const row = evaluationTable()
    const evaluation = { kind: 'evaluation', epoch: 1, selection: 0.5, constant: null, eligible: true } as const
    const scores = { accuracy: 0.5, loss: 12.25 }
    expect([
      ...row({ ...evaluation, step: 0, scores, best: true }),
      ...row({ ...evaluation, step: 120, scores: { accuracy: 0.25, loss: 0.5 }, best: false }),
      ...row({ ...evaluation, step: 130, scores: { f1: 1 }, best: false }),
    ]).toEqual([
      '  step  accuracy     loss',
      ' start    0.5000  12.2500 (best so far)',
      '   120    0.2500   0.5000',
      '  step       f1',
      '   130   1.0000',
    ])
  })

  it('shows that the graph is compiled before the first step, and no time left until it can be estimated', () => {
    const start = {
      kind: 'start',
      ...{ steps: 9, stepsPerEpoch: 3, resumedAt: 0, evalSteps: 3, chosenEpochs: null, stage: null, announcement: null },
    } as const
    const [steps = '', compiling, first = ''] = shownLines(start, { ...step, step: 1 })
    expect([steps, compiling]).toEqual(['9 steps, 3 per epoch', 'compiling the training graph …'])
    expect(first).toMatch(/^step 1\/9 {2}taskLoss .* tokens\/s$/)
  })

  it('has the estimated memory in the line of the first steps only', () => {
    const start = {
      kind: 'start',
      ...{ steps: 9, stepsPerEpoch: 3, resumedAt: 0, evalSteps: 3, chosenEpochs: null, stage: null, announcement: null },
    } as const
    const estimate = { kind: 'estimate', peak: 305e6, memory: 1e9, fitting: [] } as const
    expect(shownLines(estimate as never, start, start).filter((line) => !line.startsWith('compiling'))).toEqual([
      'estimated peak memory: 305 MB; 9 steps, 3 per epoch',
      '9 steps, 3 per epoch',
    ])
  })

  it('shows that the graph of a phase is compiled, unless no step comes after it', () => {
    const start = { kind: 'start', steps: 9, stepsPerEpoch: 3, resumedAt: 0, evalSteps: 3, chosenEpochs: null, stage: null } as const
    const phase = { kind: 'phase', name: 'gates', line: 'gates are sampled', facts: {} } as const
    const shown = (at: number) => shownLines({ ...start, announcement: null }, { ...phase, step: at }).slice(2)
    expect(shown(5)).toEqual(['step 5: gates are sampled', 'compiling the training graph …'])
    expect(shown(9)).toEqual(['step 9: gates are sampled'])
  })

  it('shrinks its bar from 20 to 6 blocks before it leaves out a number', () => {
    const lineAt = (width: number): string =>
      barLine({ phase: 'training', step: 5, steps: 10, numbers: ['taskLoss 0.5', '9 tokens/s'], left: null }, width)
    expect([60, 52, 46, 45, 34, 33, 20].map(lineAt)).toEqual([
      'training ██████████░░░░░░░░░░ 5/10  taskLoss 0.5  9 tokens/s',
      'training ██████░░░░░░ 5/10  taskLoss 0.5  9 tokens/s',
      'training ███░░░ 5/10  taskLoss 0.5  9 tokens/s',
      'training ███░░░ 5/10  taskLoss 0.5',
      'training ███░░░ 5/10  taskLoss 0.5',
      'training ███░░░ 5/10',
      'training ███░░░ 5/10',
    ])
    expect(barLine({ phase: 'p', step: 0, steps: 0, numbers: [], left: 61 }, 80)).toBe('p ░░░░░░░░░░░░░░░░░░░░ 0/0  1 min 1 s left')
  })

  it(`fits its bar into any terminal, and shows the remaining time in 60 columns (seed ${SEED})`, () => {
    const numbers = ['taskLoss 0.01213', 'density 0.910', 'triplets 1,024', '13,346 tokens/s']
    fc.assert(
      fc.property(fc.nat(200), fc.nat(1_000_000), fc.nat(1_000_000), fc.integer({ min: 0, max: 5 }), (width, a, b, shown) => {
        const [at, steps] = [Math.min(a, b), Math.max(a, b)]
        const line = barLine({ phase: 'training', step: at, steps, numbers: numbers.slice(0, shown), left: 3599 }, width)
        expect(line.length).toBeLessThanOrEqual(width)
        if (width >= 60) expect(line).toContain(`${at}/${steps}  59 min 59 s left`)
        if (width >= 150) for (const number of numbers.slice(0, shown)) expect(line).toContain(number)
      }),
      { seed: SEED },
    )
  })
})
