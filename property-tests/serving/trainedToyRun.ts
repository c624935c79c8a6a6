/** The folder `run` of a classifier that was trained for one step, beside its model and its data. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { finetuneJob } from '../../index.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { toyFile } from '../cli/toyTask.js'

export const trainToyRun = async (folder: string): Promise<void> => {
  await writeTinyModel(join(folder, 'tiny'))
  await writeFile(join(folder, 'toy.tsv'), toyFile(40))
  const options = { model: join(folder, 'tiny'), task: { task: join(folder, 'toy.tsv') }, output: join(folder, 'run') }
  const settings = { method: 'lora', maxSteps: 1, maxLength: 32, device: 'cpu', threads: 1 } as const
  for await (const _ of finetuneJob({ ...options, settings }, new AbortController().signal));
}
