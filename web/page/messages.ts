/** What the page and its worker say to each other. */
import type { DataSummary, FinetuneEvent, FinetuneOptions, Labeling, ProposedColumns, ToLabel } from 'salora/web'
import type { PageFiles } from './files.js'

/** Where a model's files come from. */
export type ModelChoice =
  | { readonly kind: 'embedded' }
  | { readonly kind: 'folder'; readonly name: string; readonly files: readonly File[] }
  | { readonly kind: 'hub'; readonly id: string }

/** How a data file is read. */
export type DataTask = Pick<FinetuneOptions['task'], 'text' | 'textPair' | 'label' | 'encoding' | 'skipMissing'>

export type RunRequest = {
  /** the run's folder in the page's storage */
  readonly name: string
  readonly model: ModelChoice
  /** null: the file that the run began with */
  readonly data: File | null
  readonly task: DataTask
  readonly settings: NonNullable<FinetuneOptions['settings']>
  readonly resume: boolean
}

/** Rows to label by hand. classes: null for those of the labels · taught: rows with labels, which teach the probe */
export type LabelRequest = {
  readonly file: File
  readonly task: DataTask
  readonly model: ModelChoice
  readonly classes: readonly string[] | null
  readonly maxLength: number
  readonly taught: { readonly file: File; readonly task: DataTask } | null
}

export type Request =
  /** of a page in one file, before anything else */
  | { readonly kind: 'files'; readonly files: PageFiles }
  /** columns that the task does not name are those that probably hold text and label */
  | { readonly kind: 'inspect'; readonly file: File; readonly task: DataTask }
  /** of the hub */
  | { readonly kind: 'look'; readonly id: string }
  | { readonly kind: 'start'; readonly run: RunRequest }
  | { readonly kind: 'stop' }
  /** the texts to predict, at each evaluation of a run that trains, or now by the run that was trained last */
  | { readonly kind: 'predict'; readonly texts: readonly string[] }
  | { readonly kind: 'download'; readonly run: string; readonly part: 'adapter' | 'run' }
  /** a finished run answers from now on, as one does that was trained */
  | { readonly kind: 'open'; readonly run: string; readonly model: ModelChoice }
  /** only of the run that is open */
  | { readonly kind: 'export'; readonly run: string }
  /** the files that a page in one file needs to answer as this run: its own, and its model's if it is not the page's */
  | { readonly kind: 'pack'; readonly run: string }
  | { readonly kind: 'report'; readonly run: string }
  | ({ readonly kind: 'label' } & LabelRequest)
  | { readonly kind: 'press'; readonly key: Parameters<Labeling['press']>[0] }
  /** labels: as a file to download · training: the rows that have a label, to train on */
  | { readonly kind: 'labeled'; readonly as: 'labels' | 'training' }
  | { readonly kind: 'remove'; readonly run: string }

/** A run in the page's storage. */
export type StoredRun = {
  readonly name: string
  readonly model: string
  readonly dataFile: string
  readonly settings: RunRequest['settings']
  readonly task: RunRequest['task']
  /** the step of the newest checkpoint; 0: none */
  readonly step: number
  readonly finished: boolean
}

/** A graphics card that the browser offers. */
export type Gpu = {
  readonly name: string
  /** whether it is a program on the processor */
  readonly isSoftware: boolean
}

export type Machine = {
  /** whether the page may start threads (COOP and COEP) */
  readonly isolated: boolean
  readonly threads: number
  readonly methods: readonly string[]
  /** null: the browser has no WebGPU, or no card for it */
  readonly gpu: Gpu | null
  /** whether runs outlive the window: a browser may block storage */
  readonly keeps: boolean
  /** whether the page has its files inside, and was opened from a disk perhaps */
  readonly isOneFile: boolean
}

export type Prediction = { readonly label?: string; readonly score?: number }

export type Response =
  | { readonly kind: 'ready'; readonly machine: Machine }
  | { readonly kind: 'runs'; readonly runs: readonly StoredRun[] }
  /** share of what it takes to read and count the data file, from 0 to 1 */
  | { readonly kind: 'reading'; readonly share: number }
  | { readonly kind: 'columns'; readonly columns: ProposedColumns }
  | { readonly kind: 'summary'; readonly summary: DataSummary }
  /** line: the family and the size of the model */
  | { readonly kind: 'model'; readonly id: string; readonly line: string }
  /** share: of the file, from 0 to 1; null: its size is not known */
  | { readonly kind: 'loading'; readonly line: string; readonly share: number | null }
  /** steps, evaluations and expected ranks of a resumed run before its checkpoint */
  | { readonly kind: 'past'; readonly events: readonly FinetuneEvent[] }
  | { readonly kind: 'event'; readonly event: FinetuneEvent }
  | { readonly kind: 'ended' }
  | { readonly kind: 'predictions'; readonly texts: readonly string[]; readonly predictions: readonly Prediction[] }
  | { readonly kind: 'opened'; readonly run: string }
  | { readonly kind: 'packed'; readonly run: string; readonly files: PageFiles }
  /** share of the texts that are embedded, before the first is asked for */
  | { readonly kind: 'embedding'; readonly share: number }
  | { readonly kind: 'toLabel'; readonly toLabel: ToLabel }
  | { readonly kind: 'labeled'; readonly as: 'labels' | 'training'; readonly file: File }
  | { readonly kind: 'download'; readonly name: string; readonly bytes: Uint8Array<ArrayBuffer> }
  /** where: what the page was doing, for the place of the line · options: those that the message names, for its remedies */
  | { readonly kind: 'error'; readonly where: Request['kind']; readonly message: string; readonly options: readonly string[] }
