/** Prefixes, prompts and IA³ of decoders train as PEFT trains them, and open what it saved: losses of next tokens, gradients, twenty steps. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { frozenWeights, weightSource } from '../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import { logProbabilities } from '../../accelerated/generation/sampling.js'
import { causalLM, type TextExample } from '../../accelerated/objectives/causalLM.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { assemble, buildLayout } from '../../accelerated/training/assembly.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { flatten, viewTensor, zeros } from '../../accelerated/parameters/vectors.js'
import { blockFeeds, collect, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { trainStep } from '../../accelerated/training/trainStep.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { openTextDecoder, openAnswers } from '../../finetuning/use/modelSessions.js'
import {
  decoderFamilies,
  compareNumbers,
  compareTensors,
  dtypes,
  expectAgreement,
  fixtures,
  goldenBounds,
  tensorsIn,
  under,
} from './golden.js'

type Batch = { readonly inputIds: readonly (readonly number[])[]; readonly targets: readonly (readonly number[])[] }
type Golden = Readonly<Record<'float64' | 'float32', { readonly losses: readonly number[] }>> & {
  readonly settings: Readonly<Record<'steps' | 'learningRate' | 'weightDecay', number>> & { readonly virtualTokens?: number }
  readonly saved: number
  readonly greedy: readonly (readonly number[])[]
}
const json = (...path: readonly string[]): unknown => JSON.parse(readFileSync(join(fixtures, ...path), 'utf8'))
const textsOf = ({ inputIds, targets }: Batch): readonly TextExample[] =>
  inputIds.map((ids, i) => ({ inputIds: ids, targets: targets[i] ?? [], row: i + 1 }))

const cases = decoderFamilies.flatMap((family) =>
  (['prefix', 'prompt', 'ia3'] as const)
    .filter((method) => existsSync(join(fixtures, family, method)))
    .map((method) => ({ family, method })),
)

describe.each(cases)('$method on $family, by PEFT', ({ family, method: name }) => {
  const golden = json(family, name, 'golden.json') as Golden
  const { batches } = json(family, 'golden.json') as { readonly batches: readonly Batch[] }
  const tensors = tensorsIn(join(fixtures, family, name, 'golden.safetensors'))

  it.each(dtypes)('has our gradients of the first step, and our losses and parameters through twenty (%s)', async (dtype) => {
    const base = await openModelFolder(join(fixtures, family))
    const { steps, virtualTokens: numVirtualTokens, ...own } = golden.settings
    const given = { method: name, precision: dtype, dropout: 0, ...own, ...(numVirtualTokens === undefined ? {} : { numVirtualTokens }) }
    const [method, settings] = [findMethod(name), resolveSettings(given)]
    const parts = { model: base.model, frozen: frozenWeights(base, dtype), method, settings, precision: findPrecision(dtype) }
    const assembly = assemble(parts, causalLM)
    const phase = method.phases.start(base.model.spec, settings)
    const layout = buildLayout(assembly, phase)
    const engine = findDevice('cpu').engine({ threads: 1 })
    const open = (accumulation: 'whole' | 'add') => engine.open(stepGraph(assembly, phase, accumulation).outputs, weightSource(base))
    const named = (vector: Parameters<typeof viewTensor>[1]) =>
      new Map(layout.entries.map((entry) => [entry.name, viewTensor(layout, vector, entry.name)]))
    const start = under(tensors, 'start/')
    let state: RunState = {
      step: 0,
      phase,
      parameters: flatten(layout, (entry) => start.get(entry.name)?.data, dtype),
      firstMoment: zeros(layout.size, dtype),
      secondMoment: zeros(layout.size, dtype),
      memory: {},
    }
    const [first] = batches as readonly [Batch]
    const prepared = assembly.objective.prepare(textsOf(first), { seed: 0, step: 0 })
    const gradientSum = zeros(layout.size, dtype)
    const add = await open('add')
    const feeds = { ...batchFeeds(assembly, prepared, prepared.weight).feeds, ...stateFeeds(layout, state, dtype) }
    const sum = blockFeeds(layout, 'gradientSum', zeros(layout.size, dtype), dtype)
    collect(layout, { gradientSum }, await add.run({ ...feeds, ...sum }, resultsInto(layout, { gradientSum })).finally(add.release))
    const gradients = named(gradientSum)

    const opened = { layout, sites: [], pools: {}, update: await open('whole'), add: null, release: async () => undefined }
    const losses: number[] = []
    for (let step = 0; step < steps; step++) {
      const context = { assembly, objective: assembly.objective, progress: { step, steps }, learningRate: own.learningRate, spare: null }
      const outcome = await trainStep(context, opened, state, [textsOf(batches[step % batches.length] as Batch)])
      state = outcome.state
      losses.push(outcome.loss)
    }
    await opened.update.release()
    expect(losses).toHaveLength(20)
    const bound = goldenBounds[dtype]
    expectAgreement(`${name}, ${family}, ${dtype}`, [
      compareNumbers('losses of 20 steps', bound, golden[dtype].losses, losses),
      ...compareTensors('gradient', bound, under(tensors, `${dtype}/gradient/`), gradients),
      ...compareTensors('parameter after 20 steps', bound, under(tensors, `${dtype}/final/`), named(state.parameters)),
    ])
  })

  it('opens from the folder that PEFT saved, with the same loss', async () => {
    const base = await openModelFolder(join(fixtures, family))
    const adapter = await readAdapter(join(fixtures, family, name, 'saved'), base)
    expect(adapter.outputs).toEqual({ head: 'causal', labels: 0 })
    const machine = { precision: 'float32', threads: 1, batchSize: 8 }
    const opened = await openAnswers({ base, adapter, head: new Map() }, causalLM(adapter.model), machine, findDevice('cpu'))
    const texts = textsOf(batches[0] as Batch).filter(({ targets }) => Array.from(targets).some((target) => target !== -100))
    const answers = await opened.answers({ length: texts.length, at: (i) => texts[i] }).finally(opened.release)
    const tokens = answers.reduce((all, answer) => all + answer.tokens, 0)
    const loss = answers.reduce((all, answer) => all + answer.loss * answer.tokens, 0) / tokens
    expect(Math.abs(loss - golden.saved)).toBeLessThan(1e-5 * golden.saved)
  })

  it('generates the same tokens, with prompts of all lengths in one batch', async () => {
    const base = await openModelFolder(join(fixtures, family))
    const adapter = await readAdapter(join(fixtures, family, name, 'saved'), base)
    const decoder = await openTextDecoder({ base, adapter, head: new Map() }, { precision: 'float32', threads: 1 }, findDevice('cpu'))
    const { inputIds } = batches[0] as Batch
    const rows = await decoder.begin(inputIds)
    const likeliest = () =>
      rows
        .logits()
        .map((logits) => Array.from(logits))
        .map((row) => row.indexOf(Math.max(...row)))
    const written: number[][] = inputIds.map(() => [])
    for (let i = 0; i < 8; i++) {
      const next = likeliest()
      next.forEach((token, row) => {
        written[row]?.push(token)
      })
      await rows.append(next.map((token, from) => ({ from, token })))
    }
    await decoder.release()
    expect(written).toEqual(golden.greedy)
  })

  it('has the losses of whole texts when decoded token by token with a cache', async () => {
    const base = await openModelFolder(join(fixtures, family))
    const trained = { base, adapter: await readAdapter(join(fixtures, family, name, 'saved'), base), head: new Map() }
    const machine = { precision: 'float64', threads: 1, batchSize: 8 }
    const texts = batches.flatMap(({ inputIds }) => inputIds).filter(({ length }) => length > 4)
    const all = texts.map((ids, row): TextExample => ({ inputIds: ids, targets: [...ids.slice(1), -100], row }))
    const opened = await openAnswers(trained, causalLM(base.model), machine, findDevice('cpu'))
    const answers = await opened.answers({ length: all.length, at: (i) => all[i] }).finally(opened.release)

    const decoder = await openTextDecoder(trained, machine, findDevice('cpu'))
    const begun = texts.map((_, i) => 1 + (i % 3)) // tokens of each that are read at once; of the others, the last one counts
    const sums = texts.map(() => 0)
    try {
      for (const [text, ids] of texts.entries())
        for (let i = 1; i < (begun[text] ?? 0); i++) {
          const rows = await decoder.begin([ids.slice(0, i)])
          sums[text] = (sums[text] ?? NaN) - (logProbabilities(rows.logits()[0] ?? new Float64Array(0))[ids[i] ?? 0] ?? NaN)
        }
      const rows = await decoder.begin(texts.map((ids, text) => ids.slice(0, begun[text])))
      let going = texts.map((_, text) => text)
      for (let step = 0; going.length > 0; step++) {
        const logits = rows.logits()
        const next = going.map((text) => texts[text]?.[(begun[text] ?? 0) + step])
        going.forEach((text, row) => {
          const token = next[row]
          if (token !== undefined) sums[text] = (sums[text] ?? NaN) - (logProbabilities(logits[row] ?? new Float64Array(0))[token] ?? NaN)
        })
        const kept = next.flatMap((token, from) => (token === undefined ? [] : [{ from, token }]))
        going = kept.map(({ from }) => going[from] ?? 0)
        if (kept.length > 0) await rows.append(kept)
      }
    } finally {
      await decoder.release()
    }
    const expected = answers.map(({ loss, tokens }) => loss * tokens)
    expectAgreement(`decoded, ${name}, ${family}`, [compareNumbers('losses of texts', goldenBounds.float64, expected, sums)])
  })
})
