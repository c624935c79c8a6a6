/** Full fine-tuning: every weight of the model, embeddings and norms included. */
import { z } from 'zod'
import { settingGroup, type SettingValues } from '../settings/setting.js'
import { buildWeightGroups, type CommonSettings } from '../settings/commonSettings.js'
import { modelInitial } from '../parameters/initialization.js'
import type { Method } from './method.js'

const settings = settingGroup('Full fine-tuning options', {})
type FullSettings = SettingValues<typeof settings> & CommonSettings

const schema = z.strictObject({ tensors: z.array(z.tuple([z.string().max(500), z.array(z.int().min(1)).max(8)])).max(1_000_000) })
type FullPhase = z.infer<typeof schema>

export const full: Method<FullSettings, FullPhase> = {
  name: 'full',
  summary: 'every weight of the model',
  settings,
  train: {
    trainsAll: true,
    tensors: ({ tensors }, training) => {
      const { decayed, undecayed } = buildWeightGroups(training)
      return tensors.map(([name, shape]) => ({ name, shape, group: shape.length > 1 ? decayed : undecayed, initial: modelInitial }))
    },
    wrap: () => (host) => host, // the model asks for its tensors by name, and gets the trained ones
  },
  phases: {
    schema,
    start: ({ tensors }) => ({ tensors: [...tensors].map(([name, shape]) => [name, [...shape]]) }),
    validate: ({ tensors }, start) =>
      JSON.stringify(tensors) === JSON.stringify(start.tensors)
        ? null
        : { expected: "the model's tensors", got: `${tensors.length} others` },
  },
  reporting: {
    parameterCounts: ({ tensors }) => ({ model: tensors.reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b, 1), 0) }),
  },
  export: {
    format: 'huggingFace',
    merge: ({ tensors }, _, name, __, trained) => (tensors.some(([own]) => own === name) ? trained(name) : null),
  },
}
