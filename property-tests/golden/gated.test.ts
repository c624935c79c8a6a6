/** One gated step is torch's autograd of equations (5) to (12): the hard-concrete objective and its gradients, by both derivations. */
import { describe, it } from 'vitest'
import { input } from '../../accelerated/graph/operators.js'
import { sampleGate } from '../../accelerated/methods/salora/hardConcrete.js'
import type { SaloraPhase } from '../../accelerated/methods/salora/phase.js'
import { floatFeed, scalarFeed } from '../../accelerated/engines/feeds.js'
import type { Numbers } from '../../evaluation/agreement/rows.js'
import { namedNumbers, namedParts } from '../../evaluation/agreement/convert.js'
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
  it.each(dtypes)('has the numbers of the accelerated step (%s)', async (dtype) => {
    const [expected, bound] = [golden[dtype].gated as GoldenGated, goldenBounds[dtype]]
    const { lambda, targetDensity, ...settings } = expected.settings
    const { rank, alpha } = golden.lora
    const run = await openGoldenRun({
      family: 'roberta',
      dtype,
      steps: 100,
      settings: { method: 'salora', orthogonality: 'sum', rank, loraAlpha: alpha, ...settings },
      phase: (start) => ({ ...(start as SaloraPhase), stage: 'gated', opened: { step: 0, density: 1 } }),
      more: (parameter) => ({ gates: sampleGate(settings)(parameter('logTheta'), input('u', parameter('logTheta').shape, dtype)) }),
    })
    const state = run.start(
      new Map([...under(tensors, 'start/'), ['logTheta', logTheta], ['lambda', { shape: [], data: Float64Array.of(lambda) }]]),
    )
    const fed = { u: floatFeed(u.data, u.shape, dtype), targetDensity: scalarFeed(targetDensity, dtype) }
    const { results, gradients } = await run.gradients(state, batch, fed)
    await run.release()
    const sum = (name: string): number => Array.from(results[name] ?? [NaN], Number).reduce((a, b) => a + b)
    expectAgreement(`accelerated, gated, ${dtype}`, [
      ...compareGated(bound, expected, sum, Array.from(results['gates'] ?? [], Number)),
      ...compareTensors('gradient', bound, under(tensors, `${dtype}/gated/gradient/`), namedParts(run.layout, gradients)),
    ])
  })

  it('has the numbers of the reference (float64)', async () => {
    const expected = golden.float64.gated as GoldenGated
    const { config, base } = await readReference('roberta')
    const { rank, alpha } = golden.lora
    const parameters = referenceParameters(config, rank, under(tensors, 'start/'), logTheta.data, expected.settings.lambda)
    const gateNoise = Object.fromEntries(
      Object.keys(parameters.adapters).map((name, i) => [name, tensor([rank], u.data.slice(i * rank, (i + 1) * rank))]),
    )
    const actual = objective(
      config,
      { ...expected.settings, control: 'descent', orthogonality: 'sum', orthogonalityAfter: 'unit', rank, alpha },
      base,
    )(parameters, batch, { gates: gateNoise, dropout: {} }, { gating: 'sampled', targetDensity: expected.settings.targetDensity })
    expectAgreement('reference, gated, float64', [
      ...compareGated(
        goldenBounds.float64,
        expected,
        (name) => actual[name],
        Object.values(actual.gates).flatMap(({ data }) => [...data]),
      ),
      ...compareTensors('gradient', goldenBounds.float64, under(tensors, 'float64/gated/gradient/'), namedNumbers(actual.gradients, true)),
    ])
  })
})
