/** AdaLoRA as PEFT trains it: budget, scores, cuts and E of every step, beside what every method's test compares; and its folders. */
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Adapter, Weights } from '../../accelerated/formats/adapter.js'
import { findFormat, readAdapter, writeAdapter } from '../../accelerated/formats/index.js'
import { writePaddedLora } from '../../accelerated/formats/peft/lora.js'
import type { AdaloraPhase } from '../../accelerated/methods/adalora/phase.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import type { ParameterLayout } from '../../accelerated/parameters/layout.js'
import { viewTensor, type Vector } from '../../accelerated/parameters/vectors.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { openGoldenRun } from './acceleratedGolden.js'
import { expectExchanged, exportFolder } from './exchangeGolden.js'
import { predictGolden } from './exportGolden.js'
import {
  compareNumbers,
  dtypes,
  expectAgreement,
  families,
  folderOf,
  goldenBounds,
  methodFolder,
  readMethod,
  readTensors,
  under,
  type Family,
  type GoldenBatch,
} from './golden.js'
import { describeMethod } from './methodGolden.js'

type Step = { readonly budget: number; readonly threshold?: number; readonly mask?: readonly string[] }
type More = {
  readonly modules: readonly string[]
  readonly float64: { readonly orthogonality: number; readonly allocation: readonly Step[] }
  readonly interval: {
    readonly deltaT: number
    readonly losses: readonly number[]
    readonly allocation: readonly Step[]
    readonly finalLogits: readonly (readonly number[])[]
  }
}

const settings = (theirs: Readonly<Record<string, number>>): SettingsInput => {
  const of = (name: string): number => theirs[name] ?? NaN
  return {
    method: 'adalora',
    initR: of('init_r'),
    targetR: of('target_r'),
    loraAlpha: of('lora_alpha'),
    tinitRatio: of('tinit') / of('total_step'),
    tfinalRatio: of('tfinal') / of('total_step'),
    deltaT: of('deltaT'),
    importanceBeta1: of('beta1'),
    importanceBeta2: of('beta2'),
    orthRegWeight: of('orth_reg_weight'),
  }
}

describeMethod({ method: 'adalora', settings })

/** E of all triplets after a step: [matrices][rank] */
const strengths = (layout: ParameterLayout, { parameters }: RunState, modules: readonly string[]) =>
  modules.map((name) => Array.from(viewTensor(layout, parameters, `${name}.E`)))

const masks = (E: readonly (readonly number[])[]): readonly string[] => E.map((row) => row.map((e) => (e === 0 ? '0' : '1')).join(''))

/** s(E_j) + mean s(A_j) + mean s(B_j) from the averages that the state holds, as PEFT's fixture sums it up. */
const scoresOf = (layout: ParameterLayout, { memory }: RunState, modules: readonly string[], rank: number): readonly number[] => {
  const scores = (name: string): readonly number[] => {
    const [importance, uncertainty] = ['importance', 'uncertainty'].map((of) => viewTensor(layout, memory[of] as Vector, name))
    return Array.from(importance ?? [], (x, i) => x * (uncertainty?.[i] ?? NaN))
  }
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length
  return modules.flatMap((name) => {
    const [A, B, E] = [scores(`${name}.A`), scores(`${name}.B`), scores(`${name}.E`)]
    const k = A.length / rank
    return E.map((e, j) => e + mean(A.slice(j * k, (j + 1) * k)) + mean(B.filter((_, at) => at % rank === j)))
  })
}

