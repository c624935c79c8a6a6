/** What every method's golden test compares: logits and losses of all batches, every gradient of the first, and its steps. */
import { describe, expect, it } from 'vitest'
import { viewTensor, type Vector } from '../../accelerated/parameters/vectors.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { Feeds } from '../../accelerated/engines/feeds.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { openGoldenRun, type GoldenRun } from './acceleratedGolden.js'
import {
  compareNumbers,
  compareTensors,
  dtypes,
  expectAgreement,
  familiesOf,
  goldenBounds,
  readMethod,
  readTensors,
  under,
  type Family,
  type GoldenBatch,
  type GoldenTensor,
  type Method,
} from './golden.js'

export type MethodOptions = {
  readonly method: Method
  readonly settings: (golden: ReturnType<typeof readMethod>['settings'], family: Family) => SettingsInput
  /** the fixture's tensors, if not all are in its golden.safetensors */
  readonly tensors?: (family: Family) => ReadonlyMap<string, GoldenTensor>
  /** our name of a tensor that the fixture calls so; undefined for one that we do not train */
  readonly nameOf?: (name: string, family: Family) => string | undefined
  /** numbers of a tensor in our order, where the fixture's is another */
  readonly numbersOf?: (name: string, tensor: GoldenTensor, family: Family) => GoldenTensor
  /** tensors whose final values rounding decides */
  readonly undetermined?: (name: string) => boolean
  /** what a batch is fed besides: the masks of dropout in a step, or of none (null) */
  readonly feeds?: (family: Family, batch: GoldenBatch, step: number | null, dtype: FloatType) => Promise<Feeds>
}

const renamed = (
  tensors: ReadonlyMap<string, GoldenTensor>,
  { nameOf = (name) => name, numbersOf = (_, tensor) => tensor }: MethodOptions,
  family: Family,
): ReadonlyMap<string, GoldenTensor> =>
  new Map(
    [...tensors].flatMap(([name, tensor]): readonly (readonly [string, GoldenTensor])[] => {
      const renamedTo = nameOf(name, family)
      return renamedTo === undefined ? [] : [[renamedTo, numbersOf(renamedTo, tensor, family)]]
    }),
  )

/** The tensors of a vector of the run's. */
export const byName = ({ layout }: GoldenRun, vector: Vector): ReadonlyMap<string, Vector> =>
  new Map(layout.entries.map(({ name }) => [name, viewTensor(layout, vector, name)]))

export const describeMethod = (options: MethodOptions): void => {
  const { method, settings, undetermined = () => false, feeds = async () => ({}) } = options
  describe.each(familiesOf(method))(`${method} on %s, by its library`, (family) => {
    const golden = readMethod(family, method)
    const tensors = options.tensors?.(family) ?? readTensors(family, method)
    const start = renamed(under(tensors, 'start/'), options, family)
    const open = (dtype: (typeof dtypes)[number]) => {
      const { steps, learningRate, weightDecay } = golden.settings
      return openGoldenRun({ family, dtype, steps, settings: { learningRate, weightDecay, ...settings(golden.settings, family) } })
    }
    it('trains the same tensors', async () => {
      const run = await open('float32')
      const shapes = run.layout.entries.map(({ name, shape }) => [name, [...shape]] as const)
      await run.release()
      expect(new Map(shapes)).toEqual(new Map([...start].map(([name, { shape }]) => [name, [...shape]])))
    })

    it.each(dtypes)('has our logits, losses and gradients (%s)', async (dtype) => {
      const [run, bound, expected] = [await open(dtype), goldenBounds[dtype], golden[dtype]]
      const state = run.start(start)
      const rows = []
      for (const [i, batch] of golden.batches.entries()) {
        rows.push(
          compareNumbers(
            `logits of batch ${i}`,
            bound,
            expected.evaluation[i]?.logits.flat() ?? [],
            await run.logits(state.parameters, batch),
          ),
        )
        const { results } = await run.gradients(state, batch, await feeds(family, batch, null, dtype))
        rows.push(
          compareNumbers(`loss of batch ${i}`, bound, [expected.evaluation[i]?.loss ?? NaN], Array.from(results['loss'] ?? [], Number)),
        )
      }
      const [first] = golden.batches as readonly [GoldenBatch]
      const { gradients } = await run.gradients(state, first, await feeds(family, first, 0, dtype))
      const expectedTensors = renamed(under(tensors, `${dtype}/gradient/`), options, family)
      const actual = new Map([...byName(run, gradients)].filter(([name]) => expectedTensors.has(name)))
      await run.release()
      expect(expectedTensors.size).toBeGreaterThan(0)
      expectAgreement(`${method}, ${family}, ${dtype}`, [...rows, ...compareTensors('gradient', bound, expectedTensors, actual)])
    })

    it.each(dtypes)(`has our losses and parameters through ${golden.settings.steps} steps (%s)`, async (dtype) => {
      const [run, bound, expected] = [await open(dtype), goldenBounds[dtype], golden[dtype]]
      let state = run.start(start)
      const losses: number[] = []
      for (let step = 0; step < golden.settings.steps; step++) {
        const batch = golden.batches[step % golden.batches.length] as GoldenBatch
        const stepped = await run.step(state, batch, await feeds(family, batch, step, dtype))
        state = stepped.state
        losses.push(stepped.loss)
      }
      const expectedTensors = new Map(
        [...renamed(under(tensors, `${dtype}/final/`), options, family)].filter(([name]) => !undetermined(name)),
      )
      const actual = new Map([...byName(run, state.parameters)].filter(([name]) => expectedTensors.has(name)))
      const logits = await run.logits(state.parameters, golden.batches[0] as GoldenBatch)
      await run.release()
      expect(losses.length).toBeGreaterThanOrEqual(5)
      expectAgreement(`${method}, ${family}, ${dtype}`, [
        compareNumbers('losses', bound, expected.losses, losses),
        compareNumbers('logits at the end', bound, expected.finalLogits.flat(), logits),
        ...compareTensors('parameter at the end', bound, expectedTensors, actual),
      ])
    })
  })
}
