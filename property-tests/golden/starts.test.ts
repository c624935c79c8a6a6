/** LoRA starts from the model's matrices, from its inputs or from its rounding as in PEFT: factors, logits, training, and the plain adapter that a run saves. */
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { checkpointNumbers, frozenWeights, weightSource } from '../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { readAdapter, writeAdapter } from '../../accelerated/formats/index.js'
import type { Trainable, ParameterEntry } from '../../accelerated/parameters/layout.js'
import { viewTensor } from '../../accelerated/parameters/vectors.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { assemble, buildLayout } from '../../accelerated/training/assembly.js'
import { initializeRun } from '../../accelerated/training/initialState.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { findDirections, openInputs } from '../../finetuning/run/evaStart.js'
import { toAdapter } from '../../finetuning/run/runResult.js'
import type { LoraPhase } from '../../accelerated/methods/lora.js'
import { loftq, olora, pissa, tensor as asTensor } from '../../reference/index.js'
import { openGoldenRun } from './acceleratedGolden.js'
import { examplesOf, fixtures, folderOf, readGolden, type GoldenBatch } from './golden.js'

type Factors = Readonly<Record<string, readonly number[]>>
type Residual = {
  readonly start: Factors
  readonly logits: readonly (readonly number[])[]
  readonly losses: readonly number[]
  readonly finalLogits: readonly (readonly number[])[]
  readonly converted: { readonly r: number; readonly lora_alpha: number; readonly product: readonly number[] }
}
const golden = JSON.parse(readFileSync(join(fixtures, 'bert', 'starts.json'), 'utf8')) as Readonly<Record<'pissa' | 'olora', Residual>> & {
  readonly settings: { readonly r: number; readonly lora_alpha: number; readonly targets: readonly string[] }
  readonly eva: { readonly A: Factors }
  readonly loftq: { readonly A: readonly number[]; readonly B: readonly number[] }
}
const { r, lora_alpha: loraAlpha, targets } = golden.settings
const { batches } = readGolden('bert')
const optimizer = { learningRate: 1e-3, weightDecay: 0.01 }

/** The largest difference as a share of the largest number. */
const distance = (expected: ArrayLike<number>, actual: ArrayLike<number>): number => {
  expect(actual.length).toBe(expected.length)
  const largest = Math.max(...Array.from(expected, Math.abs))
  return Math.max(...Array.from(expected, (x, i) => Math.abs(x - (actual[i] ?? NaN)))) / largest
}

/** Rows with the sign of the expected ones. */
const aligned = (expected: readonly number[], actual: ArrayLike<number>, width: number): number[] =>
  Array.from(actual, (x, i) => {
    const row = Math.floor(i / width) * width
    const dot = Array.from({ length: width }, (_, j) => (expected[row + j] ?? 0) * (actual[row + j] ?? 0)).reduce((a, b) => a + b, 0)
    return dot < 0 ? -x : x
  })

const columns = (B: ArrayLike<number>, rank: number): number[] =>
  Array.from({ length: B.length }, (_, i) => B[(i % (B.length / rank)) * rank + Math.floor(i / (B.length / rank))] ?? NaN)

const product = (B: ArrayLike<number>, A: ArrayLike<number>, rank: number): number[] => {
  const [d, k] = [B.length / rank, A.length / rank]
  return Array.from({ length: d * k }, (_, i) => {
    let sum = 0
    for (let j = 0; j < rank; j++) sum += (B[Math.floor(i / k) * rank + j] ?? NaN) * (A[j * k + (i % k)] ?? NaN)
    return sum
  })
}

const openRun = async (given: SettingsInput) => {
  const base = await openModelFolder(folderOf('bert'))
  const settings = resolveSettings({ method: 'lora', rank: r, loraAlpha, targetModules: targets, dropout: 0, ...given })
  const parts = {
    model: base.model,
    frozen: frozenWeights(base, 'float32'),
    method: findMethod('lora'),
    settings,
    precision: findPrecision('float32'),
  }
  const assembly = {
    ...assemble(parts, (model) => sequenceClassification(model, { labels: 3, problemType: 'single_label_classification' })),
    settings,
  }
  const start = await initializeRun(assembly, checkpointNumbers(base))
  const tensor = (name: string) => viewTensor(buildLayout(assembly, start.phase), start.parameters, name)
  return { base, assembly, start, tensor }
}

