/**
 * Does a long run stay as fast and as small as it begins? Gated SaLoRA on the embedded model and its sentences, evaluated once, at the end; memory
 * is that of the whole process.
 *
 *   node dist/evaluation/studies/longRun.js [--steps 1000] [--precision float32] [--model DIR]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { resolveSettings } from '../../accelerated/settings.js'
import { flatness, type StepSample } from '../benchmark/flatness.js'
import { finetune } from '../runs/finetune.js'
import { embeddedModel, quickstartSettings, quickstartTask } from '../quickstart.js'

const { values } = parseArgs({
  options: {
    steps: { type: 'string', default: '1000' },
    precision: { type: 'string', default: 'float32' },
    model: { type: 'string', default: embeddedModel },
  },
})
const steps = Number(values.steps)
const settings = resolveSettings({
  ...quickstartSettings,
  precision: values.precision,
  maxSteps: steps,
  evalEvery: steps,
  gateStart: 0,
  gateEnd: 1,
})

const folder = await mkdtemp(join(tmpdir(), 'salora-long-'))
const samples: StepSample[] = []
try {
  for await (const event of finetune({ model: values.model, task: quickstartTask, settings, output: join(folder, 'run'), resume: false }))
    if (event.kind === 'step') samples.push({ tokensPerSecond: event.tokensPerSecond, residentBytes: process.memoryUsage.rss() })
} finally {
  await rm(folder, { recursive: true, force: true })
}
console.log(JSON.stringify({ steps: samples.length, precision: values.precision, ...flatness(samples) }, null, 2))
