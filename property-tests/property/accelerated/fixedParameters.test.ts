/** Parameters that never change are constants of a predictor's graph: its answers are those of a predictor that is fed them. */
import { describe, expect, it } from 'vitest'
import { frozenWeights, weightSource } from '../../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import type { Engine } from '../../../accelerated/engines/engine.js'
import { topologicalOrder } from '../../../accelerated/graph/expression.js'
import { methods } from '../../../accelerated/methods/index.js'
import { sequenceClassification, type LabeledExample } from '../../../accelerated/objectives/sequenceClassification.js'
import { parameterLayout } from '../../../accelerated/parameters/layout.js'
import { normals } from '../../../accelerated/parameters/random.js'
import { findPrecision } from '../../../accelerated/settings/commonSettings.js'
import type { MethodName, SettingsInput } from '../../../accelerated/settings/settingsInput.js'
import { assemble, buildLayout } from '../../../accelerated/training/assembly.js'
import { fixedParameters } from '../../../accelerated/training/inferenceGraph.js'
import { openPredictor } from '../../../accelerated/training/prediction.js'
import { findMethod, resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { folderOf } from '../../golden/golden.js'
import { assertClose } from '../../support/assertClose.js'

/** Parameters alone: tokens and positions are named otherwise. */
const parameterNames = (names: Iterable<string>): readonly string[] => [...names].filter((name) => name.startsWith('parameters('))

const examples = [
  [3, 40, 7],
  [9, 8, 7, 6, 5],
].map((inputIds, row): LabeledExample => ({ inputIds, label: 0, row }))

const opened = async (method: MethodName) => {
  const base = await openModelFolder(folderOf('roberta'))
  const settings = resolveSettings({
    method,
    ...(method === 'prefix' || method === 'prompt' ? { numVirtualTokens: 3 } : {}),
  } as SettingsInput)
  const parts = {
    model: base.model,
    frozen: frozenWeights(base, 'float64'),
    method: findMethod(method),
    settings,
    precision: findPrecision('float64'),
  }
  const assembly = assemble(parts, (model) => sequenceClassification(model, { labels: 3, problemType: 'single_label_classification' }))
  const start = assembly.method.phases.start(base.model.spec, settings)
  const layout = buildLayout(assembly, start)
  const inputs: (readonly string[])[] = []
  const stays: (readonly string[])[] = []
  const engine = cpu.engine({ threads: 1 })
  const watching: Engine = {
    ...engine,
    open: (outputs, ...rest) => {
      stays.push(rest[1]?.fixed ?? [])
      const leaves = topologicalOrder(Object.values(outputs)).filter(({ op }) => op === 'Input')
      inputs.push(parameterNames(leaves.map(({ attributes }) => attributes.name ?? '')))
      return engine.open(outputs, ...rest)
    },
  }
  const vector = (seed: number) => Float64Array.from(normals(seed, 'initialization', 0, layout.size), (x) => 0.1 * x)
  const predict = async (used: Engine, given: Float64Array, fixed?: Float64Array) => {
    const predictor = await openPredictor(assembly, assembly.objective, start, { engine: used, weights: weightSource(base) }, {}, fixed)
    const answers = await predictor.predict(given, { length: examples.length, at: (i) => examples[i] }, 2).finally(predictor.release)
    return answers.flatMap((answer) => Array.from(answer))
  }
  return { watching, inputs, stays, vector, predict }
}

describe('parameters that never change', () => {
  it.each(methods.map(({ name }) => name as MethodName))('give the answers of parameters that are fed: %s', async (method) => {
    const { watching, inputs, vector, predict } = await opened(method)
    const fed = await predict(watching, vector(1))
    const fixed = await predict(watching, vector(2), vector(1))
    assertClose(fixed, fed, { relative: 1e-11 })
    expect(inputs[0]?.length).toBeGreaterThan(0)
    expect(inputs[1]).toEqual([])
  })

  it('are fed where sessions are shared, as numbers that may stay on the device', async () => {
    const { watching, inputs, stays, vector, predict } = await opened('lora')
    const fed = await predict(watching, vector(1))
    expect(await predict({ ...watching, sharesSessions: true }, vector(2), vector(1))).toEqual(fed)
    expect(inputs[1]).toEqual(inputs[0])
    expect(stays.map(parameterNames)).toEqual([[], inputs[0]])
  })

  it('are fed where they are more than 32 MB', () => {
    const group = { name: 'decayed' } as Parameters<typeof parameterLayout>[0][number]['group']
    const isFed = (size: number): boolean => {
      const layout = parameterLayout([{ name: 'W', shape: [size], group, initial: { fromCheckpoint: false, draw: () => [] } }])
      const { tensors, feeds } = fixedParameters(layout, new Float32Array(size), 'float32', {})
      expect(tensors.get('W')?.op === 'Constant').toBe(Object.keys(feeds).length === 0)
      return Object.keys(feeds).length > 0
    }
    expect([isFed(2 ** 23), isFed(2 ** 23 + 1)]).toEqual([false, true])
  })
})