describe.each(families)('the allocation of adalora on %s, step by step', (family) => {
  const golden = readMethod<More>(family, 'adalora')
  const tensors = readTensors(family, 'adalora')
  const { modules } = golden
  const rank = golden.settings['init_r'] ?? NaN
  const { learningRate, weightDecay, steps } = golden.settings

  it.each(dtypes)('has the budget, scores, averages, cuts and E of PEFT (%s)', async (dtype) => {
    const bound = goldenBounds[dtype]
    const run = await openGoldenRun({ family, dtype, steps, settings: { learningRate, weightDecay, ...settings(golden.settings) } })
    let state = run.start(under(tensors, 'start/'))
    const rows = []
    for (const [step, { budget, mask }] of golden.float64.allocation.entries()) {
      const stepped = await run.step(state, golden.batches[step % golden.batches.length] as GoldenBatch)
      state = stepped.state
      const { measures } = findMethod('adalora').reporting ?? {}
      const report = (name: string) => (stepped.results[name] === undefined ? undefined : Array.from(stepped.results[name], Number))
      expect(measures?.(state.phase, report, () => []).columns['budget'], `budget of step ${step}`).toBe(budget)
      if (step === 0) {
        const orthogonality = report('orthogonality') ?? []
        const mean = orthogonality.reduce((a, b) => a + b, 0) / modules.length
        expect(orthogonality).toHaveLength(modules.length)
        rows.push(compareNumbers('orthogonality', bound, [golden.float64.orthogonality], [mean]))
      }
      const E = strengths(run.layout, state, modules)
      if (mask !== undefined) expect(masks(E), `step ${step}`).toEqual(mask)
      rows.push(compareNumbers(`E after step ${step}`, bound, tensors.get(`float64/step/E/${step}`)?.data ?? [], E.flat()))
      const scores = tensors.get(`float64/step/score/${step}`)
      expect(scores !== undefined).toBe(step < 15)
      if (scores !== undefined)
        rows.push(compareNumbers(`scores of step ${step}`, bound, scores.data, scoresOf(run.layout, state, modules, rank)))
      for (const vector of ['importance', 'uncertainty'])
        for (const [name, { data }] of under(tensors, `float64/step/${vector}/${step}/`))
          rows.push(
            compareNumbers(`${vector} of step ${step}, ${name}`, bound, data, viewTensor(run.layout, state.memory[vector] as Vector, name)),
          )
    }
    await run.release()
    expect(rows.length).toBe(1 + 20 + 15 + 2 * 2 * 6)
    expectAgreement(`allocation, ${family}, ${dtype}`, rows)
    expect((state.phase as AdaloraPhase).fixed).toEqual({
      step: 16,
      kept: golden.float64.allocation[15]?.mask?.map((mask) => [...mask].map((kept) => kept === '1')),
    })
  })

  it('prunes every third step, and at the end, with deltaT 3', async () => {
    const { deltaT, losses, allocation, finalLogits } = golden.interval
    const options = {
      family,
      dtype: 'float64',
      steps,
      settings: { learningRate, weightDecay, ...settings(golden.settings), deltaT },
    } as const
    const run = await openGoldenRun(options)
    let state = run.start(under(tensors, 'start/'))
    const ourLosses: number[] = []
    for (const [step, { mask }] of allocation.entries()) {
      const stepped = await run.step(state, golden.batches[step % golden.batches.length] as GoldenBatch)
      state = stepped.state
      ourLosses.push(stepped.loss)
      const E = strengths(run.layout, state, modules)
      if (mask !== undefined) expect(masks(E), `step ${step}`).toEqual(mask)
      else if (step < 15) expect(E.flat().every((e) => e !== 0)).toBe(true)
    }
    const logits = await run.logits(state.parameters, golden.batches[0] as GoldenBatch)
    await run.release()
    expectAgreement(`deltaT 3, ${family}`, [
      compareNumbers('losses', goldenBounds.float64, losses, ourLosses),
      compareNumbers('logits at the end', goldenBounds.float64, finalLogits.flat(), logits),
    ])
  })
})

const folder = exportFolder()

