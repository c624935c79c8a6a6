/** The page: what to learn on the left, what comes of it on the right, and the runs that this browser keeps. The worker trains. */
import { saveFile } from '../../reporting/page/charts.js'
import { openCurves } from './curves.js'
import { selectedDevice, showMachine } from './devices.js'
import { byId, localStorageOrNull, make, makeButton } from './elements.js'
import { addFiles, fileAddress, isOneFile, readInsideFiles } from './files.js'
import { labelingIn } from './label.js'
import { lessonIn, sampleSentences } from './learn.js'
import type { ModelChoice, Request, Response, RunRequest, StoredRun } from './messages.js'
import { progressIn } from './progress.js'
import { watchedIn } from './watched.js'

/** The page as it was opened, to be saved with a run inside. */
const pageHtml = `<!doctype html>\n${document.documentElement.outerHTML}`
const inside = readInsideFiles()

const ask = (request: Request): void => worker.postMessage(request)

const readField = (id: string): string => byId<HTMLInputElement>(id).value.trim()
/** run: the run whose events are shown · stored: the runs of this browser */
let [run, stored, trains, keeps]: [string, readonly StoredRun[], boolean, boolean] = ['', [], false, true]
let isMachineShown = false

const showError = (message: string | null): void => {
  const line = byId('error')
  line.hidden = message === null
  line.textContent = message ?? ''
  if (message !== null) line.scrollIntoView({ block: 'nearest' })
}

const setTrains = (now: boolean): void => {
  trains = now
  byId<HTMLButtonElement>('start').disabled = now || lesson.data() === null
  byId<HTMLButtonElement>('stop').disabled = !now
  lesson.disable(now)
  for (const button of document.querySelectorAll<HTMLButtonElement>('#runs button, #downloads button')) button.disabled = now
}

// Model and settings

/** The recommended model for few rows. */
const goodModel = 'sentence-transformers/all-MiniLM-L6-v2'

const modelChoice = (): ModelChoice => {
  const chosen = document.querySelector<HTMLInputElement>('input[name=model]:checked')?.value
  if (chosen === 'good') return { kind: 'hub', id: goodModel }
  if (chosen === 'hub') return { kind: 'hub', id: readField('hub') }
  if (chosen !== 'folder') return { kind: 'embedded' }
  const files = [...(byId<HTMLInputElement>('folder').files ?? [])]
  return { kind: 'folder', name: files[0]?.webkitRelativePath.split('/')[0] ?? 'folder', files }
}

/** Rows to train on, repeated ones included, and the least and the most epochs. */
const [enoughRows, leastEpochs, mostEpochs] = [2_400, 2, 20]
/** The rate of LoRA on the tiny model: at the usual one of larger models it learns too little in this time. */
const tinyModelRate = 2e-3
/** Few rows are scored by folds where the model allows it; of many, folds take too long in a tab. */
const mostFoldedRows = 100
/** How often a run is evaluated, about. Each time, the sentences are scored again. */
const evaluations = 12

const countRows = (): number => lesson.summary()?.rows ?? 0

/** The steps of the run that the form describes. */
const countSteps = (): number => Math.ceil((0.9 * countRows()) / Number(readField('batchSize'))) * Number(readField('epochs'))

const settings = (): RunRequest['settings'] => {
  const isTinyLora = modelChoice().kind === 'embedded' && countRows() >= 500 && ['lora', 'salora'].includes(readField('method'))
  const rate = readField('learningRate') || (isTinyLora ? tinyModelRate : '')
  const isFolded = countRows() < mostFoldedRows && modelChoice().kind !== 'embedded'
  return {
    method: readField('method'),
    precision: readField('precision'),
    device: selectedDevice(),
    epochs: Number(readField('epochs')),
    batchSize: Number(readField('batchSize')),
    ...(rate === '' ? {} : { learningRate: Number(rate) }),
    ...(byId<HTMLInputElement>('balance').checked ? { classWeights: 'balanced' } : {}),
    maxLength: Number(readField('maxLength')),
    saveSteps: 25,
    ...(isFolded ? {} : { evalFolds: 0, evalSteps: Math.max(5, Math.ceil(countSteps() / evaluations)) }),
  } as RunRequest['settings']
}

