/** The error of a training run that cannot continue: a number is not finite, or a method did not finish its phases. */

/** Ends a run. Its message is one line. It does not name the run's folder, which training does not know. */
export class TrainingError extends Error {
  override readonly name = 'TrainingError'
}
