/**
 * A model file that is written into while a run or a server has it memory-mapped: the numbers of every open session change with it. The run ends in
 * one line with its last good checkpoint, and whoever serves it refuses every later answer.
 */
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { cp, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openGenerator, openRun } from '../../index.js'
import { ChangedFileError } from '../../accelerated/errors/inputError.js'
import type { Engine, Session } from '../../accelerated/engines/engine.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { openMicroBatchWorker } from '../../accelerated/training/microBatchWorker.js'
import type { Runtime } from '../../accelerated/training/phaseSessions.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import { buildAssembly, buildInitialState, openRuntime } from '../../evaluation/agreement/acceleratedSide.js'
import { headOutputs, toExamples } from '../../evaluation/agreement/convert.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import { startRunServer } from '../../finetuning/use/serving/http/server.js'
import { someOptions } from '../agreement/modelOptions.js'
import { fixtures } from '../golden/golden.js'
import { trainToyRun } from '../serving/trainedToyRun.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { bytesIn } from './jobRun.js'

const { folder } = temporaryFolder('changed-weights')
const at = (...names: readonly string[]): string => join(folder, ...names)
const model = at('tiny')
const weights = at('tiny', 'model.safetensors')
let original: Buffer
beforeAll(async () => {
  await trainToyRun(folder)
  original = await readFile(weights)
})

/** Writes other numbers into the same file, as a program does that saves another model there. */
const overwrite = (): void => {
  const bytes = Buffer.from(readFileSync(weights))
  for (let i = bytes.length >> 1; i < bytes.length; i += 4) bytes[i] = (bytes[i] ?? 0) ^ 0x3f
  writeFileSync(weights, bytes, { flag: 'r+' })
}
/** The weights as they were, for what is opened afterwards. */
const restore = (): void => writeFileSync(weights, original)

const changed = `${weights}: expected the weights that were there at the start, got a file changed since`

type Given = {
  readonly output: string
  readonly method: 'lora' | 'full'
  readonly overwriteAfter: number | null
  readonly evalSteps?: number
  readonly resume?: boolean
}
const run = async ({ output, method, overwriteAfter, evalSteps = 1_000, resume = false }: Given): Promise<readonly number[]> => {
  const settings = { method, maxSteps: 6, saveSteps: 2, evalSteps, batchSize: 4, maxLength: 32, device: 'cpu', threads: 1 } as const
  const steps: number[] = []
  const options = { model, task: { task: at('toy.tsv') }, output: at(output), settings, resume }
  for await (const event of finetuneJob(options, new AbortController().signal)) {
    if (event.kind === 'step') steps.push(event.step)
    if (event.kind === 'step' && event.step === overwriteAfter) overwrite()
  }
  return steps
}
const failure = (given: Given): Promise<string> =>
  run(given).then(
    () => 'it went on',
    (thrown: unknown) => (thrown as Error).message,
  )

describe('a run whose weights are overwritten', () => {
  it('ends at the next checkpoint in one line, keeps the one before, and resumes with the same bits once the file is back', async () => {
    await run({ output: 'whole', method: 'lora', overwriteAfter: null })
    expect(await failure({ output: 'mixed', method: 'lora', overwriteAfter: 3 })).toBe(
      `${changed}: restore it, and resume: true continues after step 2`,
    )
    expect((await readdir(at('mixed', 'checkpoints'))).some((name) => name.includes('4'))).toBe(false)
    restore()
    expect(await run({ output: 'mixed', method: 'lora', overwriteAfter: null, resume: true })).toEqual([3, 4, 5, 6])
    expect(await bytesIn(at('mixed'), ['adapter'])).toEqual(await bytesIn(at('whole'), ['adapter']))
  })

  it('ends likewise at an evaluation, whose failure would save a checkpoint; without an earlier one, it says so', async () => {
    expect(await failure({ output: 'evaluated', method: 'lora', overwriteAfter: 1, evalSteps: 1 })).toBe(
      `${changed}: no checkpoint was saved before it`,
    )
    restore()
    expect(await readdir(at('evaluated', 'checkpoints'))).toEqual([])
  })

  it('goes on where the run trains every weight, and so reads the file no more', async () => {
    expect(await run({ output: 'full', method: 'full', overwriteAfter: 3 })).toEqual([1, 2, 3, 4, 5, 6])
    restore()
  })
})

