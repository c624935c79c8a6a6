/**
 * The runs of a sweep as one file that can be kept with the code, and the sweep's folder from such a file, so that `salora glue` goes on with what it
 * lacks on another machine.
 *
 *   node dist/evaluation/studies/sweepFile.js pack SWEEP FILE --command 'salora glue …'
 *   node dist/evaluation/studies/sweepFile.js unpack FILE SWEEP --model DIR --data GLUE
 *
 * What was made is packed: settings, digests of what was read, versions and results; models, data and folders go by no name of a machine. The command is
 * what makes the runs, for the file's readers.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { InputError, inputError, quoted } from '../../accelerated/errors/inputError.js'
import { placed } from '../../finetuning/runs/absolutePath.js'
import { scriptArguments } from '../../finetuning/commandLine/scriptArguments.js'
import { readRunConfig, readRunResult, runFileLimit } from '../../finetuning/runs/runFiles.js'

const given = scriptArguments({
  name: 'evaluation/studies/sweepFile',
  about:
    'The runs of a sweep as one file (pack), and the sweep’s folder from such a file (unpack), so that salora glue goes on with what it lacks.',
  words: { work: 'pack or unpack', from: 'the sweep’s folder; unpack: the file', to: 'the file; unpack: the folder' },
  flags: {
    command: { shows: 'WORDS', about: 'pack: what makes the runs, for the file’s readers', default: null },
    model: { shows: 'DIR', about: 'unpack: where the model is here', default: null },
    data: { shows: 'GLUE', about: 'unpack: where the data are here', default: null },
  },
})

const schema = z.looseObject({
  runs: z.array(
    z.looseObject({ cell: z.string().regex(/^[\p{L}\p{N}_][\p{L}\p{N}_.=-]*$/u), config: z.looseObject({}), result: z.looseObject({}) }),
  ),
})

const pack = async ({ from: folder, to: file, command }: typeof given): Promise<void> => {
  if (command === null) throw inputError('--command', 'the command that makes the runs, for pack', 'none')
  const runs = []
  for (const cell of (await readdir(join(folder, 'cells'))).sort(new Intl.Collator('en', { numeric: true }).compare)) {
    const [config, result] = [await readRunConfig(join(folder, 'cells', cell)), await readRunResult(join(folder, 'cells', cell))]
    if (config === null || result === null || result.interrupted) continue
    const { model: _, ...others } = config
    const { data: __, ...task } = config.task
    const { output: ___, ...found } = result
    runs.push({ cell, config: { ...others, task }, result: found })
  }
  await writeFileAtomically(file, `${JSON.stringify({ command, runs }, null, 1)}\n`)
  console.log(`${runs.length} runs in ${file}`)
}

const placedHere = (flag: string, name: string | null): string => {
  if (name === null) throw inputError(flag, 'a folder or a name of the hub, for unpack', 'none')
  return placed(name)
}

const unpack = async ({ from: file, to: folder, ...places }: typeof given): Promise<void> => {
  const [model, data] = [placedHere('--model', places.model), placedHere('--data', places.data)]
  const { runs } = validate(schema, parseJson(await readText(file, runFileLimit), file), file, 'the runs of a sweep')
  for (const { cell, config, result } of runs) {
    const output = join(folder, 'cells', cell)
    if ((await readRunResult(output)) !== null) continue
    await makeFolder(output)
    const placed = { ...config, model, task: { ...(config['task'] as object), data } }
    await writeFileAtomically(join(output, 'config.json'), `${JSON.stringify(placed, null, 2)}\n`)
    await writeFileAtomically(join(output, 'result.json'), `${JSON.stringify({ ...result, output }, null, 2)}\n`)
  }
  console.log(`${runs.length} runs in ${folder}`)
}

const work = new Map([
  ['pack', pack],
  ['unpack', unpack],
]).get(given.work)
if (work === undefined) throw new InputError('WORK', 'pack or unpack', quoted(given.work), 'usage')
await work(given)
