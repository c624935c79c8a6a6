/** A queued job of a sweep: what a worker accepts, what comes back from it, and what is read while it ends. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { checkWithin } from '../../../finetuning/run/remoteRun.js'
import { toJobData, hashJobId, parseCellJob } from '../../../evaluation/jobs/queuedJob.js'
import { keepFinishedRun } from '../../../evaluation/jobs/jobFolder.js'
import { planCells } from '../../../evaluation/glue/plan.js'
import { jobPoll, type JobSource } from '../../../evaluation/jobs/queueExecutor.js'
import { sweeps } from '../../../evaluation/glue/sweep.js'
import { versions } from '../../../finetuning/run/versions.js'
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
    id: 'cola.lora.seed-0',
    options: { model: 'm', task: { task: 'cola', data: 'd' }, settings: { method: 'lora', rank: 4 } },
  }
  const version = versions['salora']
  const parsedJob = (output: string) => parseCellJob({ cell, output, version })
  it('is parsed with its settings resolved, and invalid jobs are refused', () => {
    const { cell: read } = parsedJob('/runs')
    expect(read.options.settings).toMatchObject({ method: 'lora', rank: 4, loraAlpha: 16 })
    for (const wrong of [
      null,
      'text',
      { cell },
      { cell, output: '/runs' },
      ...[
        { ...cell, id: '../up' },
        { ...cell, id: 'a/b' },
        { ...cell, more: 1 },
        { ...cell, inputs: { rows: 1 } },
        { ...cell, options: { ...cell.options, output: '/etc' } },
        { ...cell, options: { ...cell.options, task: { data: 'd' } } },
        { ...cell, options: { ...cell.options, task: { task: 't', fold: { index: 2, of: 2 } } } },
      ].map((wrong) => ({ cell: wrong, output: '/runs', version })),
    ])
      expect(() => parseCellJob(wrong), JSON.stringify(wrong)).toThrow(/^a job of the queue: expected/)
    expect(() => parseCellJob({ cell: { ...cell, options: { ...cell.options, settings: { rank: -1 } } }, output: '/r', version })).toThrow(
      /rank/,
    )
  })

  it('is refused if its sweep has another version of salora', () =>
    expect(() => parseCellJob({ cell, output: '/runs', version: '0.1.0' })).toThrow(
      `a job of the queue: expected one of salora ${version}, which this worker has, got one of salora 0.1.0 (start both with the same version)`,
    ))

  it('can hold every cell of every sweep, without its row, task and seed', async () => {
    const { spec } = (await openModelFolder(join(root, 'tiny'))).model
    const none = { model: 'm', data: 'd', tasks: [], rows: null, seeds: [0], overrides: {}, maxTrainSamples: null }
    for (const one of sweeps) {
      const cells = planCells({ ...none, sweep: one }, spec)
      expect(cells.map((own) => parseCellJob(JSON.parse(JSON.stringify(toJobData({ cell: own, output: '/runs' })))).cell)).toEqual(
        cells.map(({ id, options }) => ({ id, options })),
      )
    }
  })

  it('can hold a fold, class names and digests, as a search has them', () => {
    const task = { task: '/toy.tsv', text: 'review', labelNames: ['a', 'b'], fold: { index: 1, of: 5 } }
    const { settings } = parsedJob('/runs').cell.options
    const own = {
      id: 'lora.rank-8.4e-4.100-steps.fold-2',
      options: { model: 'm', task, settings },
      inputs: { 'training rows': '4 of sha256 ab' },
    }
    expect(parseCellJob(JSON.parse(JSON.stringify(toJobData({ cell: own, output: '/runs' }))))).toEqual({ cell: own, output: '/runs' })
  })

  it('takes no result of a run on other rows', async () => {
    const output = join(root, 'other-rows')
    const { cell: parsed } = parsedJob(output)
    const config = { formatVersion: 2, ...parsed.options, device: 'cpu', versions: {}, inputs: { 'training rows': '4 of sha256 ab' } }
    const returned = JSON.stringify({ config, result: { ...finished, output } })
    const wanted = { ...parsed, inputs: { 'training rows': '5 of sha256 cd' } }
    await expect(keepFinishedRun(returned, output, wanted)).rejects.toThrow(
      'the result of cola.lora.seed-0 in the queue: expected a run on the same rows and the same model (or another --output), ' +
        'got a run on others: training rows was "4 of sha256 ab" and is "5 of sha256 cd"',
    )
    expect(existsSync(output)).toBe(false)
    expect(await keepFinishedRun(returned, output, { ...parsed, inputs: config.inputs })).toMatchObject({ steps: 1 })
  })

  it('accepts only a finished run of its own cell as its result', async () => {
    const output = join(root, 'came-back')
    const { cell: parsed } = parsedJob(output)
    const { model, task, settings } = parsed.options
    const config = { formatVersion: 2, model, task, settings, device: 'cpu', versions: {} }
    const result = { ...finished, output: '/elsewhere' }
    const keep = (run: unknown) => keepFinishedRun(typeof run === 'string' ? run : JSON.stringify(run), output, parsed)
    for (const [wrong, message] of [
      ['x'.repeat(32_000_101), /^the result of cola\.lora\.seed-0 in the queue: expected at most 32000100 characters, got 32000101$/],
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
    const { cell: parsed } = parsedJob(output)
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
    const job = parsedJob('/runs')
    expect(hashJobId(job)).toBe(hashJobId(parsedJob('/runs')))
    expect(hashJobId(job)).not.toBe(hashJobId({ ...job, output: '/others' }))
  })

  it('is refused outside the root of the worker', async () => {
    for (const inside of ['/runs', '/runs/a', '/runs/a/../b', '/runs/..a'])
      await expect(checkWithin('/runs', inside), inside).resolves.toBeUndefined()
    for (const outside of ['/', '/run', '/runs/../etc', '/runs2'])
      await expect(checkWithin('/runs', outside), outside).rejects.toThrow(/root \/runs/)
  })

  it('is refused if a link leads out of the root of the worker, and accepted if one leads to it', async () => {
    const [within, outside] = [join(root, 'linked/runs'), join(root, 'linked/secret')]
    await mkdir(within, { recursive: true })
    await mkdir(outside)
    await symlink(outside, join(within, 'out'))
    await symlink(within, join(root, 'linked/alias'))
    await symlink(join(outside, 'nothing'), join(within, 'nowhere'))
    for (const path of ['out', 'out/new/folder', 'nowhere', 'nowhere/new'])
      await expect(checkWithin(within, join(within, path)), path).rejects.toThrow()
    await expect(checkWithin(join(root, 'linked/alias'), join(within, 'new/folder'))).resolves.toBeUndefined()
    await expect(checkWithin(within, join(root, 'linked/alias/new'))).resolves.toBeUndefined()
  })
})
