/** Labels by hand: one text after another, a key for each class, and how well the labels so far predict each other. */
import type { ToLabel } from 'salora/web'
import { saveFile } from '../../reporting/page/charts.js'
import { lineChart } from '../../reporting/charts/chart.js'
import { chartView, type ChartView } from '../../reporting/page/chartView.js'
import { byId, localStorageOrNull, make, makeButton } from './elements.js'
import type { LabelRequest, Request, Response } from './messages.js'
import { percent } from './progress.js'

type Source = Pick<LabelRequest, 'file' | 'task'>

export type LabelingCard = {
  /** The rows of this file may be labeled. */
  readonly offer: (source: Source) => void
  /** Once a run has finished: more texts may be labeled with its classes. @param taught its rows */
  readonly offerMore: (taught: Source, classes: readonly string[]) => void
  /** The visitor chose to learn something else; a session in which they label stays if its rows are what they chose. */
  readonly close: (chosen: File | null) => void
  readonly showEmbedding: (share: number) => void
  readonly show: (toLabel: ToLabel) => void
  readonly take: (labeled: Extract<Response, { readonly kind: 'labeled' }>) => void
  /** The worker refused what was asked. */
  readonly failed: () => void
}

type Asking = {
  readonly ask: (request: Request) => void
  readonly settings: () => Pick<LabelRequest, 'model' | 'maxLength'>
  readonly train: (file: File) => void
}

/** The classes that were typed last. */
const classesKey = 'salora/classes'
/** Characters of a text that are shown. */
const mostShown = 2_000

type Key = Extract<Request, { readonly kind: 'press' }>['key']

/** What a key does; null: nothing. */
const parseKey = (key: string): Key | null => (key === 's' ? 'skip' : key === 'u' ? 'undo' : /^[1-9]$/.test(key) ? Number(key) - 1 : null)

/** Whether the keys are this card's: no field has them, and nothing outside of the card. */
const takesKeys = (card: HTMLElement): boolean => {
  const { activeElement: focused } = document
  return focused === null || focused === document.body || (card.contains(focused) && !(focused instanceof HTMLInputElement))
}

/** What the card shows. */
const openView = (card: HTMLElement, press: (key: Key) => void) => {
  let chart: ChartView | null = null
  const say = (line: string): void => {
    byId('label-status').textContent = line
  }
  return {
    say,
    setStage: (stage: 'choose' | 'begin' | 'work'): void => {
      card.hidden = false
      for (const other of ['choose', 'begin', 'work']) byId(`label-${other}`).hidden = other !== stage
    },
    isWorking: (): boolean => !card.hidden && !byId('label-work').hidden,
    forget: (): void => {
      chart = null
      byId('label-keys').replaceChildren()
    },
    show: (toLabel: ToLabel): void => {
      say(describe(toLabel))
      if (byId('label-keys').childElementCount === 0)
        byId('label-keys').replaceChildren(...toLabel.classes.map((name, i) => keyButton(String(i + 1), name, () => press(i))))
      byId('label-text').textContent = toLabel.text?.slice(0, mostShown) ?? 'No text is left.'
      for (const id of ['label-csv', 'label-train', 'label-forget']) byId<HTMLButtonElement>(id).disabled = toLabel.labels === 0
      byId('label-curve').hidden = toLabel.curve.length < 2
      chart ??= chartView(byId('label-place'))
      const points = toLabel.curve.map(([x, y]) => ({ series: 'right', x, y }))
      chart.show(lineChart(points, { title: 'labels' }, { title: '' }))
    },
  }
}

