/** Texts that are predicted while a run trains, so that people see what the model learns. */
import { inputError } from '../accelerated/errors/inputError.js'
import { nameOutputs } from '../accelerated/formats/modelConfig.js'
import { openPredictor } from '../accelerated/training/prediction.js'
import type { SampledRun } from '../finetuning/recipe.js'
import type { Sampler } from '../finetuning/run/sampler.js'
import { findTaskType } from '../finetuning/tasks/findTaskType.js'
import type { Text } from '../finetuning/tasks/taskType.js'

export type Watch = {
  /** Asked anew at each evaluation, so that people may edit them. */
  readonly texts: () => readonly Text[]
  /** Takes what `salora predict` prints of each text, by the parameters of the evaluation. */
  readonly show: (predictions: readonly object[]) => void
}

/** Predicts by a session of its own after each evaluation. It draws no random number of the run. @throws InputError for a task that writes text */
export const watchTexts = async (
  { assembly, runtime, base, outputs, labelNames }: SampledRun,
  { texts, show }: Watch,
): Promise<Sampler> => {
  const { openReading, predictions, name } = findTaskType(outputs, base.folder)
  if (openReading === undefined || predictions === undefined) throw inputError('watch', 'none with a task that writes text', name)
  const { model, settings } = assembly
  const { encode, objective, toExample } = await openReading({ base, adapter: { model } }, outputs, settings.maxLength)
  const names = nameOutputs(outputs, labelNames ?? undefined)
  return {
    sample: async function* ({ phase, parameters }) {
      const asked = texts()
      if (asked.length === 0) return []
      const encodings = asked.map(encode)
      const examples = encodings.map(toExample)
      const predictor = await openPredictor({ ...assembly, objective }, objective, phase, runtime, { prepack: false })
      try {
        const all = { length: examples.length, at: (i: number) => examples[i] }
        const answers = await predictor.predict(parameters, all, settings.batchSize)
        show(answers.map((output, i) => predictions.predict(output, names, { text: asked[i]?.text ?? '', ...encodings[i] }).json))
      } finally {
        await predictor.release()
      }
      return []
    },
  }
}
