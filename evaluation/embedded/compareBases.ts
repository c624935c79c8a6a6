/**
 * Is the embedded model worth fine-tuning? The quickstart's run on it, and the same run on a base of the same shape with random weights.
 *
 *   node dist/evaluation/embedded/compareBases.js [--seeds 5] [--output runs/bases] [--results FILE] [--jobs 2]
 */
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { resolveSettings } from '../../accelerated/settings.js'
import { startOfRun } from '../../accelerated/training/state.js'
import { compare, comparisonTable } from '../studies/comparison.js'
import { embeddedModel, quickstartSettings } from '../quickstart.js'
import { pretraining, writeEmbeddedModel } from './embeddedModel.js'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '5' },
    output: { type: 'string', default: 'runs/bases' },
    results: { type: 'string', default: 'evaluation/results/bases.json' },
    jobs: { type: 'string', default: '2' },
  },
})

/** The embedded model as it was before its first step of pre-training. */
const writeRandomBase = async (folder: string): Promise<string> => {
  await mkdir(folder, { recursive: true })
  const { phase, parameters } = await startOfRun(pretraining(), async () => undefined)
  await writeEmbeddedModel(folder, phase, parameters, 'F32')
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) await copyFile(join(embeddedModel, file), join(folder, file))
  return folder
}

const random = await writeRandomBase(join(values.output, 'random-base'))
const variants = [
  ['pretrained', embeddedModel],
  ['random', random],
].map(([name = '', model = '']) => ({
  name,
  options: { model, task: { task: 'sentiment' }, settings: resolveSettings({ ...quickstartSettings, threads: 1 }) },
}))
const runs = await compare(
  {
    variants,
    seeds: Array.from({ length: Number(values.seeds) }, (_, i) => i),
    folder: values.output,
    results: values.results,
    command: `node dist/evaluation/embedded/compareBases.js --seeds ${values.seeds}`,
    jobs: Number(values.jobs),
  },
  console.log,
)
console.log(comparisonTable(runs))
console.log(`majority class: ${(100 * (runs[0]?.result.majority?.share ?? NaN)).toFixed(1)} %`)
