/** Folders of the adapters library: supported adapters are read, and others are refused in one line that says why. */
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readSafetensors, readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { writeSafetensors, type WritableTensor } from '../../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { readAdapter, writeAdapter } from '../../../accelerated/formats/index.js'
import { folderOf, methodFolder, type Family } from '../../golden/golden.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder: root } = temporaryFolder('adapters')

type Json = Readonly<Record<string, unknown>>
type Change = (folder: string) => Promise<unknown>

const inJson =
  (file: string, change: (json: Json) => Json): Change =>
  async (folder) =>
    writeFile(join(folder, file), JSON.stringify(change(JSON.parse(await readFile(join(folder, file), 'utf8')) as Json)))
/** Keys of the configuration within the file; undefined takes one out. */
const within =
  (file: string) =>
  (changed: Json): Change =>
    inJson(file, (json) => ({ ...json, config: { ...(json['config'] as Json), ...changed } }))
const [inConfig, inHead] = [within('adapter_config.json'), within('head_config.json')]

const inTensors =
  (file: string, change: (tensors: Map<string, WritableTensor>) => unknown): Change =>
  async (folder) => {
    const tensors = new Map<string, WritableTensor>()
    for (const [name, entry] of (await readSafetensors(join(folder, file))).tensors)
      tensors.set(name, { shape: entry.shape, data: await readTensor(entry) })
    change(tensors)
    await writeFile(join(folder, file), writeSafetensors(tensors))
  }

const opened = async (
  change: Change,
  { of = 'pfeiffer', saved = 'saved', family = 'roberta', model = family }: Partial<Options> = {},
): Promise<{ readonly folder: string; readonly read: ReturnType<typeof readAdapter> }> => {
  const folder = await mkdtemp(join(root, 'adapter-'))
  await cp(join(methodFolder(family, of), saved), folder, { recursive: true })
  await change(folder)
  const read = readAdapter(folder, await openModelFolder(folderOf(model)))
  read.catch(() => undefined)
  return { folder, read }
}
type Options = { readonly of: 'houlsby' | 'pfeiffer'; readonly saved: string; readonly family: Family; readonly model: Family }

/** The whole message, without the folder. */
const refused = async (change: Change, message: string, options?: Partial<Options>): Promise<void> => {
  const { folder, read } = await opened(change, options)
  const got = await read.then(
    () => 'read',
    (error: Error) => error.message,
  )
  expect(got.replace(`${folder}/`, '').replace(`${folder}:`, 'FOLDER:')).toBe(message)
}

const nothing: Change = async () => undefined

