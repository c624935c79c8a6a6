/** Rows of tokens train as PEFT's trainable_token_indices: losses, every gradient, twenty steps, and adapters that pass both ways, new tokens among them. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { extendVocabulary } from '../../accelerated/checkpoints/extendVocabulary.js'
import { frozenWeights, weightSource, tableRows } from '../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { withNewTokens } from '../../accelerated/checkpoints/tokenizer/addedTokens.js'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import { rowsName, withTrainedTokens, type TokenRows } from '../../accelerated/methods/trainedTokens.js'
import { causalLM, type TextExample } from '../../accelerated/objectives/causalLM.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { flatten, viewTensor, zeros, type Vector } from '../../accelerated/parameters/vectors.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { assemble, buildLayout } from '../../accelerated/training/assembly.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { blockFeeds, collect, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { trainStep } from '../../accelerated/training/trainStep.js'
import { exportAdapter } from '../../finetuning/use/exportAdapter.js'
import { openTextDecoder } from '../../finetuning/use/modelSessions.js'
import { loadTextModel } from '../../finetuning/use/openModel.js'
import {
  compareNumbers,
  compareTensors,
  dtypes,
  expectAgreement,
  fixtures,
  goldenBounds,
  tensorsIn,
  under,
  type GoldenTensor,
} from './golden.js'

type Golden = Readonly<Record<FloatType, { readonly losses: readonly number[] }>> & {
  readonly lora: Readonly<Record<'rank' | 'alpha' | 'steps' | 'learningRate' | 'weightDecay', number>>
  readonly newTokens: readonly string[]
  readonly ids: readonly number[]
  readonly batches: readonly {
    readonly inputIds: readonly (readonly number[])[]
    readonly targets: readonly (readonly number[])[]
  }[]
  readonly tokenized: { readonly text: string; readonly ids: readonly number[]; readonly decoded: string }
  readonly adapterLogits: readonly (readonly number[])[]
}

/** Tied, and untied. */
const tables = { qwen3: ['embed_tokens.weight'], llama: ['embed_tokens.weight', 'lm_head.weight'] } as const
const families = ['qwen3', 'llama'] as const
type Family = (typeof families)[number]

const folderOf = (family: Family): string => join(fixtures, family)
const goldenOf = (family: Family): Golden => JSON.parse(readFileSync(join(folderOf(family), 'tokens', 'golden.json'), 'utf8')) as Golden

/** PEFT's rows are in the order of its list, ours in that of the ids. */
const sorted = ({ ids }: Golden, tensors: ReadonlyMap<string, GoldenTensor>): ReadonlyMap<string, GoldenTensor> => {
  const places = [...ids.keys()].sort((a, b) => (ids[a] ?? 0) - (ids[b] ?? 0))
  return new Map(
    [...tensors].map(([name, { shape, data }]) => {
      const width = shape[1] ?? 0
      if (!name.endsWith('.tokens')) return [name, { shape, data }]
      return [name, { shape, data: Float64Array.from(places.flatMap((place) => [...data.subarray(place * width, (place + 1) * width)])) }]
    }),
  )
}

const open = async (family: Family, dtype: FloatType) => {
  const golden = goldenOf(family)
  const { steps: _, alpha, ...own } = golden.lora
  const base = await extendVocabulary(await openModelFolder(folderOf(family)), golden.newTokens)
  const ids = [...golden.ids].sort((a, b) => a - b)
  const tokens: TokenRows[] = []
  for (const table of tables[family]) {
    const { shape, rows } = await tableRows(base, table, ids)
    tokens.push({ table, shape, ids, newFrom: 50, initial: rows })
  }
  const settings = resolveSettings({ method: 'lora', precision: dtype, dropout: 0, loraAlpha: alpha, ...own })
  const parts = {
    model: base.model,
    frozen: frozenWeights(base, dtype),
    method: withTrainedTokens(findMethod('lora'), tokens),
    settings,
    precision: findPrecision(dtype),
  }
  const assembly = assemble(parts, causalLM)
  const phase = parts.method.phases.start(base.model.spec, settings)
  const layout = buildLayout(assembly, phase)
  const engine = findDevice('cpu').engine({ threads: 1 })
  const stored = tensorsIn(join(folderOf(family), 'tokens', 'golden.safetensors'))
  const start: RunState = {
    step: 0,
    phase,
    parameters: flatten(layout, ({ name }) => sorted(golden, under(stored, 'start/')).get(name)?.data, dtype),
    ...{ firstMoment: zeros(layout.size, dtype), secondMoment: zeros(layout.size, dtype), memory: {} },
  }
  return {
    ...{ golden, base, tokens, assembly, layout, start },
    of: (prefix: string) => sorted(golden, under(stored, prefix)),
    session: (accumulation: 'whole' | 'add') => engine.open(stepGraph(assembly, phase, accumulation).outputs, weightSource(base)),
    parts: (vector: Vector) => new Map(layout.entries.map(({ name }) => [name, viewTensor(layout, vector, name)])),
  }
}

