/** What a run shall learn: a sample of the page, the visitor's file, or examples typed here; with its columns, classes and mistakes. */
import type { DataSummary, ProposedColumns } from 'salora/web'
import { seriesColor } from '../../reporting/charts/chart.js'
import { byId, make, makeButton } from './elements.js'
import { readFile } from './files.js'
import type { DataTask, Request } from './messages.js'

/** Sentences to watch that fit a sample. */
export const sampleSentences: Readonly<Record<string, readonly string[]>> = {
  reviews: ['The worst meal of my life.', 'A wonderful place, we will come back.'],
  spam: ['You have won a free cruise, click here!', 'Shall I fetch you from the station?'],
  language: ['Wo habe ich nur meine Schlüssel?', 'Il fait beau aujourd’hui.'], // cspell:disable-line
}

export type Lesson = {
  /** null: nothing is chosen, or it cannot be learned */
  readonly data: () => File | null
  /** the chosen file, whether or not it can be learned */
  readonly file: () => File | null
  readonly choose: (file: File) => void
  readonly task: () => DataTask
  readonly summary: () => DataSummary | null
  readonly showColumns: (columns: ProposedColumns) => void
  readonly showSummary: (summary: DataSummary) => void
  readonly showReading: (share: number) => void
  /** @param options that the message names: their remedies are buttons */
  readonly showError: (message: string, options: readonly string[]) => void
  readonly disable: (disabled: boolean) => void
}

type Asking = {
  readonly ask: (request: Request) => void
  /** Ends what the worker does. */
  readonly cancel: () => void
  /** Another file was chosen, read or refused. @param sample the name of a sample of the page */
  readonly changed: (sample?: string) => void
}

export const lessonIn = ({ ask, cancel, changed }: Asking): Lesson => {
  /** file: the chosen one · summary: null until it has been read without a mistake · remedies: those that the visitor took */
  let [file, summary, remedies]: [File | null, DataSummary | null, DataTask] = [null, null, {}]
  const [summaryPlace, errorLine, remedyButtons] = [byId('summary'), byId('data-error'), byId('remedies')]
  const task = (): DataTask => {
    const [text, label] = [byId<HTMLSelectElement>('text').value, byId<HTMLSelectElement>('label').value]
    return { ...remedies, ...(text === '' ? {} : { text }), ...(label === '' ? {} : { label }) }
  }
  const read = (): void => {
    if (file === null) return
    ;[summary, errorLine.hidden, remedyButtons.hidden] = [null, true, true]
    summaryPlace.replaceChildren(make('p', `Reading ${file.name}…`, 'reading'), makeButton('Cancel', stopReading))
    changed()
    ask({ kind: 'inspect', file, task: task() })
  }
  const stopReading = (): void => {
    file = null
    summaryPlace.replaceChildren()
    cancel()
    changed()
  }
  const choose = (chosen: File, sample?: string): void => {
    ;[file, remedies] = [chosen, {}]
    for (const id of ['text', 'label']) byId(id).replaceChildren()
    byId('columns').hidden = true
    if (sample !== 'typed') byId('typed').hidden = true
    for (const button of document.querySelectorAll<HTMLElement>('.choices [data-sample], #type'))
      button.setAttribute('aria-pressed', String((button.dataset['sample'] ?? 'typed') === sample))
    byId('drop').classList.toggle('chosen', sample === undefined)
    changed(sample)
    read()
  }
  const takeRemedy = (taken: DataTask) => (): void => {
    remedies = { ...remedies, ...taken }
    read()
  }
  listen(choose, read)
  return {
    data: () => (summary === null ? null : file),
    file: () => file,
    choose,
    task,
    summary: () => summary,
    showColumns: fillMenus,
    showSummary: (shown) => {
      summary = shown
      summaryPlace.replaceChildren(...describe(shown, file?.name ?? ''))
      changed()
    },
    showReading: (share) => {
      const [line] = summaryPlace.getElementsByClassName('reading')
      if (line !== undefined) line.textContent = `Reading ${file?.name ?? ''}: ${Math.floor(100 * share)} %`
    },
    showError: (message, options) => {
      summaryPlace.replaceChildren()
      ;[errorLine.textContent, errorLine.hidden, remedyButtons.hidden] = [message, false, options.length === 0]
      remedyButtons.replaceChildren(
        ...(options.includes('encoding') ? [makeButton('Read it as Windows-1252', takeRemedy({ encoding: 'windows-1252' }))] : []),
        ...(options.includes('skipMissing') ? [makeButton('Skip the rows that lack something', takeRemedy({ skipMissing: true }))] : []),
      )
      changed()
    },
    disable: (disabled) => {
      for (const control of document.querySelectorAll<HTMLInputElement>('.choices button, #data, #columns select, #examples'))
        control.disabled = disabled
    },
  }
}