describe.each(['pissa', 'olora'] as const)('%s', (name) => {
  const expected = golden[name]
  const settings: SettingsInput = { method: 'lora', rank: r, loraAlpha, targetModules: targets, initLoraWeights: name, ...optimizer }

  it("starts from PEFT's factors, and the reference has them too", async () => {
    const { base, tensor, assembly } = await openRun(settings)
    const by = { pissa, olora }[name]
    const inOrder = Object.keys(expected.start).filter((key) => key.endsWith('.A'))
    expect(inOrder).toHaveLength(4)
    for (const key of inOrder) {
      const matrix = key.slice(0, -2)
      const { d, k } = base.model.spec.matrices.find((one) => one.name === matrix) ?? { d: NaN, k: NaN }
      const W = await checkpointNumbers(base)(`${matrix}.weight`, [d, k])
      const { A: referenceA, B: referenceB } = by(asTensor([d, k], W ?? []), r, loraAlpha / r)
      const reference = { A: referenceA.data, B: referenceB.data }
      const [A, B] = [expected.start[key] ?? [], expected.start[`${matrix}.B`] ?? []]
      for (const ours of [{ A: tensor(`${matrix}.A`), B: tensor(`${matrix}.B`) }, reference]) {
        expect(distance(A, aligned(A, ours.A, k)), key).toBeLessThan(1e-5)
        expect(distance(columns(B, r), aligned(columns(B, r), columns(ours.B, r), d)), key).toBeLessThan(1e-5)
        expect(distance(product(B, A, r), product(ours.B, ours.A, r)), key).toBeLessThan(1e-5)
      }
    }
    expect(assembly.method.reporting?.parameterCounts?.({ matrices: [{ name: 'm', d: 2, k: 3, r: 4 }] }, assembly.settings)).toEqual({
      adapter: 20,
    })
  })

  it("has PEFT's logits and losses, and saves a plain adapter of the original model with PEFT's conversion", async () => {
    const { base, assembly, start } = await openRun(settings)
    const run = await openGoldenRun({ family: 'bert', dtype: 'float32', steps: 8, settings })
    const entries = run.layout.entries.map(
      (entry) => [entry.name, { data: [...viewTensor(run.layout, start.parameters, entry.name)] }] as const,
    )
    let state = run.start(new Map(entries))
    const logits = async (): Promise<number[]> => {
      const all = []
      for (const batch of batches) all.push(...(await run.logits(state.parameters, batch)))
      return all
    }
    expect(distance(expected.logits.flat(), await logits())).toBeLessThan(1e-5)
    const losses: number[] = []
    for (let step = 0; step < 8; step++) {
      const stepped = await run.step(state, batches[step % batches.length] as GoldenBatch)
      state = stepped.state
      losses.push(stepped.loss)
    }
    expect(distance(expected.losses, losses)).toBeLessThan(1e-5)
    expect(distance(expected.finalLogits.flat(), await logits())).toBeLessThan(1e-4)
    for (const { name: fixed } of run.layout.entries.filter((entry) => entry.name.endsWith('.start')))
      expect(viewTensor(run.layout, state.parameters, fixed)).toEqual(viewTensor(run.layout, start.parameters, fixed))
    await run.release()

    const { method } = assembly
    const context = { buildLayout: (phase: unknown) => buildLayout(assembly, phase), dtype: 'float32' as const }
    const plain = method.phases.inference?.(state.phase, assembly.settings, state.parameters, context) ?? expect.unreachable()
    const folder = await mkdtemp(join(tmpdir(), 'salora-starts-'))
    await writeAdapter(folder, toAdapter(assembly, base, base.outputs, plain, undefined), base)
    const config = JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8')) as Readonly<Record<string, unknown>>
    expect(config).toMatchObject({
      r: expected.converted.r,
      lora_alpha: expected.converted.lora_alpha,
      rank_pattern: {},
      alpha_pattern: {},
    })
    const { tensors } = await readAdapter(folder, base)
    const of = (factor: string) => tensors.get(`encoder.layer.1.output.dense.${factor}`)?.data ?? []
    expect(distance(expected.converted.product, product(of('B'), of('A'), 2 * r))).toBeLessThan(1e-3) // of a difference, whose terms are a hundred times larger
    expect(method.phases.validate?.(plain.phase, start.phase, { step: 8, steps: 8 })).toBeNull()
  })
})