describe('a configuration', () => {
  const pfeiffer = 'adapter_config.json: expected a SeqBnConfig (pfeiffer)'
  it.each<readonly [string, Json, string]>([
    ['a parallel adapter', { is_parallel: true }, 'whose is_parallel is false, got true'],
    ['another activation', { non_linearity: 'gelu' }, 'whose non_linearity is relu, got "gelu"'],
    ['a norm of its own', { ln_before: true }, 'whose ln_before is false, got true'],
    ['a norm after it', { ln_after: true }, 'whose ln_after is false, got true'],
    ['another scale', { scaling: 4 }, 'whose scaling is 1, got 4'],
    ['a trained scale', { scaling: 'learned' }, 'whose scaling is 1, got "learned"'],
    ['a gate', { use_gating: true }, 'whose use_gating is false, got true'],
    ['an invertible adapter', { inv_adapter: 'nice' }, 'whose inv_adapter is null, got "nice"'],
    ['hypercomplex layers', { phm_layer: true }, 'whose phm_layer is false, got true'],
    ['layers without one', { leave_out: [0] }, 'whose leave_out is a list of at most 0 entries, got [0]'],
    ['factors by layer', { reduction_factor: { default: 16 } }, 'whose reduction_factor is a number, got {"default":16}'],
    ['no factor', { reduction_factor: undefined }, 'whose reduction_factor is a number, got nothing'],
    ['a factor of 0', { reduction_factor: 0 }, 'whose reduction_factor is a number above 0, got 0'],
    ['its norm elsewhere', { original_ln_before: false }, 'whose original_ln_before is true, got false'],
    ['its norm nowhere', { original_ln_before: undefined }, 'whose original_ln_before is true, got nothing'],
    ['its residual elsewhere', { residual_before_ln: 'post_add' }, 'whose residual_before_ln is true, got "post_add"'],
    ['adapters of neither kind', { output_adapter: false }, 'whose output_adapter is true, got false'],
    ['a key of a later version', { telepathy: true }, '(no key telepathy), got true'],
  ])('an adapter configuration with %s is refused', (_, changed, message) => refused(inConfig(changed), `${pfeiffer} ${message}`))

  it("a configuration of Houlsby with Pfeiffer's activation is refused", () =>
    refused(
      inConfig({ non_linearity: 'relu' }),
      'adapter_config.json: expected a DoubleSeqBnConfig (houlsby) whose non_linearity is swish, got "relu"',
      { of: 'houlsby' },
    ))

  it('a configuration of another architecture, another file or no adapter is refused', async () => {
    const expected = 'adapter_config.json: expected an adapter as the adapters library saves it whose'
    await refused(inConfig({ architecture: 'lora' }), `${expected} config.architecture is null, got "lora"`)
    await refused(inConfig({ mh_adapter: undefined }), `${expected} config.mh_adapter is true or false, got nothing`)
    await refused(
      inJson('adapter_config.json', (json) => ({ ...json, config: null })),
      `${expected} config is an object, got null`,
    )
    await refused(
      inJson('adapter_config.json', (json) => ({ ...json, name: undefined })),
      `${expected} name is a text, got nothing`,
    )
    await refused(
      inJson('adapter_config.json', () => ({})),
      'adapter_config.json: expected an adapter of a supported method, got one without peft_type',
    )
  })

  it('may lack keys that have defaults, and have any values of training', async () => {
    const [plain, sparse, other] = await Promise.all([
      opened(nothing),
      opened(
        inJson('adapter_config.json', (json) => {
          const { mh_adapter, output_adapter, non_linearity, original_ln_before, reduction_factor } = json['config'] as Json
          return {
            ...json,
            version: undefined,
            config: { mh_adapter, output_adapter, non_linearity, original_ln_before, reduction_factor },
          }
        }),
      ),
      opened(inConfig({ dropout: 0.1, init_weights: 'houlsby', init_weights_seed: 3, phm_dim: 2, stochastic_depth: 0.2 })),
    ])
    const { tensors, head, phase, settings } = await plain.read
    expect(tensors.size).toBe(8)
    for (const { read } of [sparse, other]) expect(await read).toMatchObject({ tensors, head, phase, settings })
  })
})

describe('a model', () => {
  it('a model of another family is refused with both names', () =>
    refused(nothing, 'adapter_config.json: expected an adapter of a bert model, got one of "roberta"', { model: 'bert' }))

  it('a model of other sizes is refused with its hidden size, or with the first tensor that does not fit', async () => {
    await refused(
      inJson('adapter_config.json', (json) => ({ ...json, hidden_size: 64 })),
      'adapter_config.json: expected an adapter of a model of hidden size 32, got one of 64',
      { of: 'houlsby' },
    )
    await refused(
      inConfig({ reduction_factor: 4 }),
      'adapter.safetensors: expected tensor roberta.encoder.layer.0.output.adapters.golden.adapter_down.0.weight of shape [8, 32], got [4, 32]',
    )
    const layer = (from: number, to: number) =>
      inTensors('adapter.safetensors', (tensors) =>
        [...tensors]
          .filter(([name]) => name.includes(`.layer.${from}.`))
          .forEach(([name, tensor]) => {
            tensors.set(name.replace(`.layer.${from}.`, `.layer.${to}.`), tensor)
            if (to === 0) tensors.delete(name)
          }),
      )
    await refused(
      layer(1, 2),
      'adapter.safetensors: expected only the 8 tensors that adapter_config.json describes, got "roberta.encoder.layer.2.output.adapters.golden.adapter_down.0.bias"',
    )
    await refused(
      layer(1, 0),
      'adapter.safetensors: expected tensor roberta.encoder.layer.1.output.adapters.golden.adapter_down.0.weight [4, 32], got none of that name',
    )
  })
})

