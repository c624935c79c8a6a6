/** The bounds one by one: what is refused, before anything large is allocated, waited for or followed. */
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, open, realpath, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { loadLowRank } from '../../accelerated/formats/peft/loadPeft.js'
import { lookUpPattern } from '../../accelerated/formats/peft/modulePattern.js'
import { peftFiles } from '../../accelerated/formats/peft/peft.js'
import { parsePeftConfig } from '../../accelerated/formats/peft/peftConfig.js'
import { parseConfigFile } from '../../accelerated/files/configFile.js'
import { Mistake } from '../../accelerated/files/mistake.js'
import { parseJson, readText } from '../../accelerated/files/jsonText.js'
import { openModelFolder } from '../../accelerated/files/modelFolder.js'
import { readSafetensors, readTensor } from '../../accelerated/files/safetensors/safetensors.js'
import { elementCount } from '../../accelerated/files/safetensors/safetensorsHeader.js'
import { parseShardIndex } from '../../accelerated/files/safetensors/weightFiles.js'
import { writeSafetensors } from '../../accelerated/files/safetensors/writeSafetensors.js'
import { loadTokenizer } from '../../accelerated/files/tokenizer.js'
import { rankPatternOfRun } from '../../evaluation/adapters/rankPattern.js'
import { parseRunConfig, parseRunResult, readRunConfig } from '../../evaluation/runs/storedRun.js'
import { SEED } from '../support/seed.js'
import { applyEdits, edits } from './cases.js'
import { bytePair, unigram, roberta, runConfig, runResult, wordPiece } from './validFiles.js'

let root = ''
let folder = ''
let made = 0
beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'salora-bounds-')))
})
beforeEach(async () => {
  folder = join(root, `f${made++}`)
  await mkdir(folder)
})
afterAll(() => rm(root, { recursive: true }))

/** The one line, and that it came soon and cheaply. */
const refusal = async (read: () => unknown): Promise<string> => {
  const [began, held] = [performance.now(), process.memoryUsage().arrayBuffers]
  try {
    await read()
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(Mistake)
    expect(process.memoryUsage().arrayBuffers - held).toBeLessThan(80_000_000)
    expect(performance.now() - began).toBeLessThan(10_000)
    const { message } = thrown as Error
    expect(message).not.toContain('\n')
    return message.replaceAll(folder, 'F').replaceAll(root, 'ROOT')
  }
  return 'no error'
}

const { model, outputs } = parseConfigFile(JSON.stringify(roberta), 'config.json')
const at = (name: string): string => join(folder, name)
const put = (name: string, content: string | Uint8Array | object): Promise<void> =>
  writeFile(at(name), typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content))
const sized = async (name: string, start: Uint8Array, size: number): Promise<void> => {
  const handle = await open(at(name), 'w')
  await handle.write(start)
  await handle.truncate(size) // a hole: the test's disk need not hold it
  await handle.close()
}
const length = (bytes: number | bigint): Buffer => {
  const field = Buffer.alloc(8)
  field.writeBigUInt64LE(BigInt(bytes))
  return field
}

describe('a safetensors header', () => {
  it.each([[100_000_000n], [16_000_001n], [2n ** 64n - 1n], [2n ** 63n]])(
    'that says it has %d bytes is refused by its length alone',
    async (declared) => {
      await put('x', Buffer.concat([length(declared), Buffer.from('{}')]))
      expect(await refusal(() => readSafetensors(at('x')))).toBe(
        `F/x: expected a header of at most 16000000 bytes, found a length of ${declared} (not a safetensors file?)`,
      )
    },
  )
  it('that really has 100 MB is refused unread', async () => {
    await sized('x', Buffer.concat([length(100_000_000), Buffer.from('{')]), 100_000_008)
    expect(await refusal(() => readSafetensors(at('x')))).toMatch(/^F\/x: expected a header of at most 16000000 bytes/)
  })
  it('within the bound but of a small file is refused by the size of the file', async () => {
    await put('x', Buffer.concat([length(15_000_000), Buffer.from('{}')]))
    expect(await refusal(() => readSafetensors(at('x')))).toBe(
      'F/x: expected a header of 15000000 bytes, found 2 bytes (the file is cut short)',
    )
  })
  it('of too many lists is refused before they are made', async () => {
    const text = Buffer.from(`{"a":[${'[],'.repeat(2_000_001)}[]]}`)
    await put('x', Buffer.concat([length(text.length), text]))
    expect(await refusal(() => readSafetensors(at('x')))).toBe('F/x: expected at most 4000000 values in the JSON, found more')
  })
})

