/** transformers.js exports in float16 and int8: a half and a quarter of the bytes, and exactly the function of the rounded weights. */
import { readdir, readFile } from 'node:fs/promises'
import { Float16Array } from '@petamoriken/float16'
import { pipeline } from '@huggingface/transformers'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readSafetensors, readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { writeSafetensors } from '../../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { writeFileAtomically } from '../../../accelerated/storage/atomicFile.js'
import { openTrainedAdapter } from '../../../finetuning/use/openModel.js'
import { assertClose } from '../../support/assertClose.js'
import { readModel } from '../../support/runGraph.js'
import type { Family } from '../tinyAdapter.js'
import { tinyTensors, writeTinyModel } from '../tinyModel.js'
import { at, exported, families, place, usePlace } from './folder.js'

usePlace()

const texts = ['A wonderful film.', 'bad', 'It goes on, and on, and on; then it ends. Why?']

/** Each matrix's numbers as its rows' levels hold them: 127 of either sign in a table, 63 in the matrix of a product. [rows][columns] */
const inLevels = (data: ArrayLike<number>, [, columns = 1]: readonly number[], largest: number): Float32Array => {
  const numbers = Array.from(data)
  return Float32Array.from(numbers, (x, i) => {
    const start = i - (i % columns)
    const step = Math.fround(Math.max(...numbers.slice(start, start + columns).map(Math.abs)) / largest)
    return step === 0 ? 0 : step * Math.round(x / step)
  })
}

const rounded = {
  float16: (_: string, data: ArrayLike<number>) => Float32Array.from(new Float16Array(Array.from(data))),
  int8: (name: string, data: ArrayLike<number>, shape: readonly number[]) =>
    shape.length === 2 ? inLevels(data, shape, name.includes('embeddings') ? 127 : 63) : Float32Array.from(data),
} as const

/** The probabilities of a merged model whose weights were rounded here. */
const expected = async (family: Family, precision: keyof typeof rounded): Promise<readonly (readonly number[])[]> => {
  const folder = `${family}-${precision}-merged`
  await exported(family, 'merged', folder)
  const { tensors } = await readSafetensors(at(folder, 'model.safetensors'))
  const coarse = await Promise.all(
    [...tensors].map(async ([name, entry]) => {
      const data = rounded[precision](name, await readTensor(entry), entry.shape)
      return [name, { shape: entry.shape, data }] as const
    }),
  )
  await writeFileAtomically(at(folder, 'model.safetensors'), writeSafetensors(new Map(coarse)))
  const opened = await openTrainedAdapter({ model: at(folder), adapter: null, device: 'cpu', precision: 'float64', maxLength: 64 })
  const rows = await opened.predict(texts.map((text) => ({ text }))).finally(opened.release)
  return rows.map((row) => {
    const powers = row.map((x) => Math.exp(x - Math.max(...row)))
    return powers.map((power) => power / powers.reduce((a, b) => a + b, 0))
  })
}

