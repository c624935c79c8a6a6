/** Labels by hand in a browser: what `salora label` does, with the rows of a File and a labels file in the page's storage. */
import { openModelFolder } from '../accelerated/checkpoints/modelFolder.js'
import { permutation } from '../accelerated/parameters/random.js'
import { sha256 } from '../accelerated/storage/native.js'
import { joinPath } from '../accelerated/storage/paths.js'
import type { TextColumns } from '../finetuning/data/delimited.js'
import { formatLabels, nameLabelsFile, openLabelsFile, quote, readRowsToLabel, type RowToLabel } from '../finetuning/use/labeledRows.js'
import { labelingLoop, labelingSession, nameClasses, scoredEvery, type LabelingSession } from '../finetuning/use/labeling.js'
import { embedTexts } from '../finetuning/use/zeroShot.js'
import { checkPlace, type Place } from './finetune.js'
import { placeFile, type NamedBlob } from './predict.js'

/** A file, and its columns (default: `text` and `label`). */
type Texts = { readonly file: NamedBlob; readonly columns?: Pick<TextColumns, 'text' | 'encoding'> & { readonly label?: string } }

/** What a visitor sees after each key. */
export type ToLabel = {
  /** null: no row is left */
  readonly text: string | null
  readonly classes: readonly string[]
  /** labels given by hand, of this many rows that had none */
  readonly labels: number
  readonly rows: number
  /** by the number of labels, the share that folds predict right */
  readonly curve: readonly (readonly [labels: number, share: number])[]
  /** what the newest labels added; null: there are too few */
  readonly gain: string | null
}

export type Labeling = {
  readonly toLabel: () => ToLabel
  /** A key: the class with this number, from 0, or what to do instead. Every label is in the storage afterwards. @throws InputError */
  readonly press: (key: number | 'skip' | 'undo' | 'forget') => Promise<void>
  /** the labels as `salora label` writes them: row, text, label */
  readonly csv: () => string
  /** text and label of all rows that have one, to train on */
  readonly trainingCsv: () => string
}

/** Texts that are asked for at most: in a tab, each takes about 20 ms to embed. */
const mostTexts = 2_000
/** Texts that are embedded between two lines. */
const portion = 64
/** Points of a curve at most when labels of an earlier session are scored anew: one takes about 0.1 s. */
const mostPoints = 8

/**
 * Reads and embeds the rows, and continues with the labels that an earlier session gave them.
 * @param texts the rows to label; those that have a label teach the probe, as do all of `taught`
 * @param options model: its folder in the storage · classes: null for those of the labels
 * @throws InputError
 */
export const openLabeling = async (
  texts: Texts,
  { model, classes: names, maxLength, taught }: OpenOptions,
  place: Pick<Place, 'storage' | 'device' | 'baseModelName'>,
  onShare: (share: number) => void = () => undefined,
): Promise<Labeling> => {
  checkPlace('openLabeling', place)
  const { storage, device, baseModelName } = place
  const all = await readRows(texts)
  const drawn = new Set(permutation(0, 'split', 0, all.length).subarray(0, mostTexts))
  const toAsk = all.filter((_, i) => drawn.has(i))
  const examples = taught === undefined ? [] : (await readRows(taught)).filter(({ label }) => label !== null).slice(0, mostTexts)
  const rows = [...toAsk, ...examples]
  const path = await placeLabels(texts.file, toAsk, storage)
  const written = await openLabelsFile(path, toAsk, storage)
  const classes = nameClasses(texts.file.name, names, [...rows.map(({ label }) => label), ...written.labels.map(({ label }) => label)])
  const base = await openModelFolder(model, { storage, ...(baseModelName === undefined ? {} : { baseModelName }) })
  const machine = { precision: 'float32', threads: 0, batchSize: 8, maxLength } as const
  const onPortion = (done: number): void => onShare(done / rows.length)
  const sentences = rows.map(({ text }) => text)
  const features = await embedTexts(base, baseModelName ?? model, sentences, { machine, device }, { portion, onPortion })
  const session = labelingSession(rows, classes, written, labelingLoop(features, classes.length))
  return labelingIn(session, rows, classes)
}

type OpenOptions = {
  readonly model: string
  readonly classes: readonly string[] | null
  readonly maxLength: number
  readonly taught?: Texts
}

const readRows = ({ file, columns: { label, ...columns } = {} }: Texts): Promise<readonly RowToLabel[]> => {
  const { path, storage } = placeFile(file)
  return readRowsToLabel(path, { ...columns, storage }, label)
}

/** A file with these rows finds its labels again, and another of that name does not. */
const placeLabels = async ({ name }: NamedBlob, rows: readonly RowToLabel[], storage: Place['storage']): Promise<string> => {
  const digest = sha256()
  for (const { row, text } of rows) digest.update(`${row} ${text}\n`)
  const folder = joinPath('labels', digest.hex().slice(0, 16))
  await storage.makeFolder(folder, { recursive: true })
  return joinPath(folder, nameLabelsFile(name))
}

const labelingIn = (session: LabelingSession, rows: readonly RowToLabel[], classes: readonly string[]): Labeling => {
  const present = rows.filter(({ label }) => label !== null)
  const scores = new Map<number, number>()
  let gain: string | null = null
  const score = (): void => {
    const labels = present.length + session.labels().length
    for (const count of scores.keys()) if (count > labels) scores.delete(count)
    const counts = Array.from({ length: Math.floor(labels / scoredEvery) }, (_, i) => (i + 1) * scoredEvery)
    const missing = counts.slice(scores.size > 0 ? -1 : -mostPoints).filter((count) => !scores.has(count))
    for (const count of missing) {
      const scored = session.score(count)
      if (scored !== null) scores.set(count, scored.right / count)
    }
    if (missing.length > 0) gain = session.gain()
  }
  const toTrainOn = () => [...present, ...session.labels().map(({ at, label }) => ({ text: rows[at]?.text ?? '', label }))]
  score()
  return {
    toLabel: () => ({
      text: rows[session.row() ?? NaN]?.text ?? null,
      ...{ classes, labels: session.labels().length, rows: rows.length - present.length },
      ...{ curve: [...scores].sort(([a], [b]) => a - b), gain },
    }),
    press: async (key) => {
      const name = typeof key === 'number' ? classes[key] : undefined
      if (key === 'undo') await session.undo()
      else if (key === 'forget') await session.forget()
      else if (key === 'skip') session.skip()
      else if (name !== undefined) await session.give(name)
      score()
    },
    csv: () => formatLabels(rows, session.labels()),
    trainingCsv: () =>
      `text,label\n${toTrainOn()
        .map(({ text, label }) => `${quote(text)},${quote(label ?? '')}\n`)
        .join('')}`,
  }
}