/** What PEFT's run ended with, and before it was cut. */
const trained = async (family: Family, isCut: boolean): Promise<Adapter> => {
  const golden = readMethod<More>(family, 'adalora')
  const { model } = await openModelFolder(folderOf(family))
  const [method, resolved] = [findMethod('adalora'), resolveSettings(settings(golden.settings))]
  const mask = golden.float64.allocation[15]?.mask ?? []
  const phase: AdaloraPhase = {
    ...(method.phases.start(model.spec, resolved) as AdaloraPhase),
    steps: 20,
    fixed: isCut ? { step: 16, kept: mask.map((of) => [...of].map((kept) => kept === '1')) } : null,
  }
  const tensors = new Map(
    [...under(readTensors(family, 'adalora'), isCut ? 'float32/final/' : 'start/')].map(([name, { shape, data }]): [string, Weights] => [
      name,
      { shape, data: Float32Array.from(data) },
    ]),
  )
  const names = new Set(method.train.tensors(phase, resolved).map(({ name }) => name))
  return {
    model,
    baseModelName: `golden/${family}`,
    method,
    settings: resolved,
    phase,
    tensors: new Map([...tensors].filter(([name]) => names.has(name))),
    outputs: { head: 'sequence', labels: 3, problemType: 'single_label_classification' },
    head: new Map([...tensors].filter(([name]) => !names.has(name))),
    labelNames: ['a', 'b', 'c'],
  }
}

describe.each(families)('adapters of adalora on %s', (family) => {
  const golden = readMethod<More>(family, 'adalora')
  const saved = (name: string): string => join(methodFolder(family, 'adalora'), name)
  const bytes = (...path: readonly string[]): Promise<Buffer> => readFile(join(...path))
  const config = async (at: string) => JSON.parse((await bytes(at, 'adapter_config.json')).toString()) as Readonly<Record<string, unknown>>

  it.each(['saved-full', 'saved-pruned'])(
    "that PEFT saved in %s give PEFT's logits, and are written again in PEFT's bytes",
    async (name) => {
      const logits = await predictGolden(family, saved(name), golden)
      expectAgreement(`import, ${family}, ${name}`, [
        compareNumbers('logits', goldenBounds.float32, golden.saved[name]?.flat() ?? [], logits),
      ])
      const base = await openModelFolder(folderOf(family))
      const output = await mkdtemp(join(tmpdir(), 'salora-adalora-'))
      await writeAdapter(output, await readAdapter(saved(name), base), base)
      expect(await bytes(output, 'adapter_model.safetensors')).toEqual(await bytes(saved(name), 'adapter_model.safetensors'))
      const [ours, theirs] = [await config(output), await config(saved(name))]
      await rm(output, { recursive: true })
      for (const key of Object.keys(ours).filter((key) => !['target_modules', 'modules_to_save'].includes(key)))
        expect([key, ours[key]]).toEqual([key, theirs[key]])
    },
  )

  it.each([
    ['adalora', false],
    ['adalora-pruned', true],
  ] as const)('are exported as %s, which PEFT loaded without a missing or unexpected key, to the same logits', async (name, isCut) => {
    const exported = join(folder(), family, name)
    await mkdir(exported, { recursive: true })
    await writeAdapter(exported, await trained(family, isCut), await openModelFolder(folderOf(family)))
    await expectExchanged(family, name, exported, await predictGolden(family, exported, golden))
  })

  it('are exported as LoRA of one rank, which PEFT loaded too, with E in B', async () => {
    const exported = join(folder(), family, 'adalora-padded')
    await mkdir(exported, { recursive: true })
    const adapter = await trained(family, true)
    await writePaddedLora(exported, findFormat(adapter.method).asLora?.(adapter) ?? adapter, [])
    const logits = await predictGolden(family, exported, golden)
    await expectExchanged(family, 'adalora-padded', exported, logits)
    expectAgreement(`padded, ${family}`, [
      compareNumbers('logits after 20 steps', goldenBounds.float32, golden.float32.finalLogits.flat(), logits.slice(0, 12)),
    ])
    expect(await config(exported)).toMatchObject({ peft_type: 'LORA', r: 3, lora_alpha: 8, rank_pattern: {}, alpha_pattern: {} })
  })
})
