/** A trained classifier of two styles, whose predictions ACC of style transfer counts (scores.ts). */
import { join } from 'node:path'
import { type InputError, inputError } from '../../accelerated/errors/inputError.js'
import { styleCorpora, type Style, type StyleName } from '../../finetuning/data/styles.js'
import { findTaskType } from '../../finetuning/tasks/findTaskType.js'
import { readRunConfig } from '../../finetuning/run/runFiles.js'
import { openTrainedAdapter, type TrainedAdapter, type TrainedAdapterOptions } from '../../finetuning/use/openModel.js'

/** A line's predicted style: its index, its name, and its probability, from 0.5 to 1. */
export type StyleAnswer = { readonly style: Style; readonly label: string; readonly score: number }

export type StyleClassifier = {
  readonly styles: readonly [string, string]
  /** Logits of many lines at once: [lines][style]. */
  readonly logits: (lines: readonly string[]) => Promise<readonly (readonly [number, number])[]>
  readonly release: () => Promise<void>
}

/** `onProgress` receives the number of finished lines. `signal` stops before the next lines, with its own reason. */
export type Watch = { readonly onProgress?: (done: number) => void; readonly signal?: AbortSignal }

type Machine = Partial<Pick<TrainedAdapterOptions, 'device' | 'precision' | 'threads' | 'maxLength' | 'batchSize'>>

/**
 * The folder of a run, or a source of openTrainedAdapter, such as a Hugging Face folder with a head. Lines have up to 128 tokens by default, also for
 * a run. TSST's evaluator does not truncate transferred lines to the 18 or 32 tokens of the training.
 */
export type StyleClassifierSource =
  | ({ readonly run: string } & Machine)
  | (Pick<TrainedAdapterOptions, 'model'> & Partial<TrainedAdapterOptions>)

/**
 * Opens a classifier of the corpus' two styles. Call `release` after the last line.
 * @throws InputError or DeviceError; InputError also if its classes are not those two styles
 */
export const openStyleClassifier = async (corpus: StyleName, source: StyleClassifierSource): Promise<StyleClassifier> => {
  const adapter = await openTrainedAdapter({ adapter: null, ...('run' in source ? await ofRun(source) : source) })
  try {
    return styleClassifier(corpus, adapter, 'run' in source ? source.run : (source.adapter ?? source.model))
  } catch (thrown) {
    await adapter.release()
    throw thrown
  }
}

const ofRun = async ({ run, ...machine }: { readonly run: string } & Machine) => {
  const config = await readRunConfig(run)
  if (config === null) throw inputError(run, 'the folder of a run of salora train', 'no config.json there')
  const { model, revision, settings, inputs } = config
  const { device, precision, threads, batchSize } = settings
  return {
    ...{ model, device, precision, threads, batchSize },
    ...(typeof revision === 'string' ? { revision } : {}),
    ...(inputs === undefined ? {} : { trainedBy: { run, inputs } }),
    adapter: join(run, 'adapter'),
    ...machine,
  }
}

/** @param where what the message calls it. @throws InputError if its classes are not the corpus' two styles */
export const styleClassifier = (corpus: StyleName, adapter: TrainedAdapter, where: string): StyleClassifier => {
  const { styles, toText } = styleCorpora[corpus]
  const { outputs, labelNames, predict, release } = adapter
  const refusal = (got: string): InputError => inputError(where, `a classifier of two styles (${styles.join(', ')})`, got)
  const { noun } = findTaskType(outputs, where)
  if (outputs.head !== 'sequence' || outputs.problemType !== 'single_label_classification') throw refusal(noun)
  if (outputs.labels !== 2) throw refusal(`one of ${outputs.labels} ${outputs.labels === 1 ? 'class' : 'classes'}`)
  if (labelNames === undefined) throw refusal('classes without names')
  const [zero, one] = [labelNames.indexOf(styles[0]), labelNames.indexOf(styles[1])]
  if (zero < 0 || one < 0) throw refusal(labelNames.map((name) => name.slice(0, 80)).join(', '))
  return {
    styles,
    logits: async (lines) =>
      (await predict(lines.map((line) => ({ text: toText(line) })))).map((logits) => [logits[zero] ?? NaN, logits[one] ?? NaN] as const),
    release,
  }
}

/** Lines in one batch of predictions, which bounds the memory and the delay of a stop. */
const predictionBatchSize = 256

/**
 * The style of each line, in order; lines are read as the classifier's training lines were (styleCorpora).
 * @throws InputError if an output is not finite, and the signal's reason
 */
export const classifyStyles = async (
  { styles, logits }: StyleClassifier,
  lines: readonly string[],
  { onProgress, signal }: Watch = {},
): Promise<readonly StyleAnswer[]> => {
  const answers: StyleAnswer[] = []
  for (let at = 0; at < lines.length; at += predictionBatchSize) {
    signal?.throwIfAborted()
    for (const [zero, one] of await logits(lines.slice(at, at + predictionBatchSize))) {
      if (!(Number.isFinite(zero) && Number.isFinite(one)))
        throw inputError(`line ${answers.length + 1}`, 'finite outputs of the classifier of styles', `${zero}, ${one}`)
      const style = one > zero ? 1 : 0
      answers.push({ style, label: styles[style], score: 1 / (1 + Math.exp(-Math.abs(one - zero))) })
    }
    onProgress?.(answers.length)
  }
  return answers
}