describe('tensors', () => {
  it('tensors in a pickle are refused with the way to save safetensors', async () => {
    const advice = '(pickles are not read: save_adapter(folder, name, use_safetensors=True) writes none)'
    const pickled =
      (name: string, pickle: string): Change =>
      (folder) =>
        rename(join(folder, name), join(folder, pickle))
    await refused(
      pickled('adapter.safetensors', 'pytorch_adapter.bin'),
      `FOLDER: expected adapter.safetensors, got only pytorch_adapter.bin ${advice}`,
    )
    await refused(
      pickled('model_head.safetensors', 'pytorch_model_head.bin'),
      `FOLDER: expected model_head.safetensors, got only pytorch_model_head.bin ${advice}`,
    )
    await refused((folder) => rm(join(folder, 'adapter.safetensors')), 'FOLDER: expected adapter.safetensors, got none')
    await refused(
      (folder) => rm(join(folder, 'head_config.json')),
      'head_config.json: expected a readable file, got none (no such file or folder)',
    )
  })

  it('are refused if a number is not finite', () =>
    refused(
      inTensors('adapter.safetensors', (tensors) => {
        const { data } = tensors.get('roberta.encoder.layer.1.output.adapters.golden.adapter_up.bias') as WritableTensor
        data[3] = NaN
      }),
      'adapter.safetensors: expected finite numbers in roberta.encoder.layer.1.output.adapters.golden.adapter_up.bias, got NaN at 3',
    ))

  it("have the adapter's name, whatever characters it has", async () => {
    const renamed =
      (name: string): Change =>
      async (folder) => {
        await inJson('adapter_config.json', (json) => ({ ...json, name }))(folder)
        await inTensors('adapter.safetensors', (tensors) =>
          [...tensors].forEach(([key, tensor]) => {
            tensors.delete(key)
            tensors.set(
              key.replace('.golden.', () => `.${name}.`),
              tensor,
            )
          }),
        )(folder)
      }
    const { read } = await opened(renamed('$1 $& ☃'))
    expect((await read).tensors).toEqual((await (await opened(nothing)).read).tensors)
    await refused(
      inJson('adapter_config.json', (json) => ({ ...json, name: 'other' })),
      'adapter.safetensors: expected tensor roberta.encoder.layer.0.output.adapters.other.adapter_down.0.weight [4, 32], got none of that name',
    )
  })

  it('tensors of a factor above the hidden size are those of one neuron, as in the library, when read and written', async () => {
    const { folder, read } = await opened(async (at) => {
      await inConfig({ reduction_factor: 1000 })(at)
      await inTensors('adapter.safetensors', (tensors) =>
        tensors.forEach(({ shape, data }, key) => {
          const [rows = 1, columns = 1] = shape
          const cut = /adapter_down\.0\.weight$/.test(key)
            ? [1, columns]
            : /adapter_down\.0\.bias$/.test(key)
              ? [1]
              : /adapter_up\.weight$/.test(key)
                ? [rows, 1]
                : shape
          tensors.set(key, {
            shape: cut,
            data: data.slice(
              0,
              cut.reduce((a, b) => a * b, 1),
            ),
          })
        }),
      )(at)
    })
    const adapter = await read
    expect(adapter.tensors.get('encoder.layer.0.output.adapter.up.weight')?.shape).toEqual([32, 1])
    const base = await openModelFolder(folderOf('roberta'))
    await writeAdapter(folder, adapter, base)
    expect((await readAdapter(folder, base)).tensors).toEqual(adapter.tensors)
  })
})

