/** The worker of the page: it trains, predicts and reads the page's storage, so that the page stays free. */
import {
  browserFiles,
  exportForTransformersJs,
  finetune,
  InputError,
  inspect,
  memoryStorage,
  methodNames,
  mounted,
  predictor,
  report,
  type FolderHandle,
  type Predictor,
  type Storage,
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

const waitingLine: Download['onWait'] = (reason, seconds) =>
  send({ kind: 'loading', line: `Waiting ${Math.ceil(seconds)} s for the hub (${reason})`, share: null })

let files: Promise<Storage> | null = null
const storage = (): Promise<Storage> => {
  files ??= (async () => {
    const root = await navigator.storage.getDirectory()
    return browserFiles((await root.getDirectoryHandle('salora', { create: true })) as unknown as FolderHandle)
  })()
  return files
}

let stop: AbortController | null = null
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

const start = async (run: RunRequest): Promise<void> => {
  const { name, model, data, task, settings, resume } = run
  await closePredictor()
  const disk = await storage()
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
  const place = { storage: mounted(disk, path, weights), device, baseModelName, runtimeVersion: await runtimeVersion() }
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
  inspect: async ({ file, task }) => send({ kind: 'summary', summary: await inspect(file, task) }),
  look: async ({ id }) => send({ kind: 'model', id, line: await modelLine(id) }),
  start: async ({ run }) => {
    try {
      await locked(run.name, () => start(run))
    } finally {
      send({ kind: 'runs', runs: await storedRuns(await storage()) })
      send({ kind: 'ended' })
    }
  },
  stop: async () => stop?.abort(),
  predict: async ({ texts }) => {
    if (open === null) throw new InputError('sentences', 'a trained run', 'none')
    opened ??= open()
    const { predictions } = await opened
    send({ kind: 'predictions', predictions: await predictions(texts.map((text) => ({ text }))) })
  },
  download: async ({ run, part }) => {
    const folder = part === 'adapter' ? `runs/${run}/adapter` : `runs/${run}`
    send({ kind: 'download', name: `${run}-${part}.zip`, bytes: makeZip(await filesBelow(await storage(), folder)) })
  },
  export: async ({ run }) => {
    if (exported === null) throw new InputError('export', 'a trained run', 'none')
    send({ kind: 'download', name: `${run}-onnx.zip`, bytes: makeZip(await filesBelow(await exported(), 'export')) })
  },
  report: async ({ run }) => {
    const [script = '', style = ''] = await Promise.all(
      ['report.js', 'page.css'].map(async (name) => (await fetch(`report/${name}`)).text()),
    )
    const page = await report(`runs/${run}`, { storage: await storage() }, { script, style })
    send({ kind: 'download', name: `${run}-report.html`, bytes: new TextEncoder().encode(page) })
  },
  remove: async ({ run }) => {
    await locked(run, () => removeRun(run))
    send({ kind: 'runs', runs: await storedRuns(await storage()) })
  },
}

self.addEventListener('message', ({ data }: MessageEvent<Request>) => {
  const answer = answers[data.kind] as (request: Request) => Promise<void>
  answer(data).catch((thrown: unknown) => {
    const message = thrown instanceof Error ? thrown.message : String(thrown)
    send({ kind: 'error', where: data.kind, message })
  })
})

const machine = { isolated: crossOriginIsolated, threads: threadsHere(), methods: methodNames, gpu: await gpuHere() }
send({ kind: 'ready', machine })
send({ kind: 'runs', runs: await storedRuns(await storage()).catch(() => []) })
