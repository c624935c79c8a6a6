/** Scores of a trained model on texts: how well it predicts each token that is to be learned. */
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import type { Dataset } from '../data/index.js'
import type { TaskOptions } from '../tasks/index.js'
import { scoreTexts } from '../metrics/index.js'
import { isAmong } from '../runs/runRows.js'
import type { AdapterScore, ScoringOptions } from './scoreAdapter.js'
import { textTokenOptions } from '../tasks/languageModelTask.js'
import { openTextTokens } from '../tokens/textTokens.js'
import { lengthFor, openAnswers, type TrainedAdapterOptions } from './trainedAdapter.js'
import { inputError } from '../../accelerated/errors/inputError.js'

type Machine = Pick<TrainedAdapterOptions, 'precision' | 'threads' | 'batchSize' | 'maxLength'>

/** Loss and perplexity. @throws InputError also if a loss is not finite */
export const scoreTextsOf = async (
  trained: TrainedModel,
  { examples, source }: Dataset,
  task: TaskOptions,
  { maxLength, ...machine }: Machine,
  device: Device,
  { rows = null, told }: ScoringOptions = {},
): Promise<AdapterScore> => {
  const { model, method } = trained.adapter
  const tokens = await openTextTokens(trained.base, textTokenOptions(task), lengthFor(trained, maxLength))
  const opened = await openAnswers(trained, causalLM(model, method), machine, device)
  try {
    const texts = tokens.evaluation(examples)
    const answers = await opened.answers(texts, told)
    const broken = answers.findIndex(({ loss }) => !Number.isFinite(loss))
    if (broken >= 0)
      throw inputError(`${source}, row ${texts.at(broken)?.row}`, 'a finite loss of model and adapter', String(answers[broken]?.loss))
    return {
      scores: scoreTexts(answers),
      examples: examples.length,
      tokens: answers.reduce((sum, answer) => sum + answer.tokens, 0),
      source,
      ...{ majority: null, constant: null, positive: null, byClass: null, confusion: null },
      trainedOn: rows === null ? null : examples.filter((example) => isAmong(rows.training, example)).length,
    }
  } finally {
    await opened.release()
  }
}
