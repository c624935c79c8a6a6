/**
 * Loaded into salora's process by `node --import`. It names the moments of its training thread: each run of a session, each change of a file.
 * At the moment KILL_AT, it sends the process SIGKILL, so a write is half done. `2 gated step` is the second moment of that name, and `30 *` the
 * thirtieth of all. KILL_TRACE is the file that gets the names.
 */
import plain, { appendFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { isMainThread } from 'node:worker_threads'
import * as ort from 'onnxruntime-node'

const [, nth, name] = /^(\d+) (.+)$/.exec(process.env['KILL_AT'] ?? '') ?? []
const trace = process.env['KILL_TRACE']
let moments = 0

/** Reports the moment. @returns whether the process must die at it */
const isLast = (moment: string): boolean => {
  if (trace !== undefined) appendFileSync(trace, `${moment}\n`)
  if (name !== '*' && name !== moment) return false
  moments += 1
  return moments === Number(nth)
}

const die = (): never => {
  process.kill(process.pid, 'SIGKILL')
  for (;;) {
    /* the signal is on its way */
  }
}

/** `.step-3.safetensors.17.ab12.partial` by the name it will have, in its folder */
const nameOf = (path: string): string =>
  join(basename(dirname(path)), basename(path).replace(/^\.(.+)\.\d+\.[0-9a-f]{12}\.partial$/, '$1 (temporary)'))

/** Moments are fed to a step block by block: `firstMoment(decayed)`. */
const isStep = (feeds: object): boolean => Object.keys(feeds).some((input) => input.startsWith('firstMoment('))

type Content = string | Uint8Array
const half = (content: Content): Content => content.slice(0, Math.ceil(content.length / 2))

if (!isMainThread) {
  const { open, rename, unlink, rm } = fs
  Object.assign(fs, {
    open: async (path: string, flags: string | number) => {
      const isWriting = typeof flags === 'string' && flags !== 'r' // as numbers come those of reading alone
      if (isWriting && isLast(`open ${nameOf(path)}`)) die()
      const handle = await open(path, flags)
      if (!isWriting) return handle
      const torn =
        <R>(operation: string, write: (content: Content, ...where: readonly number[]) => Promise<R>) =>
        async (content: Content, ...where: readonly number[]): Promise<R> => {
          if (!isLast(`${operation} ${nameOf(path)}`)) return write(content, ...where)
          await write(half(content))
          return die()
        }
      const [write, append, sync] = [handle.write.bind(handle), handle.appendFile.bind(handle), handle.sync.bind(handle)]
      return Object.assign(handle, {
        write: torn('write', (content, ...where) => write(Buffer.from(content as Uint8Array), ...where)),
        appendFile: torn('append', (content) => append(content)),
        sync: () => (isLast(`sync ${nameOf(path)}`) ? die() : sync()),
      })
    },
    rename: (from: string, to: string) => (isLast(`rename ${nameOf(to)}`) ? die() : rename(from, to)),
    unlink: (path: string) => (isLast(`unlink ${nameOf(path)}`) ? die() : unlink(path)),
    rm: (path: string, options: object) => (isLast(`rm ${nameOf(path)}`) ? die() : rm(path, options)),
  })

  // files that are written through descriptors (atomicFile.ts)
  const { openSync } = plain
  const paths = new Map<number, string>()
  const writeTo = promisify(plain.write) as (descriptor: number, bytes: Uint8Array) => Promise<unknown>
  const sync = promisify(plain.fsync)
  const promised = <A extends readonly unknown[], R>(action: (...given: A) => Promise<R>) =>
    Object.assign(() => undefined, { [promisify.custom]: action })
  Object.assign(plain, {
    openSync: (path: string, flags: string, ...more: readonly never[]) => {
      const isWriting = path !== trace && typeof flags === 'string' && flags !== 'r'
      if (isWriting && isLast(`open ${nameOf(path)}`)) die()
      const descriptor = openSync(path, flags, ...more)
      if (isWriting) paths.set(descriptor, path)
      return descriptor
    },
    write: promised(async (descriptor: number, bytes: Uint8Array) => {
      if (!isLast(`write ${nameOf(paths.get(descriptor) ?? '')}`)) return writeTo(descriptor, bytes)
      await writeTo(descriptor, half(bytes) as Uint8Array)
      return die()
    }),
    fsync: promised((descriptor: number) => (isLast(`sync ${nameOf(paths.get(descriptor) ?? '')}`) ? die() : sync(descriptor))),
  })
  syncBuiltinESMExports()

  const create = ort.InferenceSession.create.bind(ort.InferenceSession) as (...given: readonly unknown[]) => Promise<ort.InferenceSession>
  Object.assign(ort.InferenceSession, {
    create: async (...given: readonly unknown[]) => {
      const session = await create(...given)
      const run = session.run.bind(session) as (...given: readonly unknown[]) => Promise<ort.InferenceSession.ReturnType>
      return Object.assign(session, {
        run: (feeds: object, ...fetches: readonly unknown[]) =>
          isLast(isStep(feeds) ? ('u' in feeds ? 'gated step' : 'step') : 'evaluation') ? die() : run(feeds, ...fetches),
      })
    },
  })
}
