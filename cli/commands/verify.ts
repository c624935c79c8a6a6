/** salora verify: accelerated training against the float64 reference, on this machine. */
import { group } from 'd3-array'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { checkDevice } from '../../accelerated/precisions/precision.js'
import { describeRow, describeSkipped } from '../../evaluation/agreement/rows.js'
import { verify, type VerifiedRow } from '../../evaluation/agreement/verify.js'
import { countFlag, parseList } from '../../finetuning/commandLine/flag.js'
import { counted, plural } from '../format/numbers.js'
import { alignedTable } from '../../evaluation/tables/tableText.js'
import { resolveFlags } from '../options/precedence.js'
import { dropUndefined, pickFlags } from '../options/settingFlags.js'
import { allTrainFlags } from '../options/trainFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'

const machineFlags = pickFlags(allTrainFlags, ['device', 'precision'])

export const verifyCommand = defineCommand({
  name: 'salora verify',
  description:
    'Draw small encoders and decoders, and compare accelerated training with the float64 reference: of SaLoRA values, every gradient, ten steps, a whole run and its adapter; ' +
    'of every other method and of every loss one step. Where the reference has no derivation of a method, central differences in float64 stand for it. ' +
    'Differences are relative to the largest number of their quantity. Exits with 1 if a difference exceeds its bound.',
  flags: {
    Cases: { cases: countFlag('n', 'Encoders to draw, and as many decoders', { default: 4 }), ...pickFlags(allTrainFlags, ['seed']) },
    Machine: {
      device: machineFlags.device,
      precision: {
        ...machineFlags.precision,
        placeholder: 'names',
        description: machineFlags.precision.description.replace('Precision:', 'Precisions, separated by commas:'),
      },
    },
  },
  examples: [
    { command: 'salora verify --device webgpu --cases 8', result: 'Prints the worst difference of each quantity, by method and loss.' },
    { command: 'salora verify --cases 1 --precision float32,int8,int4', result: 'Compares the same models in three precisions.' },
  ],
  run: async ({ cases, precision: named, ...flags }, terminal) => {
    const { device: asked, precision: single, seed } = resolveFlags(dropUndefined(flags))
    const precisions = named === undefined ? [single] : parseList('--precision', String(named))
    precisions.forEach((precision) => resolveFlags({ precision }))
    const chosen = await chooseDevice(asked)
    for (const precision of precisions) await checkDevice(findPrecision(precision), chosen)
    const device = chosen.name
    const rows: VerifiedRow[] = []
    let last = ''
    for await (const row of verify({ device, precisions, seed, cases })) {
      const now = `model ${row.model + 1}/${cases}${precisions.length === 1 ? '' : ` in ${row.precision}`} …`
      if (now !== last) terminal.note(now)
      last = now
      rows.push(row)
    }
    const failed = rows.filter(({ holds }) => !holds)
    const models = `${plural(cases, 'encoder')} and ${plural(cases, 'decoder')} on ${device} in ${precisions.join(', ')}`
    const verdict =
      failed.length === 0
        ? `all ${counted(rows.length)} comparisons hold`
        : `${counted(failed.length)} of ${counted(rows.length)} comparisons fail`
    terminal.result(
      [
        ...formatTable(rows),
        '',
        ...failed.slice(0, mostFailures).map((row) => `${row.method}, ${row.loss}: ${describeRow(row)}`),
        ...roundings(rows),
        ...describeSkipped(rows),
        `${verdict} for ${models}; the table shows the worst difference of each quantity`,
      ].join('\n'),
      {
        device,
        precision: precisions.join(','),
        seed,
        cases,
        comparisons: rows.length,
        broken: failed.length,
        holds: failed.length === 0,
        rows,
      },
    )
    return failed.length === 0 ? exitCodes.success : exitCodes.failure
  },
})

/** Failures that are printed; --json has all. */
const mostFailures = 20

/** Only in int8: values near a boundary between two levels, which float32 may round to the other side. */
const roundings = (rows: readonly VerifiedRow[]): readonly string[] => {
  const rounded = rows.filter(({ across }) => across !== undefined)
  if (rounded.length === 0) return []
  const total = (of: (row: VerifiedRow) => number): string => counted(rounded.reduce((sum, row) => sum + of(row), 0))
  return [
    `${total(({ across = 0 }) => across)} of ${total(({ size }) => size)} values were at a boundary between two levels and rounded to its other side; the reference follows there`,
  ]
}

const quantities = ['values', 'gradients', 'steps', 'run', 'adapter'] as const

const formatTable = (rows: readonly VerifiedRow[]): readonly string[] => {
  const lines = [...group(rows, ({ precision, method, loss }) => JSON.stringify([precision, method, loss])).values()]
  return alignedTable(
    [
      ['precision', 'method', 'loss', 'values', 'gradients', '10 steps', 'run', 'adapter', 'bound', ''],
      ...lines.map((all) => {
        const [{ precision = '', method = '', loss = '' } = {}] = all
        const bounds = all.map(({ bound }) => bound)
        const worst = quantities.map((part) => {
          const differences = all.flatMap((row) => (row.part === part ? [row.difference] : []))
          return differences.length === 0 ? '–' : Math.max(...differences).toExponential(1)
        })
        return [
          precision,
          method,
          loss,
          ...worst,
          Math.max(...bounds).toExponential(0),
          all.every(({ holds }) => holds) ? 'holds' : 'FAILS',
        ]
      }),
    ],
    { left: [0, 1, 2, 9] },
  )
}
