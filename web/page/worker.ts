/** The worker of the page: it trains, predicts and reads the page's storage, so that the page stays free. */
import {
  browserFiles,
  exportForTransformersJs,
  finetune,
  InputError,
  inspect,
  readColumns,
  readRunEvents,
  memoryStorage,
  methodNames,
  mounted,
  predictor,
  report,
  type FolderHandle,
  type OptionStyle,
  type Predictor,
  type Storage,
  type Text,
  type Watch,
} from 'salora/web'
import { findDataFile, filesBelow, removeRun, storedRuns, makeZip } from './storedRuns.js'
import type { Request, Response, RunRequest } from './messages.js'
import { megabytes, modelFiles, modelLine, type Download } from './models.js'
import { openDevice, gpuHere, runtimeVersion, threadsHere } from './runtime.js'

const send = (response: Response): void => self.postMessage(response)

/** Milliseconds between two lines of a download. */
const interval = 1000

/** Says how far a download is: a screen reader reads each line. */
const progressLines = (): Download['report'] => {
  let last = -interval
  return (id, { file, received, total }) => {
    const now = performance.now()
    if (now - last < interval && received !== total) return
    last = now
    const of = total === null ? megabytes(received) : `${megabytes(received)} of ${megabytes(total)}`
    send({ kind: 'loading', line: `Downloading ${id}/${file}: ${of}`, share: total === null ? null : received / total })
  }
}

/** How far the reading of a file is. */
const shareLines = (): ((share: number) => void) => {
  let last = performance.now()
  return (share) => {
    const now = performance.now()
    if (now - last < interval / 4) return
    last = now
    send({ kind: 'reading', share })
  }
}

/** The fields of the page, where a command line has options. */
const fields: Readonly<Record<string, string>> = {
  text: 'the column of the text',
  label: 'the column of the label',
  encoding: 'the encoding',
  skipMissing: 'skip such rows',
  model: 'the model',
  device: 'the device',
  maxLength: 'the longest text',
  evalData: 'more rows',
}
const inPage: OptionStyle = ({ option }) => fields[option] ?? option

const optionsIn = (line: Text): readonly string[] =>
  typeof line === 'string' ? [] : line.parts.flatMap((part) => (typeof part === 'string' ? [] : [part.option]))

const waitingLine: Download['onWait'] = (reason, seconds) =>
  send({ kind: 'loading', line: `Waiting ${Math.ceil(seconds)} s for the hub (${reason})`, share: null })

/** The page's folder in the browser's storage; null: the browser blocks storage, and runs are in memory until the window closes. */
const kept = (async () => {
  const folder = await (async () => (await navigator.storage.getDirectory()).getDirectoryHandle('salora', { create: true }))().catch(
    () => null,
  )
  const disk: Storage = folder === null ? memoryStorage() : browserFiles(folder as unknown as FolderHandle)
  return { folder, disk }
})()

/** of a run that trains */
let stop: AbortController | null = null
let watched: readonly string[] = []
/** of the run that this page trained last */
let open: (() => Promise<Predictor>) | null = null
let exported: (() => Promise<Storage>) | null = null
let opened: Promise<Predictor> | null = null

const closePredictor = async (): Promise<void> => {
  const earlier = opened
  opened = null
  await (await earlier?.catch(() => null))?.release()
}

/** Only one tab at a time writes into a run's folder. @throws InputError */
const locked = async (name: string, work: () => Promise<void>): Promise<void> =>
  navigator.locks.request(`salora/${name}`, { ifAvailable: true }, async (lock) => {
    if (lock === null) throw new InputError(name, 'a run that no other tab works on', 'one that trains in another tab')
    await work()
  })

/** The sentences of the page, at each evaluation. */
const watch: Watch = {
  texts: () => watched.map((text) => ({ text })),
  show: (predictions) => send({ kind: 'predictions', texts: watched, predictions }),
}

