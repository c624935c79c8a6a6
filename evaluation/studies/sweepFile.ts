/**
 * Packs the runs of a sweep into one file that can be kept with the code, and unpacks the file into a sweep's folder. There, `salora glue` resumes the
 * sweep on any machine.
 *
 *   node dist/evaluation/studies/sweepFile.js pack SWEEP FILE --command 'salora glue …'
 *   node dist/evaluation/studies/sweepFile.js unpack FILE SWEEP --model DIR --data GLUE
 *
 * The file has settings, digests of inputs, versions and results, but no paths of a machine. The command says how the runs are made.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { InputError, inputError, quoted } from '../../accelerated/errors/inputError.js'
import { absolutePath } from '../../finetuning/runs/absolutePath.js'
import { textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { readRunConfig, readRunResult, runFileLimit } from '../../finetuning/runs/runFiles.js'

const {
  flags: { command, model, data },
  words: [action = '', from = '', to = ''],
} = scriptValues({
  name: 'node dist/evaluation/studies/sweepFile.js',
  description: "Pack the runs of a sweep into one file, or unpack the file into a sweep's folder, where salora glue resumes the sweep.",
  arguments: [
    { name: 'action', description: 'pack or unpack', required: true },
    { name: 'from', description: "The sweep's folder (unpack: the file)", required: true },
    { name: 'to', description: 'The file (unpack: the folder)', required: true },
  ],
  flags: {
    Options: {
      command: textFlag('words', 'pack: the command that makes the runs, for readers of the file'),
      model: textFlag('folder', 'unpack: the model on this machine'),
      data: textFlag('folder', 'unpack: the GLUE data on this machine'),
    },
  },
  examples: [
    {
      command: "node dist/evaluation/studies/sweepFile.js pack runs/table1 table1.json --command 'salora glue …'",
      result: 'Writes table1.json, with the config and the result of each run.',
    },
  ],
})
const request = { from, to, command, model, data }

const schema = z.looseObject({
  runs: z.array(
    z.looseObject({ cell: z.string().regex(/^[\p{L}\p{N}_][\p{L}\p{N}_.=-]*$/u), config: z.looseObject({}), result: z.looseObject({}) }),
  ),
})

const pack = async ({ from: folder, to: file, command }: typeof request): Promise<void> => {
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
  return absolutePath(name)
}

const unpack = async ({ from: file, to: folder, ...places }: typeof request): Promise<void> => {
  const [model, data] = [placedHere('--model', places.model), placedHere('--data', places.data)]
  const { runs } = validate(schema, parseJson(await readText(file, runFileLimit), file), file, 'the runs of a sweep')
  for (const { cell, config, result } of runs) {
    const output = join(folder, 'cells', cell)
    if ((await readRunResult(output)) !== null) continue
    await makeFolder(output)
    const absolutePath = { ...config, model, task: { ...(config['task'] as object), data } }
    await writeFileAtomically(join(output, 'config.json'), `${JSON.stringify(absolutePath, null, 2)}\n`)
    await writeFileAtomically(join(output, 'result.json'), `${JSON.stringify({ ...result, output }, null, 2)}\n`)
  }
  console.log(`${runs.length} runs in ${folder}`)
}

const run = new Map([
  ['pack', pack],
  ['unpack', unpack],
]).get(action)
if (run === undefined) throw new InputError('ACTION', 'pack or unpack', quoted(action), 'usage')
await run(request)
