/** salora verify: the accelerated path against the reference, on this machine. */
import type { Command } from 'commander'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { checkDevice } from '../../accelerated/precisions/precision.js'
import type { Row } from '../../evaluation/agreement/index.js'
import { kindOf, verify, worstOfEach } from '../../evaluation/agreement/index.js'
import { withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { flagValues, numberOf } from '../options/flagValues.js'
import { counted, plural } from '../format/numbers.js'
import { addFlags } from '../options/trainFlags.js'
import { settingsOf } from '../options/trainRequest.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

export const addVerify = (command: Command): void => {
  command.description(
    'Draws small encoders and decoders and compares the accelerated path with the float64 reference, quantity by quantity: values, every gradient, ten steps, a whole run ' +
      'and the adapter it leaves. A difference is relative to the largest number of its quantity; of levels in int8, what lies beyond half a level; in mixed the reference rounds to float16 too. The exit code is 1 if a bound is broken.',
  )
  addFlags(command, ['device', 'precision', 'seed'])
  command.option('--cases <n>', 'encoders to draw, and as many decoders', '4')
  withOutput(command, ['salora verify --device webgpu --cases 8'], async (given, terminal) => {
    const settings = settingsOf(flagValues(given))
    const cases = numberOf('--cases', String(given['cases']))
    if (!Number.isInteger(cases) || cases < 1) throw usageError('--cases', 'a whole number of at least 1', String(cases))
    const chosen = await chooseDevice(settings.device)
    await checkDevice(precisionOf(settings.precision), chosen)
    const [device, precision] = [chosen.name, settings.precision]
    const rows: Row[] = []
    let model = -1
    for await (const row of verify({ device, precision, seed: settings.seed, cases })) {
      if (row.model !== model) terminal.note(`model ${row.model + 1}/${cases} …`)
      model = row.model
      rows.push(row)
    }
    const broken = rows.filter(({ holds }) => !holds)
    terminal.result(
      [
        ...tableOf(worstOfEach(rows)),
        '',
        ...roundings(rows),
        broken.length === 0
          ? `all ${counted(rows.length)} comparisons of ${plural(cases, 'encoder')} and as many decoders hold on ${device} in ${settings.precision}; the worst of each kind is shown`
          : `${counted(broken.length)} of ${counted(rows.length)} comparisons fail on ${device} in ${settings.precision}; the worst of each kind is shown`,
      ].join('\n'),
      {
        device,
        precision: settings.precision,
        seed: settings.seed,
        cases,
        comparisons: rows.length,
        broken: broken.length,
        holds: broken.length === 0,
        rows,
      },
    )
    return broken.length === 0 ? exitCodes.success : exitCodes.failure
  })
}

/** What int8 adds: values near a boundary between two levels, which float32 may round to the other side. */
const roundings = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const rounded = rows.filter(({ across }) => across !== undefined)
  const total = (of: (row: Row) => number): string => counted(rounded.reduce((sum, row) => sum + of(row), 0))
  return rounded.length === 0
    ? []
    : [
        `${total(({ across = 0 }) => across)} of ${total(({ size }) => size)} values lie at a boundary between two levels and were rounded to its other side; there the reference follows`,
      ]
}

/** The worst of each kind, at its worst place. */
const tableOf = (rows: ReadonlyArray<Row>): ReadonlyArray<string> => {
  const cells = rows.map((row) => [
    kindOf(row),
    digits(row.reference),
    digits(row.accelerated),
    row.difference.toExponential(1),
    row.bound.toExponential(1),
    row.holds ? 'holds' : 'FAILS',
  ])
  const all = [['quantity', 'reference', 'accelerated', 'difference', 'bound', ''], ...cells]
  const widths = all[0]?.map((_, column) => Math.max(...all.map((line) => (line[column] ?? '').length))) ?? []
  return all.map((line) =>
    line
      .map((cell, column) => (column === 0 || column === 5 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
}

const digits = (x: number): string => x.toPrecision(9)