it('a tensor of more than 2^30 numbers is refused before room is made for it', async () => {
  const shape = [2 ** 15 + 1, 2 ** 15]
  const entry = { name: 'a', dtype: 'F32', shape, offset: 8, length: 4 * elementCount(shape), file: 'x' } as const
  expect(await refusal(() => readTensor(entry))).toBe('x: expected tensor a of at most 1073741824 numbers, found 1073774592 [32769,32768]')
})

describe('JSON', () => {
  it('deeper than 64 levels is refused, a million levels as well', async () => {
    const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels)
    expect(parseJson(nested(64), 'x')).toHaveLength(1)
    for (const levels of [65, 1_000_000])
      expect(await refusal(() => parseJson(nested(levels), 'x'))).toBe('x: expected at most 64 levels of JSON, found more')
    for (const [name, read] of [
      ['config.json', parseConfigFile],
      ['index', parseShardIndex],
      ['run', parseRunConfig],
    ] as const) {
      expect(await refusal(() => read(`{"a":${nested(100_000)}}`, name))).toBe(`${name}: expected at most 64 levels of JSON, found more`)
    }
  })
  it('brackets within strings count for nothing', () => {
    expect(parseJson(JSON.stringify({ a: '[{'.repeat(100), b: '\\"['.repeat(200) }), 'x')).toEqual({
      a: '[{'.repeat(100),
      b: '\\"['.repeat(200),
    })
  })
  it('larger than its bound is refused by the size of the file', async () => {
    await sized('tokenizer.json', Buffer.from('{'), 70_000_000_000)
    expect(await refusal(() => readText(at('tokenizer.json')))).toBe('F/tokenizer.json: expected at most 64000000 bytes, found 70000000000')
    await sized('config.json', Buffer.from('{'), 16_000_001)
    expect(await refusal(() => openModelFolder(folder))).toBe('F/config.json: expected at most 16000000 bytes, found 16000001')
  })
  it('that is not UTF-8 is refused', async () => {
    await put('x', Buffer.from([0x22, 0xff, 0x22]))
    expect(await refusal(() => readText(at('x')))).toBe('F/x: expected text in UTF-8, found bytes that are not')
  })
  it('with a key twice is refused, however it is written and however deep', async () => {
    const texts = ['{"ab":1,"ab":2}', '{"ab":1,"a\\u0062":2}', '[{"c":{"ab":"}","x":["ab","ab"],"ab":{}}}]']
    for (const text of texts) expect(await refusal(() => parseJson(text, 'x'))).toBe('x: expected each key once, found "ab" twice')
    expect(parseJson('[{"ab":"ab"},{"ab":{"ab":1}}]', 'x')).toHaveLength(2)
  })
  it(`is what JSON.parse makes of it, or is refused, whatever is changed in it (seed ${SEED})`, () => {
    const value = fc.jsonValue({ maxDepth: 5, stringUnit: 'binary' })
    fc.assert(
      fc.property(value, fc.option(edits), fc.nat(3), (json, changes, indent) => {
        const written = Buffer.from(JSON.stringify(json, null, indent))
        const text = (changes === null ? written : applyEdits(written, changes)).toString()
        const attempt = (parse: () => unknown): unknown => {
          try {
            return { read: parse() }
          } catch (thrown) {
            return thrown instanceof Mistake && /found ".*" twice$/.test(thrown.message) ? 'twice' : 'refused'
          }
        }
        const ours = attempt(() => parseJson(text, 'x'))
        if (changes === null || ours !== 'twice') expect(ours).toEqual(attempt(() => JSON.parse(text)))
      }),
      { seed: SEED, numRuns: 2_000 },
    )
  })
  it('with the names of prototypes changes none', async () => {
    const text = (json: object): string =>
      JSON.stringify(json).replace('{', '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},')
    expect(parseConfigFile(text(roberta), 'x').model.vocabularySize).toBe(11)
    expect(parseRunConfig(text(runConfig), 'x').model).toBe('./bert')
    expect(parseRunConfig(JSON.stringify(runConfig).replace('"task":"sentiment"', '"__proto__":"x"'), 'x').task).toEqual({})
    expect(Reflect.get({}, 'polluted')).toBeUndefined()
  })
  it.each([
    ['vocab_size', 10_000_000],
    ['hidden_size', 65_536],
    ['num_hidden_layers', 1_024],
    ['num_attention_heads', 1_024],
    ['intermediate_size', 1_048_576],
    ['max_position_embeddings', 1_048_576],
    ['type_vocab_size', 1_024],
    ['num_labels', 1_000_000],
  ])('with a %s that is no whole number from 1 to %d is refused', async (key, limit) => {
    const withZero = JSON.stringify({ ...roberta, [key]: 0 })
    const said = (value: string | number): Promise<string> =>
      refusal(() => parseConfigFile(withZero.replace(`"${key}":0`, `"${key}":${value}`), 'config.json'))
    for (const value of [0, -1, 1.5, '1e308', '1e999', '9007199254740993', limit + 1])
      expect(await said(value)).toMatch(new RegExp(`^config\\.json: expected an? [a-z]+ whose ${key} is a whole number`))
    expect(await said(limit)).not.toContain('whose')
  })
  it.each<readonly [string, object]>([
    ['id2label.0', { id2label: { 0: 'x'.repeat(1_001), 1: 'y' } }],
    ['_name_or_path', { _name_or_path: 'x'.repeat(10_001) }],
  ])('with a long %s is refused', async (key, change) => {
    expect(await refusal(() => parseConfigFile(JSON.stringify({ ...roberta, ...change }), 'config.json'))).toContain(
      `expected a configuration whose ${key} is a text of at most 1`,
    )
  })
})

