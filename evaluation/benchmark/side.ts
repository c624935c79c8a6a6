/**
 * One side of a benchmark: a process that takes a step on request. Its standard input has the number of a batch per line, or `evaluate`. Its
 * standard output has JSON lines:
 *  - `{ "versions": { name: version } }` after the first step
 *  - `{ "milliseconds": x }` after each request; salora's side adds the operations of its products
 *  - `{ "peakBytes": n }` at the end
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { BenchmarkKind, PeerMode } from './cases.js'

/** What a side is started with, as its one argument: a JSON text. */
export type SideRequest = {
  readonly model: string
  /** encoder: classifies · decoder: learns every next token */
  readonly kind: BenchmarkKind
  /** a file with the batches: [batch][example] { inputIds, label } */
  readonly batches: string
  /** a file with the batches to evaluate on, where that is asked for */
  readonly evaluation: string | null
  readonly method: string
  readonly precision: string
  /** how PEFT runs; salora's side has none */
  readonly mode?: PeerMode
  readonly dropout: number
  readonly threads: number
  /** of the whole run that the steps are of: schedules follow from it */
  readonly steps: number
}

/** operations: of matrix products, where the side counts them */
export type StepTaken = { readonly milliseconds: number; readonly operations?: number }

export type Side = {
  /** seconds from the start of the process to the end of its first step */
  readonly readySeconds: number
  /** versions of what ran, as it names them */
  readonly versions: Readonly<Record<string, string>>
  /** one step on the batch of this number */
  readonly step: (batch: number) => Promise<StepTaken>
  /** answers for the examples of the evaluation. → milliseconds */
  readonly evaluate: () => Promise<number>
  /** ends it at once, where it has not ended */
  readonly kill: () => void
  /** ends the process. → its largest resident memory */
  readonly close: () => Promise<number>
}

/** The program of salora's side. */
export const saloraFile = fileURLToPath(new URL('./saloraWorker.js', import.meta.url))

/** The program of PEFT's side, which is beside the sources and not in dist/. */
export const peerFile = fileURLToPath(
  new URL(import.meta.url.includes('/dist/') ? '../../../evaluation/benchmark/peer.py' : './peer.py', import.meta.url),
)

/** @throws InputError if the process does not come to its first step; with its last line on standard error */
export const openSide = async (command: string, file: string, request: SideRequest): Promise<Side> => {
  const began = performance.now()
  const child = spawn(command, [file, JSON.stringify(request)], { stdio: 'pipe' })
  let lastError: string | undefined
  createInterface(child.stderr).on('line', (line) => {
    lastError = line
  })
  child.stdin.on('error', () => undefined) // the process exited, which the reader of its lines notices
  const failed = new Promise<never>((_, reject) => {
    child.on('error', (error) => reject(inputError(command, 'a program that can be started', error.message)))
    child.on('exit', (code, signal) => {
      if (code !== 0) reject(inputError(`${command} ${file}`, 'steps of training', lastError ?? `exit ${code ?? signal}`))
    })
  })
  failed.catch(() => undefined) // reported to the reader of the next line
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  const next = async <Fact>(): Promise<Fact> => {
    const line = await Promise.race([lines.next(), failed])
    return line.done === true ? failed : (JSON.parse(line.value) as Fact)
  }
  const ask = (line: string): Promise<StepTaken> => {
    child.stdin.write(`${line}\n`)
    return next()
  }
  const { versions } = await next<Pick<Side, 'versions'>>()
  return {
    readySeconds: (performance.now() - began) / 1000,
    versions,
    kill: () => void child.kill('SIGKILL'),
    step: (batch) => ask(String(batch)),
    evaluate: async () => (await ask('evaluate')).milliseconds,
    close: async () => {
      child.stdin.end()
      return (await next<{ readonly peakBytes: number }>()).peakBytes
    },
  }
}
