/**
 * A run on two machines against PyTorch: 50 steps have the losses of PEFT in two processes of DistributedDataParallel. Batches and start are the
 * same. PEFT_PYTHON names a Python with torch, transformers and peft; skipped, by name, without one or without Redis.
 */
import { spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import * as bullmq from 'bullmq'
import type { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import type { Examples } from '../../accelerated/models/packing.js'
import type { LabeledExample } from '../../accelerated/objectives/sequenceClassification.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { stepBatches } from '../../accelerated/training/batchOrder.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { openRedis } from '../../finetuning/machines/redis.js'
import { liveRuns } from '../../finetuning/machines/runKeys.js'
import { finetuneJob, nodeMachine } from '../../finetuning/nodeMachine.js'
import { joinRun } from '../../finetuning/joinRun.js'
import { prepareRun } from '../../finetuning/recipe.js'
import type { RunOptions } from '../../finetuning/run/run.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { toyFile } from '../cli/toyTask.js'
import { hasRedis, startRedis } from '../support/redisServer.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const python = process.env['PEFT_PYTHON'] ?? 'python3'
const found = 'import importlib.util, sys; sys.exit(importlib.util.find_spec("peft") is None)'
const hasPeft = hasRedis && spawnSync(python, ['-c', found]).status === 0

const { folder } = temporaryFolder('distributed-data')
const at = (...path: readonly string[]): string => join(folder, ...path)
const [steps, parts] = [50, 2]
const { signal } = new AbortController()

const settings: SettingsInput = {
  method: 'lora',
  rank: 4,
  maxSteps: steps,
  maxLength: 32,
  batchSize: 4,
  gradientAccumulationSteps: parts,
  dropout: 0,
  loraDropout: 0,
  learningRate: 5e-3,
  lrSchedulerType: 'constant',
  warmupRatio: 0,
  weightDecay: 0.01,
  maxGradNorm: 1,
  threads: 1,
  device: 'cpu',
  seed: 3,
}
const optionsOf = (output: string, more: SettingsInput = {}): RunOptions => ({
  ...{ model: at('tiny'), task: { task: at('train.tsv'), evalData: at('eval.tsv') }, output: at(output), resume: false },
  settings: resolveSettings({ ...settings, ...more }),
})

/** Both processes' data: what the run reads in each part of each step. */
const batchesOf = async (options: RunOptions) => {
  const preparing = prepareRun({ options, metric: null }, nodeMachine, signal)
  let next = await preparing.next()
  while (next.done !== true) next = await preparing.next()
  const { task, plan } = next.value
  const training = task.training as unknown as Examples<LabeledExample>
  const batches = stepBatches(training, options.settings, plan.stepsPerEpoch)
  return Array.from({ length: steps }, (_, step) =>
    batches(step).map((part) => ({
      ids: part.map(({ inputIds }) => Array.from(inputIds)),
      labels: part.map(({ label }) => label),
    })),
  )
}

/** Computes parts of the first run that appears. @returns how many were in time */
const workerAt = async (redis: string, client: Redis): Promise<number> => {
  let kept = 0
  for (;;) {
    const [run] = await liveRuns(bullmq, client)
    if (run === undefined) {
      await pause(20)
      continue
    }
    const onEvent: Parameters<typeof joinRun>[1]['onEvent'] = (event) => {
      if (event.kind === 'part' && event.kept) kept++
    }
    await joinRun({ ...run, redis, worker: 'the other', root: null }, { signal, onEvent })
    return kept
  }
}

it.skipIf(!hasPeft)(
  'has the losses of PEFT under DistributedDataParallel within 1e-5 (skipped without a Python that has PEFT)',
  async () => {
    await writeTinyModel(at('tiny'))
    await writeFile(at('train.tsv'), toyFile(64))
    await writeFile(at('eval.tsv'), toyFile(8))
    for await (const _ of finetuneJob(optionsOf('start', { maxSteps: 1, gradientAccumulationSteps: 1 }), signal));
    await mkdir(at('redis'))
    const redis = await startRedis(at('redis'))
    const client = await openRedis(redis.url, { signal, onEvent: () => undefined })
    const options: RunOptions = { ...optionsOf('run'), adapter: at('start/adapter') }
    const ours: number[] = []
    try {
      const worker = workerAt(redis.url, client)
      for await (const event of finetuneJob({ ...options, redis: redis.url }, signal)) if (event.kind === 'step') ours.push(event.taskLoss)
      expect(await worker).toBeGreaterThan(steps / 5)
    } finally {
      client.disconnect()
      await redis.stop()
    }
    const { learningRate: lr, weightDecay, maxGradNorm } = settings
    await writeFile(at('batches.json'), JSON.stringify({ lr, weightDecay, maxGradNorm, steps: await batchesOf(options) }))
    const program = fileURLToPath(new URL('./ddp_in_peft.py', import.meta.url))
    const { stdout, stderr } = spawnSync(python, [program, at('tiny'), at('start/adapter'), at('batches.json')], { encoding: 'utf8' })
    expect(stdout, stderr).toMatch(/^\[/)
    const theirs = JSON.parse(stdout) as readonly number[]
    expect([ours.length, theirs.length]).toEqual([steps, steps])
    const difference = Math.max(...ours.map((loss, i) => Math.abs(loss - (theirs[i] ?? NaN))))
    console.log(`greatest difference of a loss to DistributedDataParallel: ${difference.toExponential(1)}`)
    expect(difference).toBeLessThan(1e-5)
    expect(Math.abs((ours[0] ?? 0) - (ours.at(-1) ?? 0))).toBeGreaterThan(0.05) // it learns
  },
)