const start = async (run: RunRequest): Promise<void> => {
  const { name, model, data, task, settings, resume } = run
  await closePredictor()
  const { disk } = await kept
  stop = new AbortController()
  const { signal } = stop
  const found = await modelFiles(model, { report: progressLines(), onWait: waitingLine, signal }).catch((thrown: unknown) => {
    if (signal.aborted) return null // the download was stopped
    throw thrown
  })
  if (found === null) return
  const { path, baseModelName, files: weights } = found
  const output = `runs/${name}`
  const file = data === null ? await findDataFile(disk, name) : `data/${name}/${data.name}`
  if (data !== null) {
    await disk.makeFolder(`data/${name}`, { recursive: true })
    await disk.write(file, new Uint8Array(await data.arrayBuffer()))
  }
  const device = await openDevice(run)
  const place = { storage: mounted(disk, path, weights), device, baseModelName, runtimeVersion: await runtimeVersion(), watch }
  const { step = 0 } = (resume ? (await storedRuns(disk)).find((stored) => stored.name === name) : undefined) ?? {}
  if (step > 0) send({ kind: 'past', events: await readRunEvents(output, step, disk) })
  const options = { model: path, task: { task: file, ...task }, output, resume, settings }
  open = () => predictor(output, place)
  exported = async () => {
    const to = { storage: memoryStorage(), folder: 'export' }
    await to.storage.makeFolder(to.folder)
    await exportForTransformersJs(output, place, to)
    return to.storage
  }
  for await (const event of finetune(options, place, { signal })) send({ kind: 'event', event })
}

const answers: { readonly [K in Request['kind']]: (request: Extract<Request, { readonly kind: K }>) => Promise<void> } = {
  inspect: async ({ file, task }) => {
    const columns = await readColumns(file, task.encoding)
    send({ kind: 'columns', columns })
    const { text = columns.text, label = columns.label } = task
    const chosen = { ...(text === undefined ? {} : { text }), ...(label === undefined ? {} : { label }) }
    send({ kind: 'summary', summary: await inspect(file, { ...task, ...chosen }, shareLines()) })
  },
  look: async ({ id }) => send({ kind: 'model', id, line: await modelLine(id) }),
  start: async ({ run }) => {
    try {
      await locked(run.name, () => start(run))
    } finally {
      stop = null
      send({ kind: 'runs', runs: await storedRuns((await kept).disk) })
      send({ kind: 'ended' })
    }
  },
  stop: async () => stop?.abort(),
  predict: async ({ texts }) => {
    watched = texts
    if (stop !== null || open === null || texts.length === 0) return // the next evaluation predicts them
    opened ??= open()
    const { predictions } = await opened
    send({ kind: 'predictions', texts, predictions: await predictions(texts.map((text) => ({ text }))) })
  },
  download: async ({ run, part }) => {
    const path = part === 'adapter' ? `runs/${run}/adapter` : `runs/${run}`
    send({ kind: 'download', name: `${run}-${part}.zip`, bytes: makeZip(await filesBelow((await kept).disk, path)) })
  },
  export: async ({ run }) => {
    if (exported === null) throw new InputError('export', 'a trained run', 'none')
    send({ kind: 'download', name: `${run}-onnx.zip`, bytes: makeZip(await filesBelow(await exported(), 'export')) })
  },
  report: async ({ run }) => {
    const [script = '', style = ''] = await Promise.all(
      ['report.js', 'page.css'].map(async (name) => (await fetch(`report/${name}`)).text()),
    )
    const page = await report(`runs/${run}`, { storage: (await kept).disk }, { script, style })
    send({ kind: 'download', name: `${run}-report.html`, bytes: new TextEncoder().encode(page) })
  },
  remove: async ({ run }) => {
    const { disk, folder } = await kept
    await locked(run, () => removeRun(run, disk, folder))
    send({ kind: 'runs', runs: await storedRuns(disk) })
  },
}

self.addEventListener('message', ({ data }: MessageEvent<Request>) => {
  const answer = answers[data.kind] as (request: Request) => Promise<void>
  answer(data).catch((thrown: unknown) => {
    const isUsers = thrown instanceof InputError
    const message = isUsers ? thrown.lineIn(inPage) : thrown instanceof Error ? thrown.message : String(thrown)
    send({ kind: 'error', where: data.kind, message, options: isUsers ? optionsIn(thrown.line) : [] })
  })
})

// after the listener: what the page says meanwhile would be lost
const { folder, disk } = await kept
const machine = {
  isolated: crossOriginIsolated,
  threads: threadsHere(),
  methods: methodNames,
  gpu: await gpuHere(),
  keeps: folder !== null,
}
send({ kind: 'ready', machine })
send({ kind: 'runs', runs: await storedRuns(disk).catch(() => []) })
