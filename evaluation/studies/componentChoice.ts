/**
 * Could another choice of components score higher than the gates'? Ablates each component at T_end: the fifth question of smallBudgets.md.
 *
 *   node dist/evaluation/studies/componentChoice.js --model DIR --data GLUE [--tasks cola=1e-3,sst2=1e-3] [--seed 0]
 *
 * Each task that ends is written into RESULTS/component-choice.json, and is not repeated.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { chooseDevice } from '../../accelerated/engines/deviceProbe.js'
import { InputError } from '../../accelerated/errors/inputError.js'
import { validate } from '../../accelerated/errors/validate.js'
import { permutation } from '../../accelerated/parameters/random.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { parseSettings } from '../../accelerated/training/settings.js'
import { countFlag, required, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { loadRunData } from '../../finetuning/runs/loadRunData.js'
import { openBaseModel } from '../../finetuning/runs/openBaseModel.js'
import { prepareTask, type PreparedRun } from '../../finetuning/runs/prepareTask.js'
import { resolveRunOptions, type FinetuneEvent, type RunOptions } from '../../finetuning/runs/run.js'
import { bindTask } from '../../finetuning/runs/runData.js'
import { ablatedLosses, componentsOf, scoresOn, trainOn, trainToCut, keptWithin, withOnly } from './componentAblation.js'

const { flags: given } = scriptValues({
  name: 'node dist/evaluation/studies/componentChoice.js',
  description: 'Ablate each component of a SaLoRA run at T_end. Then train on with the best of them, those of the gates, and random ones.',
  flags: {
    Options: {
      model: required(textFlag('folder|id', 'Model to fine-tune'), 'a folder in Hugging Face layout or a hub id'),
      data: required(textFlag('folder', 'Folder of the official GLUE folders'), 'a folder'),
      tasks: textFlag('names', 'GLUE tasks with their learning rates, separated by commas', {
        default: 'cola=1e-3,sst2=1e-3,stsb=3e-3,mrpc=3e-3,qnli=3e-3,qqp=1e-3',
      }),
      seed: countFlag('n', 'Seed of the runs', { default: 0 }),
      results: textFlag('folder', 'Folder for component-choice.json; tasks that it has are not repeated', {
        default: 'evaluation/results',
      }),
    },
  },
  examples: [
    {
      command: 'node dist/evaluation/studies/componentChoice.js --model ./minilm --data glue --tasks cola=1e-3',
      result: 'Writes evaluation/results/component-choice.json, and prints the scores.',
    },
  ],
})

/** The share of the numbers that the budget of rank 1 keeps. */
const density = 1 / 8

/** The run of a task. @param holdOutTrain evaluate on the held-out tenth, or else on the dev set */
const optionsOf = (task: string, learningRate: number, holdOutTrain: boolean): RunOptions =>
  resolveRunOptions({
    model: given.model,
    output: '', // nothing is saved
    task: { task, data: given.data, maxTrainSamples: '5000', ...(holdOutTrain ? { holdOutTrain } : {}) },
    settings: parseSettings({
      ...{ method: 'salora', rank: 8, loraAlpha: 16, density, gateStart: 0.2, gateEnd: 0.5, precision: 'int8', threads: 1 },
      ...{ epochs: 6, learningRate, batchSize: 32, maxLength: 128, evalSteps: 100_000, seed: given.seed },
    }),
  })

/** The run, prepared. @param each 2: every second evaluation row; 1: all of them */
const prepare = async (options: RunOptions, each: number): Promise<PreparedRun> => {
  const { settings } = options
  const [device, precision] = [await chooseDevice(settings.device, settings), precisionOf(settings.precision)]
  const data = await ended(loadRunData(options, null))
  const evaluation = { ...data.evaluation, examples: data.evaluation.examples.filter((_, row) => row % each === 0) }
  const thinned = { ...data, evaluation }
  const never = new AbortController().signal
  return ended(
    bindTask(
      thinned,
      settings,
    )((task) =>
      prepareTask(
        options,
        thinned,
        task,
        { device, precision },
        {
          openBase: (outputs) => openBaseModel(options, data.taskType, outputs, precision, never),
        },
      ),
    ),
  )
}

const ended = async <T>(events: AsyncGenerator<FinetuneEvent, T>): Promise<T> => {
  for (;;) {
    const next = await events.next()
    if (next.done === true) return next.value
  }
}

/** A task's run: the ablated losses at T_end, then the rest of the run for each choice of components. */
const runTask = async (task: string, learningRate: number) => {
  const tuned = await prepare(optionsOf(task, learningRate, true), 2)
  const dev = await prepare(optionsOf(task, learningRate, false), 1)
  const state = await trainToCut(tuned)
  const components = componentsOf(tuned.task, state)
  const { costs, logTheta, sizes } = components
  const [lossOfAll = NaN, ...without] = await ablatedLosses(tuned, state, [() => false, ...costs.map((_, j) => (i: number) => i === j)])
  const losses = without.map((loss) => loss - lossOfAll)
  const drawn = new Map(Array.from(permutation(given.seed, 'retention', state.step, costs.length), (j, place) => [j, -place]))
  const orders = {
    logTheta,
    ablatedLoss: losses.map((loss, j) => loss / (costs[j] ?? NaN)),
    size: sizes,
    random: costs.map((_, j) => drawn.get(j) ?? NaN),
  }
  const kept = Object.entries(orders).map(([order, values]) => ({ order, kept: keptWithin(components, values, density) }))
  const afterCut = await ablatedLosses(
    tuned,
    state,
    kept.map((choice) => (j: number) => !choice.kept.has(j)),
  )
  const choices = []
  for (const [i, { order, kept: set }] of kept.entries()) {
    const cut = { order, kept: [...set].sort((a, b) => a - b), lossAfterCut: rounded(afterCut[i] ?? NaN) }
    const scores = order === 'size' ? null : await scoresOn(dev, await trainOn(tuned, withOnly(tuned.task, state, set)))
    console.log(`${task}, ${order}: loss after the cut ${cut.lossAfterCut}, then ${JSON.stringify(scores)}`)
    choices.push({ ...cut, scores })
  }
  return {
    ...{ task, seed: given.seed, learningRate, step: state.step, lossOfAll },
    matrices: components.matrices.map(({ name, d, k, r }) => ({ name, d, k, r })),
    components: { logTheta: logTheta.map(rounded), size: sizes.map(rounded), ablatedLoss: losses.map(rounded) },
    choices,
  }
}

const rounded = (value: number): number => Number(value.toPrecision(5))

const stored = z.looseObject({ runs: z.array(z.looseObject({ task: z.string().max(100), seed: z.int() })).max(10_000) })
const file = join(given.results, 'component-choice.json')
const limit = 10_000_000
const command = 'node dist/evaluation/studies/componentChoice.js --model DIR --data GLUE'

for (const entry of given.tasks.split(',')) {
  const [task = '', rate] = entry.split('=')
  if (rate === undefined || !(Number(rate) > 0)) throw new InputError('--tasks', 'tasks with rates, such as cola=1e-3', entry)
  const { runs } = existsSync(file) ? validate(stored, parseJson(await readText(file, limit), file), file, 'results') : { runs: [] }
  if (runs.some((run) => run.task === task && run.seed === given.seed)) continue
  const run = await runTask(task, Number(rate))
  await makeFolder(given.results)
  await writeFileAtomically(file, `${JSON.stringify({ command, runs: [...runs, run] })}\n`)
}
