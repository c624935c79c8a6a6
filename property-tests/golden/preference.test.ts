/** Preference losses on a decoder with PEFT's LoRA: losses and gradients are TRL's. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import { kto, ratedExample, type KtoSettings, type RatedExample } from '../../finetuning/tasks/preferences/kto.js'
import { unlabeled, type LabeledText } from '../../accelerated/objectives/labeledTokens.js'
import type { Objective } from '../../accelerated/objectives/objective.js'
import {
  preference,
  preferenceExample,
  preferenceLosses,
  type PreferenceExample,
  type PreferenceLoss,
  type PreferenceSettings,
} from '../../finetuning/tasks/preferences/objective.js'
import { scorePreferences, scoreRatedAnswers } from '../../finetuning/tasks/preferences/metrics.js'
import { compareNumbers, expectAgreement, fixtures, tensorsIn } from './golden.js'
import { objectiveStep } from './objectiveStep.js'

type Side = 'chosen_ids' | 'rejected_ids'
type Golden = {
  readonly pairs: readonly Readonly<Record<'prompt_ids' | Side, readonly number[]>>[]
  readonly kto: KtoSettings & {
    readonly loss: number
    readonly kl: number
    readonly rows: readonly {
      readonly prompt_ids: readonly number[]
      readonly completion_ids: readonly number[]
      readonly label: boolean
    }[]
  }
  readonly losses: Readonly<Record<PreferenceLoss, Omit<PreferenceSettings, 'loss'> & { readonly loss: number }>>
}

const family = join(fixtures, 'llama')
const folder = join(family, 'preference')
const golden = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as Golden

const textOf = (prompt: readonly number[], answer: readonly number[], row: number): LabeledText => {
  const inputIds = [...prompt, ...answer]
  return { inputIds, targets: inputIds.map((_, i) => (i + 1 >= prompt.length ? (inputIds[i + 1] ?? unlabeled) : unlabeled)), row }
}

const examples = golden.pairs.map((pair, row): PreferenceExample => {
  const text = (side: Side): LabeledText => textOf(pair.prompt_ids, pair[side], row)
  return preferenceExample(row, text('chosen_ids'), text('rejected_ids'))
})

/** Each prompt's mismatched answer is that of the row before, as in TRL's batches. */
const rated = golden.kto.rows.map(({ prompt_ids: prompt, completion_ids: answer, label }, row, rows): RatedExample => {
  const other = rows.at(row - 1)?.completion_ids ?? []
  return ratedExample(row, { answer: textOf(prompt, answer, row), mismatched: textOf(prompt, other, row), isDesirable: label })
})

describe("TRL's preference losses under PEFT", () => {
  it.each(preferenceLosses)('%s has our loss and gradients (float64)', async (name) => {
    const { loss, ...settings } = golden.losses[name]
    const base = await openModelFolder(family)
    const own = preference(base.model, { ...settings, loss: name })
    const objective: Objective<PreferenceExample, readonly number[]> = {
      ...own,
      prepare: (...args) => {
        const prepared = own.prepare(...args)
        return { ...prepared, read: (...results) => prepared.read(...results).map((answer) => Object.values(answer)) }
      },
    }
    const step = await objectiveStep(base, await readAdapter(folder, base), objective, examples)
    const answers = examples.map((_, i) => {
      const [chosen = NaN, rejected = NaN, baseChosen = NaN, baseRejected = NaN] = step.answers.slice(4 * i, 4 * i + 4)
      return { chosen, rejected, baseChosen, baseRejected }
    })
    const gradients = [...tensorsIn(join(folder, 'gradients.safetensors'))].filter(([tensor]) => tensor.startsWith(`${name}/`))
    expectAgreement(`preference, ${name}`, [
      compareNumbers('loss', 1e-9, [loss], step.loss),
      compareNumbers('loss of the answers', 1e-9, [loss], [scorePreferences({ ...settings, loss: name }, answers).loss]),
      ...gradients.map(([tensor, { data }]) => compareNumbers(tensor, 1e-9, data, step.gradientOf(tensor.slice(name.length + 1)))),
    ])
  })

  it('kto has our loss, distance and gradients (float64)', async () => {
    const { loss, kl, rows: _, ...settings } = golden.kto
    const base = await openModelFolder(family)
    const own = kto(base.model, settings)
    const objective: Objective<RatedExample, readonly number[]> = {
      ...own,
      prepare: (...args) => {
        const prepared = own.prepare(...args)
        return {
          ...prepared,
          read: (...results) => prepared.read(...results).map(({ ratio, mismatchedRatio }) => [ratio, mismatchedRatio]),
        }
      },
    }
    const step = await objectiveStep(base, await readAdapter(folder, base), objective, rated)
    const answers = rated.map(({ isDesirable }, i) => ({
      direction: isDesirable ? 1 : -1,
      ratio: step.answers[2 * i] ?? NaN,
      mismatchedRatio: step.answers[2 * i + 1] ?? NaN,
    }))
    const distance = answers.reduce((sum, { mismatchedRatio }) => sum + mismatchedRatio, 0) / answers.length
    const gradients = [...tensorsIn(join(folder, 'gradients.safetensors'))].filter(([tensor]) => tensor.startsWith('kto/'))
    expect([gradients.length > 0, kl > 1]).toEqual([true, true])
    expectAgreement('kto', [
      compareNumbers('loss', 1e-9, [loss], step.loss),
      compareNumbers('loss of the answers', 1e-9, [loss], [scoreRatedAnswers(settings, answers).loss]),
      compareNumbers('distance', 1e-9, [kl], [distance]),
      ...gradients.map(([tensor, { data }]) => compareNumbers(tensor, 1e-9, data, step.gradientOf(tensor.slice('kto/'.length)))),
    ])
  })
})
