/** The methods: one line each. A method is one file or folder; what several methods share is a file beside them. */
import { SettingsError } from '../errors/settingsError.js'
import type { ModelSpec } from '../models/architecture.js'
import { adalora } from './adalora/adalora.js'
import { full } from './full.js'
import { houlsby } from './houlsby.js'
import { lora } from './lora.js'
import type { Method } from './method.js'
import { pfeiffer } from './pfeiffer.js'
import { prefix } from './prefix.js'
import { prompt } from './prompt.js'
import { salora } from './salora/salora.js'

export const methods = [salora, lora, adalora, houlsby, pfeiffer, prefix, prompt, full] as const satisfies ReadonlyArray<Method>

const table: ReadonlyArray<Method> = methods

/** The first phase of a run. @throws SettingsError if the model does not support the method, with the methods that it supports */
export const startPhase = (method: Method, spec: ModelSpec, settings: unknown): unknown => {
  const isSupported = ({ train: { hook } }: Method): boolean => hook === undefined || spec.supportedHooks.includes(hook)
  if (isSupported(method)) return method.phases.start(spec, settings)
  const supported = table.filter(isSupported).map(({ name }) => name)
  throw new SettingsError('method', `${supported.slice(0, -1).join(', ')} or ${supported.at(-1)} on a model of this family`, method.name)
}