describe('what is no plain file', () => {
  it('is not waited for: a pipe of any of the names is refused', async () => {
    execFileSync('mkfifo', [at('model.safetensors'), at('config.json'), at('adapter_config.json')])
    for (const read of [() => readSafetensors(at('model.safetensors')), () => readText(at('config.json'))])
      expect(await refusal(read)).toMatch(/^F\/[\w.]+: expected a plain file, found a pipe, a device or a socket$/)
    expect(await refusal(() => openModelFolder(folder))).toBe('F/config.json: expected a file, found something else')
    expect(await refusal(() => loadLowRank(folder, model, outputs))).toBe('F/adapter_config.json: expected a file, found something else')
    expect(await refusal(() => readRunConfig(folder))).toBe('F/config.json: expected a file, found something else')
  })
  it('a device and a folder are refused', async () => {
    expect(await refusal(() => readText('/dev/zero'))).toBe('/dev/zero: expected a plain file, found a pipe, a device or a socket')
    expect(await refusal(() => readSafetensors(folder))).toBe('F: expected a plain file, found a folder')
  })
  it('a link in a circle is refused', async () => {
    await symlink('config.json', at('config.json'))
    expect(await refusal(() => openModelFolder(folder))).toMatch(/^F\/config\.json: expected a readable file, found .*ELOOP/)
  })
  it("a link may lead out of the folder within a model of the hub's cache, and in nothing that looks only half like one", async () => {
    for (const [snapshot, said] of [
      ['models--a--b/snapshots/c', 'no error'],
      ['plain/snapshots/c', 'F'],
      ['models--a--c/plain/c', 'F'],
    ] as const) {
      folder = join(root, snapshot)
      await mkdir(folder, { recursive: true })
      await writeFile(join(folder, '..', '..', 'blob'), JSON.stringify(runConfig))
      await symlink('../../blob', at('config.json'))
      expect((await refusal(() => readRunConfig(folder))).slice(0, said.length)).toBe(said)
    }
  })
})

const zeros = (shape: ReadonlyArray<number>) => ({ shape, data: new Float32Array(elementCount(shape)) })
const pair = { A: zeros([2, 4]), B: zeros([4, 2]) }
const adapter = peftFiles({
  model,
  outputs,
  baseModelName: 'm',
  rank: 2,
  alpha: 2,
  modules: new Map([['encoder.layer.0.attention.self.query', pair]]),
  head: new Map(),
})

