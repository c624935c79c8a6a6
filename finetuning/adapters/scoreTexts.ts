/** Scores of a trained model on texts: how well it predicts each token that is to be learned. */
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import type { Device } from '../../accelerated/engines/devices/device.js'
import type { Dataset, TaskOptions } from '../data/index.js'
import { scoreTexts } from '../metrics/index.js'
import { isAmong } from '../runs/runRows.js'
import type { AdapterScore, ScoringOptions } from './scoreAdapter.js'
import { openTextTokens } from '../tokens/textTokens.js'
import { lengthFor, openAnswers, type TrainedAdapterOptions } from './trainedAdapter.js'
import { UserError } from '../userError.js'

type Machine = Pick<TrainedAdapterOptions, 'precision' | 'threads' | 'batchSize' | 'maxLength'>

/** Loss and perplexity. @throws Mistake, or UserError where an answer is no number */
export const scoreTextsOf = async (
  trained: TrainedModel,
  { examples, source }: Dataset,
  task: TaskOptions,
  { maxLength, ...machine }: Machine,
  device: Device,
  { rows = null, told }: ScoringOptions = {},
): Promise<AdapterScore> => {
  const { model, method } = trained.adapter
  const tokens = await openTextTokens(trained.base, task, lengthFor(trained, maxLength))
  const opened = await openAnswers(trained, causalLM(model, method), machine, device)
  try {
    const texts = tokens.evaluation(examples)
    const answers = await opened.answers(texts, told)
    const broken = answers.findIndex(({ loss }) => !Number.isFinite(loss))
    if (broken >= 0)
      throw new UserError(
        `${source}, row ${texts.at(broken)?.row}: expected a finite loss of model and adapter, got ${answers[broken]?.loss}`,
      )
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