/** Fills the form with the model and the settings of a run that is resumed. */
const showSettings = (model: ModelChoice, of: StoredRun['settings']): void => {
  if (model.kind === 'hub') byId<HTMLInputElement>('hub').value = model.id
  const shown = model.kind === 'hub' && model.id === goodModel ? 'good' : model.kind
  document.querySelector<HTMLInputElement>(`input[name=model][value=${shown}]`)?.click()
  for (const id of ['method', 'precision', 'device', 'epochs', 'batchSize', 'maxLength', 'learningRate'] as const) {
    const value: unknown = of[id]
    if (value !== undefined && value !== null) byId<HTMLInputElement>(id).value = String(value)
  }
  byId<HTMLInputElement>('balance').checked = of.classWeights === 'balanced'
}

// Time: the pace of the last run in this browser, in milliseconds for each word it trained on

const paceKey = (): string => `salora/pace/${modelChoice().kind}/${readField('precision')}/${selectedDevice()}`

/** The pace of the tiny model on two cores of a Zen 4, until a run in this browser has one. */
const firstPace = 0.9

const wordsToTrain = (): number => countSteps() * Number(readField('batchSize')) * ((lesson.summary()?.words.median ?? 0) + 2)

const readPace = (): number | null => {
  const kept = Number(localStorageOrNull()?.getItem(paceKey()) ?? NaN)
  if (Number.isFinite(kept)) return kept
  return modelChoice().kind === 'embedded' ? firstPace : null
}

const roughly = (ms: number): string =>
  ms < 60_000 ? `${Math.max(5, Math.round(ms / 5_000) * 5)} s` : `${Math.max(1, Math.round(ms / 60_000))} min`

const describeChoices = (): void => {
  const choice = modelChoice()
  const model = choice.kind === 'embedded' ? 'tiny model' : choice.kind === 'hub' ? (choice.id.split('/').at(-1) ?? '') : choice.name
  byId('chosen').textContent = `Model, method and settings (${readField('method')}, ${readField('epochs')} epochs, ${model})`
  const pace = readPace()
  byId('start').textContent = lesson.data() === null || pace === null ? 'Train' : `Train: about ${roughly(pace * wordsToTrain())}`
}

// Runs

/** A name that no run of this browser has. */
const newName = (file: string, method: string): string => {
  const base = `${file.replace(/\.\w+$/, '').replace(/[^\w-]+/g, '-') || 'data'}-${method}`
  for (let number = 1; ; number++) if (!stored.some(({ name }) => name === `${base}-${number}`)) return `${base}-${number}`
}

let [began, words] = [0, 0]

const begin = (request: RunRequest): void => {
  showError(null)
  run = request.name
  progress.begin(request.name)
  watched.clear()
  byId('downloads').hidden = true
  ;[began, words] = [performance.now(), request.resume ? 0 : wordsToTrain()]
  setTrains(true)
  navigator.storage?.persist?.().catch(() => false)
  ask({ kind: 'predict', texts: watched.texts() })
  ask({ kind: 'start', run: request })
  if (matchMedia('(max-width: 52rem)').matches) byId('result').scrollIntoView({ behavior: 'smooth' })
}

const trainAnew = (): void => {
  const data = lesson.data()
  if (data === null || trains) return
  const chosen = settings()
  begin({
    name: newName(data.name, String(chosen.method)),
    model: modelChoice(),
    data,
    task: lesson.task(),
    settings: chosen,
    resume: false,
  })
}

/** The model of a stored run. A folder of this computer must be chosen again: a page may not open it by itself. */
const storedModel = (path: string): ModelChoice => {
  const choice = modelChoice()
  const name = path.replace('models/', '')
  if (name === 'embedded') return { kind: 'embedded' }
  return choice.kind !== 'folder' && name.includes('--') ? { kind: 'hub', id: name.replace('--', '/') } : choice
}

const resume = ({ name, model: path, settings: chosen, task }: StoredRun): void => {
  const model = storedModel(path)
  showSettings(model, chosen)
  describeChoices()
  begin({ name, model, data: null, task, settings: chosen, resume: true })
}

/** A finished run answers sentences from now on. */
const open = ({ name, model }: StoredRun): void => {
  showError(null)
  run = name
  ask({ kind: 'open', run: name, model: storedModel(model) })
}