describe('each file that is read', () => {
  const weights = writeSafetensors(new Map([...model.outline.tensors].map(([name, shape]) => [name, zeros(shape)] as const)))
  const index = { weight_map: Object.fromEntries([...model.outline.tensors.keys()].map((name) => [name, 'shard.safetensors'])) }
  const folders: Readonly<
    Record<string, { readonly files: Readonly<Record<string, string | Uint8Array>>; readonly read: () => Promise<unknown> }>
  > = {
    model: { read: () => openModelFolder(folder), files: { 'config.json': JSON.stringify(roberta), 'model.safetensors': weights } },
    'model in shards': {
      read: () => openModelFolder(folder),
      files: {
        'config.json': JSON.stringify(roberta),
        'model.safetensors.index.json': JSON.stringify(index),
        'shard.safetensors': weights,
      },
    },
    tokenizer: {
      read: () => loadTokenizer(folder, model),
      files: { 'tokenizer.json': JSON.stringify(bytePair), 'tokenizer_config.json': '{"remove_space":false}' },
    },
    adapter: {
      read: () => loadLowRank(folder, model, outputs),
      files: { 'adapter_config.json': adapter.configText, 'adapter_model.safetensors': adapter.weights, 'salora.json': adapter.namesText },
    },
    run: {
      read: () => rankPatternOfRun(folder, true),
      files: { 'config.json': JSON.stringify(runConfig), 'result.json': JSON.stringify(runResult) },
    },
  }
  const cases = Object.entries(folders).flatMap(([of, { files }]) => Object.keys(files).map((name) => [name, of] as const))
  const refusalOf = async (of: string, change: () => Promise<unknown>): Promise<string> => {
    for (const [name, content] of Object.entries(folders[of]!.files)) await put(name, content)
    expect(await refusal(folders[of]!.read)).toBe('no error')
    await change()
    return refusal(folders[of]!.read)
  }

  it.each(cases)('%s of a %s, is refused where it is a link out of the folder', async (name, of) => {
    const beside = `${folder}-beside` // its path begins as the folder's does
    await mkdir(beside)
    expect(
      await refusalOf(of, async () => {
        await rename(at(name), join(beside, name))
        await symlink(join(beside, name), at(name))
      }),
    ).toBe(`F/${name}: expected a file within F, found a link to F-beside/${name}`)
  })
  it.each(cases.filter(([name]) => name.endsWith('.json')))('%s of a %s, is refused with a key twice', async (name, of) => {
    expect(await refusalOf(of, () => put(name, String(folders[of]!.files[name]).replace('{', '{"x":1,"\\u0078":2,')))).toBe(
      `F/${name}: expected each key once, found "x" twice`,
    )
  })
  it.each(cases.filter(([name]) => name.endsWith('.json')))('%s of a %s, is refused beyond its bytes', async (name, of) => {
    const limit = { 'tokenizer.json': 64_000_000, 'tokenizer_config.json': 4_000_000 }[name] ?? 16_000_000
    expect(await refusalOf(of, () => sized(name, Buffer.from('{'), limit + 1))).toBe(
      `F/${name}: expected at most ${limit} bytes, found ${limit + 1}`,
    )
  })
})

describe('an index of shards', () => {
  it.each([
    '../x.safetensors',
    '/x.safetensors',
    'a/../x.safetensors',
    'x\\y.safetensors',
    '..safetensors',
    'a..b.safetensors',
    `${'x'.repeat(202)}.safetensors`,
    'x.bin',
    '',
    'x\u0000.safetensors',
    '~/x.safetensors',
  ])('may not name %j', async (name) => {
    expect(await refusal(() => parseShardIndex(JSON.stringify({ weight_map: { a: name } }), 'index'))).toMatch(
      /^index: expected shards named like/,
    )
  })
  it('may not name more than a thousand', async () => {
    const map = Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [`t${i}`, `s${i}.safetensors`]))
    expect(await refusal(() => parseShardIndex(JSON.stringify({ weight_map: map }), 'index'))).toBe(
      'index: expected at most 1000 shards, found 1001',
    )
  })
})

