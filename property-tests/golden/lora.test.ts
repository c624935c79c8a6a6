/** The accelerated path trains plain LoRA as PEFT does: logits, loss, every gradient, and twenty steps of AdamW. */
import { describe, expect, it } from 'vitest'
import type { Vector } from '../../accelerated/training/parameterVector.js'
import type { Vectors } from '../../accelerated/training/runState.js'
import { stateFeeds } from '../../accelerated/training/trainFeeds.js'
import { namedParts } from '../../evaluation/agreement/translate.js'
import { openGoldenRun } from './acceleratedGolden.js'
import {
  compareNumbers,
  compareTensors,
  dtypes,
  expectAgreement,
  families,
  goldenBounds,
  readGolden,
  readTensors,
  under,
  type GoldenBatch,
} from './golden.js'

describe.each(families)('%s under PEFT', (family) => {
  const golden = readGolden(family)
  const tensors = readTensors(family)
  const [first] = golden.batches as readonly [GoldenBatch]

  it.each(dtypes)('has our logits, loss and gradients (%s)', async (dtype) => {
    const [run, bound, expected] = [await openGoldenRun(family, golden, dtype), goldenBounds[dtype], golden[dtype]]
    const state = run.start(under(tensors, 'start/'))
    const session = await run.openStep('add')
    const results = await session.run({ ...run.feeds(first, 1), ...stateFeeds(state, dtype) }).finally(session.release)
    expectAgreement(`accelerated, ${family}, ${dtype}`, [
      compareNumbers('logits', bound, expected.logits.flat(), await run.logits(state.parameters, first)),
      compareNumbers('loss', bound, expected.losses.slice(0, 1), Array.from(results['loss'] ?? [], Number)),
      ...compareTensors(
        'gradient',
        bound,
        under(tensors, `${dtype}/gradient/`),
        namedParts(run.layout, results['nextGradientSum'] as Vector),
      ),
    ])
  })

  it.each(dtypes)('has our losses and parameters through twenty steps (%s)', async (dtype) => {
    const [run, bound, expected] = [await openGoldenRun(family, golden, dtype), goldenBounds[dtype], golden[dtype]]
    let state: Vectors = run.start(under(tensors, 'start/'))
    const session = await run.openStep('whole')
    const losses: Array<number> = []
    try {
      for (let step = 1; step <= golden.lora.steps; step++) {
        const batch = golden.batches[(step - 1) % golden.batches.length] as GoldenBatch
        const results = await session.run({ ...run.feeds(batch, step), ...stateFeeds(state, dtype) })
        state = {
          parameters: results['nextParameters'] as Vector,
          firstMoment: results['nextFirstMoment'] as Vector,
          secondMoment: results['nextSecondMoment'] as Vector,
        }
        losses.push(Number(results['loss']?.[0]))
      }
    } finally {
      await session.release()
    }
    expect(losses).toHaveLength(20)
    expectAgreement(`accelerated, ${family}, ${dtype}`, [
      compareNumbers('losses of 20 steps', bound, expected.losses, losses),
      compareNumbers('logits after 20 steps', bound, expected.finalLogits.flat(), await run.logits(state.parameters, first)),
      ...compareTensors('parameter after 20 steps', bound, under(tensors, `${dtype}/final/`), namedParts(run.layout, state.parameters)),
    ])
  })
})
