/** The accelerated path trains plain LoRA as PEFT does: logits, loss, every gradient, and twenty steps of AdamW. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { viewTensor, type Vector } from '../../accelerated/parameters/vectors.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import { predictGolden } from './exportGolden.js'
import { openGoldenRun, type GoldenRun } from './acceleratedGolden.js'
import {
  compareNumbers,
  compareTensors,
  dtypes,
  expectAgreement,
  families,
  folderOf,
  goldenBounds,
  furtherFamilies,
  readGolden,
  readTensors,
  under,
  type GoldenBatch,
} from './golden.js'

const parts = ({ layout }: GoldenRun, vector: Vector) => new Map(layout.entries.map(({ name }) => [name, viewTensor(layout, vector, name)]))

describe.each([...families, ...furtherFamilies])('%s under PEFT', (family) => {
  const golden = readGolden(family)
  const tensors = readTensors(family)
  const [first] = golden.batches as readonly [GoldenBatch]
  const { steps, alpha, ...settings } = golden.lora
  const open = (dtype: FloatType) => openGoldenRun({ family, dtype, steps, settings: { method: 'lora', loraAlpha: alpha, ...settings } })

  it.each(dtypes)('has our logits, loss and gradients (%s)', async (dtype) => {
    const [run, bound, expected] = [await open(dtype), goldenBounds[dtype], golden[dtype]]
    const state = run.start(under(tensors, 'start/'))
    const { results, gradients } = await run.gradients(state, first)
    const logits = await run.logits(state.parameters, first)
    await run.release()
    expectAgreement(`accelerated, ${family}, ${dtype}`, [
      compareNumbers('logits', bound, expected.logits.flat(), logits),
      compareNumbers('loss', bound, expected.losses.slice(0, 1), Array.from(results['loss'] ?? [], Number)),
      ...compareTensors('gradient', bound, under(tensors, `${dtype}/gradient/`), parts(run, gradients)),
    ])
  })

  it.each(dtypes)('has our losses and parameters through twenty steps (%s)', async (dtype) => {
    const [run, bound, expected] = [await open(dtype), goldenBounds[dtype], golden[dtype]]
    let state = run.start(under(tensors, 'start/'))
    const losses: Array<number> = []
    for (let step = 0; step < steps; step++) {
      const stepped = await run.step(state, golden.batches[step % golden.batches.length] as GoldenBatch)
      state = stepped.state
      losses.push(stepped.loss)
    }
    const logits = await run.logits(state.parameters, first)
    await run.release()
    expect(losses).toHaveLength(20)
    expectAgreement(`accelerated, ${family}, ${dtype}`, [
      compareNumbers('losses of 20 steps', bound, expected.losses, losses),
      compareNumbers('logits after 20 steps', bound, expected.finalLogits.flat(), logits),
      ...compareTensors('parameter after 20 steps', bound, under(tensors, `${dtype}/final/`), parts(run, state.parameters)),
    ])
  })
})

describe.each(furtherFamilies)('%s', (family) => {
  it('gives the logits of PEFT for an adapter that PEFT trained, with rank_pattern and modules_to_save', async () => {
    const golden = readGolden(family)
    const logits = await predictGolden(family, join(folderOf(family), 'peft-adapter'), golden)
    expectAgreement(`import, ${family}`, [compareNumbers('logits', goldenBounds.float32, golden.peftAdapter.logits.flat(), logits)])
  })
})
