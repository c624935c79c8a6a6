/** transformers.js exports in float16 and int8: a half and a quarter of the bytes, and exactly the function of the rounded weights. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { Float16Array } from '@petamoriken/float16'
import { pipeline } from '@huggingface/transformers'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readSafetensors, readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { writeSafetensors } from '../../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { writeFileAtomically } from '../../../accelerated/storage/atomicFile.js'
import { openTrainedAdapter } from '../../../finetuning/adapters/trainedAdapter.js'
import { assertClose } from '../../support/assertClose.js'
import type { Family } from '../tinyAdapter.js'
import { tinyTensors, writeTinyModel } from '../tinyModel.js'
import { at, exported, families, place, usePlace } from './folder.js'

usePlace()

const texts = ['A wonderful film.', 'bad', 'It goes on, and on, and on; then it ends. Why?']

/** Each matrix's numbers as 255 levels of its row can hold them. [rows][columns] */
const inLevels = (data: ArrayLike<number>, [, columns = 1]: ReadonlyArray<number>): Float32Array => {
  const numbers = Array.from(data)
  return Float32Array.from(numbers, (x, i) => {
    const start = i - (i % columns)
    const step = Math.fround(Math.max(...numbers.slice(start, start + columns).map(Math.abs)) / 127)
    return step === 0 ? 0 : step * Math.round(x / step)
  })
}

const rounded = {
  float16: (data: ArrayLike<number>) => Float32Array.from(new Float16Array(Array.from(data))),
  int8: (data: ArrayLike<number>, shape: ReadonlyArray<number>) => (shape.length === 2 ? inLevels(data, shape) : Float32Array.from(data)),
} as const

/** The probabilities of a merged model whose weights were rounded here. */
const expected = async (family: Family, precision: keyof typeof rounded): Promise<ReadonlyArray<ReadonlyArray<number>>> => {
  const folder = `${family}-${precision}-merged`
  await exported(family, 'merged', folder)
  const { tensors } = await readSafetensors(at(folder, 'model.safetensors'))
  const coarse = await Promise.all(
    [...tensors].map(async ([name, entry]) => {
      const data = rounded[precision](await readTensor(entry), entry.shape)
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
    ['float16', 'model_fp16.onnx', 'fp16', 0.5],
    ['int8', 'model_quantized.onnx', 'q8', 0.25],
  ] as const)('an export in %s is opened as it is, and answers as its rounded weights do', async (precision, file, dtype, share) => {
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
        const answer = (await classify(text, { top_k: 3 })) as unknown as ReadonlyArray<{ readonly label: string; readonly score: number }>
        const scores = ['bad', 'good', 'neither'].map((name) => answer.find(({ label }) => label === name)?.score ?? NaN)
        assertClose(scores, reference[i] ?? [], { relative: 1e-5 })
      }
    } finally {
      await classify.dispose()
    }
    // rounding costs accuracy, and the output reports it
    expect(comparison.largestLogitDifference).toBeGreaterThan(1e-5 * comparison.largestLogit)
    expect(comparison.largestLogitDifference).toBeLessThan(0.1 * comparison.largestLogit)
    const { model } = await openModelFolder(at(family))
    const matrices = [...model.spec.tensors.values()].filter(({ length }) => length === 2)
    const saved = 4 * (1 - share) * matrices.reduce((sum, [rows = 0, columns = 0]) => sum + rows * columns, 0)
    await exported(family, 'transformers.js', `${output}-whole`)
    const [full, small] = await Promise.all(
      [at(`${output}-whole`, 'onnx', 'model.onnx'), at(output, 'onnx', file)].map((path) => stat(path)),
    )
    expect(full!.size - small!.size).toBeGreaterThan(0.7 * saved) // scales and their nodes take a little of a model as small as this
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
      /model_fp16\.onnx: expected numbers in .*position_embeddings.* that float16 can hold \(--precision float32 holds all\), got a larger one$/,
    )
    expect(await readdir(place.root)).toEqual(before)
  })

  it('are exact in int8: a row of zeros stays zero', async () => {
    const model = await withPosition('zeros', 0)
    const { comparison } = await exported('roberta', 'transformers.js', 'zeros-int8', { model, precision: 'int8' })
    expect(comparison.largestLogitDifference).toBeLessThan(0.1 * comparison.largestLogit)
  })
})
