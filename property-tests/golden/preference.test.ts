/** Preference losses on a decoder with PEFT's LoRA: losses and gradients are TRL's. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import { unlabeled, type LabeledText } from '../../accelerated/objectives/labeledTokens.js'
import type { Objective } from '../../accelerated/objectives/objective.js'
import {
  preference,
  preferenceExample,
  preferenceLosses,
  type PreferenceExample,
  type PreferenceLoss,
  type PreferenceSettings,
} from '../../accelerated/objectives/preference.js'
import { scorePreferences } from '../../finetuning/metrics/index.js'
import { compareNumbers, expectAgreement, fixtures, tensorsIn } from './golden.js'
import { objectiveStep } from './objectiveStep.js'

type Side = 'chosen_ids' | 'rejected_ids'
type Golden = {
  readonly pairs: ReadonlyArray<Readonly<Record<'prompt_ids' | Side, ReadonlyArray<number>>>>
  readonly losses: Readonly<Record<PreferenceLoss, Omit<PreferenceSettings, 'loss'> & { readonly loss: number }>>
}

const family = join(fixtures, 'llama')
const folder = join(family, 'preference')
const golden = JSON.parse(readFileSync(join(folder, 'golden.json'), 'utf8')) as Golden

const examples = golden.pairs.map((pair, row): PreferenceExample => {
  const text = (side: Side): LabeledText => {
    const inputIds = [...pair.prompt_ids, ...pair[side]]
    const targets = inputIds.map((_, i) => (i + 1 >= pair.prompt_ids.length ? (inputIds[i + 1] ?? unlabeled) : unlabeled))
    return { inputIds, targets, row }
  }
  return preferenceExample(row, text('chosen_ids'), text('rejected_ids'))
})

describe("TRL's preference losses under PEFT", () => {
  it.each(preferenceLosses)('%s has our loss and gradients (float64)', async (name) => {
    const { loss, ...settings } = golden.losses[name]
    const base = await openModelFolder(family)
    const own = preference(base.model, { ...settings, loss: name })
    const objective: Objective<PreferenceExample, ReadonlyArray<number>> = {
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
})
