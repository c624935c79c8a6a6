/** The plan that a sweep writes for others to follow: its title, its baseline, and its cells. */
import { basename, isAbsolute } from 'node:path'
import type { Model } from '../../accelerated/models/architecture.js'
import type { Cell } from './sweep.js'
import type { GlueSweepOptions } from './plan.js'
import type { PaperSize } from './glueRecipes.js'
import { sizeOf, type Grid } from './plan.js'
import type { SweepPlan } from './storedPlan.js'

export const sweepPlan = (options: GlueSweepOptions, model: Model, stage: SweepPlan['stage'], cells: ReadonlyArray<Cell>): SweepPlan => ({
  sweep: options.sweep.name,
  title: titleOf(options),
  reported: options.reported,
  baseline: options.baseline ?? 'lora',
  paper: paperSizeOf(model),
  stage,
  cells: cells.map(({ id, row, task, seed }) => ({ id, row, task, seed })),
})

/** Everything a reader must know about the table: model, seeds, evaluation, changed settings and the grid. */
const titleOf = ({ sweep, model, seeds, reported, maxTrainSamples, overrides, grid }: GlueSweepOptions): string =>
  [
    sweep.summary,
    isAbsolute(model) ? basename(model) : model,
    seeds.length === 1 ? '1 seed' : `${seeds.length} seeds`,
    `${reported} evaluation on dev`,
    ...(maxTrainSamples === null ? [] : [`first ${maxTrainSamples} training examples of each task`]),
    ...Object.entries(overrides).map(([name, value]) => `${name} ${String(value)}`),
    ...(grid === null ? [] : [gridTitle(grid)]),
  ].join('; ')

const gridTitle = ({ rates, on }: Grid): string =>
  `learning rates chosen from ${rates.join(', ')} on ${on === 'train' ? 'a held-out tenth of train' : 'dev'}`

/** The paper's models: RoBERTa with 12 layers of 768 or 24 of 1024, and its 50,265 words; null for any other. */
const paperSizeOf = ({ type, vocabularySize, spec }: Model): PaperSize | null => {
  if (type !== 'roberta' || vocabularySize !== 50_265) return null
  const shape = `${spec.layers.length} x ${spec.hiddenSize}`
  return shape === '12 x 768' || shape === '24 x 1024' ? sizeOf(spec) : null
}
