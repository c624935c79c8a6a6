/** Runs and generation in int8 and int4: every method that freezes the model trains and answers, and a decoder multiplies in blocks. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import { decodingGraph } from '../../../accelerated/generation/graph.js'
import { topologicalOrder } from '../../../accelerated/graph/expression.js'
import { lower } from '../../../accelerated/graph/lowering.js'
import { methods } from '../../../accelerated/methods/index.js'
import { int4 } from '../../../accelerated/precisions/int4/int4.js'
import { int8 } from '../../../accelerated/precisions/int8/int8.js'
import { openTextDecoder } from '../../../finetuning/use/modelSessions.js'
import { openTrainedAdapter, loadTextModel } from '../../../finetuning/use/openModel.js'
import { readSentiment } from '../../../finetuning/data/index.js'
import { embeddedModel } from '../../../finetuning/embedded/quickstart.js'
import { runJob } from '../../cli/jobRun.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { toyFile } from '../../cli/toyTask.js'
import { decoderFamilies, fixtures } from '../../golden/golden.js'
import { assertClose } from '../../support/assertClose.js'
import { temporaryCache } from '../../support/temporaryFolder.js'

const { folder: root } = temporaryCache('quantized-runs')
const at = (...path: readonly string[]): string => join(root, ...path)
beforeAll(async () => {
  await writeTinyModel(at('tiny'))
  await writeFile(at('toy.tsv'), toyFile(40))
})

const logitsOf = async (adapter: string, precision: string, texts: readonly { readonly text: string }[], model = at('tiny')) => {
  const opened = await openTrainedAdapter({ model, adapter: at(adapter, 'adapter'), maxLength: 16, device: 'cpu', precision })
  return (await opened.predict(texts).finally(opened.release)).flat()
}

describe.each([
  ['int8', int8, methods.map(({ name }) => name as string).filter((name) => name !== 'full')],
  ['int4', int4, ['salora', 'adalora', 'pfeiffer', 'prefix', 'ia3']],
] as const)('a run in %s', (precision, { runsOn }, names) => {
  const flags = (method: string, more: Readonly<Record<string, string | boolean>> = {}) => ({
    ...{ model: at('tiny'), task: at('toy.tsv'), output: at(`${precision}-${method}`), maxSteps: '6', batchSize: '4', maxLength: '16' },
    ...{ device: 'cpu', threads: '1', method, precision },
    ...(method === 'salora' ? { gateStart: '0.2', gateEnd: '0.5' } : {}),
    ...(method === 'prompt' || method === 'prefix' ? { virtualTokens: '3' } : {}),
    ...more,
  })

  it.each(names)('of %s trains, says so in its result, and answers', async (method) => {
    expect(await runJob(flags(method))).toMatchObject({ precision, stepsDone: 6, interrupted: false })
    const logits = await logitsOf(`${precision}-${method}`, precision, [{ text: 'a good film' }, { text: 'bad' }])
    expect(logits.every(Number.isFinite)).toBe(true)
  })

  it('with the method full is refused in one line, and so is a device without int8 products', async () => {
    await expect(runJob(flags('full'))).rejects.toMatchObject({
      setting: 'precision',
      expected: `float32 with method full, which trains the matrices that ${precision} would freeze`,
      got: precision,
    })
    expect(await readdir(root)).not.toContain(`${precision}-full`)
    expect(runsOn?.({ fusedMatMul: false })).toBe(false)
    expect(runsOn?.({ fusedMatMul: true, quantizedMatMul: true })).toBe(true)
  })

  it('of DoRA trains, though it needs the matrix itself', async () => {
    expect((await runJob(flags('lora', { dora: 'true', output: at(`${precision}-dora`) }))).stepsDone).toBe(6)
  })

  it('resumes in the same bits, which gradient checkpointing has too', async () => {
    const [cut, recomputed] = [at(`${precision}-cut`), at(`${precision}-recomputed`)]
    const bitsOf = (run: string) => readFile(join(run, 'adapter', 'adapter_model.safetensors'))
    await runJob(flags('salora', { output: cut }), 3)
    const { last } = JSON.parse(await readFile(at(`${precision}-salora`, 'result.json'), 'utf8')) as { readonly last: object }
    expect((await runJob({ output: cut, resume: true })).last).toEqual(last)
    expect(await bitsOf(cut)).toEqual(await bitsOf(at(`${precision}-salora`)))
    await runJob(flags('salora', { output: recomputed, gradientCheckpointing: true }))
    expect(await bitsOf(recomputed)).toEqual(await bitsOf(cut))
  })
})

it("the embedded model's logits of real sentences in int8 are close to float32", { timeout: 60_000 }, async () => {
  const run = { model: embeddedModel, task: 'sentiment', method: 'lora', learningRate: '0.002', maxSteps: '30', evalSteps: '30' }
  const size = { batchSize: '16', maxLength: '32', device: 'cpu', output: at('embedded') }
  expect((await runJob({ ...run, ...size })).stepsDone).toBe(30)
  const texts = readSentiment().dev.examples.slice(0, 60)
  const [exact, coarse] = [
    await logitsOf('embedded', 'float32', texts, embeddedModel),
    await logitsOf('embedded', 'int8', texts, embeddedModel),
  ]
  assertClose(coarse, exact, { relative: 0, absolute: 0.05 * Math.max(...exact.map(Math.abs)) })
  expect(coarse).not.toEqual(exact)
})

const opened = async (family: string, precision: string) => {
  const machine = { precision, threads: 1 }
  return openTextDecoder(await loadTextModel({ model: join(fixtures, family), adapter: null, ...machine }), machine, cpu)
}

/** Logits of two prompts, and of a token after each. */
const generated = async (family: string, precision: string): Promise<readonly number[]> => {
  const decoder = await opened(family, precision)
  const rows = await decoder.begin([[5, 8, 13, 21], [34]])
  const first = rows.logits().flatMap((row) => Array.from(row))
  await rows.append([
    { from: 0, token: 7 },
    { from: 1, token: 9 },
  ])
  const logits = [...first, ...rows.logits().flatMap((row) => Array.from(row))]
  await decoder.release()
  return logits
}

