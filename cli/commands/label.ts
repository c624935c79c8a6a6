/** salora label: gives the rows of a file their labels, one key each, beginning with those of which a probe is least sure. */
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option } from '../../accelerated/errors/words.js'
import { listFlag } from '../../finetuning/commandLine/flag.js'
import { requiredError } from '../../finetuning/commandLine/usageError.js'
import { shareInWords } from '../../finetuning/metrics/interval.js'
import { absoluteModel } from '../../finetuning/run/absolutePath.js'
import { describeGain, labelingLoop, newestLabels, type ClassOfRow, type LabelingLoop } from '../../finetuning/use/labeling.js'
import {
  nameLabelsFile,
  openLabelsFile,
  readRowsToLabel,
  type WrittenLabel,
  type LabelsFile,
  type RowToLabel,
} from '../../finetuning/use/labeledRows.js'
import { openEncoder } from '../../finetuning/use/zeroShot.js'
import { standardInput } from '../input/promptInput.js'
import { resolveFlags } from '../options/precedence.js'
import { dropUndefined, pickFlags, type Values } from '../options/settingFlags.js'
import { allTrainFlags, offlineFlags } from '../options/trainFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { printable, type Terminal } from '../terminal/output.js'
import { plural } from '../format/numbers.js'

const columns = ['text', 'label', 'delimiter', 'quote', 'encoding'] as const
const machine = ['device', 'precision', 'threads', 'batchSize', 'maxLength'] as const

export const label = defineCommand({
  name: 'salora label',
  description:
    'Label the rows of a file, one key each. A probe on embeddings is fitted again after each key, and asks for the row of which it is least sure; every fifth row is drawn at random. ' +
    'Each label is written at once to FILE.labels.csv, which salora train reads; a later call continues there. Keys: 1 to 9 for a class, u to undo, s to skip, q to end.',
  usage: '<file> --model <folder|id> [options]',
  arguments: [{ name: 'file', description: 'File with a column of texts; rows that have a label already teach the probe' }],
  flags: {
    Data: {
      ...pickFlags(allTrainFlags, ['model', ...columns]),
      labels: listFlag('names', 'Names of the classes, separated by commas; without it, those of the labels in the file'),
    },
    Machine: { ...pickFlags(allTrainFlags, machine), ...offlineFlags },
  },
  examples: [
    {
      command: "salora label tickets.csv --text message --model sentence-transformers/all-MiniLM-L6-v2 --labels 'refund,delivery,praise'",
      result: 'Shows one message after another, and writes tickets.labels.csv.',
    },
  ],
  run: async ({ labels: names, ...flags }, terminal, [file]) => {
    const { model, label: column, ...others } = dropUndefined(flags) as Values
    if (file === undefined) throw requiredError('FILE', 'a file with a column of texts')
    if (model === undefined) throw requiredError('--model', 'the model whose embeddings the probe reads')
    const rows = await readRowsToLabel(file, pick(others, columns), column === undefined ? undefined : String(column))
    const path = nameLabelsFile(file)
    const written = await openLabelsFile(path, rows)
    const classes = nameClasses(file, names, [...rows.map((row) => row.label), ...written.labels.map((one) => one.label)])
    const features = await embed(String(model), rows, pick(others, machine), terminal)
    const session = { rows, classes, written, loop: labelingLoop(features, classes.length) }
    const labels = await ask(session, terminal)
    const counts = classes.map((name) => labels.filter((one) => one.label === name).length)
    terminal.result(`${plural(labels.length, 'label')} in ${path} (${classes.map((name, i) => `${name} ${counts[i]}`).join(', ')})`, {
      file: path,
      labels: labels.length,
      classes: Object.fromEntries(classes.map((name, i) => [name, counts[i]])),
    })
    return exitCodes.success
  },
})

const pick = (values: Values, names: readonly string[]): Values =>
  Object.fromEntries(Object.entries(values).filter(([name]) => names.includes(name)))

/** There are nine keys. */
const mostClasses = 9

/** @param present labels of the file and of an earlier session @throws InputError */
const nameClasses = (file: string, names: readonly string[] | null, present: readonly (string | null)[]): readonly string[] => {
  const found = [...new Set(present.filter((one) => one !== null))].sort()
  const classes = names ?? found
  if (classes.length < 2 || classes.length > mostClasses || new Set(classes).size < classes.length)
    throw inputError(
      option('labels'),
      `two to ${mostClasses} different names of classes`,
      classes.length === 0 ? 'none' : quoted(classes.join(',')),
    )
  const other = found.find((one) => !classes.includes(one))
  if (other !== undefined)
    throw inputError(file, `labels among ${classes.map((name) => quoted(name, 40)).join(', ')} (--labels)`, quoted(other))
  return classes
}

