/** Multiple choice on a decoder: log-probabilities are those of transformers, and scores those of lm-evaluation-harness. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { cpu } from '../../accelerated/engines/devices/device.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import { choice, type ChoiceExample } from '../../finetuning/tasks/multipleChoice/objective.js'
import type { Objective } from '../../accelerated/objectives/objective.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { openAnswers } from '../../finetuning/use/modelSessions.js'
import { loadTrainedModel } from '../../finetuning/use/openModel.js'
import { readChoices } from '../../finetuning/tasks/multipleChoice/rows.js'
import { scoreChoices, openChoiceTokens } from '../../finetuning/tasks/multipleChoice/index.js'
import { compareNumbers, expectAgreement, fixtures } from './golden.js'
import { objectiveStep } from './objectiveStep.js'

const folder = join(fixtures, 'llama')
const golden = JSON.parse(readFileSync(join(folder, 'choice', 'golden.json'), 'utf8')) as {
  readonly acc: number
  readonly acc_norm: number
  readonly logLikelihoods: readonly (readonly number[])[]
}

it("the answers of ARC's layouts have the log-likelihoods, acc and acc_norm of transformers (float64)", async () => {
  const { examples } = await readChoices(join(folder, 'choice', 'questions.jsonl'))
  const tokens = (await openChoiceTokens(await openModelFolder(folder), 64)).evaluation(examples)
  const trained = await loadTrainedModel({ model: folder, adapter: null })
  const machine = { batchSize: 8, precision: findPrecision('float64').name, threads: 1 }
  const opened = await openAnswers(trained, choice(trained.base.model), machine, cpu)
  const answers = await opened.answers(tokens)
  await opened.release()
  expectAgreement('choices', [
    compareNumbers(
      'log-likelihoods',
      1e-9,
      golden.logLikelihoods.flat(),
      answers.flatMap(({ logProbabilities }) => logProbabilities),
    ),
  ])
  const { accuracy, accuracyNorm } = scoreChoices(answers)
  expect([accuracy, accuracyNorm]).toEqual([golden.acc, golden.acc_norm])
  expect(accuracy).not.toBe(accuracyNorm)
})

it('the loss of a step covers the right answers alone (float64)', async () => {
  const { examples } = await readChoices(join(folder, 'choice', 'questions.jsonl'))
  const base = await openModelFolder(folder)
  const { training, evaluation } = await openChoiceTokens(base, 64)
  const own = choice(base.model)
  const objective: Objective<ChoiceExample, readonly number[]> = {
    ...own,
    prepare: (...args) => {
      const prepared = own.prepare(...args)
      return {
        ...prepared,
        read: (...results) => prepared.read(...results).map(({ logProbabilities, right }) => [logProbabilities[right] ?? NaN]),
      }
    },
  }
  const batch = ({ at }: ReturnType<typeof training>) => [0, 1, 2, 3].flatMap((i) => at(i) ?? [])
  const adapter = await readAdapter(join(folder, 'preference'), base)
  const [alone, all] = [
    await objectiveStep(base, adapter, objective, batch(training(examples))),
    await objectiveStep(base, adapter, objective, batch(evaluation(examples))),
  ]
  const tokens = batch(training(examples)).reduce(
    (sum, { choices }) => sum + Array.from(choices[0]?.targets ?? []).filter((target) => target >= 0).length,
    0,
  )
  expectAgreement('the loss of choices', [
    compareNumbers('beside the others', 1e-9, [alone.loss].flat(), [all.loss].flat()),
    compareNumbers('of the answers', 1e-9, [-alone.answers.reduce((sum, log) => sum + log, 0) / tokens], [alone.loss].flat()),
  ])
})
