/** One gated step is torch's autograd of METHOD.md's equations (5) to (12): the hard-concrete objective and its gradients, by both derivations. */
import { describe, it } from 'vitest'
import type { Vector } from '../../accelerated/training/parameterVector.js'
import { floatFeed } from '../../accelerated/runtime/feeds.js'
import { stateFeeds } from '../../accelerated/training/trainFeeds.js'
import type { Numbers } from '../../evaluation/agreement/rows.js'
import { namedNumbers, namedParts } from '../../evaluation/agreement/translate.js'
import { objective, tensor } from '../../reference/index.js'
import { openGoldenRun } from './acceleratedGolden.js'
import {
  compareNumbers,
  compareTensors,
  dtypes,
  expectAgreement,
  goldenBounds,
  readGolden,
  readTensors,
  under,
  type GoldenBatch,
  type GoldenGated,
  type GoldenTensor,
} from './golden.js'
import { readReference, referenceParameters } from './referenceGolden.js'

const golden = readGolden('roberta')
const tensors = readTensors('roberta')
const [batch] = golden.batches as readonly [GoldenBatch]
const [logTheta, u] = [tensors.get('gated/logTheta'), tensors.get('gated/u')] as [GoldenTensor, GoldenTensor]

const compareGated = (
  bound: number,
  expected: GoldenGated,
  value: (name: 'loss' | 'taskLoss' | 'orthogonality' | 'density') => number,
  gates: Numbers,
) => [
  ...(['loss', 'taskLoss', 'orthogonality', 'density'] as const).map((name) =>
    compareNumbers(name, bound, [expected[name]], [value(name)]),
  ),
  compareNumbers('gates', bound, expected.gates, gates),
]

describe("a gated step by torch's autograd", () => {
  it.each(dtypes)('is the accelerated one (%s)', async (dtype) => {
    const [expected, bound] = [golden[dtype].gated as GoldenGated, goldenBounds[dtype]]
    const run = await openGoldenRun('roberta', golden, dtype, 'sampled', expected.settings)
    const state = run.start(
      new Map([
        ...under(tensors, 'start/'),
        ['logTheta', logTheta],
        ['lambda', { shape: [], data: Float64Array.of(expected.settings.lambda) }],
      ]),
    )
    const session = await run.openStep('add')
    const results = await session
      .run({ ...run.feeds(batch, 1), ...stateFeeds(state, dtype), u: floatFeed(u.data, u.shape, dtype) })
      .finally(session.release)
    const sum = (name: string): number => Array.from(results[name] ?? [NaN], Number).reduce((a, b) => a + b)
    expectAgreement(`accelerated, gated, ${dtype}`, [
      ...compareGated(bound, expected, sum, Array.from(results['gates'] ?? [], Number)),
      ...compareTensors(
        'gradient',
        bound,
        under(tensors, `${dtype}/gated/gradient/`),
        namedParts(run.layout, results['nextGradientSum'] as Vector),
      ),
    ])
  })

  it("is the reference's (float64)", async () => {
    const expected = golden.float64.gated as GoldenGated
    const { config, base } = await readReference('roberta')
    const { rank, alpha } = golden.lora
    const parameters = referenceParameters(config, rank, under(tensors, 'start/'), logTheta.data, expected.settings.lambda)
    const gateNoise = Object.fromEntries(
      Object.keys(parameters.adapters).map((name, i) => [name, tensor([rank], u.data.slice(i * rank, (i + 1) * rank))]),
    )
    const found = objective(config, { ...expected.settings, rank, alpha }, base)(
      parameters,
      batch,
      { gates: gateNoise, dropout: {} },
      { gating: 'sampled', targetDensity: expected.settings.targetDensity },
    )
    expectAgreement('reference, gated, float64', [
      ...compareGated(
        goldenBounds.float64,
        expected,
        (name) => found[name],
        Object.values(found.gates).flatMap(({ data }) => [...data]),
      ),
      ...compareTensors('gradient', goldenBounds.float64, under(tensors, 'float64/gated/gradient/'), namedNumbers(found.gradients, true)),
    ])
  })
})
