/** The recipe of TSST's classifier (Xiao et al., EMNLP 2021), whose accuracy on transferred sentences is ACC. */
import type { TaskPreset } from '../task.js'

export const tsstClassifier: TaskPreset = {
  method: 'full',
  help: 'style classifier of TSST, by full fine-tuning',
  settings: (task) => ({
    learningRate: 2e-5,
    adamEpsilon: 1e-8,
    weightDecay: 1e-8,
    warmupRatio: 0, // linear decay to 0 from the first step
    batchSize: 32,
    epochs: 5,
    maxLength: task === 'gyafc' ? 32 : 18,
    maxGradNorm: 1,
    seed: 42,
    evalSteps: 300,
    loadBestModelAtEnd: true,
  }),
}