/** The menus of the columns; a choice of the visitor stays. */
const fillMenus = ({ names, text, label }: ProposedColumns): void => {
  for (const [id, chosen] of Object.entries({ text, label })) {
    const select = byId<HTMLSelectElement>(id)
    if (select.value !== '') continue
    select.replaceChildren(...(chosen === undefined ? [new Option('(choose)', '')] : []), ...names.map((name) => new Option(name, name)))
    select.value = chosen ?? ''
  }
  byId('columns').hidden = names.length === 0 || !byId('drop').classList.contains('chosen') // a sample's are known
}

/** The visitor's choices. */
const listen = (choose: (file: File, sample?: string) => void, read: () => void): void => {
  for (const button of document.querySelectorAll<HTMLElement>('.choices [data-sample]'))
    button.addEventListener('click', async () => {
      const { sample = '' } = button.dataset
      choose(new File([await readFile(`samples/${sample}.jsonl`)], `${sample}.jsonl`), sample)
    })
  byId('data').addEventListener('change', () => {
    const [file] = byId<HTMLInputElement>('data').files ?? []
    if (file !== undefined) choose(file)
  })
  const drop = byId('run')
  for (const kind of ['dragover', 'dragleave', 'drop'] as const)
    drop.addEventListener(kind, (event) => {
      event.preventDefault()
      drop.classList.toggle('over', kind === 'dragover')
      const [file] = kind === 'drop' ? (event.dataTransfer?.files ?? []) : []
      if (file !== undefined) choose(file)
    })
  for (const id of ['text', 'label']) byId(id).addEventListener('change', read)
  const examples = byId<HTMLTextAreaElement>('examples')
  const typed = (): void => choose(new File([typedRows(examples.value)], 'examples.jsonl'), 'typed')
  byId('type').addEventListener('click', () => {
    byId('typed').hidden = false
    typed()
  })
  examples.addEventListener('change', typed)
}

/** `text = label` in each line, as rows of JSON. A line without = has no label, which reading it says. */
const typedRows = (lines: string): string =>
  lines
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const at = line.lastIndexOf('=')
      return `${JSON.stringify({ text: (at < 0 ? line : line.slice(0, at)).trim(), label: at < 0 ? '' : line.slice(at + 1).trim() })}\n`
    })
    .join('')

const count = (number: number): string => number.toLocaleString('en-US')

/** The most classes that have a bar. */
const mostBars = 12

/** Classes with bars, and rows of them. */
const describe = ({ rows, classes, words, samples }: DataSummary, name: string): readonly HTMLElement[] => {
  const most = classes.reduce((largest, of) => Math.max(largest, of.rows), 0)
  const bars = classes.slice(0, mostBars).map((of, i) => {
    const bar = make('span', '', 'bar')
    bar.style.setProperty('--share', String(of.rows / most))
    bar.style.setProperty('--color', seriesColor(i))
    return make('li', [make('b', of.name), bar, make('span', `${count(of.rows)} rows`, 'quiet')])
  })
  return [
    make('p', `${name}: ${count(rows)} rows. A text has ${words.median} words (median), the longest ${count(words.most)}.`, 'quiet'),
    make('ul', bars, 'classes'),
    ...(classes.length > mostBars ? [make('p', `and ${classes.length - mostBars} more classes`, 'quiet')] : []),
    ...samples.slice(0, 2).map(({ text, label }) => make('p', `“${text}” → ${label}`, 'quiet sample')),
  ]
}
