/** The device against the float64 reference: what `salora verify` compares. */
import { chooseDevice } from '../../../accelerated/engines/deviceProbe.js'
import { checkDevice } from '../../../accelerated/precisions/precision.js'
import { precisionOf } from '../../../accelerated/settings/commonSettings.js'
import { verify, worstOfEach, type Row } from '../../agreement/index.js'
import type { Stage } from '../stage.js'

export const verificationIn = (precision: string): Stage => ({
  name: `verify-${precision}`,
  title: `Agreement with the reference, ${precision}`,
  run: async ({ device, small }) => {
    await checkDevice(precisionOf(precision), await chooseDevice(device))
    const rows: Row[] = []
    for await (const row of verify({ device, precision, seed: 0, cases: small ? 1 : 4 })) rows.push(row)
    const worst = worstOfEach(rows).map(({ part, quantity, difference, bound }) => ({ part, quantity, difference, bound }))
    return { comparisons: rows.length, broken: rows.filter(({ holds }) => !holds).length, worst }
  },
})
