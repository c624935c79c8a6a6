/** salora export: a trained adapter for other tools. */
import { targetedMatrices } from '../../accelerated/methods/targetedMatrices.js'
import type { Settings } from '../../accelerated/training/resolveSettings.js'
import { largestRank } from '../../accelerated/methods/lowRankSettings.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import type { OnnxPrecision } from '../../accelerated/formats/onnxWeights.js'
import { removeStages } from '../../finetuning/use/newFolder.js'
import { exportAdapter, type ExportReport } from '../../finetuning/use/exportAdapter.js'
import { exportFormats, listPrecisions, type ExportFormat } from '../../finetuning/use/exportFormats.js'
import { quoted } from '../../accelerated/errors/inputError.js'
import { choiceFlag, countFlag, required, switchFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { lineInFlags } from '../../finetuning/commandLine/optionNames.js'
import { inShell } from '../../finetuning/commandLine/shell.js'
import { requiredError, usageError } from '../../finetuning/commandLine/usageError.js'
import type { Evaluation, TaskOptions } from '../../finetuning/tasks/index.js'
import { loadRunEvaluation } from '../../finetuning/use/scoreAdapter.js'
import type { ScoreComparison } from '../../finetuning/run/cardBody.js'
import type { TrainedAdapterOptions } from '../../finetuning/use/openModel.js'
import { bytesText, counted, short } from '../format/numbers.js'
import { adapterFlags, labelFlags, adapterRequest } from '../options/adapterRequest.js'
import { pickFlags } from '../options/settingFlags.js'
import { allTrainFlags, offlineFlags } from '../options/trainFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { onInterrupt } from '../terminal/interrupt.js'
import type { Terminal } from '../terminal/output.js'
import { countProgress } from '../terminal/progress.js'

const explained: Readonly<Record<ExportFormat, string>> = {
  peft: "PEFT's layout, each matrix at its own rank (rank_pattern, alpha_pattern)",
  'peft-padded': "PEFT's layout at one rank, for servers that ignore rank patterns",
  'peft-file': 'one safetensors file for a base that --adapter-inputs wrote',
  adapters: 'the layout of the adapters library, for houlsby and pfeiffer',
  merged: 'a Hugging Face model with the adapter merged into its weights',
  'transformers.js': 'an ONNX model for @huggingface/transformers',
  gguf: 'a LoRA adapter for llama.cpp, of a decoder that writes text',
  'gguf-merged': 'a whole model for llama.cpp, merged, with its tokenizer',
}

export const exportCommand = defineCommand({
  name: 'salora export',
  description:
    'Export a trained adapter as a folder for other tools, and print the largest difference between its logits and those of model and adapter.',
  looseWords: { flags: ['run'] },
  flags: {
    Model: { ...adapterFlags, ...labelFlags },
    Export: {
      format: required(
        choiceFlag(exportFormats, 'name', `Format: ${exportFormats.map((format) => `${format} (${explained[format]})`).join(', ')}`),
        `one of ${exportFormats.join(', ')}`,
      ),
      output: required(textFlag('folder', 'New or empty folder'), 'a folder to write'),
      precision: textFlag(
        'name',
        'Precision: float32 or float16 for merged and gguf; float32, float16 or int8 for transformers.js (fp32, fp16 and q8) and gguf-merged (F32, F16 and Q8_0). float16 is of the weights; int8 multiplies in int8 too, and prints what that costs on the evaluation data of the run',
        { default: 'float32' },
      ),
      adapterInputs: switchFlag(
        'Write the base alone for transformers.js, with LoRA matrices and head as inputs that salora/adapters feeds, and the adapter as one file',
      ),
      maxRank: countFlag('rank', 'Largest rank of an adapter, with --adapter-inputs', {
        defaultText: "16, or the adapter's if it is larger",
        to: largestRank,
      }),
      ...pickFlags(allTrainFlags, ['maxLength'], { maxLength: "the run's" }),
    },
    Machine: offlineFlags,
  },
  examples: [
    {
      command: 'salora export --run runs/reviews --format merged --output exported/reviews',
      result: "AutoModelForSequenceClassification.from_pretrained('exported/reviews') loads it.",
    },
    {
      command: 'salora export --run runs/reviews --format transformers.js --precision int8 --output exported/web',
      result: "pipeline('text-classification', 'exported/web') loads it in Node and in browsers.",
    },
    {
      command: 'salora export --run runs/reviews --format transformers.js --adapter-inputs --output exported/base',
      result: 'salora/adapters swaps adapters of this base, which --format peft-file writes for other runs.',
    },
  ],
  run: async (flags, terminal) => {
    const { run, model, adapter: folder, labels, maxLength, format, output, precision: asked, adapterInputs, maxRank } = flags
    if (maxRank !== null && !adapterInputs) throw usageError('--max-rank', '--adapter-inputs beside it', 'none')
    const precision = parsePrecision(asked, format)
    const { adapter, runSettings, runTask } = await adapterRequest({ run, model, adapter: folder, labels, maxLength })
    if (adapter.adapter === null) throw requiredError('--adapter', 'the adapter to export')
    const labeled = runTask === null ? null : await loadEvaluationData(runTask, terminal)
    terminal.note(`writing ${output} …`)
    const targeted = runSettings === null ? null : await listTargets(adapter, runSettings)
    const release = onInterrupt(removeStages)
    let progress: ReturnType<typeof countProgress> | null = null
    const report = await exportAdapter({
      ...{ ...adapter, adapter: adapter.adapter, format, output, precision, targeted, labeled },
      texts: labeled?.evaluation.examples ?? [],
      ...(adapterInputs ? { adapterInputs: { maxRank } } : {}),
      onScoring: (done, total) => {
        progress ??= countProgress('rows scored', total, terminal)
        progress.show(done)
      },
    }).finally(() => {
      progress?.close()
      release()
    })
    for (const warning of report.warnings) terminal.warn(warning)
    terminal.result(formatReport(report), report)
    return exitCodes.success
  },
})

/** @throws UsageError for a precision that the format lacks */
const parsePrecision = (precision: string, format: ExportFormat): OnnxPrecision => {
  const precisions = listPrecisions(format)
  const chosen = precisions.find((name) => name === precision)
  if (chosen === undefined) throw usageError('--precision', `${precisions.join(' or ')} for --format ${format}`, quoted(precision))
  return chosen
}

/** The run's evaluation data; null if its files are gone. */
const loadEvaluationData = async (task: TaskOptions, { warn }: Terminal): Promise<Evaluation | null> => {
  try {
    return await loadRunEvaluation(task)
  } catch (error) {
    warn(`comparing without the run's texts: ${lineInFlags(error)}`)
    return null
  }
}

const listTargets = async (
  { model, revision }: Pick<TrainedAdapterOptions, 'model' | 'revision'>,
  settings: Pick<Settings, 'targetModules' | 'excludeModules' | 'layersToTransform'>,
): Promise<readonly string[]> => {
  const { model: base } = await openModelFolder((await resolveModel(model, revision === undefined ? {} : { revision })).folder)
  return targetedMatrices(base.spec, { targetModules: null, ...settings }).map(({ name }) => name)
}

const formatReport = ({
  output,
  files,
  usage,
  scores,
  comparison: { texts, largestLogitDifference, largestLogit },
}: ExportReport): string =>
  [
    `${output}`,
    ...files.map(({ name, bytes }) => `  ${name.padEnd(26)}${bytesText(bytes)}`),
    `largest logit difference over ${texts} texts: ${short(largestLogitDifference)} (logits up to ${short(largestLogit)})`,
    ...(scores === null ? [] : scoreLines(scores)),
    `to use it: ${usage}`,
    `to share it: salora push ${inShell(output)} NAME`,
  ].join('\n')

/** `accuracy 0.9167 → 0.9150 in int8`, a line for each score. */
const scoreLines = ({ rows, ofRows, source, before, after }: ScoreComparison): readonly string[] => [
  `scores on ${rows === ofRows ? counted(rows) : `${counted(rows)} of ${counted(ofRows)}`} rows of ${source}:`,
  ...Object.entries(before).map(([name, score]) => `  ${name.padEnd(12)}${score.toFixed(4)} → ${after[name]?.toFixed(4) ?? '–'} in int8`),
]
