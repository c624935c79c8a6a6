/** salora bench: how fast this machine trains. */
import { type BenchmarkResult, type StepRate, benchmark } from '../../evaluation/benchmark/machine.js'
import { peers, type PeerRow, type SideResult } from '../../evaluation/benchmark/comparePeft.js'
import { peerModes, type PeerMode } from '../../evaluation/benchmark/cases.js'
import { ratesCells } from '../../evaluation/benchmark/productRates.js'
import { parseChoice, countFlag, listFlag, textFlag, type Flag } from '../../finetuning/commandLine/flag.js'
import { toFlag } from '../../finetuning/commandLine/optionNames.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'
import { counted, megabytes, percent, plural } from '../format/numbers.js'
import { resolveFlags } from '../options/precedence.js'
import { dropUndefined, pickFlags, type Values } from '../options/settingFlags.js'
import { allTrainFlags } from '../options/trainFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import type { Terminal } from '../terminal/output.js'

const names = listFlag('names', 'PEFT eager, by torch.compile (compile), or on int8 weights (torchao); separated by commas', {
  defaultText: 'eager',
})
const peerModeFlag: Flag<readonly PeerMode[] | null> = {
  ...names,
  parse: (where, typed) => names.parse(where, typed)?.map((mode) => parseChoice(where, mode, peerModes)) ?? null,
}

export const bench = defineCommand({
  name: 'salora bench',
  description:
    "Measure training steps of LoRA and SaLoRA on a random model of RoBERTa-base's shape, next to one matrix product. The product is the largest of a step, for four batches together. With --peer, compare with PEFT. " +
    'Rates count the multiplications and additions of matrix products only.',
  flags: {
    Benchmark: {
      layers: countFlag('n', 'Layers of the model; RoBERTa-base has 12', { to: 100, default: 12 }),
      repeats: countFlag('n', 'Repeats of each measurement; the median is printed', { to: 1000, default: 5 }),
      batchSize: countFlag('examples', 'Examples per step', { to: 1024, defaultText: '16' }),
      sequence: countFlag('tokens', 'Tokens per example', { to: 4096, defaultText: '64' }),
    },
    'Comparison with PEFT': {
      peer: textFlag('python', 'Python with torch, transformers and peft; none measures the same cases without PEFT'),
      data: textFlag('folder', "GLUE's MRPC folder: adds its texts at their own lengths"),
      only: listFlag('names', 'Cases, methods or precisions of the table, separated by commas; mrpc-epoch only runs when named alone'),
      peerMode: peerModeFlag,
    },
    Machine: pickFlags(allTrainFlags, ['device', 'precision', 'gradientCheckpointing', 'threads']),
  },
  examples: [
    { command: 'salora bench --layers 2 --repeats 3', result: 'Prints milliseconds, GFLOP/s and tokens/s per step, and resident memory.' },
    { command: 'salora bench --peer .venv/bin/python --only 16x64,lora', result: "Prints a table of times, and PEFT's over ours." },
  ],
  run: async ({ layers, repeats, batchSize, sequence, peer, data, only, peerMode, ...flags }, terminal) => {
    const { device, threads, precision, gradientCheckpointing } = resolveFlags(dropUndefined(flags))
    if (peer !== null) {
      const { device: asked, precision: numeric, gradientCheckpointing: recomputed } = flags
      refuse({ device: asked, precision: numeric, gradientCheckpointing: recomputed, batchSize, sequence })
      return withPeer(
        { python: peer === 'none' ? null : peer, data, only, modes: peerMode ?? ['eager'], threads, layers, repeats },
        terminal,
      )
    }
    for (const [name, value] of Object.entries({ data, only, peerMode }))
      if (value !== null) throw usageError(toFlag(name), '--peer beside it', String(value))
    const result = await benchmark(
      {
        device,
        threads,
        precision,
        gradientCheckpointing,
        layers,
        batchSize: batchSize ?? 16,
        sequence: sequence ?? 64,
        repeats,
      },
      terminal.note,
    )
    terminal.result(benchText(result), result)
    return exitCodes.success
  },
})

