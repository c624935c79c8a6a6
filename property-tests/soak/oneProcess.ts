/** Thousands of predictions and hundreds of short runs in one process, which must not grow. */
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { embeddedModel, finetune, openRun } from '../../index.js'
import { toyFile } from '../cli/toyTask.js'
import { flat, resourcesNow, type Check } from './resources.js'

const settings = {
  method: 'salora',
  gateStart: 0.2,
  gateEnd: 0.5,
  rank: 4,
  maxSteps: 4,
  batchSize: 4,
  maxLength: 32,
  device: 'cpu',
  threads: 1,
} as const

const train = async (folder: string, name: string, signal: AbortSignal): Promise<string> => {
  const [data, output] = [join(folder, 'toy.tsv'), join(folder, name)]
  if (!existsSync(data)) await writeFile(data, toyFile(40))
  for await (const _ of finetune({ model: embeddedModel, task: { task: data }, output, settings }, { signal }));
  return output
}

/** Megabytes that predictions and runs may keep beyond those of the first tenth. */
const [ofPredictions, ofRuns] = [40, 80]

export const soakPredictions = async (folder: string, count: number): Promise<ReadonlyArray<Check>> => {
  const { signal } = new AbortController()
  const run = await openRun(await train(folder, 'predictor', signal))
  let [next, end] = [0, 0]
  const caller = async (): Promise<void> => {
    while (next < end) {
      const number = next++
      await run.predict(`The food was good, and it is sentence ${number}. `.repeat(1 + (number % 20)))
    }
  }
  const predict = async (until: number): Promise<void> => {
    end = until
    await Promise.all(Array.from({ length: 16 }, caller))
  }
  await predict(Math.ceil(count / 10))
  const before = await resourcesNow(signal)
  await predict(count)
  const after = await resourcesNow(signal)
  await run.release()
  return flat(`${count} predictions`, before, after, ofPredictions)
}

export const soakRuns = async (folder: string, count: number, onProgress: (line: string) => void): Promise<ReadonlyArray<Check>> => {
  const { signal } = new AbortController()
  const warm = Math.max(2, Math.ceil(count / 10))
  let before = await resourcesNow(signal)
  for (let i = 0; i < count; i++) {
    if (i === warm) before = await resourcesNow(signal)
    if (i % 20 === 0) onProgress(`${i} of ${count} runs`)
    await train(folder, `run-${i}`, signal)
  }
  return flat(`${count} runs`, before, await resourcesNow(signal), ofRuns)
}
