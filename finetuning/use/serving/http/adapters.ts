/** Adapters of an open base that come and go while requests run: POST /adapters and DELETE /adapters/NAME. */
import { realpath } from 'node:fs/promises'
import { resolve, sep } from 'node:path'
import { z } from 'zod'
import { inputError, quoted } from '../../../../accelerated/errors/inputError.js'
import { validate } from '../../../../accelerated/errors/validate.js'
import type { AdapterSource } from '../protocol.js'
import type { ServedRun } from '../openRuns.js'
import { Rejection } from './limits.js'

/** What a client knows as a model, since when (seconds since 1970), and of an adapter its base and its source. */
export type ServedModel = { readonly run: ServedRun; readonly created: number; readonly parent?: string; readonly source?: AdapterSource }

export type AdapterOptions = {
  /** the folder below which requests may load adapters; null: they may not */
  readonly root: string | null
  /** adapters that may be open */
  readonly most: number
}

export type Adapters = {
  /** Opens an adapter, in the place of one of this name. Requests that run end with the adapter they began with. @throws Rejection or InputError */
  readonly load: (body: unknown) => Promise<object>
  /** @throws Rejection (404) */
  readonly unload: (name: string) => Promise<object>
}

const name = z.string().regex(/^[\w.:-]{1,100}$/, 'up to 100 letters, digits and . : _ -')
const schema = z.strictObject({ name, path: z.string().min(1).max(4_096).optional(), scale: z.number().min(-100).max(100).optional() })

/** @throws InputError for a name that no client could use */
export const checkAdapterName = (given: string): string => validate(name, given, quoted(given), 'a name of an adapter')

/**
 * One load or unload at a time, so that at most one adapter more than `most` is in memory.
 * @param models changes with each of them @param base its name among the models
 */
export const servedAdapters = (
  models: Map<string, ServedModel>,
  base: string,
  attach: (source: AdapterSource) => Promise<ServedRun>,
  { root, most }: AdapterOptions,
): Adapters => {
  let last: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work)
    last = turn.catch(() => undefined)
    return turn
  }
  const isAdapter = (given: string): boolean => models.get(given)?.source !== undefined
  /** The next change waits until the requests of the old adapter have ended. */
  const free = (old: ServedModel | undefined): void => {
    if (old !== undefined) void inTurn(old.run.close).catch(() => undefined) // the thread has died, which ends the server
  }
  const openRoot = (): string => {
    if (root === null) throw new Rejection(403, 'this server loads no adapters: start it with salora serve BASE --adapter-root FOLDER')
    return root
  }
  return {
    load: async (body) => {
      const folder = openRoot()
      const given = validate(schema, body, 'the request', 'an adapter')
      if (given.name === base) throw inputError('the request', 'a name beside that of the base', quoted(given.name))
      return inTurn(async () => {
        const old = models.get(given.name)
        const path = given.path === undefined ? old?.source?.path : await pathBelow(folder, given.path)
        if (path === undefined) throw inputError('the request', '"path", the folder of a run or an adapter', 'none')
        const count = [...models.keys()].filter(isAdapter).length
        if (old === undefined && count >= most) throw new Rejection(409, `expected at most ${most} adapters (--max-adapters), got one more`)
        const source = { path, scale: given.scale ?? 1 }
        const added = { run: await attach(source), created: now(), parent: base, source }
        models.set(given.name, added)
        free(old)
        return { name: given.name, scale: source.scale, replaced: old !== undefined }
      })
    },
    unload: async (given) => {
      openRoot()
      return inTurn(async () => {
        if (!isAdapter(given))
          throw new Rejection(404, `expected the name of an adapter, got ${quoted(given, 100)}`, null, 'model_not_found')
        const old = models.get(given)
        models.delete(given)
        free(old)
        return { name: given, deleted: true }
      })
    },
  }
}

/** Of a server of runs. */
export const noAdapters: Adapters = servedAdapters(new Map(), '', () => Promise.reject(new Error('noAdapters: expected no call')), {
  root: null,
  most: 0,
})

/** Seconds since 1970. */
export const now = (): number => Math.floor(Date.now() / 1000)

/** The real path of a folder below `root`, which no link may leave. @throws Rejection that says nothing of what is elsewhere */
const pathBelow = async (root: string, path: string): Promise<string> => {
  const real = await realpath(root)
  const isBelow = (found: string): boolean => found.startsWith(real.endsWith(sep) ? real : `${real}${sep}`)
  const lexical = resolve(real, path)
  const found = isBelow(lexical) ? await realpath(lexical).catch(() => null) : null
  if (found === null || !isBelow(found))
    throw new Rejection(400, `expected a folder below the one of --adapter-root, got ${quoted(path, 100)}`)
  return found
}