/** The nodes of a decoder's graph. */
const nodesOf = async (family: string, precision: string) => {
  const decoder = await opened(family, precision)
  const { assembly } = decoder
  const phase = assembly.method.phases.start(assembly.model.spec, assembly.settings)
  await decoder.release()
  return { spec: assembly.model.spec, nodes: topologicalOrder(Object.values(lower(decodingGraph(assembly, phase)))) }
}

describe('generation', () => {
  // a block's largest value over 254 twice per product; these models are narrow
  it.each([...decoderFamilies.map((family) => [family, 'int8', 0.06] as const), ['llama', 'int4', 0.5] as const])(
    'with %s in %s has logits near those in float32',
    async (family, precision, relative) => {
      const [exact, coarse] = [await generated(family, 'float32'), await generated(family, precision)]
      assertClose(coarse, exact, { relative })
      expect(coarse).not.toEqual(exact)
    },
  )

  it.each(decoderFamilies)('with %s in int8 multiplies every matrix of the layers, and the head, in blocks', async (family) => {
    const { spec, nodes } = await nodesOf(family, 'int8')
    const products = nodes.filter(({ op }) => op === 'BlockMatMul')
    const matrices = products.reduce((sum, { inputs: [, levels] }) => sum + (levels?.op === 'Concat' ? levels.inputs.length : 1), 0)
    expect(matrices).toBe(spec.matrices.length + 1)
    expect(products.length).toBe(4 * spec.layers.length + 1) // queries, keys and values are one; so are gate and up
    expect(nodes.map(({ op }) => op).filter((op) => op === 'QuantizedMatMul' || op === 'BlockDequantize')).toEqual([])
  })

  it('in int4 multiplies every matrix, and the head, in blocks, narrow ones by bytes', async () => {
    const { spec, nodes } = await nodesOf('llama', 'int4')
    const layers = spec.layers.length // narrow: keys with values, the output of attention, the end of the feed-forward
    const products = nodes.filter(({ op }) => op === 'BlockMatMul')
    expect(products.filter(({ inputs: [, levels] }) => Number(levels?.shape[2]) === 32).length).toBe(3 * layers + 1)
    expect(products.length).toBe(5 * layers + 1)
    expect(nodes.map(({ op }) => op)).not.toContain('FourBitMatMul')
  })
})
