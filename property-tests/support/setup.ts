/**
 * Set-up of every test file. A run trains in the test's own thread, since Node cannot start a thread from TypeScript. ONNX Runtime takes one thread
 * where a test names no number: test files run side by side, one on each core. Files share a process, so each one leaves the environment and the
 * working directory as it found them.
 */
import { realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { MessageChannel } from 'node:worker_threads'
import { afterAll, expect, vi } from 'vitest'
import type { EngineSettings } from '../../accelerated/engines/engine.js'
import type * as node from '../../accelerated/engines/onnxRuntimeNode.js'
import { systemCode, systemInputError } from '../../accelerated/errors/systemError.js'
import type { FinetuneEvent, FinetuneOptions } from '../../finetuning/run/run.js'
import type * as serving from '../../finetuning/use/serving/servingThread.js'

/** On macOS the temporary folder is a link, and on Windows it may have a short name. A process that works in it reports the folder's own name. */
process.env[process.platform === 'win32' ? 'TEMP' : 'TMPDIR'] = realpathSync.native(tmpdir())

/** As finetune.ts, without its thread. */
async function* finetuneHere(options: FinetuneOptions, more: { readonly signal?: AbortSignal } = {}): AsyncGenerator<FinetuneEvent, void> {
  const { reportRun } = await import('../../finetuning/run/tracking/reportRun.js')
  yield* reportRun(options, trainHere(options, more))
}

async function* trainHere(
  options: FinetuneOptions,
  { signal = new AbortController().signal }: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<FinetuneEvent, void> {
  const { finetuneJob } = await import('../../finetuning/nodeMachine.js')
  try {
    yield* finetuneJob(options, signal)
  } catch (thrown) {
    throw systemCode(thrown) === null ? thrown : systemInputError(options.output, "to write the run's files", thrown)
  }
}
vi.mock('../../finetuning/finetune.js', () => ({ finetune: finetuneHere }))

/** As servingThread.ts, without its thread: the messages take the same way through a channel. */
const startServingHere: typeof serving.startServingThread = (options, { onReply, onExit }) => {
  const { port1: caller, port2: thread } = new MessageChannel()
  caller.on('message', onReply)
  const served = import('../../finetuning/use/serving/serveThread.js').then(({ serveThread }) =>
    serveThread(
      { send: (reply) => thread.postMessage(reply), receive: (listener) => void thread.on('message', listener) },
      structuredClone(options),
    ),
  )
  return {
    send: (request) => caller.postMessage(request),
    hold: () => undefined,
    end: async () => {
      await served
      caller.close()
      onExit(null)
    },
  }
}
vi.mock('../../finetuning/use/serving/servingThread.js', () => ({ startServingThread: startServingHere }))

vi.mock('../../accelerated/engines/onnxRuntimeNode.js', async (original) => {
  const engine = await original<typeof node>()
  const oneThread = (settings: EngineSettings): EngineSettings => ({ ...settings, threads: settings.threads || 1 })
  return {
    ...engine,
    nodeEngine: (provider: node.Provider, settings: EngineSettings) => engine.nodeEngine(provider, oneThread(settings)),
    openModelFile: (file: string, settings: EngineSettings) => engine.openModelFile(file, oneThread(settings)),
  }
})

/** Arrays of the same type and bytes are equal. Vitest compares others number by number, and names the first that differs. */
const sameBytes = (a: unknown, b: unknown): true | undefined =>
  ArrayBuffer.isView(a) && ArrayBuffer.isView(b) && a.constructor === b.constructor && bytesOf(a).equals(bytesOf(b)) ? true : undefined
const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Buffer => Buffer.from(buffer, byteOffset, byteLength)
const added = Symbol.for('salora/sameBytes')
if (!(added in globalThis)) {
  Object.assign(globalThis, { [added]: true })
  expect.addEqualityTesters([sameBytes]) // for all files of this process
}

/** Variables that tests set, by whose value salora finds models and its cache. */
const isOurs = (name: string): boolean => /^(HF|SALORA)_/.test(name)
const [environment, folder] = [{ ...process.env }, process.cwd()]
afterAll(() => {
  vi.unstubAllEnvs()
  for (const name of Object.keys(process.env).filter(isOurs)) if (!(name in environment)) delete process.env[name]
  for (const name of Object.keys(environment).filter(isOurs)) process.env[name] = environment[name]
  process.chdir(folder)
})
