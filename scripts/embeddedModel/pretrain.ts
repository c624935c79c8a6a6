/**
 * Pre-trains the embedded model by masked-language modeling, with `full` and the training loop of every run.
 *
 *   node dist/scripts/embeddedModel/pretrain.js --corpora DIR [--exclude FILE…] --output RUN [--steps 5000] [--threads 2]
 *
 * RUN gets checkpoints, and the same command resumes from them. The architecture and the tokenizer are those in finetuning/embedded/model, where
 * the weights are written at the end.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Tokenizer } from '@huggingface/tokenizers'
import { saveCheckpoint } from '../../accelerated/checkpoints/checkpointFile.js'
import { parseConfigFile } from '../../accelerated/checkpoints/configFile.js'
import { newestCheckpoint } from '../../accelerated/checkpoints/loadCheckpoint.js'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { noWeights } from '../../accelerated/engines/engine.js'
import { maskedLM, type MaskedAnswer } from '../../accelerated/objectives/maskedLM.js'
import type { TrainingExample } from '../../accelerated/objectives/objective.js'
import { viewTensor } from '../../accelerated/parameters/vectors.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { assemble, buildLayout } from '../../accelerated/training/assembly.js'
import type { TrainingEvent } from '../../accelerated/training/events.js'
import { runOutline, initializeRun } from '../../accelerated/training/initialState.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { train } from '../../accelerated/training/trainingLoop.js'
import { countFlag, required, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { corpusFlags, readCorpus } from './corpus.js'

const {
  flags: { corpora, exclude, output, steps, threads },
} = scriptValues({
  name: 'node dist/scripts/embeddedModel/pretrain.js',
  description: 'Pre-train the embedded model by masked-language modeling and write it to finetuning/embedded/model.',
  flags: {
    Options: {
      ...corpusFlags,
      output: required(textFlag('folder', 'Folder for checkpoints, from which the same command resumes'), 'a folder for checkpoints'),
      steps: countFlag('n', 'Training steps', { default: 5000 }),
      threads: countFlag('n', 'CPU threads', { default: 2 }),
    },
  },
  examples: [
    {
      command: 'node dist/scripts/embeddedModel/pretrain.js --corpora corpora --output runs/pretrain',
      result: 'Writes checkpoints to runs/pretrain, and at the end the model.',
    },
  ],
})

const modelFile = (name: string): string => join(embeddedModel, name)
const textIn = (name: string): string => readFileSync(modelFile(name), 'utf8')

/** The ids of RoBERTa's special tokens; ids from 4 up to the mask are ordinary tokens. */
const [start, end, firstWord, mask] = [0, 2, 4, 8191]

/** The maximum tokens of a line, without `<s>` and `</s>`. */
const longestLine = 126

/** Token ids from `<s>` to `</s>`; lines under 4 tokens are skipped, and a literal special token in a line is plain text. */
const makeExamples = (lines: readonly string[]): readonly TrainingExample[] => {
  const tokenizer = new Tokenizer({ ...(JSON.parse(textIn('tokenizer.json')) as object), added_tokens: [] }, {})
  return lines.flatMap((line, row) => {
    const { ids } = tokenizer.encode(line, { add_special_tokens: false })
    return ids.length < 4 ? [] : [{ inputIds: [start, ...ids.slice(0, longestLine), end], row }]
  })
}

/** Full fine-tuning of a new model: every tensor is trained. */
const pretraining = () => {
  const settings = resolveSettings({
    ...{ method: 'full', seed: 20231017, batchSize: 160, maxLength: longestLine + 2, learningRate: 1e-3, warmupRatio: 0.06 },
    ...{ weightDecay: 0.01, adamBeta2: 0.98, adamEpsilon: 1e-6, maxGradNorm: 1, dropout: 0 },
    ...{ maxSteps: steps, evalSteps: 500, threads },
  })
  const frozen = (name: string): never => {
    throw new Error(`pretraining: expected every tensor to be trained, got ${name} frozen`)
  }
  const { model } = parseConfigFile(textIn('config.json'), modelFile('config.json'))
  return assemble({ method: findMethod('full'), settings, precision: findPrecision('float32'), frozen, model }, (opened) =>
    maskedLM(opened, { share: 0.15, mask, ordinary: { from: firstWord, to: mask } }),
  )
}

/** Mean loss per masked token, in nats. */
const score = (answers: readonly MaskedAnswer[]) => {
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0)
  const loss = answers.reduce((sum, answer) => sum + answer.loss * answer.tokens, 0) / tokens
  return { scores: { loss }, selection: -loss, constant: null }
}

const progressLine = (event: TrainingEvent): string | null => {
  if (event.kind === 'evaluation') return `step ${event.step}: validation loss ${event.scores['loss']?.toFixed(4)}`
  if (event.kind !== 'step' || event.step % 50 !== 0) return null
  return `step ${event.step}/${steps} epoch ${event.epoch.toFixed(2)} loss ${event.loss.toFixed(3)} norm ${event.gradientNorm.toFixed(2)} ${event.tokensPerSecond.toFixed(0)} tokens/s`
}

const corpus = readCorpus(corpora, exclude)
const [training, evaluation] = [makeExamples(corpus.training), makeExamples(corpus.validation)]
console.log(`${training.length} lines to train on, ${evaluation.length} to validate on; ${corpus.removed} sentences removed`)

const assembly = pretraining()
const first = await initializeRun(assembly, async () => undefined)
const checkpoints = join(output, 'checkpoints')
const checkpoint = await newestCheckpoint(checkpoints, runOutline(assembly, { start: first, steps }), console.warn)
const runtime = { engine: findDevice('cpu').engine({ threads }), weights: noWeights }
const plan = { ...assembly, runtime, training, evaluation, score }
const run = train(plan, checkpoint?.state ?? first, checkpoint, new AbortController().signal)
let next = await run.next()
for (; next.done !== true; next = await run.next()) {
  const line = progressLine(next.value)
  if (line !== null) console.log(line)
  if (next.value.kind !== 'checkpoint') continue
  const { kind: _, ...saved } = next.value
  await saveCheckpoint(checkpoints, assembly.method.name, { ...saved, metricsLines: 0 })
}
const { phase, parameters } = next.value.last
const layout = buildLayout(assembly, phase)
const tensors = layout.entries.map(({ name, shape }) => {
  const stored = { dtype: 'F16', shape, data: viewTensor(layout, parameters, name) } as const
  return [assembly.model.naming.stored(name), stored] as const
})
await writeFileAtomically(modelFile('model.safetensors'), writeSafetensors(new Map(tensors), { format: 'pt' }))