describe('a tokenizer', () => {
  const load = async (json: object, settings: object = {}) => {
    await put('tokenizer.json', json)
    await put('tokenizer_config.json', settings)
    return loadTokenizer(folder, { ...model, vocabularySize: 30 })
  }
  const bert = parseConfigFile(
    JSON.stringify({ ...roberta, model_type: 'bert', vocab_size: 30, pad_token_id: 0, type_vocab_size: 2 }),
    'config.json',
  ).model
  const kind = "F/tokenizer.json: expected a tokenizer of BERT's or RoBERTa's kind whose"
  it('whose ids would make a list of billions is refused by the ids', async () => {
    for (const id of [30, 2 ** 32 - 2, 2 ** 40]) {
      expect(await refusal(() => load({ ...bytePair, model: { ...bytePair.model, vocab: { ...bytePair.model.vocab, z: id } } }))).toBe(
        `F/tokenizer.json: expected ids below vocab_size 30 of F/config.json, found ${id}`,
      )
      expect(await refusal(() => load({ ...bytePair, added_tokens: [...bytePair.added_tokens, { id, content: 'z' }] }))).toBe(
        `F/tokenizer.json: expected ids below vocab_size 30 of F/config.json, found ${id}`,
      )
    }
  })
  it('whose table or merges are of other kinds is refused', async () => {
    const said = (change: object): Promise<string> => refusal(() => load({ ...bytePair, model: { ...bytePair.model, ...change } }))
    for (const id of [-1, 0.5, '4', null])
      expect(await said({ vocab: { ...bytePair.model.vocab, z: id } })).toBe(
        'F/tokenizer.json: expected an id for "z" in model.vocab, found no whole number from 0',
      )
    expect(await said({ vocab: [['a', 0]] })).toBe('F/tokenizer.json: expected model.vocab that maps tokens to ids, found something else')
    for (const [merges, at] of [
      [['a b', ['a', 'b']], 1],
      [[['a', 'b', 'c']], 0],
      [['a b', 7], 1],
    ] as const) {
      expect(await said({ merges })).toBe(
        `F/tokenizer.json: expected model.merges that are all texts or all pairs of texts, found something else at ${at}`,
      )
    }
  })
  it('that has more tokens than a call has arguments is read', async () => {
    const vocab = Object.fromEntries(Array.from({ length: 400_000 }, (_, i) => [`t${i}`, i + 10]))
    await put('tokenizer.json', { ...bytePair, model: { ...bytePair.model, vocab: { ...bytePair.model.vocab, ...vocab } } })
    expect((await loadTokenizer(folder, { ...model, vocabularySize: 400_010 })).encode('a', undefined, 7).inputIds).toEqual([0, 4, 2])
  })
  it.each([
    ['pre_tokenizer', { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false }],
    ['normalizer', { type: 'Replace', pattern: { Regex: '(a*)*b' }, content: '' }],
    ['normalizer', { type: 'Replace', pattern: { String: '' }, content: 'x'.repeat(1_000) }],
    ['normalizer', { type: 'Replace', pattern: { String: 'x' }, content: 'x'.repeat(9) }],
    ['normalizer', { type: 'Prepend', prepend: 'x'.repeat(9) }],
    ['pre_tokenizer', { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated' }],
    ['normalizer', { type: 'Precompiled', precompiled_charsmap: '' }],
    ['normalizer', { type: 'Replace', pattern: { Regex: '\\s{2,}|[\\n\\r\\t]+$' }, content: ' ' }],
    ['pre_tokenizer', { type: 'Punctuation', behavior: 'Isolated' }],
    ['pre_tokenizer', { type: 'Sequence', pretokenizers: [{ type: 'Split', pattern: { Regex: '(a+)+$' } }] }],
    ['post_processor', { type: 'Sequence', processors: [{ type: 'Sequence', processors: [] }] }],
    ['model', { type: 'Unigram', vocab: [['a', 0]] }],
    ['added_tokens', Array.from({ length: 100_001 }, () => ({ id: 9, content: 'z' }))],
    ['added_tokens', [{ id: 9, content: 'z'.repeat(1_001) }]],
    [
      'post_processor',
      { type: 'TemplateProcessing', single: Array.from({ length: 17 }, () => ({ Sequence: { id: 'A', type_id: 0 } })), pair: [] },
    ],
    ['pre_tokenizer', { type: 'Sequence', pretokenizers: Array.from({ length: 17 }, () => ({ type: 'Whitespace' })) }],
  ])('with a %s beyond the known ones is refused', async (part, value) => {
    expect(await refusal(() => load({ ...bytePair, [part]: value }))).toContain(`${kind} ${part}`)
  })
  it('of unigram kind is read, and what is no list of pieces is refused in one line', async () => {
    const said = (change: object): Promise<string> => refusal(() => load({ ...unigram, model: { ...unigram.model, ...change } }))
    expect((await load(unigram)).encode('ab a', undefined, 7).inputIds).toEqual([0, 4, 8, 7, 2])
    const pieces = 'F/tokenizer.json: expected model.vocab of pieces of 1 to 128 characters, each with a number, found something else at'
    const { vocab } = unigram.model
    for (const odd of [['a', '1'], ['', 1], ['a'], ['a', 1, 2], 'a', ['a'.repeat(129), 1], [1, 1], ['a', null]])
      expect(await said({ vocab: [...vocab, odd] })).toBe(`${pieces} 9`)
    expect(await said({ vocab: { a: 1 } })).toBe(`${pieces} 0`)
    expect(await said({ vocab: [] })).toBe(`${pieces} 0`)
    expect(await said({ unk_id: 9 })).toBe('F/tokenizer.json: expected model.unk_id below the 9 pieces of model.vocab, found 9')
    expect(await said({ byte_fallback: true })).toBe(`${kind} model.byte_fallback is false, found true`)
    const many = Array.from({ length: 31 }, (_, i) => [`t${i}`, -i])
    expect(await said({ vocab: many })).toBe('F/tokenizer.json: expected ids below vocab_size 30 of F/config.json, found 30')
    const table = { type: 'Precompiled', precompiled_charsmap: Buffer.from('no table').toString('base64') }
    expect(await refusal(() => load({ ...unigram, normalizer: table }))).toMatch(
      /^F\/tokenizer\.json: expected a precompiled_charsmap that begins with the size of its trie, found \d+ of 8 bytes$/,
    )
  })
  it('may not make words longer than a thousand characters, whose cost is their square', async () => {
    expect(await refusal(() => load({ ...wordPiece, model: { ...wordPiece.model, max_input_chars_per_word: 1_001 } }))).toContain(
      `${kind} model.max_input_chars_per_word`,
    )
  })
  it('of an old file, which leaves out the type of its model, is read', async () => {
    const { type: _, ...model } = bytePair.model
    expect((await load({ ...bytePair, model })).encode('ab', undefined, 7).inputIds).toEqual([0, 9, 2])
    expect((await load({ ...bytePair, model: { ...model, merges: ['Ġ a'] } })).encode('ab', undefined, 7).inputIds).toEqual([0, 4, 5, 2]) // word pieces would find ab in the table
    const { type: __, ...pieces } = wordPiece.model
    await put('tokenizer.json', { ...wordPiece, model: pieces })
    expect((await loadTokenizer(folder, bert)).encode('ab', undefined, 7).inputIds).toEqual([2, 4, 9, 3])
  })
  it('that has no id for a piece says so instead of giving none', async () => {
    await put('tokenizer.json', { ...wordPiece, model: { ...wordPiece.model, unk_token: '[NONE]' } })
    const tokenizer = await loadTokenizer(folder, bert)
    expect(await refusal(() => tokenizer.encode('z', undefined, 7))).toBe(
      'F/tokenizer.json: expected an id for every piece of a text (or an unk_token that has one), found none for a piece of "z"',
    )
  })
  it('passes no template and no token of its settings on', async () => {
    expect(
      (await load(bytePair, { chat_template: [{ name: 1 }], unk_token: { a: 1 }, additional_special_tokens: 3 })).encode('a', undefined, 7)
        .inputIds,
    ).toEqual([0, 4, 2])
    expect(await refusal(() => load(bytePair, { remove_space: 'yes' }))).toContain(
      'F/tokenizer_config.json: expected settings of a tokenizer whose remove_space is true or false',
    )
    expect(await refusal(() => load(bytePair, []))).toContain('F/tokenizer_config.json: expected settings of a tokenizer (an object)')
  })
})

describe("an adapter's patterns", () => {
  const names = Array.from({ length: 12 }, (_, i) => `roberta.encoder.layer.${i}.attention.self.query`)
  it('have three seconds together, not each', async () => {
    const table = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`${'(.*)*'.repeat(8)}x{${i + 1}}`, 1]))
    const began = performance.now()
    expect(await refusal(() => lookUpPattern(table, names, 'x'))).toMatch(
      /^x: expected a regular expression that matches module names, found "\(\.\*\)/,
    )
    expect(performance.now() - began).toBeLessThan(6_000)
  })
  it('may not be many more than the modules', async () => {
    const table = Object.fromEntries(Array.from({ length: 1_000 }, (_, i) => [`k${i}`, 1]))
    expect(await refusal(() => lookUpPattern(table, names, 'x'))).toBe(
      'x: expected at most 148 patterns of ranks or alphas for 12 modules, found 1000',
    )
  })
})

