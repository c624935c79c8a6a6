/** A kind of tasks that is in no release: texts about weather, with an option of its own. What a new task's one file looks like. */
import { inputError } from '../../../accelerated/errors/inputError.js'
import type { Dataset } from '../../../finetuning/data/dataset.js'
import type { LoadedTask, Task, TaskSource, TaskOptions } from '../../../finetuning/tasks/task.js'
import { toyRows } from '../toyTask.js'
import { singleLabel } from '../../../finetuning/tasks/classification/index.js'

/** A real kind would add it to TaskOptions. */
type WeatherOptions = TaskOptions & { readonly season?: string }

const labelNames = ['bad', 'good']

const load = async ({ season = 'summer' }: WeatherOptions): Promise<LoadedTask> => {
  if (season !== 'summer') throw inputError('--season', 'summer', JSON.stringify(season))
  const dataset = (source: string, count: number): Dataset => ({
    source,
    labelNames,
    skipped: [],
    examples: toyRows(count).map(({ text, label }, i) => ({ text, label: labelNames.indexOf(label), row: i + 1 })),
  })
  return {
    name: 'weather',
    train: dataset('the weather of a summer', 24),
    evaluation: dataset('the weather of a day', 8),
    taskType: singleLabel,
    metrics: ['accuracy'],
    selectionMetric: 'accuracy',
    labelNames,
    heldOut: false,
  }
}

const source: TaskSource = {
  names: ['weather'],
  help: 'the weather of a season',
  recognizes: (task) => task === 'weather',
  flags: [{ name: 'season' as keyof TaskOptions, placeholder: 'name', description: 'Season of the weather', defaultText: 'summer' }],
  load,
  loadEvaluation: load,
}

/** Its texts are classified by the task type of classification. */
export const weather: Task = { types: [], sources: [source] }
