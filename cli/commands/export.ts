/** salora export: hands what was trained to other tools. */
import type { Command } from 'commander'
import { targetedMatrices } from '../../accelerated/methods/lowRank.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import type { OnnxPrecision } from '../../accelerated/formats/onnxWeights.js'
import { removeStages } from '../../finetuning/adapters/newFolder.js'
import { exportAdapter, type ExportReport } from '../../finetuning/adapters/exportAdapter.js'
import { exportFormats, precisionsOf, type ExportFormat } from '../../finetuning/adapters/exportFormats.js'
import { reason } from '../../accelerated/errors/inputError.js'
import type { TaskOptions } from '../../finetuning/tasks/index.js'
import { evaluationOfRun } from '../../finetuning/adapters/runEvaluation.js'
import type { Text, TrainedAdapterOptions } from '../../finetuning/adapters/trainedAdapter.js'
import type { Terminal } from '../terminal/output.js'
import { adapterRequest, addAdapterFlags } from '../options/adapterRequest.js'
import { withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { onInterrupt } from '../terminal/interrupt.js'
import type { Values } from '../options/flagValues.js'
import { megabytes, short } from '../format/numbers.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

const explained: Readonly<Record<ExportFormat, string>> = {
  peft: "the adapter in PEFT's layout, each matrix at its own rank (rank_pattern, alpha_pattern)",
  'peft-padded': 'the same function at one rank, without patterns: for servers that ignore them',
  adapters: 'of houlsby and pfeiffer: the layout of the adapters library, for load_adapter(folder, use_safetensors=True)',
  merged: 'a Hugging Face model with the adapter merged into its weights',
  'transformers.js':
    "an ONNX model that @huggingface/transformers opens: pipeline('text-generation', folder), with a cache, or pipeline('text-classification', folder), which cuts a long text without its closing token, which moves the scores of such texts a little",
}

export const addExport = (command: Command): void => {
  command.description(
    'Writes what was trained as a folder that other tools open, and says how far its logits are from those of model and adapter.',
  )
  addAdapterFlags(command, ['maxLength'])
  command
    .option('--format <name>', exportFormats.map((format) => `${format}: ${explained[format]}`).join('\n'))
    .option('--output <folder>', 'a folder that is new or empty')
    .option(
      '--precision <name>',
      'of the weights: of merged float32 or float16, which can round away what was trained; of transformers.js float32, float16 or int8, its fp32, fp16 and q8: a half and a quarter of the bytes, computed in float32 (default: float32)',
    )
  withOutput(command, ['salora export --run runs/reviews --format merged --output exported/reviews'], async (given, terminal) => {
    const format = formatOf(given)
    const [output, precision] = [outputOf(given), precisionOf(given, format)]
    const { adapter, runSettings, runTask } = await adapterRequest(
      Object.fromEntries(['run', 'model', 'adapter', 'labels', 'maxLength'].map((name) => [name, given[name]])),
    )
    const { adapter: folder } = adapter
    if (folder === null) throw usageError('--adapter', 'the adapter to export', 'none given')
    const texts = runTask === null ? [] : await textsOf(runTask, terminal)
    terminal.note(`writing ${output} …`)
    const targeted = runSettings === null ? null : await targetsOf(adapter, runSettings.targetModules ?? null)
    const release = onInterrupt(removeStages)
    const report = await exportAdapter({ ...adapter, adapter: folder, format, output, precision, texts, targeted }).finally(release)
    for (const warning of report.warnings) terminal.warn(warning)
    terminal.result(textOf(report), report)
    return exitCodes.success
  })
}

/** What the run evaluated on, where that is still there. */
const textsOf = async (task: TaskOptions, { warn }: Terminal): Promise<ReadonlyArray<Text>> => {
  try {
    return (await evaluationOfRun(task)).evaluation.examples
  } catch (error) {
    warn(`compared without the run's own texts: ${reason(error)}`)
    return []
  }
}

const formatOf = (given: Values): ExportFormat => {
  const found = exportFormats.find((format) => format === given['format'])
  if (found === undefined)
    throw usageError(
      '--format',
      `one of ${exportFormats.join(', ')}`,
      given['format'] === undefined ? 'none given' : JSON.stringify(given['format']),
    )
  return found
}

const outputOf = ({ output }: Values): string => {
  if (typeof output !== 'string' || output === '') throw usageError('--output', 'a folder to write', 'none given')
  return output
}

const precisionOf = ({ precision = 'float32' }: Values, format: ExportFormat): OnnxPrecision => {
  const precisions = precisionsOf(format)
  const found = precisions.find((name) => name === precision)
  if (found === undefined) throw usageError('--precision', `${precisions.join(' or ')} for --format ${format}`, JSON.stringify(precision))
  return found
}

const targetsOf = async (
  { model, revision }: Pick<TrainedAdapterOptions, 'model' | 'revision'>,
  targets: ReadonlyArray<string> | null = null,
): Promise<ReadonlyArray<string>> => {
  const { model: own } = await openModelFolder((await resolveModel(model, revision === undefined ? {} : { revision })).folder)
  return targetedMatrices(own.spec, targets).map(({ name }) => name)
}

const textOf = ({ output, files, comparison: { texts, largestLogitDifference, largestLogit } }: ExportReport): string =>
  [
    `${output}`,
    ...files.map(({ name, bytes }) => `  ${name.padEnd(26)}${bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : megabytes(bytes)}`),
    `largest change of a logit over ${texts} texts: ${short(largestLogitDifference)} (logits up to ${short(largestLogit)})`,
  ].join('\n')
