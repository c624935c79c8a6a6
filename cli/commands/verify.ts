/** salora verify: the accelerated path against the reference, on this machine. */
import type { Command } from 'commander'
import { chooseDevice } from '../../accelerated/runtime/deviceProbe.js'
import { precisionOf } from '../../accelerated/commonSettings.js'
import { SettingsError } from '../../accelerated/settingsError.js'
import type { Row } from '../../evaluation/agreement/index.js'
import { kindOf, verify, worstOfEach } from '../../evaluation/agreement/index.js'
import { withOutput } from '../command.js'
import { exitCodes } from '../exitCodes.js'
import { flagValues, numberOf } from '../flagValues.js'
import { counted, plural } from '../numbers.js'
import { addFlags } from '../trainFlags.js'
import { settingsOf } from '../trainRequest.js'
import { usageError } from '../usageError.js'

export const addVerify = (command: Command): void => {
  command.description(
    'Draws small encoders and decoders and compares the accelerated path with the float64 reference, quantity by quantity: values, every gradient, ten steps, a whole run\n' +
      'and the adapter it leaves. A difference is relative to the largest number of its quantity. The exit code is 1 if a bound is broken.',
  )
  addFlags(command, ['device', 'precision', 'seed'])
  command.option('--cases <n>', 'encoders to draw, and as many decoders', '4')
  withOutput(command, ['salora verify --device webgpu --cases 8'], async (given, terminal) => {
    const settings = settingsOf(flagValues(given))
    const cases = numberOf('--cases', String(given['cases']))
    if (!Number.isInteger(cases) || cases < 1) throw usageError('--cases', 'a whole number of at least 1', String(cases))
    const { name: device, tolerances } = await chooseDevice(settings.device)
    const { dtype } = precisionOf(settings.precision)
    if (settings.precision !== dtype)
      throw new SettingsError('precision', 'float32 or float64, as the reference computes no whole step in another', settings.precision)
    if (tolerances[dtype] === undefined) throw new SettingsError('precision', 'float32 on this device', `float64 on ${device}`)
    const rows: Row[] = []
    let model = -1
    for await (const row of verify({ device, dtype, seed: settings.seed, cases })) {
      if (row.model !== model) terminal.note(`model ${row.model + 1}/${cases} …`)
      model = row.model
      rows.push(row)
    }
    const broken = rows.filter(({ holds }) => !holds)
    terminal.result(
      [
        ...tableOf(worstOfEach(rows)),
        '',
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
