/** A built page whose worker says more on the console: what buffers it holds on the card, and where ONNX Runtime put its nodes. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ConsoleMessage } from 'playwright-core'

/** Runs before the worker's own lines. Of the thousands of lines that ONNX Runtime writes, one message takes those of the nodes. */
const watch = (settings: object): string => `{
  const [device, buffer] = [GPUDevice.prototype, GPUBuffer.prototype]
  const { createBuffer } = device
  const { destroy } = buffer
  const [held, references] = [new Set(), new WeakMap()] // a buffer that nothing refers to is freed, too
  device.createBuffer = function (...asked) {
    const made = createBuffer.apply(this, asked)
    references.set(made, new WeakRef(made))
    held.add(references.get(made))
    return made
  }
  buffer.destroy = function () {
    held.delete(references.get(this))
    destroy.call(this)
  }
  const { error, log } = console
  const lines = []
  let sessions = 0
  self.logLevel = () => (sessions++ === 0 ? 0 : 3) // the first session is that of the step
  console.error = (...said) => {
    const text = said.join(' ')
    if (text.includes('VerifyEachNodeIsAssignedToAnEp')) lines.push(text)
    else if (!text.includes('[V:') && !text.includes('[I:')) error(...said)
  }
  const send = self.postMessage.bind(self)
  self.postMessage = (answer, ...rest) => {
    if (lines.length > 0) log('placed ' + lines.splice(0).join('\\n'))
    if (answer.event?.kind === 'step') {
      self.gc() // of --expose-gc
      const buffers = [...held].flatMap((reference) => reference.deref() ?? [])
      log(['held', answer.event.step, buffers.length, buffers.reduce((sum, { size }) => sum + size, 0)].join(' '))
    }
    send(answer, ...rest)
  }
  self.addEventListener('message', ({ data }) => {
    if (data.kind === 'start') Object.assign(data.run.settings, ${JSON.stringify(settings)})
  })
}
`

/** Changes the built page in this folder. @param settings of every run, over those that the page chooses */
export const watchPage = async (folder: string, settings: object): Promise<void> => {
  const file = join(folder, 'worker.js')
  const built = await readFile(file, 'utf8')
  const quiet = 'logSeverityLevel:3'
  if (built.split(quiet).length !== 2) throw new Error(`watchPage: expected ${quiet} once in worker.js`)
  await writeFile(file, `${watch(settings)}${built.replace(quiet, 'logSeverityLevel:self.logLevel()')}`)
}

type Held = { readonly buffers: number; readonly bytes: number }

/** What the worker of a watched page said. */
export type Watched = {
  /** ONNX Runtime's lines on the graph of each worker's first run */
  readonly placements: string[]
  /** by step, the buffers on the card: those of the last run */
  readonly held: Map<number, Held>
}

export const watched = (): Watched & { readonly listen: (message: ConsoleMessage) => void } => {
  const placements: string[] = []
  const held = new Map<number, Held>()
  return {
    placements,
    held,
    listen: (message) => {
      const text = message.text()
      if (text.startsWith('placed ')) placements.push(...text.slice('placed '.length).split('\n'))
      const [, step, buffers, bytes] = /^held (\d+) (\d+) (\d+)$/.exec(text) ?? []
      if (step !== undefined) held.set(Number(step), { buffers: Number(buffers), bytes: Number(bytes) })
    },
  }
}
