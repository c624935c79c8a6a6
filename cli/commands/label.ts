/** salora label: gives the rows of a file their labels, one key each, beginning with those of which a probe is least sure. */
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import { quoted } from '../../accelerated/errors/inputError.js'
import { listFlag } from '../../finetuning/commandLine/flag.js'
import { requiredError } from '../../finetuning/commandLine/usageError.js'
import { shareInWords } from '../../finetuning/metrics/confidence.js'
import { absoluteModel } from '../../finetuning/run/absolutePath.js'
import { labelingLoop, labelingSession, nameClasses, scoredEvery, type LabelingSession } from '../../finetuning/use/labeling.js'
import { nameLabelsFile, openLabelsFile, readRowsToLabel, type RowToLabel } from '../../finetuning/use/labeledRows.js'
import { embedTexts } from '../../finetuning/use/zeroShot.js'
import { standardInput } from '../input/promptInput.js'
import { resolveFlags } from '../options/precedence.js'
import { dropUndefined, pickFlags, type Values } from '../options/settingFlags.js'
import { allTrainFlags, offlineFlags } from '../options/trainFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
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
    const session = labelingSession(rows, classes, written, labelingLoop(features, classes.length))
    await ask(session, rows, classes, terminal)
    const labels = session.labels()
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

/** Texts that are embedded between two notes. */
const portion = 1_024

const embed = async (model: string, rows: readonly RowToLabel[], flags: Values, { note }: Terminal): Promise<readonly Float32Array[]> => {
  const { device, precision, threads, batchSize, maxLength } = resolveFlags(flags)
  const { folder, baseModelName } = await resolveModel(absoluteModel(model), {})
  const base = await openModelFolder(folder, { baseModelName })
  const machine = { precision, threads, batchSize, maxLength: flags['maxLength'] === undefined ? null : maxLength }
  const texts = rows.map(({ text }) => text)
  const onPortion = (done: number): void => {
    if (rows.length > portion) note(`${done} of ${rows.length} texts are embedded …`)
  }
  return embedTexts(base, model, texts, { machine, device: await chooseDevice(device) }, { portion, onPortion })
}

/** Asks row after row until q, Ctrl-C or the end of the input. */
const ask = async (
  session: LabelingSession,
  rows: readonly RowToLabel[],
  classes: readonly string[],
  terminal: Terminal,
): Promise<void> => {
  const show = (row: number | null): void => {
    const keys = row === null ? [] : [...classes.map((name, i) => `${i + 1} ${name}`), 's skip']
    const text = row === null ? 'no row is left' : (rows[row]?.text ?? '')
    process.stderr.write(`\n${printable(text)}\n${printable([...keys, 'u undo', 'q end'].join(' · '))} > `)
  }
  const keys = readKeys()
  try {
    for (;;) {
      const row = session.row()
      show(row)
      const { value: key, done } = await keys.next()
      if (done === true || key === 'q') break
      const name = classes[Number(key) - 1]
      if (key === 'u') await session.undo()
      else if (row !== null && name !== undefined) await session.give(name)
      else if (row !== null && key === 's') session.skip()
      else terminal.warn(`expected ${row === null ? '' : `1 to ${classes.length}, s, `}u or q, got ${quoted(key)}`)
      if (row !== null && name !== undefined && session.labels().length % scoredEvery === 0) report(session, terminal)
    }
  } finally {
    await keys.return(undefined)
    process.stderr.write('\n')
  }
}

/** The rows that are asked for are the hard ones, so the probe is right more often on the others. */
const report = ({ score, gain }: LabelingSession, { note }: Terminal): void => {
  const scored = score()
  if (scored === null) return
  const share = scored.right / scored.labels
  note(`\n${plural(scored.labels, 'label')}: a probe of the others predicts ${shareInWords(share, scored.labels) ?? share}`)
  const gained = gain()
  if (gained !== null) note(gained)
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
