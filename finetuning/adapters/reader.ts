/** How a trained model reads texts: their tokens, and a session that answers them, by its task type. */
import type { Device } from '../../accelerated/engines/devices/device.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import type { EncodedText, Reading } from '../tasks/taskType.js'
import { taskTypeOf } from '../tasks/table.js'
import { openAnswers, type MachineOptions, type OnProgress } from './openModel.js'

export type Reader = Pick<Reading, 'encode'> & {
  /** → [texts][labels], [texts][words · labels], or the embeddings of one text or two */
  readonly answer: (encodings: ReadonlyArray<EncodedText>, onProgress?: OnProgress) => Promise<ReadonlyArray<ReadonlyArray<number>>>
  readonly release: () => Promise<void>
}

type Machine = MachineOptions & { readonly batchSize: number }

/** @param maxLength tokens per text */
export const openReader = async (trained: TrainedModel, maxLength: number, machine: Machine, device: Device): Promise<Reader> => {
  const { encode, objective, toExample } = await openReading(trained, maxLength)
  const { answers, release } = await openAnswers(trained, objective, machine, device)
  return {
    ...{ encode, release },
    answer: (encodings, onProgress) => {
      const examples = encodings.map(toExample)
      return answers({ length: examples.length, at: (i) => examples[i] }, onProgress)
    },
  }
}

/** The tokens of texts, as the task type of a model that predicts reads them. */
export const openReading = async (trained: TrainedModel, maxLength: number): Promise<Reading> => {
  const { outputs } = trained.adapter
  const { name, openReading: open } = taskTypeOf(outputs, trained.base.folder)
  if (open === undefined) throw new Error(`openReading: expected a task type that predicts, got ${name}`)
  return open(trained, outputs, maxLength)
}
