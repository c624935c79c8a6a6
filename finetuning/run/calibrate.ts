/** Calibrates the classifier that a run keeps, on rows that did not train it. The temperature goes into the last layer, so every export has it. */
import type { InferenceState } from '../../accelerated/parameters/runState.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import { leastChoosingRows, mostCalibrating } from '../../accelerated/settings/defaults.js'
import { buildLayout } from '../../accelerated/training/assembly.js'
import { evaluateState } from '../../accelerated/training/evaluation.js'
import type { LabeledExample } from '../../accelerated/objectives/sequenceClassification.js'
import type { TrainingResult, TrainingTask } from '../../accelerated/training/events.js'
import { expectedCalibrationError, fitTemperature, type LabeledLogits } from '../metrics/confidence.js'
import type { AnswersByStep } from './folds.js'
import type { Calibration } from './run.js'
import { selectState, type RunAssembly } from './runResult.js'

type ClassifierRun = { readonly task: TrainingTask & RunAssembly; readonly outputs: ModelOutputs }

/**
 * The result with a calibrated kept state, and what that changed. null: the run is no classifier of one class a row, its head is not trained, too
 * few rows were held out, or they have soft labels. Answers of folds overstate the temperature, because each fold's model learned from fewer rows than
 * the kept one. Its square root, half of the way to 1, calibrated better on rows of neither (docs/how-to/training.md).
 */
export const calibrateKept = async (
  run: ClassifierRun & { readonly heldOut: boolean },
  trained: TrainingResult,
  answersByStep: AnswersByStep | undefined,
): Promise<{ readonly trained: TrainingResult; readonly calibration: Calibration } | null> => {
  const { task, outputs, heldOut } = run
  if (outputs.head !== 'sequence' || outputs.problemType !== 'single_label_classification' || !heldOut) return null
  if (task.evaluation.length < leastChoosingRows.value || hasShares(task)) return null
  const kept = selectState(task.settings, trained)
  const held = answersByStep === undefined ? await answerHeldOut(run, kept.inference) : collect(run, answersByStep.get(kept.step) ?? [])
  const temperature = answersByStep === undefined ? fitTemperature(held) : Math.sqrt(fitTemperature(held))
  const parameters = divideHead(run, kept.inference, temperature)
  if (parameters === null) return null
  const inference = { ...kept.inference, parameters }
  return {
    trained:
      kept.which === 'best' && trained.best !== null ? { ...trained, best: { ...trained.best, parameters } } : { ...trained, inference },
    calibration: {
      temperature,
      rows: held.labels.length,
      errorBefore: expectedCalibrationError(held),
      errorAfter: expectedCalibrationError(held, temperature),
    },
  }
}

/** A teacher's most probable class is right more often by its own answers than it is: a temperature for it would make the student too sure. */
const hasShares = ({ evaluation }: TrainingTask): boolean =>
  Array.from({ length: evaluation.length }, (_, i) => evaluation.at(i) as LabeledExample).some(({ shares }) => shares !== undefined)

/** The kept state's logits of held-out rows, at most 2,000, spread over all. */
const answerHeldOut = async (run: ClassifierRun, inference: InferenceState): Promise<LabeledLogits> => {
  const { evaluation } = run.task
  const length = Math.min(evaluation.length, mostCalibrating.value)
  const spread = { length, at: (index: number) => evaluation.at(Math.floor((index * evaluation.length) / length)) }
  let answers: readonly unknown[] = []
  const keep = (all: readonly unknown[]) => {
    answers = all
    return { scores: {}, selection: 0, constant: null }
  }
  for await (const _ of evaluateState(run.task, inference, spread, keep));
  return collect({ ...run, task: { ...run.task, evaluation: spread } }, answers)
}

const collect = ({ task: { evaluation } }: ClassifierRun, answers: readonly unknown[]): LabeledLogits => ({
  logits: answers as readonly (readonly number[])[],
  labels: answers.map((_, i) => (evaluation.at(i) as LabeledExample).label),
})

/** The state with the last layer of its head divided by the temperature; null: the layer is not trained. */
const divideHead = (
  { task, outputs }: ClassifierRun,
  { phase, parameters }: InferenceState,
  temperature: number,
): InferenceState['parameters'] | null => {
  const { last } = task.model.sequenceHead('labels' in outputs ? outputs.labels : 1)
  const entries = buildLayout(task, phase).entries.filter(({ name }) => name === `${last}.weight` || name === `${last}.bias`)
  if (entries.length === 0) return null
  const divided = parameters.slice()
  for (const { offset, size } of entries) for (let i = offset; i < offset + size; i++) divided[i] = (divided[i] ?? 0) / temperature
  return divided
}