export const labelingIn = ({ ask, settings, train }: Asking): LabelingCard => {
  const card = byId('labeling')
  const classesField = byId<HTMLInputElement>('label-classes')
  /** handed: the file that was given to train on */
  let [source, taught, handed]: [Source | null, Source | null, File | null] = [null, null, null]
  /** for the worker */
  let waits = false
  const press = (key: Key): void => {
    if (waits || !view.isWorking()) return
    waits = true
    ask({ kind: 'press', key })
  }
  const view = openView(card, press)
  const begin = (): void => {
    if (source === null || waits) return
    const names = classesField.value.split(',').flatMap((name) => name.trim() || [])
    localStorageOrNull()?.setItem(classesKey, classesField.value)
    waits = true
    view.forget()
    view.say(`Reading ${source.file.name}…`)
    ask({ kind: 'label', ...source, ...settings(), taught, classes: names.length === 0 ? null : names })
  }
  const startWith = (chosen: Source, classes: string): void => {
    ;[source, classesField.value] = [chosen, classes]
    view.say(`${chosen.file.name}: the page asks for the text of which the model is least sure; every fifth is drawn at random.`)
    view.setStage('begin')
  }
  const choose = (file: File): void => startWith({ file, task: {} }, classesField.value)
  listen(card, { begin, press, choose, take: (as) => ask({ kind: 'labeled', as }) })
  return {
    offer: (chosen) => {
      taught = null
      startWith(chosen, localStorageOrNull()?.getItem(classesKey) ?? '')
    },
    offerMore: (rows, classes) => {
      if (view.isWorking()) return
      ;[source, taught, classesField.value] = [null, rows, classes.join(', ')]
      view.say('More labels make the model better. Choose texts that have none: the page asks for those of which it is least sure.')
      view.setStage('choose')
    },
    close: (chosen) => {
      if (chosen === null || chosen !== handed) [card.hidden, waits] = [true, false]
    },
    showEmbedding: (share) => view.say(`Reading ${source?.file.name ?? ''}: ${Math.round(100 * share)} %`),
    show: (toLabel) => {
      waits = false
      view.show(toLabel)
      if (view.isWorking()) return
      view.setStage('work')
      card.focus()
    },
    take: ({ as, file }) => {
      if (as === 'labels') return saveFile(file.name, file)
      handed = file
      train(file)
    },
    failed: () => {
      waits = false
      if (source !== null && !view.isWorking()) startWith(source, classesField.value)
    },
  }
}

type Actions = {
  readonly begin: () => void
  readonly press: (key: Key) => void
  readonly take: (as: 'labels' | 'training') => void
  readonly choose: (file: File) => void
}

const listen = (card: HTMLElement, { begin, press, take, choose }: Actions): void => {
  byId('label-start').addEventListener('click', begin)
  byId('label-classes').addEventListener('keydown', ({ key }) => {
    if (key === 'Enter') begin()
  })
  byId('label-file').addEventListener('change', () => {
    const [file] = byId<HTMLInputElement>('label-file').files ?? []
    if (file !== undefined) choose(file)
  })
  byId('label-undo').append(
    keyButton('u', 'Undo', () => press('undo')),
    keyButton('s', 'Skip', () => press('skip')),
  )
  byId('label-csv').addEventListener('click', () => take('labels'))
  byId('label-train').addEventListener('click', () => take('training'))
  byId('label-forget').addEventListener('click', () => {
    if (confirm('Delete these labels from this browser?')) press('forget')
  })
  document.addEventListener('keydown', (event) => {
    const key = parseKey(event.key)
    if (key !== null && !event.repeat && !event.ctrlKey && !event.metaKey && !event.altKey && takesKeys(card)) press(key)
  })
}

const keyButton = (key: string, name: string, onClick: () => void): HTMLButtonElement => {
  const button = makeButton('', onClick, `${key} ${name}`)
  button.ariaKeyShortcuts = key
  button.append(make('kbd', key), ` ${name}`)
  return button
}

const describe = ({ labels, rows, curve, gain }: ToLabel): string => {
  const count = `${labels} of ${rows} texts labeled`
  const last = curve.at(-1)
  const score = last === undefined ? 'Cross-validation begins at ten' : `Cross-validated on ${last[0]}: ${percent(last[1])} right`
  return `${count}. ${score}.${gain === null ? '' : ` ${gain[0]?.toUpperCase()}${gain.slice(1)}.`}`
}
