/** The reference trains plain LoRA as PEFT does in float64: logits, loss, every gradient, and twenty steps of AdamW. */
import { describe, it } from 'vitest'
import { namedNumbers } from '../../evaluation/agreement/convert.js'
import { defaultSettings, startFrom, trainingStep, type StepReport, type StepSettings } from '../../reference/index.js'
import {
  compareNumbers,
  compareTensors,
  expectAgreement,
  families,
  goldenBounds,
  readGolden,
  readTensors,
  under,
  type GoldenBatch,
} from './golden.js'
import { readReference, referenceParameters } from './referenceGolden.js'

describe.each(families)('%s under PEFT', (family) => {
  it("has the reference's numbers (float64)", async () => {
    const [golden, tensors, { config, base }] = [readGolden(family), readTensors(family), await readReference(family)]
    const {
      lora: { rank, alpha, weightDecay, learningRate, steps },
      float64: expected,
      batches,
    } = golden
    const settings: StepSettings = { ...defaultSettings, rank, alpha, weightDecay, beta: 0 }
    const step = trainingStep(config, settings, base)
    const modules = config.layers * 6
    let state = startFrom(referenceParameters(config, rank, under(tensors, 'start/'), new Float64Array(rank * modules), 0))
    const reports: Array<StepReport> = []
    for (let i = 0; i <= steps; i++) {
      const [next, report] = step(
        state,
        batches[i % batches.length] as GoldenBatch,
        { gates: {}, dropout: {} },
        { gating: 'open', targetDensity: 1, learningRate, controlLearningRate: 0, multiplierLearningRate: 0 },
      )
      reports.push(report)
      if (i < steps) state = next // one evaluation more, of the first batch again, for the logits at the end
    }
    const bound = goldenBounds.float64
    const [first, last] = [reports[0], reports[steps]] as [StepReport, StepReport]
    expectAgreement(`reference, ${family}, float64`, [
      compareNumbers('logits', bound, expected.logits.flat(), first.logits.data),
      compareNumbers(
        'losses of 20 steps',
        bound,
        expected.losses,
        reports.slice(0, steps).map(({ loss }) => loss),
      ),
      compareNumbers('logits after 20 steps', bound, expected.finalLogits.flat(), last.logits.data),
      ...compareTensors('gradient', bound, under(tensors, 'float64/gradient/'), namedNumbers(first.gradients, false)),
      ...compareTensors('parameter after 20 steps', bound, under(tensors, 'float64/final/'), namedNumbers(state, false)),
    ])
  })
})