describe("an adapter's settings", () => {
  const settings = { peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: ['query'] }
  it.each<readonly [string, object]>([
    ['r', { r: 65_537 }],
    ['r', { r: 0 }],
    ['lora_alpha', { lora_alpha: 1.1e9 }],
    ['lora_alpha', { lora_alpha: -1.1e9 }],
    ['rank_pattern.query', { rank_pattern: { query: 65_537 } }],
    ['alpha_pattern.query', { alpha_pattern: { query: 1.1e9 } }],
    ['target_modules', { target_modules: 'x'.repeat(10_001) }],
    ['target_modules.0', { target_modules: ['x'.repeat(1_001)] }],
    ['target_modules', { target_modules: Array.from({ length: 100_001 }, () => 'x') }],
    ['modules_to_save.0', { modules_to_save: ['x'.repeat(1_001)] }],
    ['base_model_name_or_path', { base_model_name_or_path: 'x'.repeat(10_001) }],
  ])('with %s out of bounds are refused', async (key, change) => {
    expect(parsePeftConfig(JSON.stringify(settings), 'x')).toEqual(settings)
    expect(await refusal(() => parsePeftConfig(JSON.stringify({ ...settings, ...change }), 'x'))).toContain(
      `x: expected a plain LoRA configuration whose ${key} is a`,
    )
  })
})