const showRun = (shown: StoredRun): HTMLLIElement => {
  const { name, step, finished } = shown
  const state = finished ? 'finished' : `stopped after step ${step}`
  const remove = (): void => {
    if (confirm(`Remove ${name}? Its adapter and its data leave this browser.`)) ask({ kind: 'remove', run: name })
  }
  return make('li', [
    make('span', `${name}: ${state}`),
    ...(finished ? [makeButton('Open', () => open(shown), `Open ${name}`)] : []),
    ...(finished || step === 0 ? [] : [makeButton('Resume', () => resume(shown), `Resume ${name}`)]),
    ...(finished ? [makeButton('Download', () => ask({ kind: 'download', run: name, part: 'run' }), `Download ${name}`)] : []),
    makeButton('Remove', remove, `Remove ${name}`),
  ])
}

const showRuns = (runs: readonly StoredRun[]): void => {
  const newest = runs.findLast(({ finished }) => finished)
  if (isOneFile() && run === '' && newest !== undefined) open(newest) // a page that was saved with a run answers at once
  stored = runs
  byId('runs').replaceChildren(...(runs.length === 0 ? [make('li', 'None yet.', 'quiet')] : runs.map(showRun)))
  setTrains(trains)
}

// The worker

const answers: { readonly [K in Response['kind']]: (response: Extract<Response, { readonly kind: K }>) => void } = {
  ready: ({ machine }) => {
    if (!isMachineShown)
      showMachine(machine) // a later worker leaves the visitor's choices
    ;[isMachineShown, keeps] = [true, machine.keeps]
    describeChoices()
  },
  runs: ({ runs }) => showRuns(runs),
  reading: ({ share }) => lesson.showReading(share),
  columns: ({ columns }) => lesson.showColumns(columns),
  summary: ({ summary }) => {
    lesson.showSummary(summary)
    labeling.close(lesson.data())
  },
  embedding: ({ share }) => labeling.showEmbedding(share),
  toLabel: ({ toLabel }) => labeling.show(toLabel),
  labeled: (labeled) => labeling.take(labeled),
  model: ({ id, line }) => {
    if (readField('hub') === id) byId('hub-model').textContent = line
  },
  loading: ({ line, share }) => progress.load(line, share),
  past: ({ events }) => progress.addPast(events),
  event: ({ event }) => {
    progress.add(event)
    if (event.kind === 'start') began = performance.now() // what comes before does not grow with the rows
    if (event.kind !== 'result' || event.result.stepsDone === 0) return
    byId('downloads').hidden = false
    const [data, classes] = [lesson.data(), lesson.summary()?.classes ?? []]
    if (data !== null && classes.length > 0)
      labeling.offerMore(
        { file: data, task: lesson.task() },
        classes.map(({ name }) => name),
      )
    if (words > 0 && !event.result.interrupted) localStorageOrNull()?.setItem(paceKey(), String((performance.now() - began) / words))
    describeChoices()
  },
  ended: () => {
    setTrains(false)
    progress.end()
    ask({ kind: 'predict', texts: watched.texts() })
  },
  opened: ({ run: name }) => {
    progress.say(`${name} answers: type a sentence.`)
    byId('downloads').hidden = false
    watched.clear()
    ask({ kind: 'predict', texts: watched.texts() })
  },
  packed: ({ run: name, files }) =>
    void addFiles(pageHtml, files).then(
      (page) => saveFile(`${name}.html`, page),
      (thrown: unknown) => showError(String(thrown)),
    ),
  predictions: ({ texts, predictions }) => watched.show(texts, predictions, lesson.summary()?.classes.map(({ name }) => name) ?? []),
  download: ({ name, bytes }) => saveFile(name, new Blob([bytes], { type: name.endsWith('.html') ? 'text/html' : 'application/zip' })),
  error: ({ where, message, options }) => {
    if (where === 'inspect') return showUnreadable(message, options)
    if (where === 'label' || where === 'press') labeling.failed()
    if (where === 'look') byId('hub-model').textContent = ''
    if (where === 'start') restartWorker()
    showError(message)
  },
}

