/** `salora merge`: runs and adapters of uneven ranks as one adapter, or in the model, with their heads. Formulas are in golden/merging.test.ts. */
import { cp, mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { readAdapter } from '../../accelerated/formats/index.js'
import { peftLora } from '../../accelerated/formats/peft/lora.js'
import { mergeAdapters, openTrainedAdapter } from '../../finetuning/index.js'
import { assertClose } from '../support/assertClose.js'
import { refusalOf } from '../support/refusal.js'
import { saloraIn } from './inProcess.js'
import { writeAdapter } from './tinyAdapter.js'
import { toyFolder, toyTrain } from './toyFolder.js'

const cwd = toyFolder('merge')
const at = (name: string): string => join(cwd, name)
const salora = (...args: readonly string[]) => saloraIn(args, { cwd })

beforeAll(async () => {
  for (const [name, more] of [
    ['lora', '--method lora --rank 2 --use-rslora'],
    ['adalora', '--method adalora --set init-r=3,target-r=2'],
  ] as const) {
    const { code, stderr } = await salora(...toyTrain, ...more.split(' '), '--max-steps', '8', '--output', `runs/${name}`, '--quiet')
    expect(`${code} ${stderr}`).toMatch(/^0/)
  }
})

const logits = async (model: string, adapter: string | null): Promise<readonly number[]> => {
  const opened = await openTrainedAdapter({ model, adapter, device: 'cpu', maxLength: 16 })
  return (await opened.predict([{ text: 'w3 w4 w10' }, { text: 'w20' }]).finally(opened.release)).flat()
}

const head = async (adapter: string) => (await readAdapter(adapter, await openModelFolder(at('tiny')))).head

describe('salora merge', () => {
  it('merges runs of two methods as one adapter and into the model alike, with the mean of their heads', async () => {
    const args = ['merge', '--adapters', 'runs/lora', 'runs/adalora', '--weights', '3', '1']
    const { code, stdout, stderr } = await salora(...args, '--output', 'merged')
    expect(`${code} ${stderr}`).toMatch(/^0 /)
    expect(stdout).toMatch(/merged by cat: \d+ updates of rank \d( to \d)?\n/)
    expect((await salora(...args, '--into-base', '--output', 'whole')).code).toBe(0)
    assertClose(await logits(at('whole'), null), await logits(at('tiny'), at('merged')), { relative: 1e-5 })
    const [a, b, merged] = await Promise.all(['runs/lora/adapter', 'runs/adalora/adapter', 'merged'].map((name) => head(at(name))))
    for (const [name, { data }] of merged!)
      assertClose(
        data,
        Array.from(data, (_, i) => 0.75 * a!.get(name)!.data[i]! + 0.25 * b!.get(name)!.data[i]!),
        { relative: 1e-6, name },
      )
    const predicted = await salora('predict', '--model', 'tiny', '--adapter', 'merged', '--json', 'w3 w4')
    expect(predicted.code).toBe(0)
  })

  it('gives the first adapter for weights 1 and 0, and reports what an SVD leaves', async () => {
    await mergeAdapters({ model: null, adapters: [at('runs/lora'), at('runs/adalora')], weights: [1, 0], output: at('first') })
    assertClose(await logits(at('tiny'), at('first')), await logits(at('tiny'), at('runs/lora/adapter')), { relative: 1e-6 })
    const { stdout } = await salora(
      'merge',
      '--adapters',
      'runs/lora',
      'runs/adalora',
      '--method',
      'svd',
      '--rank',
      '1',
      '--output',
      'one',
      '--json',
    )
    const { kept, ranks } = JSON.parse(stdout) as {
      readonly kept: { readonly all: number; readonly least: number }
      readonly ranks: object
    }
    expect(new Set(Object.values(ranks))).toEqual(new Set([1]))
    expect(kept.least).toBeLessThanOrEqual(kept.all)
    expect(kept.all).toBeGreaterThan(0.3)
    expect(kept.all).toBeLessThan(1)
  })

  it('refuses in one line, and leaves no folder, what cannot be merged', async () => {
    const two = await writeAdapter(at('two'), at('tiny'), ['bad', 'good'])
    const swapped = await writeAdapter(at('swapped'), at('tiny'), ['good', 'bad'])
    const three = await writeAdapter(at('three'), at('tiny'))
    const unnamed = at('unnamed')
    await cp(two, unnamed, { recursive: true })
    await writeFile(
      join(unnamed, 'salora.json'),
      JSON.stringify({ ...JSON.parse(await readFile(join(two, 'salora.json'), 'utf8')), labelNames: null }),
    )
    const headless = at('headless')
    await mkdir(headless)
    const base = await openModelFolder(at('tiny'))
    const plain = await readAdapter(two, base)
    await peftLora.write(headless, { ...plain, head: new Map(), labelNames: undefined }, base, base.storage)
    const notANumber = at('nan')
    await cp(two, notANumber, { recursive: true })
    const file = join(notANumber, 'adapter_model.safetensors')
    const bytes = await readFile(file)
    bytes.writeFloatLE(NaN, bytes.length - 8)
    await writeFile(file, bytes)
    const refused = async (adapters: readonly string[], more: object = {}): Promise<string> =>
      (await refusalOf(() => mergeAdapters({ model: at('tiny'), adapters, output: at('none'), ...more }))).replaceAll(cwd, '@')
    expect(await refused([two, three])).toMatch(/^@\/three: expected the head of @\/two: 2 outputs \(.*\) of .*, got 3 outputs/)
    expect(await refused([two, swapped])).toBe('@/swapped: expected the classes of @/two: bad, good, got good, bad')
    expect(await refused([two, headless])).toMatch(
      /^@\/headless: expected the head of @\/two: .*, got 2 outputs \(.*\) of the model's head/,
    )
    expect(await refused([two, notANumber])).toMatch(/^@\/nan\/adapter_model.safetensors: expected finite numbers in .*, got NaN at/)
    expect(await refused([two, two], { weights: [1, -1] })).toBe(
      '--weights: expected weights with a sum above 0, by which the heads are averaged, got 1 -1',
    )
    expect(await refused([two], { weights: [1e300] })).toMatch(
      /^--weights: expected weights whose sums are finite float32 numbers, got others at/,
    )
    expect(await refused([two, at('runs/lora')], { method: 'linear' })).toMatch(
      /^--method linear: expected adapters of one rank, as it adds A to A and B to B \(.*\), got ranks 4, 2 at /,
    )
    expect(await refused([two, at('absent')])).toMatch(/^@\/absent/)
    expect(await refused([two], { output: two })).toBe('--output @/two: expected a folder of its own, got adapter 1')
    expect((await readdir(cwd)).filter((name) => name.startsWith('none') || name.endsWith('.partial'))).toEqual([])
    expect((await mergeAdapters({ model: at('tiny'), adapters: [two, unnamed], output: at('both') })).warnings).toEqual([
      `${unnamed} does not name its classes; they are taken for those of ${two}`,
    ])
  })

  it('refuses a run whose model is another, and a model that is not named', async () => {
    await cp(at('tiny'), at('other'), { recursive: true })
    const { model } = await openModelFolder(at('tiny'))
    await writeFile(
      at('other/model.safetensors'),
      writeSafetensors(
        new Map(
          [...model.spec.tensors].map(([name, shape]) => [
            `roberta.${name}`,
            { shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) },
          ]),
        ),
      ),
    )
    expect(await refusalOf(() => mergeAdapters({ model: at('other'), adapters: [at('runs/lora')], output: at('none') }))).toMatch(
      /other: expected the model that .*runs\/lora was trained on/,
    )
    expect(await refusalOf(() => mergeAdapters({ model: null, adapters: [at('runs/lora/adapter')], output: at('none') }))).toBe(
      '--model: expected the base model of the adapters, as none of them is a run, got none',
    )
  })
})