const textsOf = ({ inputIds, targets }: Golden['batches'][number]): readonly TextExample[] =>
  inputIds.map((ids, i) => ({ inputIds: ids, targets: targets[i] ?? [], row: i + 1 }))

/** Logits of the token after each text of the first batch. */
const logitsOf = async (family: Family, model: string, adapter: string | null): Promise<readonly number[]> => {
  const decoder = await openTextDecoder(await loadTextModel({ model, adapter }), { precision: 'float32', threads: 1 }, findDevice('cpu'))
  try {
    return (await decoder.begin(goldenOf(family).batches[0]?.inputIds ?? [])).logits().flatMap((row) => [...row])
  } finally {
    await decoder.release()
  }
}

describe.each(families)('rows of tokens of %s under PEFT', (family) => {
  it('begin with the rows of the table, and new ones with their mean', async () => {
    const { tokens, of } = await open(family, 'float64')
    const rows = new Map(tokens.map(({ table, initial }) => [rowsName(table), Float64Array.from(initial)]))
    expectAgreement(`initial rows, ${family}`, compareTensors('rows', goldenBounds.float32, of('initial/'), rows))
  })

  it.each(dtypes)('have our loss and gradients (%s)', async (dtype) => {
    const { golden, assembly, layout, start, session, parts, of } = await open(family, dtype)
    const prepared = assembly.objective.prepare(textsOf(golden.batches[0] as Golden['batches'][0]), { seed: 0, step: 0 })
    const add = await session('add')
    const gradientSum = zeros(layout.size, dtype)
    const feeds = { ...batchFeeds(assembly, prepared, prepared.weight).feeds, ...stateFeeds(layout, start, dtype) }
    const sum = blockFeeds(layout, 'gradientSum', zeros(layout.size, dtype), dtype)
    const results = await add.run({ ...feeds, ...sum }, resultsInto(layout, { gradientSum })).finally(add.release)
    collect(layout, { gradientSum }, results)
    expectAgreement(`accelerated, ${family}, ${dtype}`, [
      compareNumbers('loss', goldenBounds[dtype], golden[dtype].losses.slice(0, 1), Array.from(results['loss'] ?? [], Number)),
      ...compareTensors('gradient', goldenBounds[dtype], of(`${dtype}/gradient/`), parts(gradientSum)),
    ])
  })

  it.each(dtypes)('have our losses and parameters through twenty steps (%s)', async (dtype) => {
    const { golden, assembly, layout, start, session, parts, of } = await open(family, dtype)
    const [{ steps, learningRate }, losses] = [golden.lora, [] as number[]]
    let state = start
    const phase = { layout, sites: [], pools: {}, update: await session('whole'), add: null, release: async () => undefined }
    for (let step = 0; step < steps; step++) {
      const context = { assembly, objective: assembly.objective, progress: { step, steps }, learningRate, spare: null }
      const outcome = await trainStep(context, phase, state, [textsOf(golden.batches[step % 2] as Golden['batches'][0])])
      state = outcome.state
      losses.push(outcome.loss)
    }
    await phase.update.release()
    expect(losses).toHaveLength(20)
    expectAgreement(`accelerated, ${family}, ${dtype}`, [
      compareNumbers('losses of 20 steps', goldenBounds[dtype], golden[dtype].losses, losses),
      ...compareTensors('parameter after 20 steps', goldenBounds[dtype], of(`${dtype}/final/`), parts(state.parameters)),
    ])
  })

  it('have a tokenizer as the tokenizers library extends it', async () => {
    const { golden, base } = await open(family, 'float32')
    const file = join(folderOf(family), 'tokens', 'peft-adapter', 'tokenizer.json')
    const ours = await base.storage.open(join(base.folder, 'tokenizer.json'))
    const added = (text: string): unknown => (JSON.parse(text) as { readonly added_tokens: unknown }).added_tokens
    expect(added(new TextDecoder().decode(await ours.read(0, ours.size)))).toEqual(added(await readFile(file, 'utf8')))
    const { ids, decode } = await base.tokenizer()
    const { text, ids: expected, decoded } = golden.tokenized
    expect([ids(text), decode(expected)]).toEqual([expected, decoded])
    const plain = await base.added?.plain.tokenizer()
    expect(plain?.ids(text)).not.toEqual(expected)
    expect(await base.added?.plain.tokenizer(), 'loaded once').toBe(plain)
  })

  it("that PEFT saved open here to PEFT's logits", async () => {
    const adapter = join(folderOf(family), 'tokens', 'peft-adapter')
    const logits = await logitsOf(family, folderOf(family), adapter)
    const expected = goldenOf(family).adapterLogits.flat()
    expectAgreement(`PEFT's adapter, ${family}`, [compareNumbers('logits', goldenBounds.float32, expected, logits)])
  })
})

