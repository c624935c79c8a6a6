/** Signals within an evaluation, before the first step and while texts are read; and the remaining time, which includes evaluations. */
import { existsSync } from 'node:fs'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { etaEstimator } from '../../cli/terminal/eta.js'
import { typedRequest } from './typedFlags.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { FinetuneEvent, RunResult } from '../../finetuning/run/run.js'
import { SEED } from '../support/seed.js'
import { bytesIn } from './jobRun.js'
import { salora } from './spawnSalora.js'
import { toyFile } from './toyTask.js'
import { toyFolder } from './toyFolder.js'

const steps = 6
const cwd = toyFolder('stop', { 'toy.tsv': 40, 'dev.tsv': 20 })
/** A run that a signal stops at the first event for which `isMoment` is true. */
const run = async (
  name: string,
  isMoment: (event: FinetuneEvent) => boolean,
  more: { readonly resume?: true; readonly evalOnStart?: true } = {},
) => {
  const request = await typedRequest({
    ...{ model: join(cwd, 'tiny'), task: join(cwd, 'toy.tsv'), evalData: join(cwd, 'dev.tsv'), output: join(cwd, name) },
    ...{ method: 'lora', maxLength: '16', batchSize: '4', maxSteps: String(steps), evalSteps: '2', device: 'cpu', threads: '1' },
    ...('resume' in more ? { resume: true } : {}),
  })
  const stop = new AbortController()
  const events: FinetuneEvent[] = []
  const job = finetuneJob({ ...request, output: join(cwd, name), evalOnStart: more.evalOnStart ?? false }, stop.signal)
  for (;;) {
    const next = await job.next()
    if (next.done === true) return { events, result: next.value satisfies RunResult }
    events.push(next.value)
    if (isMoment(next.value)) stop.abort()
  }
}

const files = (name: string) => bytesIn(join(cwd, name), ['adapter', 'checkpoints'])

describe('a signal', () => {
  it.each([4, steps])(
    'within the evaluation after step %i ends it at its next batch, and the resumed run ends in the same bits',
    async (step) => {
      const [uninterrupted, cut] = [`whole-${step}`, `cut-${step}`]
      await run(uninterrupted, () => false)
      const { events, result } = await run(cut, (event) => event.kind === 'evaluating' && event.step === step)
      expect(events.flatMap((event) => (event.kind === 'evaluating' && event.step === step ? [event.done] : []))).toEqual([4])
      expect(events.some((event) => event.kind === 'evaluation' && event.step === step)).toBe(false)
      expect(result).toMatchObject({ interrupted: true, stepsDone: step, last: { step: step - 2 } })
      await run(cut, () => false, { resume: true })
      expect(await files(cut)).toEqual(await files(uninterrupted))
    },
  )

  it('a signal before the first step leaves no adapter, and the run can start again', async () => {
    const { result } = await run('early', (event) => event.kind === 'evaluating', { evalOnStart: true })
    expect(result).toMatchObject({ interrupted: true, stepsDone: 0, best: null })
    expect(await readdir(join(cwd, 'early', 'adapter'))).toEqual([])
    expect((await run('early', () => false, { resume: true })).result).toMatchObject({ interrupted: false, stepsDone: steps })
  })

  it('a signal while many texts are read and tokenized ends the program at once, and leaves no files', async () => {
    await writeFile(join(cwd, 'many.tsv'), toyFile(300_000))
    let [sent, ended] = [0, 0]
    const stopped = await salora(
      ['train', '--model', 'tiny', '--task', 'many.tsv', '--max-length', '16', '--device', 'cpu', '--output', 'many'],
      {
        cwd,
        onError: (text, child) => {
          if (sent > 0 || !text.includes('reading')) return
          sent = performance.now()
          child.once('exit', () => {
            ended = performance.now()
          })
          child.kill('SIGINT')
        },
      },
    )
    expect(stopped.code).toBe(130)
    expect(stopped.stderr).toContain('stopping before the first step\nstopped by a signal before the first step; nothing was trained\n')
    expect(ended - sent).toBeLessThan(3_000) // half a second where nothing else runs; the whole takes half a minute
    expect(existsSync(join(cwd, 'many'))).toBe(false)
  })
})

describe(`the remaining time (seed ${SEED})`, () => {
  const positive = (max: number) => fc.integer({ min: 1, max })
  it('is exact if steps and evaluations take as long as those before them, also of long texts that are scored in parts', () =>
    fc.assert(
      fc.property(
        positive(60),
        positive(20),
        positive(40),
        positive(2000),
        positive(500),
        fc.nat(3),
        (total, every, examples, step, example, cut) => {
          let clock = 0
          const { observe, left } = etaEstimator(() => clock)
          const moments: { readonly at: number; readonly left: number | null; readonly exact: boolean }[] = []
          const pass = (milliseconds: number, event: object, exact: boolean): void => {
            clock += milliseconds
            observe(event as FinetuneEvent)
            moments.push({ at: clock, left: left(), exact })
          }
          pass(500, { kind: 'ready', examples: { training: 100, evaluation: Math.max(1, examples - cut) } }, false)
          pass(100, { kind: 'start', steps: total, stepsPerEpoch: 10, resumedAt: 0, evalSteps: every }, false)
          let known = false // an evaluation has shown what an example costs
          for (let n = 1; n <= total; n++) {
            pass(n === 1 ? 5 * step : step, { kind: 'step', step: n }, known && n > 1)
            if (n % every !== 0 && n !== total) continue
            for (let done = 1; done <= examples; done++) {
              known = true
              pass(example, { kind: 'evaluating', step: n, done, examples }, n > 1)
            }
            pass(0, { kind: 'evaluation', step: n }, n > 1)
          }
          for (const { at, left: seconds, exact } of moments) if (exact) expect(seconds).toBeCloseTo((clock - at) / 1000, 6)
        },
      ),
      { seed: SEED },
    ))
})