describe("an adapter's names of classes", () => {
  it.each([
    ['long ones', ['x'.repeat(1_001), 'y']],
    ['a million and one', Array.from({ length: 1_000_001 }, () => 'x')],
  ])('%s are refused', async (_, labelNames) => {
    await put('adapter_config.json', adapter.configText)
    await put('adapter_model.safetensors', adapter.weights)
    await put('salora.json', { labelNames, problem: 'classification' })
    expect(await refusal(() => loadLowRank(folder, model, outputs))).toMatch(
      /^F\/salora\.json: expected names as salora writes them whose labelNames(\.0)? is a (text|list) of at most 10+ /,
    )
  })
})

describe('a run that is read back', () => {
  it('is what was written', () => {
    for (const config of [runConfig, { ...runConfig, evaluateStart: true, later: 1 }])
      expect(parseRunConfig(JSON.stringify(config), 'x')).toEqual(config)
    expect(parseRunResult(JSON.stringify(runResult), 'x')).toEqual(runResult)
  })
  it('of other kinds is refused', async () => {
    expect(await refusal(() => parseRunConfig(JSON.stringify({ ...runConfig, model: { toString: 1 } }), 'x'))).toMatch(
      /^x: expected the config\.json of a run whose model/,
    )
    expect(await refusal(() => parseRunConfig(JSON.stringify({ ...runConfig, evaluateStart: 'no' }), 'x'))).toMatch(
      /^x: expected the config\.json of a run whose evaluateStart/,
    )
    expect(await refusal(() => parseRunConfig(JSON.stringify({ ...runConfig, task: { task: { a: 1 } } }), 'x'))).toMatch(
      /^x: expected the config\.json of a run whose task\.task/,
    )
    expect(await refusal(() => parseRunConfig(JSON.stringify({ ...runConfig, model: 'x'.repeat(100_001) }), 'x'))).toMatch(
      /^x: expected the config\.json of a run whose model /,
    )
    const many = JSON.stringify({ ...runConfig, settings: { targetModules: Array.from({ length: 100_001 }, () => 'x') } })
    expect(await refusal(() => parseRunConfig(many, 'x'))).toMatch(/^x: expected the config\.json of a run whose settings\.targetModules /)
    expect(await refusal(() => parseRunResult(JSON.stringify({ ...runResult, last: null }), 'x'))).toMatch(
      /^x: expected the result\.json of a run whose last/,
    )
    expect(await refusal(() => parseRunResult('null', 'x'))).toMatch(/^x: expected the result\.json of a run \(an object\)/)
  })
})
