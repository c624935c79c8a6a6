/** The first thing that a schema finds wrong in a JSON value, in words for a one-line message. */
import type { z } from 'zod'
import { quoted } from './fileError.js'

/** `path` in dots (empty for the whole), what the schema says, and what stands there. */
export type SchemaProblem = { readonly path: string; readonly message: string; readonly found: string }

/** The first issue of a failed parse of `json`. */
export const firstProblem = (error: z.ZodError, json: unknown): SchemaProblem => {
  const issue = error.issues[0]
  const path = issue?.path ?? []
  const found = path.reduce<unknown>((at, key) => (typeof at === 'object' && at !== null ? Reflect.get(at, key) : undefined), json)
  return { path: path.join('.'), message: issue?.message ?? 'invalid', found: shown(found) }
}

/** A JSON value in a message, cut to a readable length. */
export const shown = (value: unknown): string =>
  value === undefined ? 'nothing' : typeof value === 'string' ? quoted(value) : quoted(JSON.stringify(value)).slice(1, -1)
