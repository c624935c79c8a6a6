/** salora merge: several adapters as one. */
import { mergeAdapters, mergeMethods, type MergeMethod, type MergeReport } from '../../finetuning/use/mergeAdapters.js'
import { removeStages } from '../../finetuning/use/newFolder.js'
import {
  choiceFlag,
  countFlag,
  flag,
  numberFlag,
  parseNumber,
  required,
  severalFlag,
  switchFlag,
  textFlag,
} from '../../finetuning/commandLine/flag.js'
import { inShell } from '../../finetuning/commandLine/shell.js'
import { absoluteModel } from '../../finetuning/run/absolutePath.js'
import { bytesText, plural } from '../format/numbers.js'
import { offlineFlags } from '../options/trainFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { onInterrupt } from '../terminal/interrupt.js'
import { countProgress } from '../terminal/progress.js'

export const merge = defineCommand({
  name: 'salora merge',
  description:
    'Merge low-rank adapters of one model into one adapter, in float64. The default adds their updates exactly. Heads with the same classes are averaged by weight.',
  looseWords: { flags: ['output'] },
  flags: {
    Adapters: {
      adapters: required(
        severalFlag('folder|id', "Run folders, or adapters in PEFT's layout (folders or hub ids)"),
        'the adapters to merge',
      ),
      model: textFlag('folder|id', 'Base model of the adapters', { defaultText: "the first run's" }),
      weights: flag({
        arity: 'several',
        placeholder: 'number',
        description: 'Weight of each adapter',
        defaultText: 'equal, with sum 1',
        parse: (where, typed) => (Array.isArray(typed) ? typed.map((text) => parseNumber(where, String(text))) : null),
      }),
    },
    Merge: {
      method: choiceFlag<MergeMethod, MergeMethod>(
        mergeMethods,
        'name',
        `Method, by PEFT's names: ${mergeMethods.join(', ')}; cat adds the updates exactly, at the sum of their ranks, and svd is the nearest to that sum at --rank. Methods in -svd combine the updates, the others A with A and B with B`,
        { default: 'cat' },
      ),
      rank: countFlag('r', 'Largest rank of each matrix, for svd and methods in -svd', { defaultText: "the adapters'" }),
      density: numberFlag('share', 'Share of the numbers to keep, for ties, dare and magnitude-prune'),
      seed: countFlag('n', 'Seed of the numbers that dare drops', { from: 0, default: 0 }),
      intoBase: switchFlag('Write the model with the merged update in its weights, instead of an adapter'),
      output: required(textFlag('folder', 'New or empty folder'), 'a folder to write'),
    },
    Machine: offlineFlags,
  },
  examples: [
    {
      command: 'salora merge --adapters runs/reviews runs/support --weights 0.6 0.4 --output merged',
      result: "merged/ is an adapter in PEFT's layout: 0.6 and 0.4 of the updates of two runs.",
    },
    {
      command: 'salora merge --adapters runs/reviews runs/support --method ties-svd --density 0.5 --into-base --output model',
      result: 'model/ is a Hugging Face model with both updates merged by TIES.',
    },
  ],
  run: async ({ model, ...options }, terminal) => {
    terminal.note(`writing ${options.output} …`)
    const release = onInterrupt(removeStages)
    let progress: ReturnType<typeof countProgress> | null = null
    const report = await mergeAdapters({
      ...options,
      model: model === null ? null : absoluteModel(model),
      onMatrix: (done, total) => {
        progress ??= countProgress('matrices merged', total, terminal)
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

const formatReport = ({ output, method, adapters, files, ranks, kept }: MergeReport): string => {
  const widths = Object.values(ranks ?? {})
  const [least, most] = [Math.min(...widths), Math.max(...widths)]
  return [
    output,
    ...files.map(({ name, bytes }) => `  ${name.padEnd(28)}${bytesText(bytes)}`),
    ...adapters.map(({ adapter, weight }) => `${Number(weight.toPrecision(4))} × ${adapter}`),
    ranks === null
      ? `merged into the model by ${method}`
      : `merged by ${method}: ${plural(widths.length, 'update')} of rank ${least === most ? most : `${least} to ${most}`}`,
    ...(kept === null
      ? []
      : [`these ranks keep ${percent(kept.all)} of the update's squared norm (${percent(kept.least)} of ${kept.matrix}, the least)`]),
    `to share it: salora push ${inShell(output)} NAME`,
  ].join('\n')
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`