describe('a head', () => {
  it('takes class names from salora.json, else from the library unless they are only numbers', async () => {
    const names = async (change: Change, saved = 'saved') => (await (await opened(change, { saved })).read).labelNames
    const ids = { good: 2, bad: 0, ugly: 1 }
    expect(await names(nothing)).toBeUndefined()
    expect(await names(inJson('head_config.json', (json) => ({ ...json, label2id: ids })))).toEqual(['bad', 'ugly', 'good'])
    expect(await names(inHead({ label2id: ids }), 'saved-flexible')).toEqual(['bad', 'ugly', 'good'])
    expect(await names(inJson('head_config.json', (json) => ({ ...json, label2id: { bad: 0, good: 1 } })))).toBeUndefined()
    expect(await names(inJson('head_config.json', (json) => ({ ...json, label2id: { bad: 0, good: 1, ugly: 3 } })))).toBeUndefined()
    const nameFile = JSON.stringify({ labelNames: ['x', 'y', 'z'], problemType: 'single_label_classification' })
    expect(await names((folder) => writeFile(join(folder, 'salora.json'), nameFile))).toEqual(['x', 'y', 'z'])
  })

  it("may be absent, which means the model's own", async () => {
    const { read } = await opened(async (folder) => {
      for (const file of ['model_head.safetensors', 'head_config.json']) await rm(join(folder, file))
    })
    expect(await read).toMatchObject({
      head: new Map(),
      outputs: { head: 'sequence', labels: 3, problemType: 'single_label_classification' },
    })
  })

  it('is refused if a part is missing', async () => {
    const without = (...names: readonly string[]) =>
      inTensors('model_head.safetensors', (tensors) => names.forEach((name) => tensors.delete(name)))
    await refused(
      without('classifier.out_proj.bias'),
      'model_head.safetensors: expected tensor classifier.out_proj.bias [3], got none of that name',
    )
    await refused(
      without('classifier.weight', 'classifier.bias'),
      'model_head.safetensors: expected tensor classifier.weight [3, 32], got none of that name',
      { family: 'bert' },
    )
  })

  const between: Readonly<Record<string, string>> = { distilbert: 'relu', electra: 'gelu', 'deberta-v2': 'gelu' }
  it.each<readonly [string, Json, Family, string]>([
    ['has two layers', { layers: 1 }, 'roberta', 'layers 1, activation_function tanh, use_pooler false'],
    ['has tanh between them', { activation_function: 'relu' }, 'roberta', 'layers 2, activation_function relu, use_pooler false'],
    ['reads no pooler of RoBERTa', { layers: 1, use_pooler: true }, 'roberta', 'layers 1, activation_function tanh, use_pooler true'],
    ['has two layers without a pooler', { use_pooler: true }, 'bert', 'layers 2, activation_function tanh, use_pooler true'],
    ['has ReLU in DistilBERT', { activation_function: 'tanh' }, 'distilbert', 'layers 2, activation_function tanh, use_pooler false'],
    ['has GELU in ELECTRA', { activation_function: 'tanh' }, 'electra', 'layers 2, activation_function tanh, use_pooler false'],
    ['has GELU in DeBERTa', { activation_function: 'relu' }, 'deberta-v2', 'layers 2, activation_function relu, use_pooler false'],
  ])('a head of the flexible kind %s', (_, changed, family, got) =>
    refused(
      inHead(changed),
      `head_config.json: expected a head of two layers, ${between[family] ?? 'tanh'} and no pooler${family === 'bert' ? ', or of one layer on the pooler' : ''}, got ${got}`,
      { saved: 'saved-flexible', family },
    ),
  )

  it('a head for another task than classification is refused', () =>
    refused(
      inHead({ head_type: 'multilabel_classification' }),
      'head_config.json: expected a head as the adapters library saves it whose config.head_type is classification, got "multilabel_classification"',
      { saved: 'saved-flexible' },
    ))
})