/** Texts that are embedded between two notes. */
const portion = 1_024

const embed = async (model: string, rows: readonly RowToLabel[], flags: Values, { note }: Terminal): Promise<readonly Float32Array[]> => {
  const { device, precision, threads, batchSize, maxLength } = resolveFlags(flags)
  const { folder, baseModelName } = await resolveModel(absoluteModel(model), {})
  const base = await openModelFolder(folder, { baseModelName })
  if (base.model.spec.kind !== 'encoder')
    throw inputError(model, 'an encoder, such as a sentence-transformers model', `a ${base.model.spec.kind}`)
  const length = flags['maxLength'] === undefined ? null : maxLength
  const encoder = await openEncoder(base, { precision, threads, batchSize, maxLength: length }, await chooseDevice(device))
  const features: Float32Array[] = []
  try {
    for (let from = 0; from < rows.length; from += portion) {
      if (rows.length > portion) note(`${from} of ${rows.length} texts are embedded …`)
      const texts = rows.slice(from, from + portion).map(({ text }) => ({ text }))
      for (const vector of await encoder.predict(texts)) features.push(Float32Array.from(vector))
    }
  } finally {
    await encoder.release()
  }
  return features
}

type Session = {
  readonly rows: readonly RowToLabel[]
  readonly classes: readonly string[]
  readonly written: LabelsFile
  readonly loop: LabelingLoop
}

/** Labels between two lines about accuracy. */
const scoredEvery = 10

/** Asks row after row until q, Ctrl-C or the end of the input. @returns the labels in the file */
const ask = async ({ rows, classes, written, loop }: Session, terminal: Terminal): Promise<readonly WrittenLabel[]> => {
  const present = rows.flatMap(({ label: given }, row) => (given === null ? [] : [{ row, label: classes.indexOf(given) }]))
  let labels = written.labels
  const skipped = new Set<number>()
  const all = () => [...present, ...labels.map(({ at, label: name }) => ({ row: at, label: classes.indexOf(name) }))]
  const show = (row: number | null): void => {
    const keys = row === null ? [] : [...classes.map((name, i) => `${i + 1} ${name}`), 's skip']
    const text = row === null ? 'no row is left' : (rows[row]?.text ?? '')
    process.stderr.write(`\n${printable(text)}\n${printable([...keys, 'u undo', 'q end'].join(' · '))} > `)
  }
  const keys = readKeys()
  try {
    for (;;) {
      const row = loop.next(all(), skipped)
      show(row)
      const { value: key, done } = await keys.next()
      if (done === true || key === 'q') break
      const name = classes[Number(key) - 1]
      const before = labels
      if (key === 'u') labels = labels.slice(0, -1)
      else if (row !== null && name !== undefined) labels = [...labels, { at: row, label: name }]
      else if (row !== null && key === 's') skipped.add(row)
      else terminal.warn(`expected ${row === null ? '' : `1 to ${classes.length}, s, `}u or q, got ${quoted(key)}`)
      if (labels !== before) await written.write(labels)
      if (labels.length > before.length && labels.length % scoredEvery === 0) report(loop, all(), terminal)
    }
  } finally {
    await keys.return(undefined)
    process.stderr.write('\n')
  }
  return labels
}

/** The rows that are asked for are the hard ones, so the probe is right more often on the others. */
const report = (loop: LabelingLoop, labels: readonly ClassOfRow[], { note }: Terminal): void => {
  const right = loop.crossValidate(labels)
  if (right === null) return
  const share = right.filter(Boolean).length / labels.length
  note(`\n${plural(labels.length, 'label')}: a probe of the others predicts ${shareInWords(share, labels.length) ?? share}`)
  const before = labels.length < 2 * newestLabels ? null : loop.crossValidate(labels, labels.length - newestLabels)
  if (before !== null) note(describeGain(before, right))
}

/** The keys of a terminal one by one, or the characters of a pipe; blanks do not count. Ctrl-C and Ctrl-D end. */
async function* readKeys(): AsyncGenerator<string, void> {
  const input = standardInput()
  const isTerminal = input.isTTY === true
  if (isTerminal) input.setRawMode(true)
  try {
    for await (const chunk of input)
      for (const key of String(chunk)) {
        if (key === '\u0003' || key === '\u0004') return
        if (key.trim() !== '') yield key.toLowerCase()
      }
  } finally {
    if (isTerminal) input.setRawMode(false)
  }
}