describe('a batch during which the weights change', () => {
  const model = drawModel(someOptions({ dropout: 0, lengths: [2, 4, 1, 3], clip: null }))
  const { phase, parameters } = buildInitialState(model, 'open', 'float64')
  const plain = buildAssembly(model, 'float64')
  const objective = sequenceClassification(plain.model, headOutputs(model.config))
  const assembly = {
    ...plain,
    objective,
    settings: { ...plain.settings, gradientAccumulationSteps: 2, batchSize: 2, maxSteps: 20, maxLength: 4 },
  }
  const examples = toExamples(model.batch)
  const { engine: cpu } = openRuntime({ device: 'cpu', precision: 'float64' })
  /** Weights that change while a session runs for the first time. */
  const changing = (): Runtime => {
    let isChanged = false
    const weights = async (): Promise<string> => {
      if (isChanged) throw new ChangedFileError('model.safetensors', 'the weights', 'others')
      return '/'
    }
    const open: Engine['open'] = async (outputs, source, options) => {
      await source()
      const session = await cpu.open(outputs, source, options)
      const run: Session['run'] = async (...given) => {
        isChanged = true
        return session.run(...given)
      }
      return { ...session, run }
    }
    return { engine: { ...cpu, open }, weights }
  }
  const changes = 'model.safetensors: expected the weights, got others'

  it('is not answered by a predictor', async () => {
    const predictor = await openPredictor(assembly, objective, phase, changing())
    await expect(predictor.predict(parameters, examples, 4)).rejects.toThrow(changes)
    await predictor.release()
  })

  it('is not returned by a worker of several machines, whose leader then computes the gradient itself', async () => {
    const score = () => ({ scores: {}, selection: 0, constant: null })
    const worker = openMicroBatchWorker({ ...assembly, runtime: changing(), training: examples, evaluation: examples, score })
    await worker.gradients.open(phase)
    const source = { step: 0, phase, progress: { step: 0, steps: 2 }, parameters }
    await expect(worker.gradients.compute(source, 0)).rejects.toThrow(changes)
    await worker.release()
  })
})

describe('an open run whose weights are overwritten', () => {
  it.each([
    ['overwritten', overwrite],
    ['truncated', () => truncateSync(weights, 100)],
  ])('refuses to predict after they were %s, in one line', async (_, change) => {
    const opened = await openRun(at('run'))
    expect(await opened.predict('good film')).toHaveProperty('label')
    change()
    await expect(opened.predict('good film')).rejects.toThrow(changed)
    restore()
    await opened.release()
  })

  it('answers no request over HTTP, with status 500, and reports that it is over', async () => {
    const server = await startRunServer({ runs: [at('run')], machine: { threads: 1 } })
    const ask = () => fetch(`${server.url}/classify`, { method: 'POST', body: JSON.stringify({ text: 'good film' }) })
    expect((await ask()).status).toBe(200)
    overwrite()
    const refused = await ask()
    expect([refused.status, await refused.json()]).toEqual([500, { error: changed }])
    expect((await server.died).message).toBe(changed)
    restore()
    await server.close()
  })

  it('ends a text that is being written, before its end is reported', async () => {
    await cp(join(fixtures, 'llama'), at('llama'), { recursive: true })
    const file = at('llama', 'model.safetensors')
    const generator = await openGenerator({ model: at('llama'), device: 'cpu' })
    const ids = generator.encode({ text: 'w5 w8' })
    const kinds: string[] = []
    const generation = async (): Promise<void> => {
      for await (const { kind } of generator.answers([ids], { maxNewTokens: 8 })) {
        kinds.push(kind)
        if (kinds.length === 1) await writeFile(file, await readFile(file))
      }
    }
    await expect(generation()).rejects.toThrow(`${file}: expected the weights`)
    expect(kinds).not.toContain('answer')
    await expect(generation()).rejects.toThrow(`${file}: expected the weights`)
    await generator.release()
  })
})