describe.each(families)('a transformers.js export of %s', (family) => {
  it.each([
    ['float16', 'model_fp16.onnx', 'fp16', 0.5, 1e-5],
    // the rows that its products read are rounded too: to 255 levels, in a model of width 16
    ['int8', 'model_quantized.onnx', 'q8', 0.25, 0.1],
  ] as const)('an export in %s is opened as it is, and answers as its rounded weights do', async (precision, file, dtype, share, bound) => {
    const output = `${family}-${precision}`
    const { comparison } = await exported(family, 'transformers.js', output, { precision })
    expect(await readdir(at(output, 'onnx'))).toEqual([file])
    expect(JSON.parse(await readFile(at(output, 'config.json'), 'utf8'))).toMatchObject({
      'transformers.js_config': { dtype },
      torch_dtype: 'float32',
    })
    const reference = await expected(family, precision)
    const classify = await pipeline('text-classification', at(output), { device: 'cpu', local_files_only: true })
    try {
      for (const [i, text] of texts.entries()) {
        const answer = (await classify(text, { top_k: 3 })) as unknown as readonly { readonly label: string; readonly score: number }[]
        const scores = ['bad', 'good', 'neither'].map((name) => answer.find(({ label }) => label === name)?.score ?? NaN)
        assertClose(scores, reference[i] ?? [], { relative: bound })
      }
    } finally {
      await classify.dispose()
    }
    // rounding costs accuracy, and the output reports it
    expect(comparison.largestLogitDifference).toBeGreaterThan(1e-5 * comparison.largestLogit)
    expect(comparison.largestLogitDifference).toBeLessThan(0.2 * comparison.largestLogit)
    const { model } = await openModelFolder(at(family))
    const matrices = [...model.spec.tensors.values()].filter(({ length }) => length === 2)
    const saved = 4 * (1 - share) * matrices.reduce((sum, [rows = 0, columns = 0]) => sum + rows * columns, 0)
    await exported(family, 'transformers.js', `${output}-whole`)
    const bytesIn = async (path: string): Promise<number> =>
      readModel(await readFile(path)).initializer.reduce((sum, { rawData }) => sum + rawData.length, 0)
    const [full, small] = [await bytesIn(at(`${output}-whole`, 'onnx', 'model.onnx')), await bytesIn(at(output, 'onnx', file))]
    expect(full - small).toBeGreaterThan(0.9 * saved) // scales take a little of a model as narrow as this
  })
})

describe.each(families)('the int8 graph of %s', (family) => {
  it('multiplies every matrix of layers and head in integers, in plain ONNX, and keeps no matrix in float32', async () => {
    await exported(family, 'transformers.js', `${family}-integers`, { precision: 'int8' })
    const { node, initializer, domains } = readModel(await readFile(at(`${family}-integers`, 'onnx', 'model_quantized.onnx')))
    const { model } = await openModelFolder(at(family))
    const ofHead = [...model.sequenceHead(3).tensors.values()].filter(({ length }) => length === 2).length
    expect(node.filter(({ opType }) => opType === 'MatMulInteger')).toHaveLength(model.spec.matrices.length + ofHead)
    expect(domains.filter((domain) => domain !== '')).toEqual([])
    const [float32, int8] = [1, 3]
    const typeOf = new Map(initializer.map(({ name, dataType }) => [name, dataType]))
    for (const [name, { length }] of model.spec.tensors) expect(typeOf.get(name), name).toBe(length === 2 ? int8 : float32)
    // of a table, only the rows asked for become float32
    for (const { opType, input } of node) if (opType === 'Cast') expect(typeOf.has(input[0] ?? ''), input[0]).toBe(false)
  })
})

describe('numbers at the limits of a precision', () => {
  const positions = 'roberta.embeddings.position_embeddings.weight'
  const withPosition = async (name: string, value: number): Promise<string> => {
    const tensors = tinyTensors()
    const { shape, data } = tensors.get(positions)!
    const changed = new Map([...tensors, [positions, { shape, data: data.map((x, i) => (i < (shape[1] ?? 0) ? value : x)) }]])
    return writeTinyModel(at(name), { 'model.safetensors': writeSafetensors(changed) })
  }

  it('are refused in one line if float16 overflows, and nothing is written', async () => {
    const model = await withPosition('large', 65_520)
    const before = await readdir(place.root)
    await expect(exported('roberta', 'transformers.js', 'narrow', { model, precision: 'float16' })).rejects.toThrow(
      /model_fp16\.onnx: expected numbers in .*position_embeddings.* that float16 can hold \(precision float32 holds all\), got a larger one$/,
    )
    expect(await readdir(place.root)).toEqual(before)
  })

  it('are exact in int8: a row of zeros stays zero', async () => {
    const model = await withPosition('zeros', 0)
    const { comparison } = await exported('roberta', 'transformers.js', 'zeros-int8', { model, precision: 'int8' })
    expect(comparison.largestLogitDifference).toBeLessThan(0.2 * comparison.largestLogit)
  })
})
