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
  openLabeling,
  predictor,
  report,
  type FolderHandle,
  type Labeling,
  type OptionStyle,
  type Place,
  type Predictor,
  type Storage,
  type Text,
  type Watch,
  withShares,
} from 'salora/web'
import { findDataFile, filesBelow, removeRun, storedRuns, makeZip } from './storedRuns.js'
import { isOneFile, readFile, takeFiles, type PageFiles } from './files.js'
import type { LabelRequest, ModelChoice, Request, Response, RunRequest } from './messages.js'
import { megabytes, modelFiles, modelLine, type Download, type ModelFiles } from './models.js'
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

/** Reports a share four times a second, and the last. */
const sharesTo = (report: (share: number) => void): ((share: number) => void) => {
  let last = performance.now()
  return (share) => {
    const now = performance.now()
    if (now - last < interval / 4 && share < 1) return
    last = now
    report(share)
  }
}

/** Bytes of a file that are in memory at once. */
const piece = 2 ** 22

async function* piecesOf(file: Blob, onShare: (share: number) => void): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < file.size; at += piece) {
    onShare(Math.min(1, (at + piece) / file.size))
    yield new Uint8Array(await file.slice(at, at + piece).arrayBuffer())
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
  labels: 'the classes',
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
/** A run that answers: it was trained here, or opened. */
type OpenRun = { readonly output: string; readonly place: Place; readonly model: ModelFiles }
let run: OpenRun | null = null
let opened: Promise<Predictor> | null = null
let labeling: (Labeling & { readonly name: string }) | null = null

const closePredictor = async (): Promise<void> => {
  const earlier = opened
  ;[run, opened] = [null, null]
  await (await earlier?.catch(() => null))?.release()
}

/** @throws InputError */
const runNow = (where: Request['kind']): OpenRun => {
  if (run === null) throw new InputError(where, 'a trained run', 'none')
  return run
}

/** Only one tab at a time writes into a run's folder; no other tab sees one in memory. @throws InputError */
const locked = async (name: string, work: () => Promise<void>): Promise<void> => {
  if ((await kept).folder === null) return work()
  await navigator.locks.request(`salora/${name}`, { ifAvailable: true }, async (lock) => {
    if (lock === null) throw new InputError(name, 'a run that no other tab works on', 'one that trains in another tab')
    await work()
  })
}

/** The sentences of the page, at each evaluation. */
const watch: Watch = {
  texts: () => watched.map((text) => ({ text })),
  show: (predictions) => send({ kind: 'predictions', texts: watched, predictions }),
}

/** Where a run is trained or answers. */
const openPlace = async (request: Pick<RunRequest, 'name' | 'settings' | 'resume'>, model: ModelFiles): Promise<Place> => {
  const { path, baseModelName, files } = model
  const [{ disk }, device] = [await kept, await openDevice(request)]
  return { storage: mounted(disk, path, files), device, baseModelName, runtimeVersion: await runtimeVersion(), watch }
}

/** A finished run answers from now on. @throws InputError if its model is not there */
const openStored = async (name: string, choice: ModelChoice): Promise<void> => {
  await closePredictor()
  const { signal } = new AbortController()
  const model = await modelFiles(choice, { report: progressLines(), onWait: waitingLine, signal })
  const [stored] = (await storedRuns((await kept).disk)).filter((one) => one.name === name)
  if (stored === undefined) throw new InputError(name, 'a run of this browser', 'none')
  run = {
    output: `runs/${name}`,
    place: await openPlace({ name, settings: { ...stored.settings, device: 'cpu' }, resume: false }, model),
    model,
  }
}

/** @throws InputError */
const openLabels = async ({ file, task, model: choice, classes, maxLength, taught }: LabelRequest): Promise<void> => {
  labeling = null
  const { signal } = new AbortController()
  const model = await modelFiles(choice, { report: progressLines(), onWait: waitingLine, signal })
  const place = await openPlace({ name: file.name, settings: { device: 'cpu' }, resume: false }, model)
  const more = taught === null ? {} : { taught: { file: taught.file, columns: taught.task } }
  const options = { model: model.path, classes, maxLength, ...more }
  const onShare = (share: number): void => send({ kind: 'embedding', share })
  const { text, label } = await readColumns(file, task.encoding)
  const columns = { ...(text === undefined ? {} : { text }), ...(label === undefined ? {} : { label }), ...task }
  labeling = { ...(await openLabeling({ file, columns }, options, place, onShare)), name: file.name.replace(/\.\w+$/, '') }
}

/** @throws InputError */
const labelingNow = (where: Request['kind']) => {
  if (labeling === null) throw new InputError(where, 'rows to label', 'none')
  return labeling
}

/** The files that a page in one file needs to answer as the open run. */
const packRun = async (name: string): Promise<PageFiles> => {
  const { output, model } = runNow('pack')
  const ofRun = await filesBelow((await kept).disk, output)
  const ofModel = model.baseModelName === 'embedded' ? [] : [...model.files].map(([file, blob]) => [`${model.path}/${file}`, blob] as const)
  return new Map([...[...ofRun].map(([path, bytes]) => [`runs/${name}/${path}`, new Blob([bytes as BlobPart])] as const), ...ofModel])
}

const start = async (request: RunRequest): Promise<void> => {
  const { name, model, data, task, settings, resume } = request
  await closePredictor()
  const { disk } = await kept
  stop = new AbortController()
  const { signal } = stop
  const found = await modelFiles(model, { report: progressLines(), onWait: waitingLine, signal }).catch((thrown: unknown) => {
    if (signal.aborted) return null // the download was stopped
    throw thrown
  })
  if (found === null) return
  const { path } = found
  const output = `runs/${name}`
  const file = data === null ? await findDataFile(disk, name) : `data/${name}/${data.name}`
  if (data !== null) {
    await disk.makeFolder(`data/${name}`, { recursive: true })
    const copying = sharesTo((share) => send({ kind: 'loading', line: `Copying ${data.name} into the browser's storage…`, share }))
    await disk.write(file, piecesOf(data, copying))
  }
  const reading = sharesTo((share) => send({ kind: 'loading', line: share < 1 ? 'Reading the data…' : 'Loading the model…', share }))
  const answering = await openPlace(request, found)
  const place = { ...answering, storage: withShares(answering.storage, file, reading) }
  const { step = 0 } = (resume ? (await storedRuns(disk)).find((stored) => stored.name === name) : undefined) ?? {}
  if (step > 0) send({ kind: 'past', events: await readRunEvents(output, step, disk) })
  const options = { model: path, task: { task: file, ...task }, output, resume, settings }
  run = { output, place: answering, model: found }
  for await (const event of finetune(options, place, { signal })) send({ kind: 'event', event })
}

const answers: { readonly [K in Request['kind']]: (request: Extract<Request, { readonly kind: K }>) => Promise<void> } = {
  files: async ({ files }) => {
    takeFiles(files)
    const { disk } = await kept
    for (const [path, file] of files) {
      if (!path.startsWith('runs/')) continue
      await disk.makeFolder(path.slice(0, path.lastIndexOf('/')), { recursive: true })
      await disk.write(path, new Uint8Array(await file.arrayBuffer()))
    }
    await sendMachine()
  },
  inspect: async ({ file, task }) => {
    const columns = await readColumns(file, task.encoding)
    send({ kind: 'columns', columns })
    const { text = columns.text, label = columns.label } = task
    const chosen = { ...(text === undefined ? {} : { text }), ...(label === undefined ? {} : { label }) }
    send({
      kind: 'summary',
      summary: await inspect(
        file,
        { ...task, ...chosen },
        sharesTo((share) => send({ kind: 'reading', share })),
      ),
    })
  },
  look: async ({ id }) => send({ kind: 'model', id, line: await modelLine(id) }),
  start: async ({ run: request }) => {
    try {
      await locked(request.name, () => start(request))
    } finally {
      stop = null
      send({ kind: 'runs', runs: await storedRuns((await kept).disk) })
      send({ kind: 'ended' })
    }
  },
  stop: async () => stop?.abort(),
  predict: async ({ texts }) => {
    watched = texts
    if (stop !== null || run === null || texts.length === 0) return // the next evaluation predicts them
    opened ??= predictor(run.output, run.place)
    const { predictions } = await opened
    send({ kind: 'predictions', texts, predictions: await predictions(texts.map((text) => ({ text }))) })
  },
  download: async ({ run: name, part }) => {
    const path = part === 'adapter' ? `runs/${name}/adapter` : `runs/${name}`
    send({ kind: 'download', name: `${name}-${part}.zip`, bytes: makeZip(await filesBelow((await kept).disk, path)) })
  },
  open: async ({ run: name, model }) => {
    await openStored(name, model)
    send({ kind: 'opened', run: name })
  },
  pack: async ({ run: name }) => send({ kind: 'packed', run: name, files: await packRun(name) }),
  export: async ({ run: name }) => {
    const { output, place } = runNow('export')
    const to = { storage: memoryStorage(), folder: 'export' }
    await to.storage.makeFolder(to.folder)
    await exportForTransformersJs(output, place, to)
    send({ kind: 'download', name: `${name}-onnx.zip`, bytes: makeZip(await filesBelow(to.storage, to.folder)) })
  },
  report: async ({ run: name }) => {
    const [script = '', style = ''] = await Promise.all(
      ['report.js', 'page.css'].map(async (file) => (await readFile(`report/${file}`)).text()),
    )
    const page = await report(`runs/${name}`, { storage: (await kept).disk }, { script, style })
    send({ kind: 'download', name: `${name}-report.html`, bytes: new TextEncoder().encode(page) })
  },
  label: async (request) => {
    await openLabels(request)
    send({ kind: 'toLabel', toLabel: labelingNow('label').toLabel() })
  },
  press: async ({ key }) => {
    const { press, toLabel } = labelingNow('press')
    await press(key)
    send({ kind: 'toLabel', toLabel: toLabel() })
  },
  labeled: async ({ as }) => {
    const { csv, trainingCsv, name } = labelingNow('labeled')
    const file = new File([as === 'labels' ? csv() : trainingCsv()], as === 'labels' ? `${name}.labels.csv` : `${name}-labeled.csv`)
    send({ kind: 'labeled', as, file })
  },
  remove: async ({ run: name }) => {
    const { disk, folder } = await kept
    await locked(name, () => removeRun(name, disk, folder))
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

const sendMachine = async (): Promise<void> => {
  const { folder, disk } = await kept
  const about = { isolated: crossOriginIsolated, threads: threadsHere(), keeps: folder !== null, isOneFile: isOneFile() }
  send({ kind: 'ready', machine: { ...about, methods: methodNames, gpu: await gpuHere() } })
  send({ kind: 'runs', runs: await storedRuns(disk).catch(() => []) })
}
if (!self.location.href.startsWith('blob:')) void sendMachine() // a page in one file hands its files over first