describe('eva', () => {
  it("gives PEFT's ranks and directions for the same batches", async () => {
    const { base, assembly, start } = await openRun({ initLoraWeights: 'eva', rank: 4 })
    const runtime = { engine: findDevice('cpu').engine({ threads: 1 }), weights: weightSource(base) }
    const session = await openInputs({ ...assembly, runtime } as unknown as Parameters<typeof openInputs>[0], start)
    const { matrices } = start.phase as LoraPhase
    const found = await findDirections(matrices, (i) => session.inputs(examplesOf(batches[i % batches.length] as GoldenBatch)))
    await session.release()
    const expected = golden.eva.A
    expect(Object.fromEntries(found.matrices.map(({ name, r: rank }) => [name, rank]))).toEqual(
      Object.fromEntries(
        Object.entries(expected).map(([key, A]) => [
          key.slice(0, -2),
          A.length / (/output\.dense\.A$/.test(key) && !key.includes('attention') ? 64 : 32),
        ]),
      ),
    )
    expect(new Set(found.matrices.map(({ r: rank }) => rank)).size).toBeGreaterThan(1)
    for (const { name, k } of found.matrices) {
      const A = expected[`${name}.A`] ?? []
      expect(distance(A, aligned(A, found.A.get(name) ?? [], k)), name).toBeLessThan(1e-4)
    }
  })
})

describe('loftq', () => {
  it("starts from the principal part of int4's rounding error, as PEFT's first iteration does", async () => {
    const base = await openModelFolder(folderOf('bert'))
    const settings = resolveSettings({ method: 'lora', rank: r, loraAlpha: r, precision: 'int4', initLoraWeights: 'loftq' })
    const method = findMethod('lora')
    const tensors: readonly Trainable[] = method.train.tensors(method.phases.start(base.model.spec, settings), settings)
    const started = async (matrix: string, shape: readonly [number, number]) => {
      const initial = async (factor: string): Promise<ArrayLike<number>> => {
        const { fromCheckpoint } = tensors.find(({ name }) => name === `${matrix}.${factor}`)?.initial ?? expect.unreachable()
        return (fromCheckpoint !== false && (await fromCheckpoint({} as ParameterEntry, checkpointNumbers(base)))) || []
      }
      const reference = loftq(asTensor(shape, (await checkpointNumbers(base)(`${matrix}.weight`, shape)) ?? []), r, 1)
      return [
        { A: await initial('A'), B: await initial('B') },
        { A: reference.A.data, B: reference.B.data },
      ] as const
    }
    for (const ours of await started('encoder.layer.0.intermediate.dense', [64, 32])) {
      expect(distance(golden.loftq.A, aligned(golden.loftq.A, ours.A, 32))).toBeLessThan(1e-4)
      expect(distance(product(golden.loftq.B, golden.loftq.A, r), product(ours.B, ours.A, r))).toBeLessThan(1e-4)
    }
    const [eightBits, expected] = await started('encoder.layer.0.output.dense', [32, 64])
    expect(distance(product(expected.B, expected.A, r), product(eightBits.B, eightBits.A, r))).toBeLessThan(1e-4)
  })

  it.each([
    [{ initLoraWeights: 'loftq' }, /precision: expected int4 or int8 with loftq/],
    [{ initLoraWeights: 'pissa', useDora: true }, /initLoraWeights: expected kaiming, gaussian or eva with DoRA/],
    [{ method: 'salora', initLoraWeights: 'pissa' }, /initLoraWeights/],
  ] as const)('refuses %j', (given, message) => expect(() => resolveSettings({ method: 'lora', ...given })).toThrow(message))
})
