/**
 * Pre-trains the embedded model by masked-language modeling, with `full` and the training loop of every run.
 *
 *   node dist/scripts/embeddedModel/pretrain.js --corpora DIR [--exclude FILE…] --output RUN [--steps 5000] [--threads 2]
 *
 * RUN gets checkpoints, and the same command resumes from them. At the end the model is written to finetuning/embedded/model.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { MaskedAnswer } from '../../accelerated/objectives/maskedLM.js'
import type { TrainingExample } from '../../accelerated/objectives/objective.js'
import { deviceOf } from '../../accelerated/engines/deviceProbe.js'
import { noWeights } from '../../accelerated/engines/engine.js'
import { runOutline, startOfRun } from '../../accelerated/training/initialState.js'
import { newestCheckpoint } from '../../accelerated/checkpoints/loadCheckpoint.js'
import { saveCheckpoint } from '../../accelerated/checkpoints/checkpointFile.js'
import type { TrainingEvent } from '../../accelerated/training/events.js'
import { train } from '../../accelerated/training/trainingLoop.js'
import { countFlag, repeatableFlag, required, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { readCorpus, tokenizeCorpus } from './corpus.js'
import { longestLine, pretraining, special, writeEmbeddedModel } from './embeddedModel.js'

const {
  flags: { corpora, exclude, output, steps, threads },
} = scriptValues({
  name: 'node dist/scripts/embeddedModel/pretrain.js',
  description: 'Pre-train the embedded model by masked-language modeling and write it to finetuning/embedded/model.',
  flags: {
    Options: {
      corpora: required(textFlag('folder', 'Folder of text files'), 'a folder of text files'),
      exclude: repeatableFlag('file', 'Exclude the sentences of this file; may be repeated'),
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

/** Token ids between `<s>` and `</s>`; lines under 4 tokens are skipped. */
const examplesOf = (lines: readonly string[], tokenizerJson: object): readonly TrainingExample[] => {
  const { tokens, starts } = tokenizeCorpus(lines, tokenizerJson)
  return lines.flatMap((_, row) => {
    const ids = [...tokens.subarray(starts[row], starts[row + 1])].slice(0, longestLine)
    return ids.length < 4 ? [] : [{ inputIds: [special.start, ...ids, special.end], row }]
  })
}

/** The mean loss per masked token, in nats. */
const meanLoss = (answers: readonly MaskedAnswer[]): number => {
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0)
  return answers.reduce((sum, answer) => sum + answer.loss * answer.tokens, 0) / tokens
}

const progressLine = (event: TrainingEvent, steps: number): string | null => {
  if (event.kind === 'evaluation') return `step ${event.step}: validation loss ${event.scores['loss']?.toFixed(4)}`
  if (event.kind !== 'step' || event.step % 50 !== 0) return null
  return `step ${event.step}/${steps} epoch ${event.epoch.toFixed(2)} loss ${event.loss.toFixed(3)} norm ${event.gradientNorm.toFixed(2)} ${event.tokensPerSecond.toFixed(0)} tokens/s`
}

const main = async (): Promise<void> => {
  const corpus = readCorpus(corpora, exclude)
  const tokenizer = JSON.parse(readFileSync(join(embeddedModel, 'tokenizer.json'), 'utf8')) as object
  const examples = (lines: readonly string[]) => examplesOf(lines, tokenizer)
  const [training, evaluation] = [examples(corpus.training), examples(corpus.validation)]
  console.log(`${training.length} lines to train on, ${evaluation.length} to validate on; ${corpus.removed} sentences removed`)

  const assembly = pretraining({ maxSteps: steps, evalSteps: 500, threads })
  const start = await startOfRun(assembly, async () => undefined)
  const checkpoints = join(output, 'checkpoints')
  const checkpoint = await newestCheckpoint(checkpoints, runOutline(assembly, { start, steps }), console.warn)
  const runtime = { engine: deviceOf('cpu').engine({ threads }), weights: noWeights }
  const score = (answers: readonly MaskedAnswer[]) => {
    const loss = meanLoss(answers)
    return { scores: { loss }, selection: -loss, constant: null }
  }
  const run = train(
    { ...assembly, runtime, training, evaluation, score },
    checkpoint?.state ?? start,
    checkpoint,
    new AbortController().signal,
  )
  for (;;) {
    const { done, value } = await run.next()
    if (done === true) return writeEmbeddedModel(embeddedModel, value.last.phase, value.last.parameters, 'F16')
    const line = progressLine(value, steps)
    if (line !== null) console.log(line)
    if (value.kind !== 'checkpoint') continue
    const { kind: _, ...saved } = value
    await saveCheckpoint(checkpoints, assembly.method.name, { ...saved, metricsLines: 0 })
  }
}

await main()
