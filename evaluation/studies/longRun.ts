/**
 * Does a long run stay as fast and as small as it begins? Gated SaLoRA on the embedded model and its sentences, evaluated once, at the end; memory
 * is that of the whole process.
 *
 *   node dist/evaluation/studies/longRun.js [--steps 1000] [--precision float32] [--model DIR]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inputError } from '../../accelerated/errors/inputError.js'
import { resolveSettings } from '../../accelerated/training/settings.js'
import { flatness, leastSteps, type StepSample } from '../benchmark/driftCheck.js'
import { finetune } from '../../finetuning/runs/finetune.js'
import { scriptArguments } from '../../finetuning/commandLine/scriptArguments.js'
import { embeddedModel, quickstartSettings, quickstartTask } from '../../finetuning/embedded/quickstart.js'

const { steps, precision, model } = scriptArguments({
  name: 'evaluation/studies/longRun',
  about:
    'Does a long run stay as fast and as small as it begins? Gated SaLoRA on the sentences of the quickstart, evaluated once, at the end.',
  flags: {
    steps: { shows: 'N', about: `of the run, ${leastSteps} at least`, default: 1000 },
    precision: { shows: 'NAME', about: 'float32, int8, …, as --precision of salora train', default: 'float32' },
    model: { shows: 'DIR', about: 'a folder in Hugging Face layout, or a hub id', default: embeddedModel },
  },
})
if (steps < leastSteps) throw inputError('--steps', `${leastSteps} or more`, String(steps))
const settings = resolveSettings({
  ...quickstartSettings,
  precision,
  maxSteps: steps,
  evalSteps: steps,
  gateStart: 0,
  gateEnd: 1,
})

const folder = await mkdtemp(join(tmpdir(), 'salora-long-'))
const samples: StepSample[] = []
try {
  for await (const event of finetune({ model, task: quickstartTask, settings, output: join(folder, 'run'), resume: false }))
    if (event.kind === 'step') samples.push({ tokensPerSecond: event.tokensPerSecond, residentBytes: process.memoryUsage.rss() })
} finally {
  await rm(folder, { recursive: true, force: true })
}
console.log(JSON.stringify({ steps: samples.length, precision, ...flatness(samples) }, null, 2))
