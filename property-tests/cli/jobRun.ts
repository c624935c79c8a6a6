/** Runs of salora train in this process: the request of the command line, and the job of its worker. */
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { typedRequest, type TypedFlags } from './typedFlags.js'

/** @param stopAfter the step after which a signal comes */
export const runJob = async (flags: TypedFlags, stopAfter: number | null = null): Promise<RunResult> => {
  const stop = new AbortController()
  const request = await typedRequest(flags)
  const events = finetuneJob({ ...request, output: request.output ?? '' }, stop.signal)
  for (;;) {
    const next = await events.next()
    if (next.done === true) return next.value
    if (next.value.kind === 'step' && next.value.step === stopAfter) stop.abort()
  }
}

/** The bytes of the files of these folders of a run. */
export const bytesIn = async (run: string, folders: readonly string[]): Promise<Readonly<Record<string, string>>> => {
  const hashes: Record<string, string> = {}
  for (const folder of folders)
    for (const name of (await readdir(join(run, folder))).sort())
      hashes[`${folder}/${name}`] = (await readFile(join(run, folder, name))).toString('base64')
  return hashes
}
