/** A method that is in no release: every chosen matrix gets a trained vector beside its bias, h = Wx + c · v. What a new method's one file looks like. */
import { z } from 'zod'
import { buildWeightGroups, type CommonSettings } from '../../../accelerated/settings/commonSettings.js'
import { add, mul } from '../../../accelerated/graph/operators.js'
import { zeroInitial } from '../../../accelerated/parameters/initialization.js'
import type { Method } from '../../../accelerated/methods/method.js'
import { settingGroup, type SettingValues } from '../../../accelerated/settings/setting.js'

const settings = settingGroup('Shift options', {
  shiftScale: { placeholder: 'factor', description: 'Factor of every shift', schema: z.number().positive().default(2) },
})

type ShiftSettings = SettingValues<typeof settings> & CommonSettings

const schema = z.strictObject({ matrices: z.array(z.strictObject({ name: z.string(), d: z.int().min(1) })) })
type ShiftPhase = z.infer<typeof schema>

const vectorOf = (matrix: string): string => `${matrix}.shift`

export const shift: Method<ShiftSettings, ShiftPhase> = {
  name: 'shift',
  summary: 'a trained vector beside every bias',
  settings,
  train: {
    tensors: ({ matrices }, settings) => {
      const { undecayed } = buildWeightGroups(settings)
      return matrices.map(({ name, d }) => ({ name: vectorOf(name), shape: [d], group: undecayed, initial: zeroInitial }))
    },
    wrap:
      (_, { shiftScale }, parameter) =>
      (host) => ({
        ...host,
        linear: (name, x) => {
          const output = host.linear(name, x)
          return name.startsWith('encoder.') ? add(output, mul(parameter(vectorOf(name)), shiftScale)) : output
        },
      }),
  },
  phases: { schema, start: ({ matrices }) => ({ matrices: matrices.map(({ name, d }) => ({ name, d })) }) },
  reporting: {
    columns: [{ name: 'largestShift', label: 'shift', digits: 5 }],
    measures: ({ matrices }, _, parameter) => {
      const largest = matrices.map(({ name }) => Array.from(parameter(vectorOf(name))).reduce((most, x) => Math.max(most, Math.abs(x)), 0))
      return {
        columns: { largestShift: Math.max(...largest) },
        byMatrix: { largestShifts: Object.fromEntries(matrices.map(({ name }, i) => [name, largest[i] ?? NaN])) },
      }
    },
    parameterCounts: ({ matrices }) => ({ shifts: matrices.reduce((sum, { d }) => sum + d, 0) }),
    result: ({ matrices }, { shiftScale }) => ({ shiftedMatrices: matrices.length, shiftScale }),
  },
  export: { format: 'huggingFace' },
}
