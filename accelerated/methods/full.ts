/** Full fine-tuning: every weight of the model, embeddings and norms included. The model asks for its tensors, and all of them are trained ones. */
import { z } from 'zod'
import type { SettingValues } from '../settings/setting.js'
import { weightGroupsOf, type CommonSettings } from '../settings/commonSettings.js'
import { modelInitial } from '../parameters/initialization.js'
import type { Method } from './method.js'

const settings = {} as const
export type FullSettings = SettingValues<typeof settings> & CommonSettings

const phase = z.strictObject({ tensors: z.array(z.tuple([z.string().max(500), z.array(z.int().min(1)).max(8)])).max(1_000_000) })
export type FullPhase = z.infer<typeof phase>

export const full: Method<FullSettings, FullPhase> = {
  name: 'full',
  summary: 'every weight of the model',
  trainsAll: true,
  settings,
  phase,
  start: ({ tensors }) => ({ tensors: [...tensors].map(([name, shape]) => [name, [...shape]]) }),
  tensors: ({ tensors }, own) => {
    const { decayed, undecayed } = weightGroupsOf(own)
    return tensors.map(([name, shape]) => ({ name, shape, group: shape.length > 1 ? decayed : undecayed, initial: modelInitial }))
  },
  wrap: () => (host) => host,
  format: 'huggingFace',
  merge: (_, __, name, ___, trained) => trained(name),
  validatePhase: ({ tensors }, start) =>
    JSON.stringify(tensors) === JSON.stringify(start.tensors)
      ? null
      : { expected: "the model's tensors", found: `${tensors.length} others` },
  counts: ({ tensors }) => ({ model: tensors.reduce((sum, [, shape]) => sum + shape.reduce((a, b) => a * b, 1), 0) }),
}