describe('new tokens in a tokenizer', () => {
  const { kinds } = JSON.parse(readFileSync(join(fixtures, 'tokenizers.json'), 'utf8')) as {
    readonly kinds: Readonly<Record<string, { readonly tokenizer: object }>>
  }
  const made = JSON.parse(readFileSync(join(fixtures, 'addedTokens.json'), 'utf8')) as {
    readonly newTokens: readonly string[]
    readonly texts: readonly string[]
    readonly kinds: Readonly<Record<string, Readonly<Record<'ids' | 'decoded' | 'added', readonly unknown[]>>>>
  }

  it.each(Object.keys(made.kinds))("of %s's kind have the ids and the text of the tokenizers library", async (kind) => {
    const { text, from } = withNewTokens(JSON.stringify(kinds[kind]?.tokenizer), made.newTokens, 'tokenizer.json')
    const folder = await mkdtemp(join(tmpdir(), 'salora-added-'))
    await writeFile(join(folder, 'tokenizer.json'), text)
    const { model } = await openModelFolder(folderOf('llama'))
    const { ids, decode } = await loadTokenizer(folder, { ...model, vocabularySize: 1_000 })
    await rm(folder, { recursive: true })
    const { added_tokens: added } = JSON.parse(text) as { readonly added_tokens: readonly { readonly id: number }[] }
    const tokenized = made.texts.map((one) => ids(one))
    expect({
      ...{ ids: tokenized, decoded: tokenized.map((one) => decode(one)) },
      added: added.filter(({ id }) => id >= from),
    }).toEqual(made.kinds[kind])
  })
})

const target = process.env['GOLDEN_EXPORT']

/** `python golden_token_rows.py --check FOLDER` opened the same bytes in PEFT and transformers, and wrote digests and logits. */
describe.each(families)('exports of rows of tokens of %s', (family) => {
  let folder = ''
  beforeAll(async () => {
    folder = join(target ?? (await mkdtemp(join(tmpdir(), 'salora-tokens-'))), family)
    await mkdir(folder, { recursive: true })
  })
  afterAll(async () => {
    if (target === undefined) await rm(join(folder, '..'), { recursive: true })
  })

  it.each(['peft', 'merged'] as const)('in %s open in their library to our logits', async (format) => {
    const output = join(folder, format)
    const [model, adapter] = [folderOf(family), join(folderOf(family), 'tokens', 'peft-adapter')]
    const report = await exportAdapter({ model, adapter, format, output, precision: 'float32', maxLength: null, targeted: null })
    expect(report.comparison.largestLogitDifference).toBeLessThan(1e-5)
    const logits = format === 'peft' ? await logitsOf(family, model, output) : await logitsOf(family, output, null)
    if (target !== undefined) return writeFile(join(output, 'logits.json'), JSON.stringify(logits))
    const file = join(folderOf(family), 'tokens', 'exchange.json')
    const checked = (
      JSON.parse(await readFile(file, 'utf8')) as Record<
        string,
        { readonly digests: Record<string, string>; readonly logits: readonly number[] }
      >
    )[format]
    expect(Object.keys(checked?.digests ?? {})).toContain('tokenizer.json')
    for (const [name, digest] of Object.entries(checked?.digests ?? {}))
      expect(
        createHash('sha256')
          .update(await readFile(join(output, name)))
          .digest('hex'),
        name,
      ).toBe(digest)
    expectAgreement(`export, ${family}, ${format}`, [compareNumbers('logits', goldenBounds.float32, checked?.logits ?? [], logits)])
  })
})
