/**
 * salora: parameter-efficient fine-tuning, from a model's and a task's name to an adapter on disk, and from there to predictions.
 *
 * ```ts
 * import { finetune, openRun } from 'salora'
 *
 * const settings = { method: 'salora', rank: 8, maxSteps: 30, maxLength: 48 } as const
 * for await (const event of finetune({ model: 'embedded', task: { task: 'sentiment' }, output: 'runs/first', settings }))
 *   if (event.kind === 'result') console.log(event.result.best?.scores)
 *
 * const run = await openRun('runs/first')
 * console.log(await run.predict('The food was superb.')) // { label: 'positive', score: …, scores: … }
 * await run.release()
 * ```
 *
 * An error that you can repair has a one-line message, and `isExpected(error)` is true for it. Any other error is a defect.
 * Other entry points: salora/accelerated (graphs, methods, formats), salora/evaluation (the paper's evaluation), salora/reference (float64).
 */
export { DeviceError } from './accelerated/errors/expectedErrors.js'
export { isExpected } from './accelerated/errors/expectedErrors.js'
export { InputError } from './accelerated/errors/inputError.js'
export { SettingsError } from './accelerated/errors/expectedErrors.js'
export { TrainingError } from './accelerated/errors/expectedErrors.js'
export type { MethodName, SettingsInput } from './accelerated/settings/settingsInput.js'
export { resolveSettings, type Settings } from './accelerated/training/resolveSettings.js'
export * from './finetuning/index.js'