/** @throws UsageError for the first flag that was given: the comparison has its own cases */
const refuse = (flags: Values): void => {
  const [stray] = Object.entries(flags).filter(([, value]) => value !== undefined && value !== null)
  if (stray !== undefined) throw usageError(toFlag(stray[0]), 'none with --peer, which has its own cases', String(stray[1]))
}

const withPeer = async (options: Parameters<typeof peers>[0], terminal: Terminal): Promise<number> => {
  const measured = peers(options)
  for (;;) {
    const next = await measured.next()
    if (next.done === true) {
      const { rows, versions, products } = next.value
      const facts = [...ratesCells(products).map(([name, value]) => `${name}: ${value}`), versionsText(versions)]
      terminal.result([peersTable(rows), '', ...facts].join('\n'), next.value)
      return exitCodes.success
    }
    terminal.note(typeof next.value === 'string' ? next.value : peersTable([next.value]).split('\n').slice(-1).join())
  }
}

const versionsText = (versions: Readonly<Record<string, string>>): string =>
  Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')

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
    `${plural(layers, 'layer')} of RoBERTa-base's shape, steps of ${plural(batchSize, 'example')} × ${plural(sequence, 'token')}, on ${device}, ${precision}${gradientCheckpointing ? ', gradient checkpointing' : ''}`,
    '',
    `one product  ${`${product.milliseconds.toFixed(1)} ms`.padStart(12)}  ${`${product.gigaflops.toFixed(1)} GFLOP/s`.padStart(15)}  (${product.shape})`,
    `LoRA step    ${rateText(lora)}`,
    `SaLoRA step  ${rateText(salora)}, ${ratio.toFixed(3)} × LoRA`,
    `memory       ${megabytes(residentBytes)} resident while SaLoRA trains`,
  ].join('\n')

const rateText = ({ milliseconds, gigaflops, share, tokensPerSecond }: StepRate): string =>
  `${`${milliseconds.toFixed(1)} ms`.padStart(12)}  ${`${gigaflops.toFixed(1)} GFLOP/s`.padStart(15)}  ${percent(share)} of the product's rate, ${counted(tokensPerSecond)} tokens/s`

/** The benchmark against PEFT as a Markdown table, for the terminal and README. */
const header = [
  'case',
  'ours',
  'ms a step',
  'real tokens/s',
  'peak memory',
  'GFLOP/s',
  'PEFT',
  'ms a step',
  'real tokens/s',
  'peak memory',
  'ratio (quartiles)',
]

export const peersTable = (rows: readonly PeerRow[]): string =>
  [header, header.map(() => '---'), ...rows.map(formatRow)].map((cells) => `| ${cells.join(' | ')} |`).join('\n')

const formatRow = ({ case: name, method, precision, ours, peer, ratio }: PeerRow): readonly string[] => [
  name,
  `${method}, ${precision}`,
  ...formatSide(ours),
  ours.gigaflops === null ? '–' : ours.gigaflops.toFixed(0),
  ...(peer === null
    ? ['–', '–', '–', '–']
    : [`${peer.method}, ${peer.precision}${peer.mode === 'eager' ? '' : `, ${peer.mode}`}`, ...formatSide(peer)]),
  ratio === null ? '–' : `**${ratio[1].toFixed(2)} ×**${ratio[0] === ratio[2] ? '' : ` (${ratio[0].toFixed(2)} … ${ratio[2].toFixed(2)})`}`,
]

const formatSide = ({ milliseconds, tokensPerSecond, peakBytes, epochSeconds }: SideResult): readonly string[] => [
  milliseconds.toFixed(0) + (epochSeconds === null ? '' : ` (${epochSeconds.toFixed(0)} s in all)`),
  tokensPerSecond.toFixed(0),
  `${(peakBytes / 1e9).toFixed(2)} GB`,
]