/** A file that lacks labels can be given them. */
const showUnreadable = (message: string, options: readonly string[]): void => {
  lesson.showError(message, options)
  const file = lesson.file()
  labeling.close(null)
  if (file !== null && (options.includes('skipMissing') || (options.includes('label') && !options.includes('text'))))
    labeling.offer({ file, task: lesson.task() })
}

const newWorker = (): Worker => {
  // on a page from a disk, a browser runs no module as a worker
  const opened = isOneFile() ? new Worker(fileAddress('worker.js')) : new Worker('worker.js', { type: 'module' })
  if (isOneFile()) opened.postMessage({ kind: 'files', files: inside } satisfies Request)
  opened.addEventListener('message', ({ data: response }: MessageEvent<Response>) => {
    const answer = answers[response.kind] as (response: Response) => void
    answer(response)
  })
  // a file that does not load gives an event without a message
  opened.addEventListener('error', ({ message }: Partial<ErrorEvent>) =>
    showError(
      message === undefined ? 'worker.js did not load. Check the connection, then reload the page' : `The worker ended: ${message}`,
    ),
  )
  return opened
}

let worker = newWorker()

/** After a run that failed: a card that was lost, or memory that WebAssembly took, stays so as long as its worker. */
const restartWorker = (): void => {
  labeling.close(null)
  worker.terminate()
  worker = newWorker()
}

const lesson = lessonIn({
  ask,
  cancel: restartWorker,
  changed: (sample) => {
    if (sample !== undefined) watched.setTexts(sampleSentences[sample] ?? [])
    const rows = countRows()
    const epochs = byId<HTMLInputElement>('epochs')
    if (rows > 0 && epochs.dataset['chosen'] === undefined)
      epochs.value = String(Math.min(mostEpochs, Math.max(leastEpochs, Math.ceil(enoughRows / rows))))
    setTrains(trains)
    describeChoices()
  },
})
const labeling = labelingIn({
  ask,
  settings: () => ({ model: modelChoice(), maxLength: Number(readField('maxLength')) }),
  train: (file) => {
    lesson.choose(file)
    byId('run').scrollIntoView({ block: 'nearest' })
  },
})
const watched = watchedIn((texts) => ask({ kind: 'predict', texts }))
const progress = progressIn(openCurves(), {
  balance: () => {
    byId<HTMLInputElement>('balance').checked = true
    trainAnew()
  },
  trainLonger: () => {
    byId<HTMLInputElement>('epochs').value = String(2 * Number(readField('epochs')))
    trainAnew()
  },
})

byId('run').addEventListener('submit', (event) => {
  event.preventDefault()
  trainAnew()
})
byId('stop').addEventListener('click', () => {
  ask({ kind: 'stop' })
  progress.say('Stopping after this step…')
})
byId('epochs').addEventListener('input', () => (byId('epochs').dataset['chosen'] = ''))
byId('settings').addEventListener('change', describeChoices)
for (const radio of document.querySelectorAll<HTMLInputElement>('input[name=model]'))
  radio.addEventListener('change', () => {
    for (const field of document.querySelectorAll<HTMLElement>('[data-for]')) field.hidden = field.dataset['for'] !== radio.value
  })
byId('hub').addEventListener('change', () => {
  const id = readField('hub')
  showError(null)
  byId('hub-model').textContent = id === '' ? '' : 'Looking on the hub…'
  if (id !== '') ask({ kind: 'look', id })
})
byId('adapter').addEventListener('click', () => ask({ kind: 'download', run, part: 'adapter' }))
byId('onnx').addEventListener('click', () => ask({ kind: 'export', run }))
byId('report').addEventListener('click', () => ask({ kind: 'report', run }))
byId('packed').addEventListener('click', () => ask({ kind: 'pack', run }))
byId('folder-of-run').addEventListener('click', () => ask({ kind: 'download', run, part: 'run' }))
document.addEventListener('visibilitychange', () => {
  if (trains && document.hidden) progress.note('This tab is in the background: browsers slow it down there.')
})
addEventListener('beforeunload', (event) => {
  if (trains || (!keeps && !byId('downloads').hidden)) event.preventDefault()
})
byId('packed').hidden = !isOneFile()
if (!isOneFile() && 'serviceWorker' in navigator) navigator.serviceWorker.register('serviceWorker.js').catch(() => undefined)
