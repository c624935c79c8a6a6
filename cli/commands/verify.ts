/** salora verify: accelerated training against the float64 reference, on this machine. */
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { checkDevice } from '../../accelerated/precisions/precision.js'
import type { Row } from '../../evaluation/agreement/index.js'
import { describeSkipped, kindOf, verify, worstOfEach } from '../../evaluation/agreement/index.js'
import { countFlag } from '../../finetuning/commandLine/flag.js'
import { counted, plural } from '../format/numbers.js'
import { alignedTable } from '../../evaluation/tables/tableText.js'
import { settingsOfFlags } from '../options/layers.js'
import { givenOf, pickFlags } from '../options/settingFlags.js'
import { allTrainFlags } from '../options/trainFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'

export const verifyCommand = defineCommand({
  name: 'salora verify',
  description:
    'Draw small encoders and decoders, and compare accelerated training with the float64 reference: values, every gradient, ten steps, a whole run and its adapter. ' +
    'Differences are relative to the largest number of their quantity. Exits with 1 if a difference exceeds its bound.',
  flags: {
    Cases: { cases: countFlag('n', 'Encoders to draw, and as many decoders', { default: 4 }), ...pickFlags(allTrainFlags, ['seed']) },
    Machine: pickFlags(allTrainFlags, ['device', 'precision']),
  },
  examples: [
    { command: 'salora verify --device webgpu --cases 8', result: 'Prints the worst difference of each quantity beside its bound.' },
  ],
  run: async ({ cases, ...flags }, terminal) => {
    const { device: asked, precision, seed } = settingsOfFlags(givenOf(flags))
    const chosen = await chooseDevice(asked)
    await checkDevice(precisionOf(precision), chosen)
    const device = chosen.name
    const rows: Row[] = []
    let model = -1
    for await (const row of verify({ device, precision, seed, cases })) {
      if (row.model !== model) terminal.note(`model ${row.model + 1}/${cases} …`)
      model = row.model
      rows.push(row)
    }
    const broken = rows.filter(({ holds }) => !holds).length
    const models = `${plural(cases, 'encoder')} and ${plural(cases, 'decoder')} on ${device} in ${precision}`
    const verdict =
      broken === 0 ? `all ${counted(rows.length)} comparisons hold` : `${counted(broken)} of ${counted(rows.length)} comparisons fail`
    terminal.result(
      [
        ...tableOf(worstOfEach(rows)),
        '',
        ...roundings(rows),
        ...describeSkipped(rows),
        `${verdict} for ${models}; the table shows the worst of each kind`,
      ].join('\n'),
      { device, precision, seed, cases, comparisons: rows.length, broken, holds: broken === 0, rows },
    )
    return broken === 0 ? exitCodes.success : exitCodes.failure
  },
})

/** Only in int8: values near a boundary between two levels, which float32 may round to the other side. */
const roundings = (rows: readonly Row[]): readonly string[] => {
  const rounded = rows.filter(({ across }) => across !== undefined)
  if (rounded.length === 0) return []
  const total = (of: (row: Row) => number): string => counted(rounded.reduce((sum, row) => sum + of(row), 0))
  return [
    `${total(({ across = 0 }) => across)} of ${total(({ size }) => size)} values were at a boundary between two levels and rounded to its other side; the reference follows there`,
  ]
}

/** The worst of each kind, at its worst place. */
const tableOf = (rows: readonly Row[]): readonly string[] =>
  alignedTable(
    [
      ['quantity', 'reference', 'accelerated', 'difference', 'bound', ''],
      ...rows.map((row) => [
        kindOf(row),
        digits(row.reference),
        digits(row.accelerated),
        row.difference.toExponential(1),
        row.bound.toExponential(1),
        row.holds ? 'holds' : 'FAILS',
      ]),
    ],
    { left: [0, 5] },
  )

const digits = (x: number): string => x.toPrecision(9)
