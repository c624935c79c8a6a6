/** The negatives that a run finds itself: a pass of the model as it is before the first step, and negatives.json, from which a resumed run has the same. */
import { z } from 'zod'
import type { Examples } from '../../accelerated/models/packing.js'
import type { TrainingExample } from '../../accelerated/objectives/objective.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { fileInFolder, joinPath } from '../../accelerated/storage/paths.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import { readText } from '../../accelerated/storage/text.js'
import type { TrainingTask } from '../../accelerated/training/events.js'
import type { Answer, Mining } from '../tasks/taskType.js'
import { answerBefore } from './linearProbeStart.js'
import type { FinetuneEvent } from './run.js'
import type { RunAssembly } from './runResult.js'

export const negativesFile = 'negatives.json'

/** The maximum characters of negatives.json: ten million pairs. */
const negativesLimit = 100_000_000

type MinedRun = { readonly task: TrainingTask & RunAssembly; readonly mining: Mining<TrainingExample, Answer> }

/** The pair whose second text is the negative of each pair, −1 for none; null: the signal stopped it. */
export async function* mineNegatives(
  { task, mining }: MinedRun,
  start: RunState,
  signal: AbortSignal,
): AsyncGenerator<FinetuneEvent, readonly number[] | null> {
  const { training } = task
  const chosen: number[] = []
  for (const [from, to] of mining.blocks(training.length)) {
    yield { kind: 'preparing', what: `finding negatives among pairs ${from + 1} to ${to} of ${training.length.toLocaleString('en-US')}` }
    const pairs = Array.from({ length: to - from }, (_, i) => mining.asked(training.at(from + i) as TrainingExample))
    const answers = await answerBefore(task, task.objective, { length: pairs.length, at: (i) => pairs[i] }, start, signal)
    if (answers === null) return null
    for (const index of mining.find(pairs, answers)) chosen.push(index < 0 ? -1 : from + index)
  }
  return chosen
}

export const writeNegatives = (output: string, chosen: readonly number[], storage: Storage): Promise<void> =>
  storage.write(joinPath(output, negativesFile), `${JSON.stringify(chosen)}\n`)

/** The negatives that the run stored before it was stopped; null: the file is missing, damaged, or of another number of pairs. */
export const readNegatives = async (
  output: string,
  { length }: Pick<Examples<unknown>, 'length'>,
  storage: Storage,
): Promise<readonly number[] | null> => {
  if ((await fileInFolder(output, negativesFile, storage)) === undefined) return null
  const schema = z
    .array(
      z
        .int()
        .min(-1)
        .max(length - 1),
    )
    .length(length)
  try {
    return schema.parse(JSON.parse(await readText(joinPath(output, negativesFile), negativesLimit, storage)))
  } catch {
    return null
  }
}
