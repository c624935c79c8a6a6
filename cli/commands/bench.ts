/** salora bench: how fast this machine trains. */
import type { Command } from 'commander'
import type { BenchmarkResult, StepRate } from '../../evaluation/benchmark/machine.js'
import { benchmark } from '../../evaluation/benchmark/machine.js'
import { peers } from '../../evaluation/benchmark/comparePeft.js'
import { peersTable } from '../../evaluation/benchmark/peersTable.js'
import { withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { flagOf } from '../options/flagNames.js'
import { numberOf, type Values } from '../options/flagValues.js'
import { counted, megabytes, percent, plural } from '../format/numbers.js'
import type { Terminal } from '../terminal/output.js'
import { addFlags } from '../options/trainFlags.js'
import { settingsOf } from '../options/trainRequest.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

export const addBench = (command: Command): void => {
  command.description(
    "Measures training steps of a random model of RoBERTa-base's shape, LoRA and SaLoRA in turn, beside one product alone: the largest of " +
      'their kinds, of four batches together, at the rate that a step could at best have. ' +
      'Rates count the multiplications and additions of matrix products and nothing else.',
  )
  addFlags(command, ['device', 'threads', 'precision', 'gradientCheckpointing'])
  command
    .option('--layers <n>', 'of the model (RoBERTa-base has 12)', '12')
    .option('--batch-size <examples>', 'in one step (default: 16)')
    .option('--sequence <tokens>', 'of each example (default: 64)')
    .option('--repeats <n>', 'of each measurement; medians are shown', '5')
    .option('--peer <python>', 'set it beside PEFT: a Python with torch, transformers and peft; `none` measures the same cases without')
    .option('--data <folder>', "of GLUE's MRPC: with --peer, its texts at their own lengths too")
    .option(
      '--only <names>',
      'with --peer, some cases, methods or precisions of the table, with commas; mrpc-epoch, the whole epoch, runs where it is named alone',
    )
  withOutput(
    command,
    ['salora bench --layers 2 --repeats 3', 'salora bench --peer .venv/bin/python --only 16x64,lora'],
    async (given, terminal) => {
      const { device, threads, precision, gradientCheckpointing } = settingsOf({
        gradientCheckpointing: given['gradientCheckpointing'] === true,
        ...(given['precision'] === undefined ? {} : { precision: given['precision'] }),
        ...(given['device'] === undefined ? {} : { device: given['device'] }),
        ...(given['threads'] === undefined ? {} : { threads: numberOf('--threads', String(given['threads'])) }),
      })
      const stray = (given['peer'] === undefined ? ofPeers : ofMachine).find((name) => given[name] !== undefined)
      if (stray !== undefined)
        throw usageError(
          flagOf(stray),
          given['peer'] === undefined ? '--peer beside it' : 'none with --peer, whose cases say it',
          String(given[stray]),
        )
      if (given['peer'] !== undefined) return besidePeers(given, threads, terminal)
      const result = await benchmark(
        {
          device,
          threads,
          precision,
          gradientCheckpointing,
          layers: count(given, 'layers', '--layers', 100),
          batchSize: count({ batchSize: 16, ...given }, 'batchSize', '--batch-size', 1024),
          sequence: count({ sequence: 64, ...given }, 'sequence', '--sequence', 4096),
          repeats: count(given, 'repeats', '--repeats', 1000),
        },
        terminal.note,
      )
      terminal.result(benchText(result), result)
      return exitCodes.success
    },
  )
}

/** Flags that mean something beside PEFT alone, and those that mean something without it alone. */
const [ofPeers, ofMachine] = [
  ['data', 'only'],
  ['device', 'precision', 'gradientCheckpointing', 'batchSize', 'sequence'],
]

const besidePeers = async (given: Values, threads: number, terminal: Terminal): Promise<number> => {
  const text = (name: string): string | null => (typeof given[name] === 'string' ? given[name] : null)
  const only = text('only')
  const measured = peers({
    python: text('peer') === 'none' ? null : text('peer'),
    data: text('data'),
    only: only === null ? null : only.split(',').map((name) => name.trim()),
    threads,
    layers: count(given, 'layers', '--layers', 100),
    repeats: count(given, 'repeats', '--repeats', 1000),
  })
  for (;;) {
    const next = await measured.next()
    if (next.done === true) {
      terminal.result([peersTable(next.value.rows), '', versionsText(next.value.versions)].join('\n'), next.value)
      return exitCodes.success
    }
    terminal.note(typeof next.value === 'string' ? next.value : peersTable([next.value]).split('\n').slice(-1).join())
  }
}

const versionsText = (versions: Readonly<Record<string, string>>): string =>
  Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')

const count = (given: Values, name: string, flag: string, most: number): number => {
  const value = numberOf(flag, String(given[name]))
  if (!Number.isInteger(value) || value < 1 || value > most) throw usageError(flag, `a whole number from 1 to ${most}`, String(value))
  return value
}

const benchText = ({
  device,
  precision,
  gradientCheckpointing,
  layers,
  batchSize,
  sequence,
  product,
  lora,
  salora,
  ratio,
  residentBytes,
}: BenchmarkResult): string =>
  [
    `${plural(layers, 'layer')} of RoBERTa-base's shape, ${plural(batchSize, 'example')} of ${plural(sequence, 'token')} a step, on ${device}, ${precision}${gradientCheckpointing ? ', recomputed' : ''}`,
    '',
    `one product  ${`${product.milliseconds.toFixed(1)} ms`.padStart(12)}  ${`${product.gigaflops.toFixed(1)} GFLOP/s`.padStart(15)}  (${product.shape})`,
    `LoRA step    ${rateText(lora)}`,
    `SaLoRA step  ${rateText(salora)}, ${ratio.toFixed(3)} × LoRA`,
    `memory       ${megabytes(residentBytes)} resident while SaLoRA trains`,
  ].join('\n')

const rateText = ({ milliseconds, gigaflops, share, tokensPerSecond }: StepRate): string =>
  `${`${milliseconds.toFixed(1)} ms`.padStart(12)}  ${`${gigaflops.toFixed(1)} GFLOP/s`.padStart(15)}  ${percent(share)} of the product's rate, ${counted(tokensPerSecond)} tokens/s`
