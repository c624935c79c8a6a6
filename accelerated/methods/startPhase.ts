/** The start of a run's phases, for a model that supports the method. */
import { SettingsError } from '../errors/expectedErrors.js'
import type { ModelSpec } from '../models/architecture.js'
import { methods } from './index.js'
import type { Method } from './method.js'

const table: readonly Method[] = methods

/** The first phase of a run. @throws SettingsError if the model does not support the method, with the methods that it supports */
export const startPhase = (method: Method, spec: ModelSpec, settings: unknown): unknown => {
  const isSupported = ({ train: { hook } }: Method): boolean => hook === undefined || spec.supportedHooks.includes(hook)
  if (isSupported(method)) return method.phases.start(spec, settings)
  const supported = table.filter(isSupported).map(({ name }) => name)
  throw new SettingsError('method', `${supported.slice(0, -1).join(', ')} or ${supported.at(-1)} on a model of this family`, method.name)
}
