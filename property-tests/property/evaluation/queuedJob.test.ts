/** A queued job of a sweep: what a worker accepts, what comes back from it, and what is read while it ends. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { checkWithin, jobIdOf, parseCellJob } from '../../../evaluation/glue/cellJob.js'
import { keepFinishedRun } from '../../../evaluation/glue/finishedRun.js'
import { cellsOf } from '../../../evaluation/glue/plan.js'
import { jobPoll, type JobSource } from '../../../evaluation/glue/queueExecutor.js'
import { sweeps } from '../../../evaluation/glue/sweeps/index.js'
import { writeTinyModel } from '../../cli/tinyModel.js'

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-job-'))
  await writeTinyModel(join(root, 'tiny'))
})
afterAll(() => rm(root, { recursive: true }))

describe('a queued job', () => {
  const finished = {
    ...{ device: 'cpu', revision: null, examples: { training: 1, evaluation: 1 }, trainableParameters: { adapter: 1 }, majority: null },
    ...{
      best: null,
      last: { step: 1, scores: { matthews: 0.5 } },
      interrupted: false,
      stepsDone: 1,
      steps: 1,
      seconds: 1,
      peakMemoryBytes: 1,
      seed: 0,
    },
  }
  const cell = {
    ...{ id: 'cola.lora.seed-0', row: 'lora', task: 'cola', seed: 0 },
    options: { model: 'm', task: { task: 'cola', data: 'd' }, settings: { method: 'lora', rank: 4 } },
  }
  it('is parsed with its settings resolved, and invalid jobs are refused', () => {
    const { cell: read } = parseCellJob({ cell, output: '/runs' })
    expect(read.options.settings).toMatchObject({ method: 'lora', rank: 4, loraAlpha: 16 })
    for (const wrong of [
      null,
      'text',
      { cell },
      { cell: { ...cell, id: '../up' }, output: '/runs' },
      { cell: { ...cell, id: 'a/b' }, output: '/runs' },
      { cell: { ...cell, task: 'imdb' }, output: '/runs' },
      { cell: { ...cell, options: { ...cell.options, output: '/etc' } }, output: '/runs' },
    ])
      expect(() => parseCellJob(wrong), JSON.stringify(wrong)).toThrow(/^a job of the queue: expected/)
    expect(() => parseCellJob({ cell: { ...cell, options: { ...cell.options, settings: { rank: -1 } } }, output: '/r' })).toThrow(/rank/)
  })

  it('can hold every cell of every sweep', async () => {
    const { spec } = (await openModelFolder(join(root, 'tiny'))).model
    const none = { model: 'm', data: 'd', tasks: [], rows: null, seeds: [0], overrides: {}, maxTrainSamples: null }
    for (const one of sweeps) {
      const cells = cellsOf({ ...none, sweep: one }, spec)
      expect(cells.map((own) => parseCellJob(JSON.parse(JSON.stringify({ cell: own, output: '/runs' }))).cell)).toEqual(cells)
    }
  })

  it('accepts only a finished run of its own cell as its result', async () => {
    const output = join(root, 'came-back')
    const { cell: parsed } = parseCellJob({ cell, output })
    const { model, task, settings } = parsed.options
    const config = { formatVersion: 2, model, task, settings, device: 'cpu', versions: {} }
    const result = { ...finished, output: '/elsewhere' }
    const keep = (run: unknown) => keepFinishedRun(typeof run === 'string' ? run : JSON.stringify(run), output, parsed)
    for (const [wrong, message] of [
      ['no JSON', /^the result of cola\.lora\.seed-0 in the queue: expected/],
      [{ result }, /a finished run whose config is/],
      [{ config, result: { ...result, interrupted: true } }, /expected a finished run, got an interrupted run/],
      [{ config: { ...config, model: 'other' }, result }, /expected a run of this sweep .*, got a run of another sweep: model/],
      [{ config: { ...config, settings: { ...settings, rank: 2 } }, result }, /got a run of another sweep: rank/],
      [{ config, result: { ...result, steps: 'many' } }, /steps/],
    ] as const)
      await expect(keep(wrong), JSON.stringify(wrong).slice(0, 80)).rejects.toThrow(message)
    expect(existsSync(output)).toBe(false)
    const kept = await keep({ config, result })
    expect(kept).toEqual({ ...result, output: join(output, 'cells', parsed.id) })
    expect(await keep({ config, result: { ...result, seconds: 1e9 } })).toEqual(kept) // what is there already stays
  })

  it('is done, and not failed, when it completes between two reads of the queue', async () => {
    const output = join(root, 'completes')
    const { cell: parsed } = parseCellJob({ cell, output })
    const { model, task, settings } = parsed.options
    const returned = JSON.stringify({
      config: { formatVersion: 2, model, task, settings, device: 'cpu', versions: {} },
      result: { ...finished, output },
    })
    for (const readsBefore of [0, 1, 2, 3]) {
      let reads = 0
      const stateNow = () => Promise.resolve(reads++ < readsBefore ? ('active' as const) : ('completed' as const))
      const getJob = async () => ({
        progress: 0,
        returnvalue: (await stateNow()) === 'completed' ? returned : null,
        getState: stateNow,
      })
      const poll = jobPoll({ getJobState: stateNow, getJob, add: vi.fn() } as unknown as JobSource, {
        output,
        onEvent: () => undefined,
      })
      const outcomes = [await poll(parsed), await poll(parsed), await poll(parsed)]
      expect(
        outcomes.find((outcome) => outcome !== null),
        `${readsBefore} reads before`,
      ).toMatchObject({ kind: 'done' })
      await rm(output, { recursive: true })
    }
  })

  it('is unique for a cell and a folder', () => {
    const job = parseCellJob({ cell, output: '/runs' })
    expect(jobIdOf(job)).toBe(jobIdOf(parseCellJob({ cell, output: '/runs' })))
    expect(jobIdOf(job)).not.toBe(jobIdOf({ ...job, output: '/others' }))
  })

  it('is refused outside the root of the worker', () => {
    for (const inside of ['/runs', '/runs/a', '/runs/a/../b', '/runs/..a']) expect(() => checkWithin('/runs', inside), inside).not.toThrow()
    for (const outside of ['/', '/run', '/runs/../etc', '/runs2'])
      expect(() => checkWithin('/runs', outside), outside).toThrow(/--root \/runs/)
  })
})
